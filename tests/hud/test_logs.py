"""Logs of failed jobs: simulated GitHub → HTTP → client → failing line in PostgreSQL, and all that can go wrong."""

from __future__ import annotations

import gzip
import http.server
import threading
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from hud import failures, log_store, logs
from hud.log_store import Text, rules_of, stored_lines
from hud.models import Commit, JobLog, LogPart, LogReading, LogState, Repository, Run
from project.github.budget import Budget
from project.github.client import Client
from project.github.tokens import PersonalToken
from tests.hud import worlds
from tests.hud.test_polling import Road, github  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)


# -- the simulated GitHub ---------------------------------------------------------------------------------------------


@pytest.fixture
def road(transactional_db, github):  # noqa: F811
    return Road(github, commits=20)


def read_all(road: Road) -> None:
    for _ in range(40):
        if logs.read(road.repository.pk, now=road.now, client=road.client()) != "behind":
            return
    raise AssertionError("it does not end")


def test_failed_jobs_get_the_line_that_says_why(road):
    road.settle()

    # While the budget is short, logs wait, and nothing of them is lost.
    road.budget.learn({"x-ratelimit-limit": "1000", "x-ratelimit-remaining": "390", "x-ratelimit-reset": "99999999999"})
    assert logs.read(road.repository.pk, now=road.now, client=road.client()) == "put off"
    reading = LogReading.objects.get()
    assert "kept for" in reading.problem
    assert reading.due_at > road.now
    assert JobLog.objects.exists()
    assert not JobLog.objects.exclude(tries=0).exists()
    assert logs.due(road.now) == []
    road.budget = Budget("another", None)
    LogReading.objects.update(due_at=None)

    read_all(road)
    rows = {row.run_id >> 2: row for row in JobLog.objects.all()}
    checked = 0
    for job_id, row in rows.items():
        _, job = road.simulator.world.job(job_id, road.simulator.world.now())
        if job.failure is None or job.failure.kind == "runner_lost":
            assert row.state == LogState.WAITING  # GitHub has no log; asked again later
            assert row.due_at > road.now
            continue
        assert row.state == LogState.READ
        expected = {
            "pytest": "pytest", "compile": "compiler", "lint": "lintrunner", "oom": "CUDA out of memory",
            "timeout": "step timeout", "network": "connection",
        }[job.failure.kind]  # fmt: skip
        assert (row.rule, row.line) == (expected, job.failure.lines[0])
        assert dict(stored_lines(row, row.line_number, row.line_number))[row.line_number].endswith(row.line)
        checked += 1
    assert checked > 3
    # One cause has one key, on whatever commit.
    by_line: dict[str, set[str]] = {}
    for row in rows.values():
        if row.key:
            by_line.setdefault(row.line, set()).add(row.key)
    assert all(len(keys) == 1 for keys in by_line.values())

    # Once all is read, nothing is asked again.
    read_all(road)
    road.counted()
    assert logs.due(road.now) == []
    assert logs.read(road.repository.pk, now=road.now, client=road.client()) == "done"
    assert road.counted() == 0


# -- a GitHub that does its worst -------------------------------------------------------------------------------------


class Answers:
    """Two hosts: GitHub, which sends one on, and the one that has the logs."""

    def __init__(self) -> None:
        self.first: list[int] = []  # GitHub's own answers before it redirects; then it does
        self.blob = lambda handler: self.send(handler, b"nothing\n")
        self.asked: list[tuple[str, str, str]] = []

    @staticmethod
    def send(handler, body: bytes, **headers: str) -> None:
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def text(self, body: bytes, **headers: str) -> None:
        self.blob = lambda handler: self.send(handler, body, **headers)


@contextmanager
def serving(answer) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def hostile() -> Iterator[Answers]:
    answers = Answers()

    def blob(handler) -> None:
        answers.asked.append(("blob", handler.path, handler.headers.get("Authorization", "")))
        with suppress(OSError):  # whoever asked has hung up
            answers.blob(handler)

    def api(handler) -> None:
        answers.asked.append(("api", handler.path, handler.headers.get("Authorization", "")))
        status = answers.first.pop(0) if answers.first else 302
        handler.send_response(status)
        if status == 302:
            handler.send_header("Location", f"{answers.elsewhere}/log.txt?sig=1")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with serving(blob) as elsewhere, serving(api) as url:
        answers.elsewhere, answers.url = elsewhere, url
        yield answers


