"""The pages of logs as a browser without script gets them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from hud import log_store
from hud.cells import Outcome, RunKind
from hud.failure_rules import SHIPPED
from hud.models import CommitCells, JobLog, LogPart, LogState, Repository, Run
from tests.hud import worlds

pytestmark = pytest.mark.django_db

STAMP = "2026-01-05T12:01:{:02}.1234567Z "
FAILED = "FAILED [0.5s] test_nn.py::TestNN::test_conv - AssertionError: 3 != 4"


def text(*lines: str, limit: int = 20_000_000) -> log_store.Text:
    found = log_store.Text(limit)
    found.add(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))
    return found


def failed_job(
    repository: Repository, job_id: int = 1, *lines: str, of: int = 0, name: str = "linux / build"
) -> JobLog:
    """A failed job whose log says these lines."""
    worlds.store(repository, worlds.job(job_id, name, "failure", of=of, run=job_id))
    run = Run.objects.get(pk=RunKind.JOB.run_id(job_id))
    row = JobLog.objects.create(
        run_id=run.pk, failed_at=run.completed_at, repository=repository, commit=run.commit,
        configuration=run.configuration, due_at=worlds.T0,
    )  # fmt: skip
    if lines:
        log_store.store(row, text(*lines), log_store.compiled(SHIPPED), worlds.minutes(60))
    return row


@pytest.fixture
def repository(db) -> Repository:
    found = worlds.repository()
    worlds.trunk(found, 3)
    return found


def get(client: Client, rest: str, status: int = 200) -> str:
    response = client.get(f"/hud/grove/orchard/{rest}")
    assert response.status_code == status, response.content[:2000]
    return response.content.decode()


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'id="L([0-9]+)"', page)]


def test_the_log_opens_around_its_failing_line(client: Client, repository: Repository) -> None:
    lines = [f"line {n}" for n in range(1, 10_001)]
    lines[5_000] = STAMP.format(7) + FAILED
    failed_job(repository, 7, *lines)
    page = get(client, "job/7")
    shown = numbers(page)
    assert (shown[0], shown[-1], len(shown)) == (5_001 - 700, 5_001 - 700 + 1_999, 2_000)
    assert 'data-target="5001"' in page
    assert '<span class="t">12:01:07</span><code dir="ltr">FAILED [0.5s]' in page
    assert f"/failure/{JobLog.objects.get().key}" in page
    assert numbers(get(client, "job/7?line=1"))[0] == 1
    assert numbers(get(client, "job/7?line=99999"))[-1] == 10_000
    assert 'data-target="8000"' in get(client, "job/7?q=line+8000")


def test_further_lines_are_asked_for_where_the_page_ends(client: Client, repository: Repository) -> None:
    failed_job(repository, 7, *(f"line {n}" for n in range(1, 6_001)))
    page = get(client, "job/7?line=3000")
    before, after = (int(n) for n in re.findall(r"lines\?(?:before|after)=([0-9]+)", page))
    earlier, later = get(client, f"job/7/lines?before={before}"), get(client, f"job/7/lines?after={after}")
    seen = [*numbers(earlier), *numbers(page), *numbers(later)]
    assert seen == list(range(seen[0], seen[-1] + 1))
    assert "Earlier lines" in earlier
    assert "Later lines" not in earlier
    assert "lines?" not in get(client, "job/7/lines?after=5000")


def test_search_finds_lines_in_any_case_and_under_colours(client: Client, repository: Repository) -> None:
    lines = ["nothing"] * 5_000
    lines[10], lines[4_500] = "A \x1b[31mNee\x1b[1mdle\x1b[0m here", "needles"
    failed_job(repository, 7, *lines)
    assert client.get("/hud/grove/orchard/job/7/find?q=nEEdle").json() == {"lines": [11, 4501], "more": False}
    many = client.get("/hud/grove/orchard/job/7/find?q=nothing").json()
    assert (len(many["lines"]), many["more"]) == (1_000, True)
    assert client.get("/hud/grove/orchard/job/7/find?q=%00").json()["lines"] == []


def test_groups_are_folded_unless_they_hold_an_error(client: Client, repository: Repository) -> None:
    failed_job(
        repository, 7, "##[group]Quiet", "inside", "##[endgroup]", "between", "##[group]Loud", FAILED, "##[endgroup]"
    )
    page = get(client, "job/7")
    assert page.count('<details class="fold">') == 1
    assert page.count('<details class="fold" open>') == 1
    assert numbers(page) == [1, 2, 4, 5, 6]


def test_hostile_text_stays_text(client: Client, repository: Repository) -> None:
    failed_job(
        repository, 7, "<script>alert(1)</script>\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\ NUL\0",
        "\x1b[2J\x1b[H\x1b]0;title\x07gone?", "\x1b]8;;http://never.ends", '\x1b[31m"><img src=x onerror=alert(1)>',
        "\u202eevil", "x" * 50_000, FAILED,
    )  # fmt: skip
    page = get(client, "job/7")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "javascript:" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;click NUL\ufffd" in page
    assert '<code dir="ltr">gone?</code>' in page
    assert "8;;http://never.ends" in page  # what has no end hides nothing
    assert '<span class="f1">&quot;&gt;&lt;img' in page
    assert "more characters" in page
    assert len(page) < 60_000


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": LogState.EXPIRED, "problem": "GitHub has deleted this log.", "due_at": None}, "has deleted"),
        ({"state": LogState.MISSING, "problem": "GitHub has no log of this job", "due_at": None}, "has no log"),
        ({"state": LogState.WAITING}, "waiting to be read"),
        ({"state": LogState.WAITING, "problem": "GitHub has a fault of its own."}, "tried again. GitHub has a fault"),
        ({"state": LogState.READ, "due_at": None, "read_at": worlds.T0, "line": FAILED}, "kept for two weeks"),
    ],
)
def test_a_log_that_is_not_there_says_why(client: Client, repository: Repository, fields: Any, words: str) -> None:
    JobLog.objects.filter(pk=failed_job(repository, 7).pk).update(**fields)
    page = get(client, "job/7")
    assert words in page
    assert ("Read it from GitHub" in page) == (fields["state"] in (LogState.MISSING, LogState.READ))


def test_a_lost_text_is_asked_for_again_by_a_button(client: Client, repository: Repository) -> None:
    row = failed_job(repository, 7)
    JobLog.objects.filter(pk=row.pk).update(
        state=LogState.READ, due_at=None, read_at=worlds.T0, line=FAILED, key="a" * 32
    )
    assert client.get("/hud/grove/orchard/job/7/again").status_code == 405
    assert client.post("/hud/grove/orchard/job/7/again").status_code == 302
    row.refresh_from_db()
    assert row.due_at is not None
    assert row.line == FAILED
    assert row.state == LogState.READ


def test_other_jobs_and_strangers_numbers(client: Client, repository: Repository) -> None:
    worlds.store(repository, worlds.job(8, "linux / build", "success"))
    assert "Only the logs of failed jobs" in get(client, "job/8")
    get(client, "job/99", 404)
    get(client, "job/99999999999999999999999", 404)
    get(client, "job/8/lines?before=5", 404)
    get(client, "failure/" + "0" * 32, 404)
    get(client, "failure/short", 404)


def test_a_cut_log_says_so_and_keeps_its_numbers(client: Client, repository: Repository) -> None:
    row = failed_job(repository, 7)
    kept = text(*(f"line {n} " + "x" * 100 for n in range(1, 60_001)), FAILED, limit=3_000_000)
    log_store.store(row, kept, log_store.compiled(SHIPPED), worlds.minutes(60))
    row.refresh_from_db()
    assert row.line_number == row.lines == 60_001
    assert row.cut_from is not None
    assert row.cut_to is not None
    for number, line in log_store.stored_lines(row, 1, 60_000):
        assert line.startswith(f"line {number} ")
    assert dict(log_store.stored_lines(row, row.cut_from - 1, row.cut_to + 1)).keys() == {
        row.cut_from - 1,
        row.cut_to + 1,
    }
    page = get(client, f"job/7?line={row.cut_to + 1}")
    assert f"Lines {row.cut_from} to {row.cut_to} were not kept" in page
    assert "the middle was not kept" in page
    assert numbers(get(client, f"job/7/lines?before={row.cut_to}")) == []


def test_the_same_failure_elsewhere(client: Client, repository: Repository) -> None:
    for n, (of, name) in enumerate([(0, "linux / test (a)"), (1, "linux / test (a)"), (1, "mac / test (b)"), (2, "x")]):
        failed_job(repository, 10 + n, FAILED.replace("0.5s", f"{n}.25s"), of=of, name=name)
    worlds.store(repository, worlds.job(11, "linux / test (a)", "failure", of=1, run=11))
    worlds.store(repository, worlds.job(21, "linux / test (a)", "success", of=1, run=11, attempt=2, start=20, end=30))
    keys = set(JobLog.objects.values_list("key", flat=True))
    assert len(keys) == 1
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", get(client, f"failure/{keys.pop()}")))
    assert "4 jobs of 3 configurations on 3 commits, 3 of them on main" in page
    assert "1 of 4 passed when run again" in page
    assert page.count("passed on re-run") == 1
    assert "On main now, in 2 configuration" in page  # of linux / test (a), the newest result passed
    assert page.index(worlds.sha(2)[:7]) < page.index(worlds.sha(1)[:7]) < page.index(worlds.sha(0)[:7])


def test_the_page_of_a_failure_costs_the_same_however_often_it_happened(client: Client, repository: Repository) -> None:
    worlds.trunk(repository, 60)

    def queries() -> int:
        key = JobLog.objects.values_list("key", flat=True)[0]
        with CaptureQueriesContext(connection) as seen:
            get(client, f"failure/{key}")
        return len(seen)

    failed_job(repository, 1000, FAILED)
    client.get("/hud/grove/orchard/job/1000")
    few = queries()
    for of in range(60):
        for n in range(3):
            failed_job(repository, 2000 + of * 10 + n, FAILED, of=of, name=f"job {n}")
    assert queries() == few <= 10
    key = JobLog.objects.values_list("key", flat=True)[0]
    seen, address = [], f"failure/{key}"
    while address:
        page = get(client, address)
        seen += re.findall(r"/job/([0-9]+)", page)
        following = re.search(r'href="\?(after=[0-9.]+)"', page)
        address = f"failure/{key}?{following[1]}" if following else ""
    assert len(seen) == len(set(seen)) == 181


def test_the_failing_line_stands_in_the_cells_details(client: Client, repository: Repository) -> None:
    row = failed_job(repository, 7, "before", FAILED)
    assert Outcome.FAILED in CommitCells.objects.get(commit=row.commit).cells
    page = get(client, f"cell/{row.commit.sha}/{row.configuration.slot}")
    assert "AssertionError: 3 != 4" in page
    assert 'href="/hud/grove/orchard/job/7#L2"' in page
    assert f"/failure/{row.key}" in page
    LogPart.objects.all().delete()
    JobLog.objects.update(state=LogState.WAITING, line="", key="", read_at=worlds.T0 - timedelta(days=20))
    assert "has not been read yet" in get(client, f"cell/{row.commit.sha}/{row.configuration.slot}")
