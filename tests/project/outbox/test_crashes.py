"""Workers that are killed, that meet, and every order of crashes: one effect a key."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from project.github import pacing
from tests.project.outbox.fake import A, Fake

Queue = Callable[..., Any]
ROOT = Path(__file__).parents[3]


def database_url() -> str:
    """Of the database that the test is in."""
    said = connection.settings_dict
    where = f"host={quote(said['HOST'], safe='')}" if said["HOST"].startswith("/") else ""
    host = "" if where else said["HOST"]
    port = f":{said['PORT']}" if said["PORT"] else ""
    user = quote(said["USER"]) + (f":{quote(said['PASSWORD'])}" if said["PASSWORD"] else "")
    return f"postgresql://{user}@{host}{port}/{said['NAME']}" + (f"?{where}" if where else "")


@contextmanager
def worker(github: Fake, write: Any) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "ARBORIST_GITHUB_API_URL": github.url,
        "ARBORIST_GITHUB_TOKEN": "ghp_outbox",
    }
    command = [sys.executable, "-m", "tests.project.outbox.worker", str(write.pk)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_between_call_and_record(
    github: Fake, queue: Queue, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from project.outbox.deliver import deliver

    github.gate = threading.Event()
    write = queue()
    with worker(github, write) as process:
        assert github.effect.wait(30), "the worker never came to GitHub"
        # While it lives, nobody else has the row, though its lease is over.
        assert deliver(write.pk) == "busy"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    github.gate.set()
    github.gate = None
    write.refresh_from_db()
    assert write.state == "sending"
    forget_turn()
    wait_until(lambda: deliver(write.pk) != "busy")  # PostgreSQL notices that its client is gone
    write.refresh_from_db()
    assert (write.state, write.tries) == ("done", 2)
    assert write.result["id"] == 1
    assert len(github.comments) == 1
    assert [method for method, _ in github.asked] == ["POST", "GET"]


@pytest.mark.django_db(transaction=True)
def test_the_row_of_a_killed_worker_waits_for_its_lease(github: Fake, queue: Queue) -> None:
    from project.outbox.deliver import LEASE, deliver, due

    write = queue()
    rows = type(write).objects.filter(pk=write.pk)
    rows.update(state="sending", tries=1, sending_since=timezone.now() - LEASE / 2)
    assert (deliver(write.pk), due()) == ("not due", [])
    rows.update(sending_since=timezone.now() - LEASE * 2)
    assert due() == [write.pk]
    assert deliver(write.pk) == "done"
    assert github.asked[0][0] == "GET"


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once(github: Fake, queue: Queue) -> None:
    from project.outbox.deliver import deliver

    write, how = queue(), []
    start = threading.Barrier(4)

    def work() -> None:
        try:
            start.wait(5)
            how.append(deliver(write.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert how.count("done") == 1
    assert set(how) <= {"done", "busy", "not due"}
    assert len(github.comments) == 1


@pytest.mark.django_db(transaction=True)
def test_writes_of_two_workers_go_one_after_the_other(
    github: Fake, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from project.github import factory
    from project.outbox.deliver import deliver

    defaults = pacing.Pace.__init__.__kwdefaults__
    monkeypatch.setattr(pacing.Pace.__init__, "__kwdefaults__", {**defaults, "pause": 0.3})
    factory._parts.clear()
    times = []
    real = Fake.write

    def timed(self: Fake, *arguments: Any) -> Any:
        times.append(timezone.now())
        return real(self, *arguments)

    monkeypatch.setattr(Fake, "write", timed)
    writes = [queue() for _ in range(3)]

    def work(pk: int) -> None:
        try:
            deliver(pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(write.pk,)) for write in writes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    assert len(gaps) == 2
    assert min(gaps) >= 0.3


# -- every order of crashes -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The worker ends here: nothing that it would have done afterwards is done."""


@contextmanager
def killed_at(point: str) -> Iterator[None]:
    """`take`: before the row is taken. `call`: after that. `record`: after the call. `step`: after a step is kept."""
    from project.outbox import deliver as delivery
    from project.outbox.kinds import Turn

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    def die_after(self: Turn[Any], name: str, value: Any) -> None:
        step(self, name, value)
        raise Killed

    step = Turn.step
    with pytest.MonkeyPatch.context() as patch:
        if point in ("take", "record"):
            patch.setattr(delivery, f"_{point}", die)
        elif point == "call":
            patch.setattr(delivery, "_try", die)
        elif point == "step":
            patch.setattr(Turn, "step", die_after)
        yield


POINTS = st.sampled_from(["", "take", "call", "record", "step"])
TROUBLE = st.sampled_from(["", "cut", "502", "done+cut", "done+502"])
TRIES = st.lists(st.tuples(POINTS, TROUBLE, st.booleans()), max_size=6)
WRITES: dict[str, tuple[dict[str, Any], Callable[[Fake], int]]] = {
    "comment": ({"number": 7, "body": "Red."}, lambda it: len(it.comments)),
    "create_issue": ({"title": "Red"}, lambda it: len(it.issues)),
    "revert_pull": ({"pull_number": 9, "title": "Revert it"}, lambda it: len(it.pulls)),
    "rerun_failed": ({"run_id": 2, "expected_attempt": 1}, lambda it: it.reruns),
    "update_ref": ({"branch": "viable/strict", "sha": A, "create": True}, lambda it: it.pushes),
}


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(WRITES)), tries=TRIES)
def test_any_order_of_crashes_leaves_one_effect(
    kind: str, tries: list[tuple[str, str, bool]], github: Fake, queue: Queue, impatient: None
) -> None:
    from project.outbox.deliver import deliver

    github.__dict__.update(Fake(url=github.url).__dict__)
    payload, effects = WRITES[kind]
    asked = {"kind": kind, "payload": payload, "key": f"{kind} {id(tries)} {timezone.now()}"}
    write = queue(**asked)
    for point, trouble, ask_again in tries:
        github.trouble = [trouble]
        with killed_at(point), suppress(Killed):
            deliver(write.pk)
        if ask_again:
            assert queue(**asked).pk == write.pk
    github.trouble = []
    for _ in range(3):
        deliver(write.pk)
    write.refresh_from_db()
    assert write.state == "done"
    assert effects(github) == 1


# -- waiting --------------------------------------------------------------------------------------------------------


def forget_turn() -> None:
    """The killed worker's turn to write would end by itself, in `pacing.HELD` seconds."""
    import redis
    from django.conf import settings as django_settings

    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        client.flushdb()


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
