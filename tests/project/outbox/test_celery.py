"""A real Celery worker: what is queued is on GitHub a moment after the commit, though polls stand in line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.project.outbox.fake import Fake
from tests.project.outbox.test_crashes import ROOT, database_url, wait_until


@pytest.fixture
def celery_worker(github: Fake, broker: Any, transactional_db: Any) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "ARBORIST_GITHUB_API_URL": github.url,
        "ARBORIST_GITHUB_TOKEN": "ghp_outbox",
    }
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "project.celery", "worker", "--pool", "solo"]
    process = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    yield process
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


def test_a_worker_delivers_at_once(celery_worker: Any, github: Fake, broker: Any, queue: Callable[..., Any]) -> None:
    first = queue()
    wait_until(lambda: bool(github.comments), 60)  # it has started
    for _ in range(20):  # polls of a repository that there is none of
        from hud.tasks import poll

        poll.apply_async((1, "trunk"))
    started = time.monotonic()
    second = queue()
    wait_until(lambda: len(github.comments) == 2, 30)
    assert time.monotonic() - started < 8
    for write in (first, second):
        wait_until(lambda write=write: type(write).objects.get(pk=write.pk).state == "done")
