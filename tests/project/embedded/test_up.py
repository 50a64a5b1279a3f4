"""`manage.py up` as a person uses it: whole process trees, real signals, data of its own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from project.embedded import places
from tests.smoke import commits_shown

ROOT = Path(__file__).resolve().parents[3]
# A GitHub that isn't there: these tests are about processes, and what isn't there is shown, not fatal.
NOWHERE = {
    "ARBORIST_REPOSITORIES": "someone/something",
    "ARBORIST_GITHUB_TOKEN": "not-a-real-token",
    "ARBORIST_GITHUB_API_URL": "http://127.0.0.1:9",
}
SERVICES = {"web": "uvicorn", "worker": "worker", "beat": "beat"}


class Site:
    """A running `manage.py up` with its own var directory and port."""

    def __init__(self, var_dir: Path, port: int, **variables: str) -> None:
        self.var_dir, self.port = var_dir, port
        own = ("ARBORIST_", "DATABASE_URL", "REDIS_URL", "DJANGO_")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        self.env |= {"ARBORIST_VAR_DIR": str(var_dir), "ARBORIST_PORT": str(port), **variables}
        self.lines: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()

    def start(self) -> None:
        self.process = self.command("up")
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        self.wait_for_line("Look at")

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line)
            self._queue.put(line)

    def wait_for_line(self, text: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                if text in self._queue.get(timeout=0.2):
                    return
            assert self.process.poll() is None or not self._queue.empty(), f"up ended:\n{''.join(self.lines)}"
        pytest.fail(f"no line with “{text}” in:\n{''.join(self.lines)}")

    def pids(self) -> dict[str, int]:
        """Of the services, the keeper and its servers."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                line = child.cmdline()
                found |= {name: child.pid for name, word in SERVICES.items() if word in line}
        state = json.loads((self.var_dir / "embedded.json").read_text())
        servers = {name: value["pid"] for name, value in state.items() if isinstance(value, dict)}
        return {**found, "keeper": state["keeper"], **servers}

    def everything(self) -> list[psutil.Process]:
        """All processes that belong to the site, grandchildren and PostgreSQL's own included."""
        up = psutil.Process(self.process.pid)
        keeper = psutil.Process(self.pids()["keeper"])
        return list({up, keeper, *up.children(recursive=True), *keeper.children(recursive=True)})

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def until(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def none_left(processes: list[psutil.Process]) -> bool:
    return not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@contextlib.contextmanager
def a_site(free_port: Callable[[], int]) -> Iterator[Callable[..., Site]]:
    """Call what it gives for sites over one var directory of their own, which is gone afterwards."""
    base = Path(tempfile.mkdtemp(prefix="arborist up "))
    base.chmod(0o755)
    var_dir = base / "var"
    sites: list[Site] = []

    def make(**variables: str) -> Site:
        sites.append(Site(var_dir, free_port(), **variables))
        return sites[-1]

    yield make
    for made in sites:
        if hasattr(made, "process") and made.process.poll() is None:
            left = made.everything()
            made.process.kill()
            made.process.wait()
            psutil.wait_procs(left, timeout=20)
    shutil.rmtree(places.find(var_dir).socket_dir, ignore_errors=True)
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def site(free_port: Callable[[], int]) -> Iterator[Callable[..., Site]]:
    with a_site(free_port) as make:
        yield make


@pytest.fixture(scope="module")
def kept_site() -> Iterator[Site]:
    def port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    with a_site(port) as make:
        yield make(**NOWHERE)


@pytest.fixture
def running(kept_site: Site) -> Site:
    """A site that runs, shared by the tests that may leave it running or not: its start is most of what they cost."""
    if not hasattr(kept_site, "process") or kept_site.process.poll() is not None:
        kept_site.start()
    return kept_site


def test_whatever_is_killed_comes_back(running: Site) -> None:
    for name in (*SERVICES, "postgres", "redis", "keeper"):
        before = running.pids()[name]
        os.kill(before, signal.SIGKILL)
        until(
            lambda name=name, before=before: running.pids().get(name, before) != before,
            f"{name} came back:\n{''.join(running.lines)}",
        )
    until(lambda: _ready(running) == {"database", "redis", "worker"}, "it works again")


def _ready(running: Site) -> set[str]:
    try:
        checks = requests.get(f"http://127.0.0.1:{running.port}/readyz", timeout=10).json()["checks"]
    except (requests.RequestException, OSError):
        return set()
    return {name for name, found in checks.items() if found["ok"]} & {"database", "redis", "worker"}


def test_up_runs_all_of_it_until_ctrl_c_and_continues(running: Site) -> None:
    answer = requests.get(f"http://127.0.0.1:{running.port}/healthz", timeout=10)
    assert answer.json()["ok"]
    assert set(running.pids()) == {*SERVICES, "keeper", "postgres", "redis"}

    second = running.command("up")  # while it finds out, somebody uses a shell beside it
    shell = running.command("shell", "--no-imports", "-c", "from django.contrib.auth import get_user_model as g\n"
                            "g().objects.create(username='kept')")  # fmt: skip
    said = f"Arborist is already running at http://localhost:{running.port}/ (process {running.process.pid})."
    assert second.communicate(timeout=60)[0] == f"CommandError: {said}\n"
    assert second.returncode == 1
    assert shell.communicate(timeout=60)[0] == ""

    processes = running.everything()
    assert running.end() == 0
    assert none_left(processes)

    running.start()
    ask = "from django.contrib.auth import get_user_model as g; print(g().objects.get().username)"
    shell = running.command("shell", "--no-imports", "-c", ask)
    assert shell.communicate(timeout=60)[0].strip() == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_killed_supervisor_leaves_nobody_behind(running: Site) -> None:
    processes = running.everything()
    running.process.kill()
    running.process.wait()
    until(lambda: none_left(processes), f"left: {processes}")
    running.start()
    processes = running.everything()
    assert running.end(signal.SIGTERM) == 0
    assert none_left(processes)


def test_a_taken_port_is_one_clear_line(site: Callable[..., Site]) -> None:
    refused = site(**NOWHERE)
    with socket.create_server(("127.0.0.1", refused.port)):
        process = refused.command("up")
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert said.count("\n") == 1
    assert f"Port {refused.port} of 127.0.0.1 can't be used" in said


def test_without_configuration_a_simulated_github_fills_the_page(site: Callable[..., Site]) -> None:
    began = time.monotonic()
    running = site()
    running.start()
    address = f"http://127.0.0.1:{running.port}/"

    def full() -> bool:
        try:
            return commits_shown(address) >= 10
        except requests.RequestException:
            return False

    until(full, f"the page shows commits:\n{''.join(running.lines)}", 60)
    assert time.monotonic() - began < 60
    assert running.end() == 0
    running.start()
    assert commits_shown(address) >= 10  # from where it stopped: at once
    assert running.end() == 0
