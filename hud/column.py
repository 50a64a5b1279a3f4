"""A column's history: one configuration over the newest commits of trunk. How often it passes, how often it flakes, how
long it waits and runs.

What the page costs is bounded by `MOST_COMMITS`, whatever the number of days asked for, and the number of its queries
never changes. Rates are told only where there are results enough (`ENOUGH`), and always with their counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from django.utils import timezone

from hud import failing_lines, layout, plots
from hud.cells import Outcome, RunKind, shown
from hud.details import sums
from hud.failing_lines import FailingLine
from hud.models import Break, BreakSignal, Configuration, Run
from hud.places import Place
from hud.runs import at_slot, between, duration
from project.github.outcomes import Status

MOST_COMMITS = 200
MOST_RUNS = 20_000
ENOUGH = 10  # results, for a rate to say anything
DAYS = (1, 3, 7, 14, 30, 90)
USUAL_DAYS = 14
LINES = 10
WIDE = 1100  # of a chart, in its own units

_GOOD = (Outcome.PASSED, Outcome.NEUTRAL)
_BAD = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.TOLERATED)


@dataclass(frozen=True, slots=True)
class Step:
    """One commit of the history."""

    commit_id: int
    sha: str
    title: str
    at: datetime | None
    outcome: Outcome
    seconds: float | None = None
    waited: float | None = None
    failed_run: int | None = None

    @property
    def words(self) -> str:
        """“a1b2c3d: failed, 47 min 12 s”."""
        parts = [self.outcome.words] + ([duration(self.seconds)] if self.seconds is not None else [])
        return f"{self.sha[:7]}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with what it is a share of."""

    part: int
    whole: int

    @property
    def words(self) -> str:
        """“96 % (48 of 50)”; of too few results no share is told."""
        if not self.whole:
            return "no results"
        if self.whole < ENOUGH:
            return f"{self.whole} result{'' if self.whole == 1 else 's'}: too few for a rate"
        share = 100 * self.part / self.whole
        # Never 100 % or 0 % unless it is.
        told = f"{share:.0f}" if share in (0, 100) else f"{min(max(share, 0.1), 99.9):.1f}".removesuffix(".0")
        return f"{told} % ({self.part} of {self.whole})"


def days_asked(text: str) -> int:
    """The number of days in an address: one that is offered; the usual one for nonsense."""
    return int(text) if text in {str(one) for one in DAYS} else USUAL_DAYS


def of_column(place: Place, slot: int, days: int) -> dict[str, Any] | None:
    """The context of a column's page; None if no configuration has this slot."""
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    found = columns.by_slot.get(slot)
    if found is None:
        return None
    group, member = found
    configuration = Configuration.objects.get(repository=place.repository, slot=slot)
    now = timezone.now()
    steps = _with_runs(_steps(place, slot, now - timedelta(days=days)), configuration)
    results = [step for step in steps if step.outcome.finished]
    failed = [step for step in reversed(steps) if step.failed_run][:LINES]
    lines = failing_lines.of_runs(place, [step.failed_run for step in failed if step.failed_run])
    outcomes = [step.outcome for step in steps]
    return {
        "group": group,
        "member": member,
        "configuration": configuration,
        "slot": slot,
        "days": days,
        "offered": DAYS,
        "steps": steps,
        "cut": len(steps) == MOST_COMMITS,
        "results": len(results),
        "passed": Rate(sum(step.outcome in (*_GOOD, Outcome.FLAKY) for step in results), len(results)),
        "flaked": Rate(sum(step.outcome == Outcome.FLAKY for step in results), len(results)),
        "sums": sums(outcomes),
        "now_is": next((step for step in reversed(steps) if step.outcome.finished), None),
        "last_pass": next((step for step in reversed(steps) if step.outcome in (*_GOOD, Outcome.FLAKY)), None),
        "took": _spread([step.seconds for step in results]),
        "waits": _spread([step.waited for step in steps]),
        "durations": _chart(place, slot, steps, "seconds", "Run time"),
        "queues": _chart(place, slot, steps, "waited", "Queue time"),
        "breaks": _breaks(configuration),
        "failed": [(step, lines.get(step.failed_run or 0)) for step in failed],
        "repeated": _repeated(lines.values()),
        "page_keys": (("J K", "older, newer failure"), ("U", "back to the grid")),
        "now": now,
    }


def _steps(place: Place, slot: int, since: datetime) -> list[Step]:
    """The newest commits of trunk since then, oldest first."""
    rows = (
        place.commits.filter(commit__committed_at__gte=since)
        .order_by("-position")
        .values_list("commit_id", "commit__sha", "commit__title", "commit__committed_at", "commit__commitcells__cells")[
            :MOST_COMMITS
        ]
    )
    found = [Step(*row[:4], at_slot(bytes(row[4] or b""), slot)) for row in rows]
    return found[::-1]


