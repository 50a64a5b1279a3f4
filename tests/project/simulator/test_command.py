"""`manage.py simulate_github` as people and supervisors run it: a process of its own, without a database."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[3]
START = "2026-11-18T16:00:00Z"


@contextmanager
def process(*arguments: str) -> Iterator[str]:
    """The command in a process of its own; gives its address."""
    environment = {
        **os.environ,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    command = [sys.executable, str(ROOT / "manage.py"), "simulate_github", "--port", "0", *arguments]
    running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        line = running.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"no address in {line!r}"
        yield found[0]
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=15) == 0


def world_of(url: str) -> list[object]:
    paths = ("/commits?per_page=100", "/actions/runs?per_page=50", "/branches", "/commits/main/check-runs?per_page=50")
    return [requests.get(f"{url}/repos/grove/bonsai{path}", timeout=10).text.replace(url, "") for path in paths]


def test_a_restart_continues_the_same_world() -> None:
    with process("--scale", "tiny", "--start", START, "--speed", "0") as url:
        first = world_of(url)
    with process("--scale", "tiny", "--start", START, "--speed", "0") as url:
        assert world_of(url) == first
    with process("--scale", "tiny", "--start", START, "--speed", "0", "--seed", "2") as url:
        assert world_of(url) != first


def test_a_restart_keeps_what_was_written(tmp_path: Path) -> None:
    arguments = ("--scale", "tiny", "--start", START, "--speed", "0", "--state", str(tmp_path / "state.json"))
    headers = {"Authorization": "Bearer t"}
    with process(*arguments) as url:
        made = requests.post(f"{url}/repos/grove/bonsai/issues", json={"title": "Red"}, headers=headers, timeout=10)
        path = f"/repos/grove/bonsai/issues/{made.json()['number']}"
    with process(*arguments) as url:
        assert requests.get(f"{url}{path}", headers=headers, timeout=10).json()["title"] == "Red"


def test_a_wrong_start_is_told_in_one_line() -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "simulate_github", "--start", "yesterday"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode != 0
    assert "--start" in told.stderr
    assert "Traceback" not in told.stderr
