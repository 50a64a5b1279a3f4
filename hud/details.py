"""What stands behind squares: the runs of one configuration on one commit, a group's members, a whole commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from urllib.parse import quote

from django.utils import timezone

from hud import layout, links
from hud.cells import Attempt, Outcome, RunFact, attempts, representative, shown
from hud.models import Commit, CommitCells, Run, WorkflowRun
from hud.places import Place
from project.github.outcomes import Status

HISTORY = 24
BAR_WIDTH, BAR_STEP, BAR_HEIGHT = 8, 11, 26


@dataclass(frozen=True, slots=True)
class OneRun:
    """A run as a line: what it is called on GitHub, how it ended, how long it took, where."""

    name: str
    outcome: Outcome
    seconds: float | None
    ended: datetime | None
    runner: str
    url: str


@dataclass(frozen=True, slots=True)
class OneAttempt:
    """An attempt with its shards."""

    number: int
    outcome: Outcome
    seconds: float | None
    ended: datetime | None
    url: str
    event: str
    runs: Sequence[OneRun]


@dataclass(frozen=True, slots=True)
class Square:
    """A cell with everything that ran in it."""

    group: layout.Group
    member: layout.Member
    outcome: Outcome
    attempts: Sequence[OneAttempt]
    seconds: float | None
    url: str

    @property
    def summary(self) -> str:
        """“twice, 2 of 2 attempts”, “1 of 3 attempts failed”: how the attempts compare; empty if there was one."""
        total = len(self.attempts)
        if total < 2:
            return ""
        failed = sum(attempt.outcome.failing for attempt in self.attempts)
        return f"{failed} of {total} attempts failed" if failed else f"{total} attempts"


@dataclass(frozen=True, slots=True)
class Bar:
    """A commit in a column's history. Numbers are those of the SVG."""

    x: int
    y: int
    height: int
    outcome: Outcome
    label: str
    url: str
    here: bool


def of_cell(place: Place, commit: Commit, slot: int) -> dict[str, Any] | None:
    """The context of a cell's details; None if no configuration has this slot."""
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    found = columns.by_slot.get(slot)
    if found is None:
        return None
    group, member = found
    squares = _squares(place, commit, columns, slot=slot)
    outcome = _byte(_cells(commit), slot)
    square = squares[0] if squares else Square(group, member, outcome, (), None, "")
    return {
        "place": place,
        "commit": commit,
        "square": square,
        "history": _history(place, commit, slot),
        "now": timezone.now(),
    }


def of_group(place: Place, commit: Commit, slug: str) -> dict[str, Any] | None:
    """The context of a group's details; None if there is no such group."""
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    group = columns.group(slug)
    if group is None:
        return None
    cells = _cells(commit)
    members = [(member, _byte(cells, member.slot)) for member in group.members]
    loud = sorted((pair for pair in members if _needs_words(pair[1])), key=lambda pair: -pair[1])
    quiet = [outcome for _, outcome in members if not _needs_words(outcome)]
    return {
        "place": place,
        "commit": commit,
        "group": group,
        "outcome": max(outcome for _, outcome in members),
        "loud": loud[:HISTORY],
        "more": len(loud) - HISTORY,
        "sums": _sums(quiet),
    }


def of_commit(place: Place, commit: Commit) -> dict[str, Any]:
    """The context of a commit's page: what failed first, then everything by workflow."""
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    squares = _squares(place, commit, columns)
    outcomes = [square.outcome for square in squares]
    by_workflow: dict[str, list[Square]] = {}
    for square in squares:
        by_workflow.setdefault(square.member.full_name.partition(" / ")[0], []).append(square)
    for members in by_workflow.values():
        members.sort(key=lambda square: -square.outcome)
    failing = [square for square in squares if square.outcome.failing]
    older, newer, newer_count = _neighbours(place, commit)
    return {
        "commit": commit,
        "worst": max(outcomes, default=Outcome.NONE),
        "sentence": sentence(outcomes),
        "sums": _sums(outcomes),
        "failing": sorted(failing, key=lambda square: -square.outcome),
        "doubtful": [square for square in squares if square.outcome in _DOUBTFUL],
        "unfinished": sum(outcome in (Outcome.RUNNING, Outcome.QUEUED) for outcome in outcomes),
        "workflows": sorted(
            (
                (name, max(s.outcome for s in members), _sums(s.outcome for s in members), members)
                for name, members in by_workflow.items()
            ),
            key=lambda row: (-row[1] if row[1] not in (Outcome.PASSED, Outcome.NEUTRAL) else 0, row[0]),
        ),
        "total": len(squares),
        "older": older,
        "newer": newer,
        "newer_count": newer_count,
        "now": timezone.now(),
    }


