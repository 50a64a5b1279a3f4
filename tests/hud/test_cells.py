"""The rules of merging, one sentence a test, and that order never matters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hud.cells import Outcome, RunFact, RunKind, attempts, merge, representative
from project.github.payloads import Conclusion, Status

DONE, BUSY, WAITS = Status.COMPLETED, Status.IN_PROGRESS, Status.QUEUED


def run(id=1, conclusion=Conclusion.SUCCESS, *, status=DONE, attempt=1, name=1, of=1, unstable=False, at=0, end=9,
        over=False, kind=RunKind.JOB):  # fmt: skip
    if status != DONE:
        conclusion = Conclusion.NONE
    return RunFact(kind.run_id(id), name, unstable, of, attempt, status, conclusion, at, end, over)


OK, BAD, LATE = Conclusion.SUCCESS, Conclusion.FAILURE, Conclusion.TIMED_OUT
STOPPED, PASSED_OVER = Conclusion.CANCELLED, Conclusion.SKIPPED


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], Outcome.NONE),
        ([run()], Outcome.PASSED),
        ([run(conclusion=BAD)], Outcome.FAILED),
        ([run(conclusion=LATE)], Outcome.TIMED_OUT),
        ([run(conclusion=Conclusion.STARTUP_FAILURE)], Outcome.FAILED),
        ([run(conclusion=Conclusion.NEUTRAL)], Outcome.NEUTRAL),
        ([run(conclusion=Conclusion.ACTION_REQUIRED)], Outcome.CANCELLED),
        ([run(conclusion=Conclusion.UNKNOWN)], Outcome.CANCELLED),
        ([run(status=BUSY)], Outcome.RUNNING),
        ([run(status=WAITS)], Outcome.QUEUED),
        ([run(status=Status.UNKNOWN)], Outcome.QUEUED),
        ([run(status=WAITS, over=True)], Outcome.OVERDUE),
        ([run(conclusion=BAD, unstable=True)], Outcome.TOLERATED),
        # two workflow runs: each is its own attempt
        ([run(1, BAD, of=1), run(2, OK, of=2)], Outcome.FLAKY),
        ([run(1, OK, of=1), run(2, BAD, of=2)], Outcome.FLAKY),
        ([run(1, STOPPED, of=1), run(2, OK, of=2)], Outcome.PASSED),
        ([run(1, PASSED_OVER, of=1), run(2, status=BUSY, of=2)], Outcome.RUNNING),
        ([run(1, BAD, of=1), run(2, status=BUSY, of=2)], Outcome.FAILED),
        ([run(1, PASSED_OVER, of=1), run(2, STOPPED, of=2)], Outcome.SKIPPED),
        ([run(1, Conclusion.NEUTRAL, of=1), run(2, status=WAITS, of=2)], Outcome.QUEUED),
        # shards of one attempt: one failed shard fails it, and a passed one does not make it flaky
        ([run(1, OK, name=1), run(2, BAD, name=2)], Outcome.FAILED),
        ([run(1, OK, name=1), run(2, LATE, name=2)], Outcome.TIMED_OUT),
        ([run(1, OK, name=1), run(2, status=BUSY, name=2)], Outcome.RUNNING),
        ([run(1, OK, name=1), run(2, STOPPED, name=2)], Outcome.CANCELLED),
        ([run(1, OK, name=1), run(2, PASSED_OVER, name=2)], Outcome.PASSED),
        # re-run failed jobs: shard 1 is cloned under a new id, shard 2 passes
        ([run(1, OK, name=1, end=5), run(2, BAD, name=2), run(3, OK, name=1, attempt=2, end=5),
          run(4, OK, name=2, attempt=2, at=10)], Outcome.FLAKY),
        # one of two failed shards is run again and passes: the other still stands failed
        ([run(1, BAD, name=1, end=5), run(2, BAD, name=2), run(3, OK, name=1, attempt=2, at=10)], Outcome.FAILED),
        ([run(1, BAD, name=1, end=5), run(2, BAD, name=2), run(3, OK, name=1, attempt=2, at=10),
          run(4, OK, name=2, attempt=3, at=20)], Outcome.FLAKY),
        # what is named unstable decides only where nothing stable does
        ([run(1, OK, name=1), run(2, BAD, name=2, unstable=True)], Outcome.PASSED),
        ([run(1, BAD, name=1), run(2, OK, name=2, unstable=True)], Outcome.FAILED),
        ([run(1, STOPPED, name=1), run(2, BAD, name=2, unstable=True)], Outcome.TOLERATED),
        ([run(1, BAD, unstable=True), run(2, OK, unstable=True, attempt=2, at=10)], Outcome.FLAKY),
        # a status context: pending entries are history once something newer came
        ([run(1, status=BUSY, of=None, kind=RunKind.STATUS), run(2, OK, of=None, kind=RunKind.STATUS)], Outcome.PASSED),
        ([run(1, BAD, of=None, kind=RunKind.STATUS), run(2, OK, of=None, kind=RunKind.STATUS)], Outcome.FLAKY),
        ([run(1, OK, of=None, kind=RunKind.STATUS), run(2, status=BUSY, of=None, kind=RunKind.STATUS)], Outcome.PASSED),
    ],
)  # fmt: skip
def test_merging_follows_the_rules(facts, expected):
    assert merge(facts) == expected


def test_an_attempt_made_only_of_clones_is_no_new_evidence():
    first = [run(1, OK, name=1), run(2, BAD, name=2)]
    clones = [run(3, OK, name=1, attempt=2), run(4, BAD, name=2, attempt=2)]
    assert [a.number for a in attempts(first + clones)] == [1]


def test_a_rerun_that_ends_at_another_time_is_evidence():
    assert [a.outcome for a in attempts([run(1, BAD), run(2, BAD, attempt=2, at=20, end=30)])] == [Outcome.FAILED] * 2


def test_the_newest_run_of_the_class_shown_stands_for_the_square():
    facts = [run(7, BAD, of=1), run(3, OK, of=2), run(5, OK, of=3)]
    assert representative(facts, merge(facts)).id >> 2 == 5


def test_worst_of_a_group_is_the_largest():
    loudest_first = [Outcome.FAILED, Outcome.RUNNING, Outcome.FLAKY, Outcome.TOLERATED, Outcome.QUEUED, Outcome.PASSED]
    assert loudest_first == sorted(loudest_first, reverse=True)


facts = st.lists(
    st.builds(
        RunFact,
        id=st.integers(1, 40),
        job_name_id=st.integers(1, 3),
        unstable=st.booleans(),
        workflow_run_id=st.none() | st.integers(1, 3),
        attempt=st.integers(1, 3),
        status=st.sampled_from([int(s) for s in Status]),
        conclusion=st.sampled_from([int(c) for c in Conclusion]),
        started_at=st.integers(0, 3),
        completed_at=st.integers(0, 3),
        over=st.booleans(),
    ),
    max_size=9,
    unique_by=lambda fact: fact.id,
)


@given(facts, st.randoms())
def test_the_order_of_runs_never_matters(rows, random):
    before = merge(rows)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert merge(shuffled) == before


@given(facts)
def test_clones_never_change_a_square(rows):
    jobs = [row._replace(status=int(DONE), attempt=1) for row in rows if row.workflow_run_id]
    jobs = list({(row.workflow_run_id, row.job_name_id): row for row in jobs}.values())
    clones = [row._replace(id=row.id + 400, attempt=2) for row in jobs]
    assert merge(jobs + clones) == merge(jobs)
