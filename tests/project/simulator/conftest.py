"""One simulator, frozen in time, for the tests that only read; those that change it start their own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from project.simulator.running import Running, running_simulator

START = "2026-11-18T16:00:00Z"


@pytest.fixture(scope="session")
def frozen() -> Iterator[Running]:
    """The tiny world at START, its clock stopped. Read only."""
    with running_simulator(scale="tiny", start=START, speed=0, hourly_limit=1_000_000) as running:
        yield running


@pytest.fixture
def simulator() -> Iterator[Running]:
    """A tiny world of the test's own, at START, its clock stopped."""
    with running_simulator(scale="tiny", start=START, speed=0) as running:
        yield running


@pytest.fixture
def get() -> Callable[..., requests.Response]:
    """GET with a token, without following redirects."""

    def ask(running: Running, path: str, *, token: str | None = "t", **options: Any) -> requests.Response:
        headers = {"User-Agent": "tests", **options.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = path if path.startswith("http") else running.url + path.replace("R/", f"/repos/{running.full_name}/")
        return requests.get(url, headers=headers, timeout=10, allow_redirects=False, **options)

    return ask
