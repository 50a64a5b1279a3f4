"""When, and by which requests, something is run again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hud.reruns import INFRA_PAUSE, SPACING, Ran, due, plan

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def ran(
    sha: str, configuration: int, job: int, run: int = 1, *, attempt: int = 1, over: bool = True, failed: bool = True
):
    return Ran((sha, configuration), job, run, attempt, over, failed)


def test_one_job_is_run_alone() -> None:
    found = plan({("a", 1)}, [ran("a", 1, 11), ran("a", 2, 12)])
    assert [(ask.kind, ask.payload) for ask in found.asks] == [
        ("rerun_job", {"job_id": 11, "run_id": 1, "expected_attempt": 1})
    ]
    assert not found.cannot


def test_of_two_failed_jobs_all_that_failed_is_run_at_once() -> None:
    (ask,) = plan({("a", 1), ("a", 2)}, [ran("a", 1, 11), ran("a", 2, 12)]).asks
    assert (ask.kind, ask.payload) == ("rerun_failed", {"run_id": 1, "expected_attempt": 1})


def test_the_failed_shards_of_one_job_too() -> None:
    (ask,) = plan({("a", 1)}, [ran("a", 1, 11), ran("a", 1, 12), ran("a", 1, 13, failed=False)]).asks
    assert ask.kind == "rerun_failed"


def test_of_one_failed_shard_only_that() -> None:
    (ask,) = plan({("a", 1)}, [ran("a", 1, 11, failed=False), ran("a", 1, 12)]).asks
    assert (ask.kind, ask.payload["job_id"]) == ("rerun_job", 12)


def test_where_some_passed_everything_is_run() -> None:
    (ask,) = plan({("a", 1), ("a", 2)}, [ran("a", 1, 11), ran("a", 2, 12, failed=False)]).asks
    assert ask.kind == "rerun_run"


def test_what_cannot_be_run_is_said_once_a_commit() -> None:
    found = plan({("a" * 40, 1), ("a" * 40, 2), ("b" * 40, 1)}, [ran("b" * 40, 1, 11, over=False)])
    assert not found.asks
    assert found.cannot == (
        "aaaaaaa was never run here, so there is nothing to run again", "bbbbbbb is still running"
    )  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> tuple[set[tuple[str, int]], list[Ran]]:
    found = []
    for run in range(1, draw(st.integers(1, 4)) + 1):
        sha, attempt, over = draw(st.sampled_from("abc")), draw(st.integers(1, 3)), draw(st.booleans())
        found += [
            ran(
                sha, draw(st.integers(1, 3)), 100 * run + n, run, attempt=attempt, over=over, failed=draw(st.booleans())
            )
            for n in range(draw(st.integers(0, 4)))
        ]
    wanted = draw(st.sets(st.tuples(st.sampled_from("abcd"), st.integers(1, 3))))
    return wanted, found


@given(worlds(), st.randoms())
def test_each_workflow_run_is_asked_once_and_nothing_unwanted_is_run_alone(world, random) -> None:
    wanted, found = world
    made = plan(wanted, found)
    assert len({ask.payload["run_id"] for ask in made.asks}) == len(made.asks)
    assert len({ask.key for ask in made.asks}) == len(made.asks)
    by_run = {one.workflow_run_id: one for one in found}
    jobs = {one.job_id: one for one in found}
    for ask in made.asks:
        assert by_run[ask.payload["run_id"]].over
        assert ask.payload["expected_attempt"] == by_run[ask.payload["run_id"]].attempt
        if ask.kind == "rerun_job":
            assert jobs[ask.payload["job_id"]].wanted in wanted
    answered = {one.wanted for one in found if one.wanted in wanted}
    assert bool(answered) <= bool(made.asks or made.cannot)
    random.shuffle(found)
    again = plan(wanted, found)
    assert {ask.key: ask.kind for ask in again.asks} == {ask.key: ask.kind for ask in made.asks}


@given(st.lists(st.integers(0, 600).map(lambda n: T0 + timedelta(minutes=n)), max_size=7), st.integers(0, 900))
def test_patience(asked, minute) -> None:
    now = T0 + timedelta(minutes=minute)
    may = due(asked, now=now)
    assert not (may and len(asked) >= len(SPACING))
    assert may == (len(asked) < len(SPACING) and (not asked or now - max(asked) >= SPACING[len(asked)]))


def test_an_outage_is_waited_out() -> None:
    assert not due([], now=T0 + INFRA_PAUSE - timedelta(seconds=1), failed_at=T0, infra=True)
    assert due([], now=T0 + INFRA_PAUSE, failed_at=T0, infra=True)
    assert due([], now=T0, failed_at=T0)
    assert due([], now=T0, infra=True)
