"""A small HTTP server in a thread that answers as a test tells it, misbehaviour included."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One answer. ``cut`` ends the connection after so many bytes of the body.

    ``slow`` waits so many seconds before the body or, if ``drip``, before each of its bytes.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    slow: float = 0.0
    drip: bool = False
    chunked: bool = False

    @property
    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class FakeServer:
    """Answers with the scripted replies in turn, repeating the last one, and remembers what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[Any] = []  # of the requests that had one
        self.script: list[Reply | Callable[[str, dict[str, str]], Reply]] = []

    def tell(self, *replies: Reply | Callable[[str, dict[str, str]], Reply]) -> None:
        self.script = list(replies)

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        self.seen.append((method, path, headers))
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return reply if isinstance(reply, Reply) else reply(path, headers)

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.seen]


@contextmanager
def serve() -> Iterator[FakeServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if sent := int(self.headers.get("Content-Length") or 0):
                fake.bodies.append(json.loads(self.rfile.read(sent)))
            reply = fake.answer(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
            body = b"" if reply.status == 304 else reply.payload
            if reply.slow and not reply.drip:
                time.sleep(reply.slow)
            try:
                self.send_response(reply.status)
                if reply.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                else:
                    self.send_header("Content-Length", str(len(body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if reply.chunked:
                    body = b"%x\r\n%s\r\n" % (len(body), body) + b"0\r\n\r\n"
                if reply.cut is not None:
                    self.wfile.write(body[: reply.cut])
                    self.close_connection = True
                elif reply.drip:
                    for position in range(len(body)):
                        self.wfile.write(body[position : position + 1])
                        time.sleep(reply.slow)
                else:
                    self.wfile.write(body)
            except OSError:
                self.close_connection = True

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - so called by http.server

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    fake = FakeServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