@pytest.fixture
def repository(transactional_db) -> Repository:
    found = worlds.repository()
    worlds.trunk(found, 3)
    return found


def fail(repository: Repository, *job_ids: int) -> None:
    now = timezone.now()
    worlds.store(repository, *(worlds.job(n, f"job {n}", "failure", run=1) for n in job_ids), worlds.workflow_run(1))
    Run.objects.update(completed_at=now)
    logs.note(repository.pk, since=worlds.T0 - timedelta(days=1), now=now)


def read(repository: Repository, answers: Answers, *, after: timedelta = timedelta()) -> str:
    client = Client(
        token=PersonalToken("a-token"), api_url=answers.url, budget=Budget("test", None),
        validators=log_validators(), sleep=lambda seconds: None, timeout=(2, 5),
    )  # fmt: skip
    return logs.read(repository.pk, now=timezone.now() + after, client=client)


def log_validators():
    from hud import polling

    return polling._StoredValidators()


def test_the_token_stays_with_github(repository, hostile):
    fail(repository, 7)
    assert read(repository, hostile) == "done"
    assert hostile.asked == [
        ("api", "/repos/grove/orchard/actions/jobs/7/logs", "Bearer a-token"),
        ("blob", "/log.txt?sig=1", ""),
    ]
    assert JobLog.objects.get().state == LogState.READ


def test_noting_is_repeatable_and_takes_failed_jobs_only(repository, hostile):
    worlds.store(
        repository, worlds.workflow_run(1), worlds.job(1, "a", "failure"), worlds.job(2, "b", "timed_out"),
        worlds.job(3, "c", "success"), worlds.job(4, "d", "cancelled"), worlds.job(5, "e", "in_progress"),
        worlds.check_run(6, "f", "failure"), worlds.status(7, "failure"),
    )  # fmt: skip
    now = worlds.minutes(60)
    since = worlds.T0 - timedelta(days=1)
    assert logs.note(repository.pk, since=since, now=now) == 2
    assert logs.note(repository.pk, since=since, now=now) == 0
    assert set(JobLog.objects.values_list("run_id", flat=True)) == {1 << 2, 2 << 2}
    JobLog.objects.all().delete()
    assert logs.note(repository.pk, since=since, now=now + timedelta(days=91)) == 0


def test_newest_logs_are_read_first(repository, hostile):
    fail(repository, 5, 9, 7)
    read(repository, hostile)
    assert [path.split("/")[6] for host, path, _ in hostile.asked if host == "api"] == ["9", "7", "5"]


def test_a_log_of_500_mb_is_read_in_bounded_memory(repository, hostile, settings):
    settings.LOG_LIMIT_MB = 5
    line = b"2026-01-05T12:00:00.0000000Z step says something that nobody will ever read, again and again and again\n"
    block = line * 10_000
    blocks = 500_000_000 // len(block) + 1

    def endless(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"first line\n")
        for _ in range(blocks):
            handler.wfile.write(block)
        handler.wfile.write(b"FAILED test_a.py::T::test_b - Error: at the very end\n")

    hostile.blob = endless
    fail(repository, 7)
    tracemalloc.start()
    read(repository, hostile)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    row = JobLog.objects.get()
    assert (row.state, row.rule, row.lines) == (LogState.READ, "pytest", blocks * 10_000 + 2)
    assert row.line_number == row.lines
    assert row.size > 500_000_000
    assert row.truncated
    assert stored_lines(row, 1, 1) == [(1, "first line")]
    assert sum(len(bytes(body)) for body in LogPart.objects.values_list("body", flat=True)) < 1_000_000
    assert peak < 40_000_000, peak