def _with_runs(steps: Sequence[Step], configuration: Configuration) -> list[Step]:
    """The commits with the times of their newest attempt that came to a result."""
    runs = (
        Run.objects.filter(commit__in=[step.commit_id for step in steps], configuration=configuration)
        .order_by("commit_id", "workflow_run_id", "attempt")
        .values_list(
            "commit_id", "workflow_run_id", "attempt", "id", "status", "conclusion", "queued_at", "started_at",
            "completed_at",
        )[:MOST_RUNS]
    )  # fmt: skip
    told = {pk: _times(list(rows)) for pk, rows in groupby(runs, key=lambda row: row[0])}
    return [
        Step(step.commit_id, step.sha, step.title, step.at, step.outcome, *told.get(step.commit_id, ()))
        for step in steps
    ]


def _times(rows: Sequence[tuple[Any, ...]]) -> tuple[float | None, float | None, int | None]:
    """Of one commit: run time (its longest shard), time in the queue (of the first attempt), and a failed run."""
    took: float | None = None
    for _, attempt in groupby(rows, key=lambda row: row[1:3]):
        # Skipped and cancelled runs took no time that says anything.
        ran = [row for row in attempt if shown(row[4], row[5]).finished]
        spent = [seconds for row in ran if (seconds := between(row[7], row[8])) is not None]
        took = max(spent) if spent else took
    waits = [between(row[6], row[7]) for row in rows if row[2] == 1 and row[4] >= Status.IN_PROGRESS]
    waited = max((one for one in waits if one is not None), default=None)
    failed = [row[3] for row in rows if row[3] & 3 == RunKind.JOB and shown(row[4], row[5]).failing]
    return took, waited, max(failed, default=None)


def _spread(values: Iterable[float | None]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return {
        "number": len(known),
        "median": plots.quantile(known, 0.5),
        "p90": plots.quantile(known, 0.9) if len(known) >= ENOUGH else None,
    }


def _chart(place: Place, slot: int, steps: Sequence[Step], field: str, name: str) -> plots.Chart:
    points = []
    for index, step in enumerate(steps):
        value: float | None = getattr(step, field)
        kind = "bad" if step.outcome in _BAD else "doubt" if step.outcome == Outcome.FLAKY else ""
        label = f"{step.sha[:7]}: {duration(value)}, {step.outcome.words}"
        points.append(plots.Point(index, value, label, f"{place.base}/cell/{step.sha}/{slot}", kind))
    known = [point.y for point in points if point.y is not None]
    # Of a queue that nobody waits in there is nothing to see.
    series = [plots.Series(name, "run", points)] if max(known, default=0) >= 1 else []
    middle = plots.quantile(known, 0.5)
    if series and middle is not None and len(known) >= ENOUGH:
        ends = [plots.Point(0, middle), plots.Point(len(steps) - 1, middle)]
        series.append(plots.Series("median", "idle", ends, dots=False))
    words = f"{name} over {len(known)} commits, oldest first"
    words += f": median {duration(middle)}, longest {duration(max(known))}" if known else ": nothing measured"
    return plots.chart(series, width=WIDE, height=170, y_label=plots.span, x_ticks=_commit_ticks(steps), words=words)


def _commit_ticks(steps: Sequence[Step]) -> list[plots.Tick]:
    """A date under some of the commits."""
    every = max(1, -(-len(steps) // 6))
    times = [step.at for step in steps if step.at]
    form = "%b %-d" if times and times[-1] - times[0] > timedelta(days=4) else "%b %-d, %H:%M"
    return [
        plots.Tick(index, f"{step.at:{form}}")
        for index, step in enumerate(steps)
        if step.at and index % every == every // 2
    ]


def _breaks(configuration: Configuration) -> list[Break]:
    """The newest breaks that it was part of."""
    members = (
        BreakSignal.objects.filter(configuration=configuration, broken__merged_into=None)
        .select_related("broken", "broken__culprit", "broken__suspect")
        .order_by("-broken__noticed_at")[:20]
    )
    return list({member.broken_id: member.broken for member in members}.values())[:5]


def _repeated(lines: Iterable[FailingLine]) -> list[tuple[FailingLine, int]]:
    """Failing lines that came more than once, the most frequent first."""
    counted: dict[str, list[FailingLine]] = {}
    for line in lines:
        if line.key:
            counted.setdefault(line.key, []).append(line)
    often = sorted(counted.values(), key=lambda same: -len(same))
    return [(same[0], len(same)) for same in often if len(same) > 1]
