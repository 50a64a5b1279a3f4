"""A commit's page: what it broke or did not, what failed first, then everything that ran, by workflow.

The number of queries is the same for one run and for thousands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from hud import failing_lines, layout, trail
from hud.cells import Outcome
from hud.details import DOUBTFUL, sums
from hud.failing_lines import FailingLine
from hud.models import Break, BreakSignal, BreakState, Commit
from hud.places import Place
from hud.runs import OneAttempt, Square, cells_of, squares
from hud.trail import Since, Trail

LANE = 240  # width of a lane in the SVG's own units
PENDING = (Outcome.RUNNING, Outcome.QUEUED)


@dataclass(frozen=True, slots=True)
class Job:
    """A configuration on the commit's page. `broken` is the break that it belongs to here; `lanes` its attempts on
    the commit's time axis: (kind, x, width)."""

    square: Square
    since: Since | None
    broken: Break | None
    line: FailingLine | None
    lanes: Sequence[tuple[str, float, float]]

    @property
    def ours(self) -> bool:
        """Whether it began to fail here."""
        return self.since is not None and self.since.new


class WithLine(Protocol):
    """A job, on whatever page, that may have a failing line."""

    @property
    def line(self) -> FailingLine | None: ...


J = TypeVar("J", bound=WithLine)


@dataclass(frozen=True)
class Card(Generic[J]):
    """Jobs that failed with the same line: the first is shown in full, the others by name."""

    first: J
    others: Sequence[J]


@dataclass(frozen=True, slots=True)
class Happened:
    """A moment in the life of the commit."""

    at: datetime
    words: str
    url: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """The jobs of one workflow."""

    name: str
    worst: Outcome
    sums: Sequence[tuple[Outcome, int]]
    jobs: Sequence[Job]
    open: bool


def of_commit(place: Place, commit: Commit) -> dict[str, Any]:
    """The context of a commit's page."""
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    found = squares(place, commit, columns, cells=cells_of(commit))
    way = trail.around(place, commit)
    now = timezone.now()
    breaks = _breaks(place, commit, way)
    lines = failing_lines.of_runs(place, [run.id for square in found for run in square.failed_runs[:3]])
    axis = _axis(found, now)
    jobs = [_job(square, way, breaks.get(square.member.slot), lines, axis, now) for square in found]
    outcomes = [square.outcome for square in found]
    failing = sorted((job for job in jobs if job.square.outcome.failing), key=_loudest)
    mine = _own_break(commit, breaks.values())
    ours = [job for job in failing if job.ours or (mine and job.broken == mine)]
    before = [job for job in failing if job not in ours]
    return {
        "commit": commit,
        "worst": max(outcomes, default=Outcome.NONE),
        "sentence": sentence(outcomes, failing, mine, commit),
        "why": _why(failing, mine),
        "mine": mine,
        "sums": sums(outcomes),
        "ours": cards(ours),
        "ours_count": len(ours),
        "before": cards(before),
        "before_count": len(before),
        "doubtful": [job for job in jobs if job.square.outcome in DOUBTFUL],
        "workflows": _sections(jobs),
        "total": len(found),
        "trail": way,
        "lane_width": LANE,
        "happened": _happened(place, commit, found, mine),
        "page_keys": KEYS,
        "now": now,
    }


KEYS = (
    ("J K", "older, newer"), ("X", "next failing job"), ("L", "log"), ("V", "revert…"), ("R", "re-run the job"),
    ("B", "not this"), ("H", "history of the column"), ("Z", "undo"), ("U", "back to the grid"),
)  # fmt: skip