def test_one_endless_line(repository, hostile, settings):
    settings.LOG_LIMIT_MB = 3
    hostile.text(b"start\n" + b"x" * 8_000_000 + b"\nError: short\n##[error]Process completed with exit code 3.\n")
    fail(repository, 7)
    read(repository, hostile)
    row = JobLog.objects.get()
    assert (row.state, row.lines, row.rule, row.line_number) == (LogState.READ, 4, "exit code", 4)
    assert all(len(line) < 11_000 for _, line in stored_lines(row, 1, 10))


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_nothing_but_one_endless_line(repository, hostile, settings, ending):
    settings.LOG_LIMIT_MB = 3
    hostile.text(b"y" * 9_000_000 + ending)
    fail(repository, 7)
    read(repository, hostile)
    row = JobLog.objects.get()
    assert (row.state, row.lines) == (LogState.READ, 1)
    assert row.line == ""


def test_binary_nul_and_broken_utf8(repository, hostile):
    hostile.text(bytes(range(256)) * 100 + b"\n\xff\xfe\xed\xa0\x80\0FAILED test_a.py::t\0 - \xf0\x9f\n")
    fail(repository, 7)
    read(repository, hostile)
    row = JobLog.objects.get()
    assert row.state == LogState.READ
    assert not any("\0" in line for _, line in stored_lines(row, 1, 1000))


def test_an_empty_log(repository, hostile):
    hostile.text(b"")
    fail(repository, 7)
    read(repository, hostile)
    row = JobLog.objects.get()
    assert (row.state, row.lines, row.line, row.key) == (LogState.READ, 0, "", "")


def test_what_was_packed_is_unpacked_within_bounds(repository, hostile, settings):
    settings.LOG_LIMIT_MB = 3
    # 300 MB in 300 kB.
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(300)) + packer.flush()
    hostile.text(bomb, Content_Encoding="gzip")
    fail(repository, 7)
    tracemalloc.start()
    read(repository, hostile)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    row = JobLog.objects.get()
    assert (row.state, row.size) == (LogState.READ, 300_000_000)
    assert peak < 30_000_000, peak


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (gzip.compress(b"cut off" * 1000, mtime=0)[:-20], {"Content_Encoding": "gzip"}, "unpacked"),
        (b"no gzip at all", {"Content_Encoding": "gzip"}, "unpacked"),
        (b"x", {"Content_Encoding": "br"}, "packed"),
        (b"x", {"Content_Encoding": "gzip, gzip"}, "packed"),
        (b"cut", {"Content_Length": "500"}, "cut"),
    ],
)
def test_an_answer_that_cannot_be_read_is_tried_again(repository, hostile, body, headers, words):
    hostile.text(body, **headers)
    fail(repository, 7)
    read(repository, hostile)
    row = JobLog.objects.get()
    assert row.state == LogState.WAITING
    assert words in row.problem
    assert row.due_at > timezone.now()


def test_404_is_asked_again_for_a_while_and_then_given_up(repository, hostile):
    fail(repository, 7)
    for n in range(len(logs.NOT_YET)):
        hostile.first = [404]
        read(repository, hostile, after=timedelta(hours=3 * n))
        row = JobLog.objects.get()
        assert (row.state, row.tries) == (LogState.WAITING, n + 1)
        hostile.first = [404]
        read(repository, hostile, after=timedelta(hours=3 * n))  # not due yet
        assert JobLog.objects.get().tries == n + 1
    hostile.first = [404]
    read(repository, hostile, after=timedelta(hours=20))
    row = JobLog.objects.get()
    assert (row.state, row.due_at) == (LogState.MISSING, None)
    assert "its runner may have died" in row.problem


def test_an_expired_log_says_so_at_once(repository, hostile):
    hostile.first = [410]
    fail(repository, 7)
    read(repository, hostile)
    row = JobLog.objects.get()
    assert (row.state, row.due_at) == (LogState.EXPIRED, None)
    assert "90 days" in row.problem


def test_faults_are_tried_again_ever_later_and_then_given_up(repository, hostile):
    fail(repository, 7)
    pauses = []
    for n in range(logs.TRIES):
        hostile.first = [500 + n % 4]
        read(repository, hostile, after=timedelta(hours=2 * n))
        row = JobLog.objects.get()
        if row.due_at:
            pauses.append(row.due_at - timezone.now() - timedelta(hours=2 * n))
    assert (row.state, row.tries) == (LogState.FAILED, logs.TRIES)
    assert pauses == sorted(pauses)
    assert "fault of its own" in row.problem


