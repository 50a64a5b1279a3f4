"""A GitHub in memory, over HTTP, that counts effects and fails where a test wants it to.

Trouble is a list of words, one taken by each write in turn:
`cut` and `502` come before the effect, `done+cut` and `done+502` after it; `limit` is a secondary limit; a number is a
refusal with that status. When `gate` is set, a write's effect comes, then the answer waits for the gate to open.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

A, B = "a" * 40, "b" * 40
REPO = "octo/tree"


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class Fake:
    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=lambda: {"main": A})
    labels: set[str] = field(default_factory=set)
    states: dict[str, str] = field(default_factory=lambda: {"7": "open"})
    attempt: int = 1
    reruns: int = 0
    pushes: int = 0
    trouble: list[str] = field(default_factory=list)
    message: dict[str, Any] = field(default_factory=lambda: {"message": "Must have admin rights to Repository."})
    gate: threading.Event | None = None
    effect: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.asked if method != "GET"]

    # -- reads ---------------------------------------------------------------------------------------------------

    def get(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if re.fullmatch(r"/issues/\d+/comments", path):
            return 200, [one for one in self.comments if one["updated_at"] >= query["since"]]
        if found := re.fullmatch(r"/issues/comments/(\d+)", path):
            return self._first(self.comments, id=int(found[1]))
        if path == "/issues":
            return 200, self.issues[::-1]
        if found := re.fullmatch(r"/(?:issues|pulls)/(\d+)", path):
            return 200, self._issue(found[1])
        if path == "/pulls":
            wanted = query.get("head", "").partition(":")[2]
            return 200, [one for one in self.pulls[::-1] if not wanted or one["head"]["ref"] == wanted]
        if found := re.fullmatch(r"/git/ref/heads/(.+)", path):
            sha = self.refs.get(found[1])
            return (200, _ref(found[1], sha)) if sha else (404, {"message": "Not Found"})
        if found := re.fullmatch(r"/actions/runs/(\d+)", path):
            return 200, self._run(int(found[1]))
        return 404, {"message": "Not Found"}

    def _first(self, rows: list[dict[str, Any]], **like: Any) -> tuple[int, Any]:
        for row in rows:
            if all(row[name] == value for name, value in like.items()):
                return 200, row
        return 404, {"message": "Not Found"}

    def _issue(self, number: str) -> dict[str, Any]:
        return {
            "number": int(number),
            "node_id": f"PR_{number}",
            "title": "An issue",
            "state": self.states.get(number, "open"),
            "merged_at": now() if number == "9" else None,
            "labels": [{"name": name} for name in sorted(self.labels)],
            "created_at": "2026-01-01T00:00:00Z",
            "html_url": f"https://github.com/{REPO}/issues/{number}",
        }

    def _run(self, number: int) -> dict[str, Any]:
        return {
            "id": number,
            "name": "pull",
            "head_sha": A,
            "run_attempt": self.attempt,
            "status": "completed",
            "conclusion": "failure",
            "created_at": now(),
            "updated_at": now(),
            "html_url": f"https://github.com/{REPO}/actions/runs/{number}",
        }

    # -- writes --------------------------------------------------------------------------------------------------

    def write(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if found := re.fullmatch(r"/issues/(\d+)/comments", path):
            number = len(self.comments) + 1
            return 201, self._add(self.comments, id=number, url=f"issues/{found[1]}#issuecomment-{number}", **body)
        if found := re.fullmatch(r"/issues/comments/(\d+)", path):
            self.comments[:] = [one for one in self.comments if one["id"] != int(found[1])]
            return 204, None
        if path == "/issues":
            number = 100 + len(self.issues)
            return 201, self._add(self.issues, number=number, state="open", url=f"issues/{number}", **body)
        if path == "/pulls":
            if any(one["head"]["ref"] == body["head"] for one in self.pulls):
                return 422, _invalid(f"A pull request already exists for octo:{body['head']}.")
            return 201, self._pull(body["title"], body["body"], body["head"])
        if path == "/graphql":
            said = body["variables"]
            if said["id"] != "PR_9":
                error = {"type": "UNPROCESSABLE", "message": "Pull request is not merged"}
                return 200, {"data": {"revertPullRequest": None}, "errors": [error]}
            made = self._pull(said["title"], said["body"], f"revert-9-{len(self.pulls)}")
            answer = {"number": made["number"], "url": made["html_url"]}
            return 200, {"data": {"revertPullRequest": {"revertPullRequest": answer}}}
        if found := re.fullmatch(r"/(?:issues|pulls)/(\d+)", path):
            self.states[found[1]] = body["state"]
            return 200, self._issue(found[1])
        if re.fullmatch(r"/issues/\d+/labels", path):
            self.labels |= set(body["labels"])
            return 200, [{"name": name} for name in sorted(self.labels)]
        if found := re.fullmatch(r"/issues/\d+/labels/(.+)", path):
            if found[1] not in self.labels:
                return 404, {"message": "Label does not exist"}
            self.labels.discard(found[1])
            return 200, []
        if re.fullmatch(r"/actions/(jobs|runs)/\d+/(rerun|rerun-failed-jobs)", path):
            self.attempt, self.reruns = self.attempt + 1, self.reruns + 1
            return 201, {}
        if path == "/git/refs":
            branch = body["ref"].removeprefix("refs/heads/")
            if branch in self.refs:
                return 422, _invalid("Reference already exists")
            self.refs[branch], self.pushes = body["sha"], self.pushes + 1
            return 201, _ref(branch, body["sha"])
        if found := re.fullmatch(r"/git/refs/heads/(.+)", path):
            self.refs[found[1]], self.pushes = body["sha"], self.pushes + 1
            return 200, _ref(found[1], body["sha"])
        return 404, {"message": "Not Found"}

    def _add(self, rows: list[dict[str, Any]], *, url: str, **row: Any) -> dict[str, Any]:
        row |= {"created_at": now(), "updated_at": now(), "html_url": f"https://github.com/{REPO}/{url}"}
        row["user"] = {"login": "arborist[bot]"}
        rows.append(row)
        return row

    def _pull(self, title: str, body: str, head: str) -> dict[str, Any]:
        number = 200 + len(self.pulls)
        found = {"ref": head, "sha": self.refs.get(head, B)}
        return self._add(
            self.pulls, url=f"pull/{number}", number=number, state="open", title=title, body=body, head=found
        )


def _ref(branch: str, sha: str) -> dict[str, Any]:
    return {"ref": f"refs/heads/{branch}", "object": {"sha": sha, "type": "commit"}}


def _invalid(message: str) -> dict[str, Any]:
    return {"message": "Validation Failed", "errors": [{"resource": "X", "code": "custom", "message": message}]}


@contextmanager
def serving(make: Callable[[], Fake] = Fake) -> Iterator[Fake]:
    fake = make()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path).removeprefix(f"/repos/{REPO}")
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            with fake.lock:
                fake.asked.append((self.command, path))
                if self.command == "GET":
                    self.reply(*fake.get(path, query))
                    return
                trouble = fake.trouble.pop(0) if fake.trouble else ""
                before = trouble in ("cut", "502", "limit") or trouble.isdigit()
                status, answer = (0, None) if before else fake.write(self.command, path, body)
            fake.effect.set()
            if fake.gate is not None:
                fake.gate.wait(20)
            if trouble.endswith("cut"):
                self.close_connection = True
            elif trouble.endswith("502"):
                self.reply(502, {"message": "Server Error"})
            elif trouble == "limit":
                self.reply(403, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "1"})
            elif trouble:
                self.reply(int(trouble), fake.message)
            else:
                self.reply(status, answer)

        do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815 - so called by http.server

        def reply(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
            data = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that was killed."""

    server = Server(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield fake
    finally:
        if fake.gate is not None:
            fake.gate.set()
        server.shutdown()
        server.server_close()