def sentence(outcomes: Sequence[Outcome], failing: Sequence[Job], mine: Break | None, commit: Commit) -> str:
    """What the page says first: the verdict if there is one, else what is."""
    total = len(outcomes)
    if mine is not None:
        number = sum(job.broken == mine for job in failing) or mine.members.count()
        what = f"{number} configuration{'' if number == 1 else 's'}"
        if mine.culprit_id == commit.pk:
            return f"Broke {what}"
        return f"Suspected of breaking {what}"
    pending = sum(outcome in PENDING for outcome in outcomes)
    if failing:
        new = sum(job.ours for job in failing)
        told = sum(bool(job.since and job.since.first) for job in failing)
        said = f"{len(failing)} of {total} configurations failed here"
        if new == len(failing):
            said += "; not one of them did before" if new > 1 else ", which did not fail before"
        elif new:
            said += f"; {new} did not fail before"
        elif told and all(job.since and job.since.before for job in failing):
            said += "; all were failing before" if len(failing) > 1 else ", which was failing before"
        return said
    if pending:
        return f"Nothing failed so far; {pending} of {total} configurations are not finished"
    if not any(outcome in (Outcome.PASSED, Outcome.NEUTRAL, Outcome.FLAKY) for outcome in outcomes):
        return "Nothing ran on this commit yet" if not outcomes else "Nothing passed and nothing failed"
    return "All that ran passed" if not any(outcome in DOUBTFUL for outcome in outcomes) else "Nothing failed for good"


def cards(jobs: Sequence[J]) -> list[Card[J]]:
    """One card for each failing line, in the order of the jobs; a job without a line has a card of its own."""
    grouped: dict[object, list[J]] = {}
    for job in jobs:
        grouped.setdefault(job.line.key if job.line and job.line.key else id(job), []).append(job)
    return [Card(same[0], same[1:]) for same in grouped.values()]


def _loudest(job: Job) -> tuple[bool, int, str]:
    return not job.ours, -job.square.outcome, job.square.member.full_name


def _job(
    square: Square,
    way: Trail,
    broken: Break | None,
    lines: dict[int, FailingLine],
    axis: tuple[datetime, float] | None,
    now: datetime,
) -> Job:
    failing = square.outcome.failing
    line = next((lines[run.id] for run in square.failed_runs if run.id in lines), None)
    return Job(
        square, way.since(square.member.slot) if failing else None, broken, line, _lanes(square.attempts, axis, now)
    )


def _axis(found: Sequence[Square], now: datetime) -> tuple[datetime, float] | None:
    """When the first job of the commit was queued, and how many seconds until the last one ended."""
    attempts = [attempt for square in found for attempt in square.attempts]
    starts = [at for attempt in attempts if (at := attempt.queued or attempt.started)]
    if not starts:
        return None
    first = min(starts)
    last = max(attempt.ended or (now if attempt.outcome in PENDING else first) for attempt in attempts)
    return first, max(1.0, (last - first).total_seconds())


def _lanes(
    attempts: Sequence[OneAttempt], axis: tuple[datetime, float] | None, now: datetime
) -> list[tuple[str, float, float]]:
    """Each attempt as two bars: how long it waited, how long it ran. What is going on ends now."""
    if axis is None:
        return []
    first, length = axis
    parts: list[tuple[str, float, float]] = []

    def add(kind: str, start: datetime | None, end: datetime | None) -> None:
        if start and end and end >= start:
            left = max(0.0, (start - first).total_seconds()) / length * LANE
            width = max(1.0, (end - start).total_seconds() / length * LANE)
            parts.append((kind, round(min(left, LANE - 1), 1), round(min(width, LANE - left + 1), 1)))

    for attempt in attempts:
        going = now if attempt.outcome in PENDING else None
        add("wait", attempt.queued, attempt.started or going)
        if attempt.started:
            kind = "bad" if attempt.outcome.failing else "going" if going else "ran"
            add(kind, attempt.started, attempt.ended or going)
    return sorted(parts, key=lambda part: part[0] != "wait")  # what ran is drawn over what waited


def _sections(jobs: Sequence[Job]) -> list[Section]:
    by_workflow: dict[str, list[Job]] = {}
    for job in jobs:
        by_workflow.setdefault(job.square.workflow, []).append(job)
    made = []
    for name, members in by_workflow.items():
        members.sort(key=lambda job: (-_rank(job.square.outcome), job.square.member.full_name))
        worst = max((job.square.outcome for job in members), key=_rank)
        made.append(Section(name, worst, sums(job.square.outcome for job in members), members, False))
    return sorted(made, key=lambda section: (-_rank(section.worst), section.name))


