"""The runs behind squares, as lines that a page shows: every attempt and shard, who started it, how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from typing import Any

from hud import layout, links
from hud.cells import Attempt, Outcome, RunFact, attempts, representative, shown
from hud.models import Commit, CommitCells, Run, WorkflowRun
from hud.places import Place
from project.github.outcomes import Status


@dataclass(frozen=True, slots=True)
class OneRun:
    """A run as a line: what it is called on GitHub, how it ended, how long it waited and took, where."""

    id: int
    name: str
    outcome: Outcome
    queued: datetime | None
    started: datetime | None
    ended: datetime | None
    runner: str
    url: str

    @property
    def seconds(self) -> float | None:
        """How long it ran; None while it does, or if that was not told."""
        return between(self.started, self.ended)


@dataclass(frozen=True)
class OneAttempt:
    """An attempt with its shards."""

    number: int
    outcome: Outcome
    url: str
    event: str
    actor: str
    runs: Sequence[OneRun]

    @cached_property
    def queued(self) -> datetime | None:
        """When the first of its shards began to wait."""
        return min((run.queued for run in self.runs if run.queued), default=None)

    @cached_property
    def started(self) -> datetime | None:
        """When the first of its shards began to run."""
        return min((run.started for run in self.runs if run.started), default=None)

    @cached_property
    def ended(self) -> datetime | None:
        """When the last of its shards ended; None while one is not over."""
        ends = [run.ended for run in self.runs if run.ended]
        return max(ends) if ends and len(ends) == len(self.runs) else None

    @cached_property
    def seconds(self) -> float | None:
        """As long as its longest shard."""
        return max((run.seconds for run in self.runs if run.seconds is not None), default=None)

    @property
    def waited(self) -> float | None:
        """How long it was queued."""
        return between(self.queued, self.started)

    @property
    def words(self) -> str:
        """“attempt 2, failed, after 38 min 4 s, started Nov 23, 12:04 UTC”: for who can't see its square."""
        parts = [f"attempt {self.number}", self.outcome.words]
        parts += [f"after {duration(self.seconds)}"] if self.seconds is not None else []
        parts += [f"started {self.started:%b %-d, %H:%M} UTC"] if self.started else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Square:
    """A cell with everything that ran in it."""

    group: layout.Group
    member: layout.Member
    outcome: Outcome
    attempts: Sequence[OneAttempt]
    seconds: float | None
    url: str

    @property
    def workflow(self) -> str:
        """The workflow that its configuration belongs to."""
        return self.member.full_name.partition(" / ")[0]

    @property
    def summary(self) -> str:
        """“twice, 2 of 2 attempts”, “1 of 3 attempts failed”: how the attempts compare; empty if there was one."""
        total = len(self.attempts)
        if total < 2:
            return ""
        failed = sum(attempt.outcome.failing for attempt in self.attempts)
        return f"{failed} of {total} attempts failed" if failed else f"{total} attempts"

    @property
    def failed_runs(self) -> list[OneRun]:
        """The shards that failed, newest attempt first: a failing line is one of theirs."""
        return [run for attempt in reversed(self.attempts) for run in attempt.runs if run.outcome.failing]

    @property
    def waited(self) -> float | None:
        """How long its first attempt was queued."""
        return self.attempts[0].waited if self.attempts else None


def cells_of(commit: Commit) -> bytes:
    """A commit's packed squares; none if nothing ran."""
    found = CommitCells.objects.filter(commit=commit).values_list("cells", flat=True).first()
    return bytes(found or b"")


def at_slot(cells: bytes, slot: int) -> Outcome:
    """The square at a slot; an unknown byte is no square."""
    return Outcome(cells[slot]) if slot < len(cells) and cells[slot] < len(Outcome) else Outcome.NONE


_FIELDS = (
    "id", "job_name_id", "job_name__unstable", "workflow_run_id", "attempt", "status", "conclusion", "started_at",
    "completed_at", "configuration__slot", "job_name__name", "runner", "url", "queued_at",
)  # fmt: skip


def squares(
    place: Place, commit: Commit, columns: layout.Layout, *, cells: bytes, slot: int | None = None
) -> list[Square]:
    """Every configuration that ran on a commit, or the one at `slot`, with all its runs. Two queries."""
    runs = Run.objects.filter(commit=commit)
    if slot is not None:
        runs = runs.filter(configuration__slot=slot)
    rows = list(runs.order_by("configuration__slot", "id").values_list(*_FIELDS))
    ids = {row[3] for row in rows if row[3] is not None}
    workflow_runs = {
        run.pk: run for run in WorkflowRun.objects.filter(pk__in=ids).only("id", "status", "attempt", "event", "actor")
    }
    found = []
    for at, of_slot in groupby(rows, key=lambda row: row[9]):
        if at in columns.by_slot:
            group, member = columns.by_slot[at]
            found.append(_square(place, group, member, at_slot(cells, at), list(of_slot), workflow_runs))
    return found


def _square(
    place: Place,
    group: layout.Group,
    member: layout.Member,
    outcome: Outcome,
    rows: list[tuple[Any, ...]],
    workflow_runs: dict[int, WorkflowRun],
) -> Square:
    facts = []
    lines = {}
    for row in rows:
        workflow_run = workflow_runs.get(row[3])
        over = (
            workflow_run is not None
            and row[5] < Status.COMPLETED
            and workflow_run.status == Status.COMPLETED
            and workflow_run.attempt >= row[4]
        )
        fact = RunFact._make((*row[:9], over))
        facts.append(fact)
        shows = Outcome.OVERDUE if over else shown(fact.status, fact.conclusion)
        url = links.run_url(place.github, fact.id, fact.workflow_run_id, row[12])
        # A queued job already has a start, which is none (anchors/github-api.md).
        started = row[7] if fact.status >= Status.IN_PROGRESS else None
        lines[fact.id] = OneRun(row[0], row[10], shows, row[13], started, row[8], row[11], url)
    chosen = representative(facts, outcome)
    merged = [_attempt(place, attempt, lines, workflow_runs) for attempt in attempts(facts)]
    seconds = lines[chosen.id].seconds if chosen else None
    return Square(group, member, outcome, merged, seconds, lines[chosen.id].url if chosen else "")


def _attempt(
    place: Place, attempt: Attempt, lines: dict[int, OneRun], workflow_runs: dict[int, WorkflowRun]
) -> OneAttempt:
    runs = sorted((lines[fact.id] for fact in attempt.runs), key=lambda run: (-run.outcome, run.name))
    url, event, actor = runs[0].url, "", ""
    if attempt.workflow_run_id is not None:
        url = f"{place.github}/actions/runs/{attempt.workflow_run_id}/attempts/{attempt.number}"
        workflow_run = workflow_runs.get(attempt.workflow_run_id)
        if workflow_run:
            # GitHub's list names who caused the run; who asked for it again it does not keep there.
            event, actor = workflow_run.event, workflow_run.actor if attempt.number == 1 else ""
    return OneAttempt(attempt.number, attempt.outcome, url, event, actor, runs)


def between(started: datetime | None, ended: datetime | None) -> float | None:
    """Seconds from one to the other, never less than none; None if either is unknown."""
    return max(0.0, (ended - started).total_seconds()) if started and ended else None


def duration(seconds: float | None) -> str:
    """“47 min 12 s”, “1 h 04 min”, “9 s”."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"