_DOUBTFUL = (Outcome.FLAKY, Outcome.TOLERATED, Outcome.OVERDUE)


def sentence(outcomes: Sequence[Outcome]) -> str:
    """What a commit's page says first. It says what is, not who is to blame."""
    failed = sum(outcome.failing for outcome in outcomes)
    pending = sum(outcome in (Outcome.RUNNING, Outcome.QUEUED) for outcome in outcomes)
    if failed:
        return f"{failed} of {len(outcomes)} configurations failed" + (", some are still running" if pending else "")
    if pending:
        return f"Nothing failed so far; {pending} of {len(outcomes)} configurations are not finished"
    if not any(outcome in (Outcome.PASSED, Outcome.NEUTRAL, Outcome.FLAKY) for outcome in outcomes):
        return "Nothing ran on this commit yet" if not outcomes else "Nothing passed and nothing failed"
    return "All that ran passed" if not any(outcome in _DOUBTFUL for outcome in outcomes) else "Nothing failed for good"


def _needs_words(outcome: Outcome) -> bool:
    return outcome.failing or outcome in (*_DOUBTFUL, Outcome.RUNNING)


def _sums(outcomes: Iterable[Outcome]) -> list[tuple[Outcome, int]]:
    counted: dict[Outcome, int] = {}
    for outcome in outcomes:
        counted[outcome] = counted.get(outcome, 0) + 1
    return sorted(((outcome, n) for outcome, n in counted.items() if outcome), reverse=True)


def _cells(commit: Commit) -> bytes:
    found = CommitCells.objects.filter(commit=commit).values_list("cells", flat=True).first()
    return bytes(found or b"")


def _byte(cells: bytes, slot: int) -> Outcome:
    return Outcome(cells[slot]) if slot < len(cells) and cells[slot] < len(Outcome) else Outcome.NONE


_FIELDS = (
    "id", "job_name_id", "job_name__unstable", "workflow_run_id", "attempt", "status", "conclusion", "started_at",
    "completed_at", "configuration__slot", "job_name__name", "runner", "url",
)  # fmt: skip


def _squares(place: Place, commit: Commit, columns: layout.Layout, slot: int | None = None) -> list[Square]:
    runs = Run.objects.filter(commit=commit)
    if slot is not None:
        runs = runs.filter(configuration__slot=slot)
    rows = list(runs.order_by("configuration__slot", "id").values_list(*_FIELDS))
    ids = {row[3] for row in rows if row[3] is not None}
    workflow_runs = {
        run.pk: run
        for run in WorkflowRun.objects.filter(pk__in=ids).only("id", "status", "attempt", "event", "run_number")
    }
    cells = _cells(commit)
    squares = []
    for at, of_slot in groupby(rows, key=lambda row: row[9]):
        if at in columns.by_slot:
            group, member = columns.by_slot[at]
            squares.append(_square(place, group, member, _byte(cells, at), list(of_slot), workflow_runs))
    return squares


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
        lines[fact.id] = OneRun(
            row[10],
            shows,
            _seconds(row[7], row[8]),
            row[8],
            row[11],
            links.run_url(place.github, fact.id, fact.workflow_run_id, row[12]),
        )
    chosen = representative(facts, outcome)
    merged = [_attempt(place, attempt, lines, workflow_runs) for attempt in attempts(facts)]
    seconds = lines[chosen.id].seconds if chosen else None
    return Square(group, member, outcome, merged, seconds, lines[chosen.id].url if chosen else "")