def _rank(outcome: Outcome) -> int:
    """How much an outcome wants to be seen: what passed does not."""
    return 0 if outcome in (Outcome.PASSED, Outcome.NEUTRAL, Outcome.SKIPPED) else int(outcome)


def _breaks(place: Place, commit: Commit, way: Trail) -> dict[int, Break]:
    """The breaks that this commit is part of, by slot: as its suspect, or because it fails within one."""
    part = Q(broken__culprit=commit) | Q(broken__suspect=commit)
    if way.position is not None:
        part |= Q(oldest__lte=way.position, failing_to__gte=way.position)
    members = (
        BreakSignal.objects.filter(broken__repository=place.repository, broken__merged_into=None)
        .exclude(broken__state=BreakState.NOT_A_BREAK)
        .annotate(oldest=Coalesce("suspect_at", "range_from"))
        .filter(part)
        .select_related("broken", "broken__owner", "broken__acknowledged_by")
        .annotate(slot=F("configuration__slot"))
        .order_by("broken__number")[:2000]
    )
    found: dict[int, Break] = {}
    for member in members:
        found[member.slot] = member.broken
    return found


def _own_break(commit: Commit, breaks: Iterable[Break]) -> Break | None:
    """The break that this commit is said to have caused; a confirmed one before a suspected one."""
    own = [one for one in breaks if commit.pk in (one.culprit_id, one.suspect_id)]
    return max(own, key=lambda one: (one.culprit_id == commit.pk, one.open, one.number), default=None)


def _why(failing: Sequence[Job], mine: Break | None) -> str:
    """The line under the verdict: how it stood before and what came after."""
    said = []
    if mine is not None and mine.green_at:
        said.append(f"Green again since {mine.green_at:%b %-d, %H:%M} UTC.")
    lines = {job.line.key for job in failing if job.line and job.line.key}
    if len(failing) > 1 and len(lines) == 1 and all(job.line for job in failing):
        said.append("All with one failing line.")
    if len(failing) == 1 and failing[0].since:
        said += [failing[0].since.words, failing[0].since.outlook]
    return " ".join(part for part in said if part)


def _happened(place: Place, commit: Commit, found: Sequence[Square], mine: Break | None) -> list[Happened]:
    """What is known of the commit's life, oldest first."""
    told: list[Happened] = []

    def tell(at: datetime | None, words: str, url: str = "", outcome: Outcome | None = None) -> None:
        if at:
            told.append(Happened(at, words, url, outcome))

    tell(commit.committed_at, "Committed")
    starts = [attempt.started for square in found for attempt in square.attempts if attempt.started]
    if starts:
        tell(min(starts), f"First job started, of {len(found)}")
    failed = [
        (run.ended, square)
        for square in found
        for attempt in square.attempts
        for run in attempt.runs
        if run.outcome.failing and run.ended
    ]
    if failed:
        at, square = min(failed, key=lambda one: one[0])
        url = f"{place.base}/cell/{commit.sha}/{square.member.slot}"
        tell(at, f"First failure: {square.member.full_name}", url, square.outcome)
    if mine is not None:
        url = f"{place.base}/break/{mine.number}"
        tell(mine.noticed_at, f"Break {mine.number} noticed", url)
        if mine.culprit_id == commit.pk:
            tell(mine.culprit_at, "Confirmed as the culprit", url)
        by = f" by @{mine.acknowledged_by.get_username()}" if mine.acknowledged_by else ""
        tell(mine.acknowledged_at, f"Break acknowledged{by}", url)
        tell(mine.revert_asked_at, "Revert asked for", mine.revert_url or url)
        tell(mine.reverted_at, "Revert on trunk", mine.revert_url or url)
        tell(mine.green_at, "Green again", url, Outcome.PASSED)
    return sorted(told, key=lambda one: one.at)