def test_a_link_that_has_expired_is_no_fault_of_the_token(repository, hostile):
    hostile.blob = lambda handler: (
        handler.send_response(403),
        handler.send_header("Retry-After", "9"),
        handler.end_headers(),
    )
    fail(repository, 7)
    assert read(repository, hostile) == "done"
    assert "answers 403" in JobLog.objects.get().problem


@pytest.mark.parametrize("status", [401, 403])
def test_without_the_right_nothing_is_lost(repository, hostile, status):
    hostile.first = [status]
    fail(repository, 7, 8)
    assert read(repository, hostile) == "put off"
    assert set(JobLog.objects.values_list("tries", "state")) == {(0, LogState.WAITING)}
    assert LogReading.objects.get().problem
    read(repository, hostile, after=timedelta(hours=1))
    assert set(JobLog.objects.values_list("state", flat=True)) == {LogState.READ}


def test_a_log_at_which_the_worker_dies_does_not_stop_the_others(repository, hostile, monkeypatch):
    fail(repository, 7, 8)

    def die(*arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(logs, "store", die)
        with pytest.raises(MemoryError):
            read(repository, hostile)
    read(repository, hostile)
    states = dict(JobLog.objects.values_list("run_id", "state"))
    assert states == {7 << 2: LogState.READ, 8 << 2: LogState.WAITING}
    read(repository, hostile, after=timedelta(minutes=6))
    assert set(JobLog.objects.values_list("state", flat=True)) == {LogState.READ}


def test_texts_are_forgotten_after_two_weeks_and_read_again_when_wanted(repository, hostile):
    hostile.text(b"FAILED test_a.py::t - Error: x\n")
    fail(repository, 7)
    read(repository, hostile)
    assert logs.forget(timezone.now() + timedelta(days=13)) == 0
    assert logs.forget(timezone.now() + timedelta(days=15)) == 1
    row = JobLog.objects.get()
    assert (row.kept, row.rule, LogPart.objects.count()) == (False, "pytest", 0)
    assert logs.want(row.run_id)
    read(repository, hostile)
    row.refresh_from_db()
    assert (row.kept, row.rule, LogPart.objects.count()) == (True, "pytest", 1)
    logs.forget(timezone.now() + timedelta(days=15))
    logs.want(row.run_id)
    hostile.first = [410]
    read(repository, hostile)
    row.refresh_from_db()
    assert (row.state, row.rule, row.kept) == (LogState.READ, "pytest", False)
    assert "90 days" in row.problem


def test_what_was_read_is_told(repository, hostile):
    hostile.text(b"FAILED test_a.py::t - Error: x\n")
    fail(repository, 7, 8)
    before = Repository.objects.get().version
    read(repository, hostile)
    assert Repository.objects.get().version > before
    commit = Commit.objects.get(sha=worlds.sha(0))
    found = failures.lines_for([commit.pk])
    assert {line.line for line in found.values()} == {"FAILED test_a.py::t - Error: x"}
    key = next(iter(found.values())).key
    assert failures.lines_of_keys(repository.pk, [key, "0" * 32]) == {key: "FAILED test_a.py::t - Error: x"}


def test_a_cells_line_is_the_newest_that_says_something(repository, hostile):
    worlds.store(
        repository, worlds.workflow_run(1),
        *(worlds.job(n, "linux / test", "failure", attempt=n, start=n, end=n + 1) for n in (1, 2, 3)),
    )  # fmt: skip
    Run.objects.update(completed_at=timezone.now())
    logs.note(repository.pk, since=worlds.T0 - timedelta(days=1), now=timezone.now())
    rows = {row.run_id >> 2: row for row in JobLog.objects.all()}
    said = {1: b"FAILED a.py::old - x", 2: b"FAILED a.py::new - x", 3: b"##[error]Process completed with exit code 1."}
    for number, line in said.items():
        text = Text(1000)
        text.add(line)
        log_store.store(rows[number], text, rules_of(repository), timezone.now())
    (line,) = failures.lines_for([rows[1].commit_id]).values()
    assert (line.job_id, line.line) == (2, "FAILED a.py::new - x")
    assert failures.line_at(rows[1].commit_id, rows[1].configuration.slot) == line
