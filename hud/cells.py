"""What one square of the grid says: all runs of one configuration on one commit, merged. Pure.

The rules are those of the verdicts page ("Merging all runs of one cell" and "From runs to events"); the set of runs
decides, never the order in which they arrived. A commit's squares are stored packed, one byte a configuration: the
byte is an `Outcome`, numbered so that the worst of several is simply the largest, which is how a group's square is
made.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from project.github.payloads import Conclusion, Status


class RunKind(IntEnum):
    """Which of GitHub's objects a run was told by. Kept in the two lowest bits of `Run.id`."""

    JOB = 0
    CHECK_RUN = 1
    STATUS = 2
    WORKFLOW_RUN = 3  # one that ended without any job: `startup_failure`

    def run_id(self, github_id: int) -> int:
        """The `Run.id` of the object that GitHub numbers `github_id` among its own kind."""
        return github_id << 2 | self


class Outcome(IntEnum):
    """A square, from quietest to loudest: a group shows the largest of its members."""

    NONE = 0
    SKIPPED = 1
    CANCELLED = 2
    NEUTRAL = 3
    PASSED = 4
    QUEUED = 5
    OVERDUE = 6
    TOLERATED = 7
    FLAKY = 8
    RUNNING = 9
    TIMED_OUT = 10
    FAILED = 11

    @property
    def glyph(self) -> str:
        """One character; it carries the meaning where colour cannot."""
        return GLYPHS[self]

    @property
    def words(self) -> str:
        """What a screen reader, a tooltip and the details say."""
        return WORDS[self]

    @property
    def finished(self) -> bool:
        """Whether it is a result (not pending, cancelled, skipped or absent)."""
        return self in FINISHED

    @property
    def failing(self) -> bool:
        """Whether it needs a person: red on the grid."""
        return self >= Outcome.TIMED_OUT


GLYPHS = dict(zip(Outcome, "·–~OOQ!WF?TX", strict=True))
WORDS = dict(
    zip(
        Outcome,
        (
            "not run", "skipped", "cancelled", "neutral", "passed", "queued", "no report",
            "failed, tolerated", "flaky, passed on retry", "running", "timed out", "failed",
        ),
        strict=True,
    )
)  # fmt: skip
FINISHED = frozenset(
    {Outcome.NEUTRAL, Outcome.PASSED, Outcome.TOLERATED, Outcome.FLAKY, Outcome.TIMED_OUT, Outcome.FAILED}
)

_BY_CONCLUSION = {
    Conclusion.SUCCESS: Outcome.PASSED,
    Conclusion.NEUTRAL: Outcome.NEUTRAL,
    Conclusion.FAILURE: Outcome.FAILED,
    Conclusion.STARTUP_FAILURE: Outcome.FAILED,
    Conclusion.TIMED_OUT: Outcome.TIMED_OUT,
    Conclusion.SKIPPED: Outcome.SKIPPED,
}
# Looked up once per run when a world is rebuilt, so flat: index = status * 32 + conclusion.
_SHOWN = [
    _BY_CONCLUSION.get(conclusion, Outcome.CANCELLED)  # type: ignore[call-overload]
    if status == Status.COMPLETED
    else Outcome.RUNNING
    if status == Status.IN_PROGRESS
    else Outcome.QUEUED
    for status in range(10)
    for conclusion in range(32)
]


def shown(status: int, conclusion: int) -> Outcome:
    """What one run by itself looks like. Awaiting approval, stale and unknown conclusions are evidence of nothing."""
    return _SHOWN[status * 32 + conclusion]


class RunFact(NamedTuple):
    """What merging needs of a run. `over`: its workflow run has completed, so a pending job will report no more."""

    id: int
    job_name_id: int
    unstable: bool
    workflow_run_id: int | None
    attempt: int
    status: int
    conclusion: int
    started_at: object
    completed_at: object
    over: bool


class Attempt(NamedTuple):
    """One (workflow run, attempt) of a configuration on a commit, all its shards merged."""

    workflow_run_id: int | None
    number: int
    outcome: Outcome
    runs: tuple[RunFact, ...]


def attempts(facts: Sequence[RunFact]) -> list[Attempt]:
    """The attempts that are evidence, oldest first.

    "Re-run failed jobs" repeats the untouched jobs under new ids: such a clone (same name, times and conclusion as in
    an earlier attempt) says nothing new, and an attempt made of clones alone is left out. A shard that an attempt did
    not run again keeps standing as the attempt before left it.
    """
    found = [
        Attempt(None, 1, _single(fact), (fact,))
        for fact in _newest_statuses(fact for fact in facts if fact.workflow_run_id is None)
    ]
    by_workflow_run: dict[int, list[RunFact]] = {}
    for fact in facts:
        if fact.workflow_run_id is not None:
            by_workflow_run.setdefault(fact.workflow_run_id, []).append(fact)
    for workflow_run_id in sorted(by_workflow_run):
        rows = sorted(by_workflow_run[workflow_run_id], key=lambda fact: (fact.attempt, fact.id))
        standing: dict[int, RunFact] = {}
        start = 0
        while start < len(rows):
            number = rows[start].attempt
            stop = start
            fresh: dict[int, RunFact] = {}
            while stop < len(rows) and rows[stop].attempt == number:
                row = rows[stop]
                if not _is_clone(row, standing.get(row.job_name_id)):
                    fresh[row.job_name_id] = row
                stop += 1
            start = stop
            if not fresh:
                continue
            carried = [row for name, row in standing.items() if name not in fresh]
            standing.update(fresh)
            outcome = _merge_shards(list(fresh.values()), carried)
            if outcome is not None:
                found.append(Attempt(workflow_run_id, number, outcome, tuple(fresh.values())))
    return found


