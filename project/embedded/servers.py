"""The way in: `with Servers() as servers:` and PostgreSQL and Redis run until the block ends.

The servers belong to a separate process, the keeper, and are shared by every command over the same var directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from project.embedded import places
from project.embedded.places import BASE_DIR
from project.embedded.processes import StartError, tail

CONNECT_SECONDS = 90.0
ANSWER_SECONDS = 180.0
ALL = ("postgres", "redis")


class Servers:
    """This process's hold on the embedded servers of one var directory."""

    def __init__(self, var_dir: Path | None = None, *, want: Iterable[str] = ALL, durable: bool = True) -> None:
        self.places = places.find(var_dir or places.default_var_dir())
        self.want = list(want)
        self.durable = durable
        self.notes: list[str] = []
        self._connection: socket.socket | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Servers:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> tuple[str, str]:
        """(database URL, Redis URL), known before anything runs and the same at every start."""
        return self.places.database_url, self.places.redis_url

    def start(self) -> tuple[str, str]:
        """Use the running servers, or start them. Returns `urls`."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            if (connection := self._connect()) is not None:
                answer = self._ask(connection)
                if answer is not None:
                    break
                connection.close()  # that keeper was just leaving; the next one waits until it is gone
            if self._keeper is None or self._keeper.poll() is not None:
                self._keeper = self._start_keeper()
            if time.monotonic() > deadline:
                raise StartError(f"The embedded servers' keeper did not answer.\n{tail(self._log_path)}")
            time.sleep(0.05)
        if "error" in answer:
            connection.close()
            raise StartError(answer["error"])
        self.notes = answer["notes"]
        self._connection = connection
        return self.urls

    def stop(self) -> None:
        """Let go. Returns when the servers have stopped, or at once if another command still uses them."""
        if self._connection is None:
            return
        try:
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(60)
            self._connection.recv(1)
        except OSError:
            pass  # the keeper is gone, and the servers with it
        self._connection.close()
        self._connection = None
        if self._keeper is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # others still use it
                self._keeper.wait(0.5)

    @property
    def lost(self) -> bool:
        """Whether the keeper has died under us; `start` brings everything back at the same addresses."""
        if self._connection is None:
            return False
        try:
            self._connection.setblocking(False)
            return self._connection.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self._connection.setblocking(True)

    @property
    def _log_path(self) -> Path:
        return self.places.var_dir / "log" / "keeper.log"

    def _connect(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.places.control_socket))
        except OSError:
            connection.close()
            return None
        return connection

    def _ask(self, connection: socket.socket) -> dict[str, Any] | None:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.sendall(json.dumps({"want": self.want}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        except OSError:
            return None
        connection.settimeout(None)
        return json.loads(line) if line.endswith(b"\n") else None

    def _start_keeper(self) -> subprocess.Popen[bytes]:
        self._log_path.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "project.embedded.keeper", str(self.places.var_dir)]
        if not self.durable:
            command.append("--not-durable")
        with open(self._log_path, "ab" if self._keeper else "wb") as log:
            return subprocess.Popen(
                command,
                cwd=BASE_DIR,
                env={**os.environ, "PYTHONPATH": str(BASE_DIR)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the command; the keeper leaves after it
            )
