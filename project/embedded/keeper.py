"""The process that owns the embedded servers, for as long as any command uses them.

    python -m project.embedded.keeper VAR_DIR [--not-durable]

Every command that needs the servers (`make run`, a migration, a shell beside them) holds one connection to the
keeper's control socket. The system closes it when the command ends, however it ends; after the last one the keeper
stops the servers and goes. So commands can come and go in any order, and a killed one leaves nothing behind. If the
keeper itself is killed, the system tells both servers to stop (`launch`).

The talk on the socket: the command sends one JSON line `{"want": ["postgres", "redis"]}`; the answer is one JSON line,
`{"notes": [...]}` when they run or `{"error": "..."}`. To leave, the command shuts down its sending side; the keeper
closes the connection, after the servers have stopped if it was the last.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import IO

from project.embedded import places
from project.embedded.places import Places
from project.embedded.postgres import Postgres
from project.embedded.processes import StartError
from project.embedded.redis_server import RedisServer

FIRST_CLIENT_SECONDS = 30.0
LOCK_SECONDS = 60.0


class Keeper:
    """Serves the control socket and owns whichever servers were asked for."""

    def __init__(self, where: Places, *, durable: bool) -> None:
        self.places = where
        self.servers: dict[str, Postgres | RedisServer] = {
            "postgres": Postgres(where, durable=durable),
            "redis": RedisServer(where, durable=durable),
        }
        self.running: list[str] = []
        self.clients: dict[socket.socket, bytes] = {}
        self.selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until the last command has left."""
        listener = self._listen()
        self.selector.register(listener, selectors.EVENT_READ)
        deadline = time.monotonic() + FIRST_CLIENT_SECONDS
        leaving: socket.socket | None = None
        try:
            while self.clients or time.monotonic() < deadline:
                for key, _ in self.selector.select(timeout=1.0):
                    connection = key.fileobj
                    assert isinstance(connection, socket.socket)
                    if connection is listener:
                        self._welcome(listener)
                    elif not self._hear(connection):
                        leaving = self._dismiss(connection)
                        deadline = 0.0
                self._look_after_servers()
        finally:
            self.selector.unregister(listener)
            listener.close()  # from here on a new command starts a keeper of its own, which waits for our lock
            self.places.control_socket.unlink(missing_ok=True)
            self.places.state_file.unlink(missing_ok=True)
            self._stop_servers()
            if leaving is not None:
                leaving.close()

    def _listen(self) -> socket.socket:
        self.places.control_socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.places.control_socket))
        self.places.control_socket.chmod(0o600)
        listener.listen(64)
        return listener

    def _welcome(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self.clients[connection] = b""
        self.selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection: socket.socket) -> bool:
        """Read what a command says; False when it is leaving or gone."""
        try:
            data = connection.recv(65536)
        except OSError:
            return False
        if not data:
            return False
        self.clients[connection] += data
        if b"\n" in self.clients[connection]:
            line, _, self.clients[connection] = self.clients[connection].partition(b"\n")
            answer = self._provide(json.loads(line)["want"])
            try:
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                return False
        return True

    def _provide(self, names: list[str]) -> dict[str, object]:
        try:
            for name in names:
                if name not in self.running:
                    self.servers[name].start()
                    self.running.append(name)
        except (StartError, OSError) as error:
            return {"error": str(error)}
        self._write_state()
        postgres = self.servers["postgres"]
        assert isinstance(postgres, Postgres)
        return {"notes": postgres.notes}

    def _write_state(self) -> None:
        """For people and scripts: where the servers are, and which processes they are."""
        state: dict[str, object] = {"keeper": os.getpid()}
        urls = {"postgres": self.places.database_url, "redis": self.places.redis_url}
        for name in self.running:
            process = self.servers[name].process
            state[name] = {"pid": process.pid if process else None, "url": urls[name]}
        places.write_private(self.places.state_file, json.dumps(state, indent=1))

    def _dismiss(self, connection: socket.socket) -> socket.socket | None:
        """Let a command go. The last one is handed back still open: it is told once the servers have stopped."""
        self.selector.unregister(connection)
        del self.clients[connection]
        if self.clients:
            connection.close()
            return None
        return connection

    def _look_after_servers(self) -> None:
        """Start a server again that was killed or crashed."""
        for name in self.running:
            process = self.servers[name].process
            if process is not None and process.poll() is not None:
                print(f"{name} stopped by itself (status {process.returncode}); starting it again", flush=True)
                try:
                    self.servers[name].start()
                    self._write_state()
                except (StartError, OSError) as error:
                    print(error, flush=True)
                    time.sleep(1)

    def _stop_servers(self) -> None:
        for name in reversed(self.running):
            self.servers[name].stop()


def acquire(where: Places) -> IO[str] | None:
    """The lock that makes this keeper the only one; None if another already serves."""
    lock = open(where.lock_file, "w")  # noqa: SIM115 - held until this process ends
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(where.control_socket)) == 0 or time.monotonic() > deadline:
                    return None
            time.sleep(0.05)
        else:
            return lock


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("var_dir", type=Path)
    parser.add_argument("--not-durable", action="store_true", help="Data that may be lost with the machine: tests.")
    arguments = parser.parse_args()
    where = places.find(arguments.var_dir)
    lock = acquire(where)
    if lock is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the commands decide when it ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with lock:
        Keeper(where, durable=not arguments.not_durable).run()


if __name__ == "__main__":
    main()
