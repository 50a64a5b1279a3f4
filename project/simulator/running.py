"""A simulator for tests and benchmarks: real HTTP on a free port of this machine."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import requests
from starlette.applications import Starlette

from project.simulator.clock import parse_iso
from project.simulator.gate import Simulator
from project.simulator.hooks import Hooks
from project.simulator.server import listening_port, make_server, make_simulator
from project.simulator.world import World


@dataclass
class Running:
    """A simulator that is answering."""

    url: str  # base of the API, without a trailing slash
    simulator: Simulator
    hooks: Hooks

    @property
    def world(self) -> World:
        """The truth is in here. Only tests and benchmarks may look."""
        return self.simulator.world

    @property
    def full_name(self) -> str:
        return self.world.full_name

    def control(self, endpoint: str, **body: Any) -> dict[str, Any]:
        """POST to `/_simulator/<endpoint>`, as a separate process would have to."""
        response = requests.post(f"{self.url}/_simulator/{endpoint}", json=body, timeout=10)
        response.raise_for_status()
        told: dict[str, Any] = response.json()
        return told

    def counts(self) -> dict[str, Any]:
        told: dict[str, Any] = requests.get(f"{self.url}/_simulator/counts", timeout=10).json()
        return told

    def __str__(self) -> str:
        return self.url


@contextmanager
def running_simulator(
    *,
    scale: str = "tiny",
    seed: int = 1,
    speed: float = 1.0,
    start: str | float | None = None,
    hourly_limit: int = 5000,
    port: int = 0,
) -> Iterator[Running]:
    """Start a simulator in a thread, stop it at the end.

    `start` is the simulated time to begin at, ISO 8601 or seconds since the epoch; None means the real time.
    """
    moment = parse_iso(start) if isinstance(start, str) else start
    simulator = make_simulator(seed=seed, scale=scale, speed=speed, start=moment, hourly_limit=hourly_limit)
    server = make_server(simulator, port=port)
    thread = threading.Thread(target=server.run, name="simulated-github", daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the simulated GitHub did not start")
        time.sleep(0.005)
    app = cast(Starlette, server.config.app)
    try:
        yield Running(f"http://127.0.0.1:{listening_port(server)}", simulator, app.state.hooks)
    finally:
        app.state.hooks.stop()
        server.should_exit = True
        thread.join(timeout=10)