def merge(facts: Sequence[RunFact]) -> Outcome:
    """The square that shows these runs, all of one configuration on one commit."""
    if len(facts) == 1:  # most squares: one job, once
        outcome = _single(facts[0])
        return Outcome.TOLERATED if facts[0].unstable and outcome.failing else outcome
    first = facts[0] if facts else None
    if first and all(
        fact.workflow_run_id == first.workflow_run_id is not None
        and fact.attempt == first.attempt
        and not fact.unstable
        for fact in facts
    ):
        # Most others: the shards of one attempt. (Of a name that came twice in it, the newer stands.)
        newest = {fact.job_name_id: fact for fact in sorted(facts)}
        return _merge_shards(list(newest.values()), []) or Outcome.NONE
    # What is named unstable is looked at only where nothing stable has anything to say.
    stable = _judge([fact for fact in facts if not fact.unstable])
    if stable > Outcome.CANCELLED:
        return stable
    unstable = _judge([fact for fact in facts if fact.unstable])
    return Outcome.TOLERATED if unstable.failing else max(unstable, stable)


def representative(facts: Sequence[RunFact], outcome: Outcome) -> RunFact | None:
    """The run whose link and duration stand for the square: the newest (by numeric id) of the class shown."""
    wanted = {
        Outcome.FLAKY: {Outcome.PASSED},
        Outcome.TOLERATED: {Outcome.FAILED, Outcome.TIMED_OUT},
        Outcome.OVERDUE: {Outcome.QUEUED, Outcome.RUNNING},
    }.get(outcome, {outcome})
    chosen = [fact for fact in facts if shown(fact.status, fact.conclusion) in wanted]
    return max(chosen, key=lambda fact: fact.id >> 2, default=None)


def _judge(facts: Sequence[RunFact]) -> Outcome:
    outcomes = {attempt.outcome for attempt in attempts(facts)}
    failing = next((one for one in (Outcome.FAILED, Outcome.TIMED_OUT) if one in outcomes), None)
    if Outcome.PASSED in outcomes:
        return Outcome.FLAKY if failing else Outcome.PASSED
    if failing:
        return failing
    for outcome in (*_PENDING_FIRST, Outcome.NEUTRAL, Outcome.SKIPPED, Outcome.CANCELLED):
        if outcome in outcomes:
            return outcome
    return Outcome.NONE


def _single(fact: RunFact) -> Outcome:
    outcome = _SHOWN[fact.status * 32 + fact.conclusion]
    return Outcome.OVERDUE if fact.over and fact.status < Status.COMPLETED else outcome


def _is_clone(row: RunFact, before: RunFact | None) -> bool:
    return (
        before is not None
        and row.status == Status.COMPLETED
        and row.conclusion == before.conclusion
        and row.started_at == before.started_at
        and row.completed_at == before.completed_at
    )


def _newest_statuses(facts: Iterable[RunFact]) -> list[RunFact]:
    """Check runs as they are; of a commit status, a pending entry only while nothing newer has replaced it."""
    kept: list[RunFact] = []
    newest: dict[int, int] = {}
    rows = sorted(facts, key=lambda fact: fact.id, reverse=True)
    for row in rows:
        if row.id & 3 == RunKind.STATUS:
            if row.status != Status.COMPLETED and newest.get(row.job_name_id, 0) > row.id:
                continue
            newest.setdefault(row.job_name_id, row.id)
        kept.append(row)
    kept.reverse()
    return kept


def _merge_shards(fresh: list[RunFact], carried: list[RunFact]) -> Outcome | None:
    """One attempt: any shard failed, else any still to finish, else any cancelled, else all skipped, else passed.

    None: nothing new failed, but a shard that was not run again still stands failed, so neither is it a pass.
    """
    outcomes = {_single(row) for row in fresh}
    if Outcome.FAILED in outcomes:
        return Outcome.FAILED
    if Outcome.TIMED_OUT in outcomes:
        return Outcome.TIMED_OUT
    if carried:
        before = {_single(row) for row in carried}
        if before & {Outcome.FAILED, Outcome.TIMED_OUT} and not outcomes & _PENDING:
            return None
        outcomes |= before
    for outcome in (*_PENDING_FIRST, Outcome.CANCELLED, Outcome.PASSED, Outcome.NEUTRAL):
        if outcome in outcomes:
            return outcome
    return Outcome.SKIPPED


_PENDING_FIRST = (Outcome.RUNNING, Outcome.QUEUED, Outcome.OVERDUE)
_PENDING = frozenset(_PENDING_FIRST)