def _attempt(
    place: Place, attempt: Attempt, lines: dict[int, OneRun], workflow_runs: dict[int, WorkflowRun]
) -> OneAttempt:
    runs = sorted((lines[fact.id] for fact in attempt.runs), key=lambda run: (-run.outcome, run.name))
    ends = [run.ended for run in runs]
    url, event = runs[0].url, ""
    if attempt.workflow_run_id is not None:
        url = f"{place.github}/actions/runs/{attempt.workflow_run_id}/attempts/{attempt.number}"
        workflow_run = workflow_runs.get(attempt.workflow_run_id)
        event = workflow_run.event if workflow_run else ""
    longest = max((run.seconds for run in runs if run.seconds is not None), default=None)
    ended = max((end for end in ends if end), default=None) if all(ends) else None
    return OneAttempt(attempt.number, attempt.outcome, longest, ended, url, event, runs)


def _seconds(started: datetime | None, ended: datetime | None) -> float | None:
    return max(0.0, (ended - started).total_seconds()) if started and ended else None


def _history(place: Place, commit: Commit, slot: int) -> dict[str, Any]:
    """The column's commits up to a little after this one, oldest first, as bars as high as the runs were long."""
    on_branch = place.commits
    here = on_branch.filter(commit=commit).values_list("position", flat=True).first()
    if here is None:
        return {"bars": []}
    rows = list(
        on_branch.filter(position__lte=here + HISTORY // 4)
        .order_by("-position")
        .values_list("commit_id", "commit__sha", "commit__committed_at", "commit__commitcells__cells")[:HISTORY]
    )
    rows.reverse()
    spent: dict[int, float] = {}
    runs = Run.objects.filter(commit_id__in=[row[0] for row in rows], configuration__slot=slot)
    for commit_id, started, ended in runs.filter(configuration__repository=place.repository).values_list(
        "commit_id", "started_at", "completed_at"
    ):
        spent[commit_id] = max(spent.get(commit_id, 0), _seconds(started, ended) or 0)
    most = max(spent.values(), default=0) or 1
    bars = []
    for index, (commit_id, sha, _, cells) in enumerate(rows):
        outcome = _byte(bytes(cells or b""), slot)
        height = max(6, round(BAR_HEIGHT * spent.get(commit_id, 0) / most)) if spent.get(commit_id) else 6
        url = f"{place.base}/cell/{quote(sha)}/{slot}"
        label = f"{sha[:7]}: {outcome.words}" + (f", {duration(spent[commit_id])}" if spent.get(commit_id) else "")
        x = index * BAR_STEP
        bars.append(Bar(x, 30 - height, height, outcome, label, url, sha == commit.sha))
    words = ", ".join(f"{number} {outcome.words}" for outcome, number in _sums(bar.outcome for bar in bars))
    return {"bars": bars, "words": words, "oldest": rows[0][2], "newest": rows[-1][2], "width": len(rows) * BAR_STEP}


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


def _neighbours(place: Place, commit: Commit) -> tuple[dict[str, Any] | None, dict[str, Any] | None, int | None]:
    """The older and the newer commit on trunk, and how many are newer; nothing for a commit elsewhere."""
    on_branch = place.commits
    here = on_branch.filter(commit=commit).values_list("position", flat=True).first()
    if here is None:
        return None, None, None
    fields = ("commit__sha", "commit__title", "commit__commitcells__cells")
    older = on_branch.filter(position__lt=here).order_by("-position").values_list(*fields).first()
    newer = on_branch.filter(position__gt=here).order_by("position").values_list(*fields).first()
    return _neighbour(older), _neighbour(newer), on_branch.filter(position__gt=here).count()


def _neighbour(row: tuple[Any, ...] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    sha, title, cells = row
    return {"sha": sha, "title": title, "outcome": Outcome(max(min(max(cells or b"\0"), len(Outcome) - 1), 0))}
