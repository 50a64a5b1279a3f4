"""The numbers behind the plots: measured once a day is over, and every few minutes while it lasts.

A day's rows are made anew from what is stored, so measuring may stop anywhere and be repeated; only what differs is
written. Trunk's commits belong to the day on which they landed, breaks to the day on which they were reverted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from hud import last_good
from hud.cells import FINISHED, Outcome
from hud.models import Branch, BranchCommit, Break, DailyMetric, MeasuredDay, Metric, Repository
from hud.plots import quantile

MOST_DAYS = 366
DAYS = timedelta(days=1)
NEIGHBOURS = 10  # commits beside a day's, which tell a lone failure from a break

_PASSED = bytes(int(code in FINISHED and code < Outcome.TIMED_OUT) for code in range(256))
_FAILED = bytes(int(Outcome.TIMED_OUT <= code < len(Outcome)) for code in range(256))
_FLAKY = bytes(int(code == Outcome.FLAKY) for code in range(256))
_RESULT = bytes(int(code in FINISHED) for code in range(256))


@dataclass(frozen=True, slots=True)
class Reds:
    """What the cells of some commits say: how many had a result at all, and of these how many were broken or flaky."""

    n: int
    broken: int
    flaky: int


# -- pure -------------------------------------------------------------------------------------------------------------


def reds(rows: Sequence[bytes], required: bytes, counted: range) -> Reds:
    """Judge the rows of `counted`; rows are newest first, those outside only tell what came before and after.

    Flaky: something required passed on a retry, or failed between two commits on which it passed. Broken: something
    required failed otherwise. A commit that is both is broken.
    """
    size = len(required)
    wanted = int.from_bytes(required, "little")

    def mask(row: bytes, table: bytes) -> int:
        return int.from_bytes(row[:size].translate(table), "little") & wanted

    failed = [mask(row, _FAILED) for row in rows]
    passed = [mask(row, _PASSED) for row in rows]
    before, after = _passing(failed[::-1], passed[::-1])[::-1], _passing(failed, passed)
    n = broken = flaky = 0
    for place in counted:
        n += bool(failed[place] | passed[place])
        alone = failed[place] & before[place] & after[place]
        broken += bool(failed[place] & ~alone)
        flaky += bool(failed[place] == alone and (alone or mask(rows[place], _FLAKY)))
    return Reds(n, broken, flaky)


def _passing(failed: Sequence[int], passed: Sequence[int]) -> list[int]:
    """For each row, what passed in the last of the rows before it that had a result of it."""
    found, state = [], 0
    for bad, good in zip(failed, passed, strict=True):
        found.append(state)
        state = (state | good) & ~bad
    return found


# -- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """A row to be stored."""

    metric: Metric
    label: str
    value: float | None
    n: int
    p90: float | None = None
    made_of: str = ""


def measure(repository: Repository, day: date, *, at: datetime | None = None, fingerprint: str = "") -> int:
    """Make the day's numbers anew; returns how many rows changed. `fingerprint`: what they were made of."""
    at = at or timezone.now()
    start = datetime.combine(day, time(), UTC)
    rows = [*_of_commits(repository, start), *_of_breaks(repository, start)]
    with transaction.atomic():
        changed = _store(repository.pk, day, rows)
        MeasuredDay.objects.update_or_create(
            repository=repository, day=day, defaults={"measured_at": at, "fingerprint": fingerprint}
        )
    return changed


def _store(repository_id: int, day: date, rows: Sequence[Measured]) -> int:
    known = {(row.metric, row.label): row for row in DailyMetric.objects.filter(repository_id=repository_id, day=day)}
    fresh = []
    for row in rows:
        before = known.pop((row.metric.value, row.label), None)
        if before and (before.value, before.p90, before.n, before.made_of) == (row.value, row.p90, row.n, row.made_of):
            continue
        fresh.append(
            DailyMetric(
                repository_id=repository_id, day=day, metric=row.metric.value, label=row.label,
                value=row.value, p90=row.p90, n=row.n, made_of=row.made_of,
            )
        )  # fmt: skip
    DailyMetric.objects.bulk_create(
        fresh,
        update_conflicts=True,
        unique_fields=["repository", "metric", "day", "label"],
        update_fields=["value", "p90", "n", "made_of"],
    )
    DailyMetric.objects.filter(pk__in=[row.pk for row in known.values()]).delete()
    return len(fresh) + len(known)


def _of_commits(repository: Repository, start: datetime) -> list[Measured]:
    branch = Branch.objects.filter(repository=repository, name=repository.trunk).first()
    if branch is None:
        return []
    trunk = BranchCommit.objects.filter(branch=branch)
    rows = trunk.filter(commit__committed_at__gte=start, commit__committed_at__lt=start + DAYS)
    days_own = dict(rows.order_by("position").values_list("commit_id", "commit__sha"))
    if not days_own:
        return []
    newest = list(days_own.values())[-1]
    places = list(rows.order_by("position").values_list("position", flat=True))
    around = trunk.filter(position__gte=places[0] - NEIGHBOURS, position__lte=places[-1] + NEIGHBOURS)
    cells = [
        (pk, bytes(packed or b""))
        for pk, packed in around.order_by("-position").values_list("commit_id", "commit__commitcells__cells")
    ]
    what = last_good.required(repository.pk)
    found: list[Measured] = []
    counts = _reds_of(cells, what.mask, set(days_own))
    if counts.n:
        found += [
            Measured(Metric.RED, "broken", counts.broken, counts.n, made_of=newest),
            Measured(Metric.RED, "flaky", counts.flaky, counts.n, made_of=newest),
        ]
    own = [packed for pk, packed in cells if pk in days_own]
    found += _flaky(own, sorted(what.names))
    found += _signal_times(own_ids=list(days_own), slots=what.mask, repository=repository, newest=newest)
    found += _queues(list(days_own))
    return found


def _reds_of(cells: Sequence[tuple[int, bytes]], required: bytes, own: set[int]) -> Reds:
    """`reds` of the day's own commits. Landing times may go back and forth along trunk: then in several ranges."""
    rows = [packed for _, packed in cells]
    total = Reds(0, 0, 0)
    for place, (pk, _) in enumerate(cells):
        if pk in own and (place == 0 or cells[place - 1][0] not in own):
            end = next((n for n in range(place, len(cells)) if cells[n][0] not in own), len(cells))
            one = reds(rows, required, range(place, end))
            total = Reds(total.n + one.n, total.broken + one.broken, total.flaky + one.flaky)
    return total


def _flaky(rows: Sequence[bytes], slots: Iterable[int]) -> list[Measured]:
    """Of each configuration that had a result, on how many commits it was flaky."""
    slots = list(slots)
    size = max(slots, default=-1) + 1
    joined = b"".join(row[:size].ljust(size, b"\0") for row in rows)
    found = []
    for slot in slots:
        column = joined[slot::size]
        results = column.translate(_RESULT).count(1)
        if results:
            found.append(Measured(Metric.FLAKY, str(slot), column.count(Outcome.FLAKY), results))
    return found


# From a commit's landing to the last first result of what is required: a configuration's first result is that of the
# first workflow run, so that a re-run of next week makes no commit of today slow. Commits still running don't count.
_SIGNAL_TIMES = """
    WITH first AS (
        SELECT r.commit_id, r.configuration_id, coalesce(r.workflow_run_id, r.id) AS origin,
               max(r.completed_at) AS ended
        FROM hud_run r WHERE r.commit_id = ANY(%(commits)s) AND r.configuration_id = ANY(%(configurations)s)
             AND r.attempt = 1 AND r.completed_at IS NOT NULL
        GROUP BY 1, 2, 3
    ), configured AS (SELECT commit_id, configuration_id, min(ended) AS ended FROM first GROUP BY 1, 2)
    SELECT c.id, date_part('epoch', max(f.ended) - c.committed_at)
    FROM configured f JOIN hud_commit c ON c.id = f.commit_id
    WHERE NOT EXISTS (SELECT FROM hud_run w WHERE w.commit_id = f.commit_id AND w.status < 9 AND w.attempt = 1
                      AND w.id & 3 <> 2  -- of a status, the pending entry stays beside what replaced it
                      AND w.configuration_id = ANY(%(configurations)s))
    GROUP BY c.id
"""


def _signal_times(*, own_ids: list[int], slots: bytes, repository: Repository, newest: str) -> list[Measured]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, slot FROM hud_configuration WHERE repository_id = %s", [repository.pk])
        wanted = [pk for pk, slot in cursor.fetchall() if slot < len(slots) and slots[slot]]
        cursor.execute(_SIGNAL_TIMES, {"commits": own_ids, "configurations": wanted})
        times = [float(seconds) for _, seconds in cursor.fetchall() if seconds is not None and seconds >= 0]
    return [_durations(Metric.TIME_TO_SIGNAL, "", times, newest)] if times else []


# Jobs alone say when they were queued; a re-run waits as well as a first run. The row without a group is of all jobs.
_QUEUES = """
    SELECT coalesce(g.name, ''), count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY waited),
           percentile_cont(0.9) WITHIN GROUP (ORDER BY waited)
    FROM (SELECT coalesce(nullif(c.group, ''), nullif(c.workflow, ''), 'Other') AS name,
                 date_part('epoch', r.started_at - r.queued_at) AS waited
          FROM hud_run r JOIN hud_configuration c ON c.id = r.configuration_id
          WHERE r.commit_id = ANY(%s) AND r.id & 3 = 0 AND r.started_at >= r.queued_at) g
    GROUP BY GROUPING SETS ((g.name), ()) HAVING count(*) > 0
"""


def _queues(commits: list[int]) -> list[Measured]:
    with connection.cursor() as cursor:
        cursor.execute(_QUEUES, [commits])
        return [Measured(Metric.QUEUE, group, half, n, p90) for group, n, half, p90 in cursor.fetchall()]


def _of_breaks(repository: Repository, start: datetime) -> list[Measured]:
    rows = Break.objects.filter(repository=repository, merged_into=None).order_by("number")
    found = []
    for metric, field in ((Metric.TIME_TO_REVERT, "reverted_at"), (Metric.TIME_TO_CULPRIT, "culprit_at")):
        days_own = list(rows.filter(**{f"{field}__gte": start, f"{field}__lt": start + DAYS}))
        if not days_own:
            continue
        took = [max(0.0, (getattr(one, field) - one.broke_at).total_seconds()) for one in days_own]
        found.append(_durations(metric, "", took, _where(days_own)))
        if metric is Metric.TIME_TO_REVERT:
            for label in sorted({one.classification for one in days_own}):
                alike = [one for one in days_own if one.classification == label]
                found.append(Measured(Metric.REVERTS, label, len(alike), len(alike), made_of=_where(alike)))
    return found


def _where(breaks: Sequence[Break]) -> str:
    """How they are found again: the number of the only one, or the days on which they were noticed."""
    if len(breaks) == 1:
        return str(breaks[0].number)
    days = sorted(one.noticed_at.astimezone(UTC).date() for one in breaks)
    return f"{days[0]}..{days[-1]}"


def _durations(metric: Metric, label: str, values: Sequence[float], made_of: str = "") -> Measured:
    return Measured(metric, label, quantile(values, 0.5), len(values), quantile(values, 0.9), made_of)


# What a day's numbers are made of, in short: of each day of trunk its cells, of each day of reverts those breaks.
_FINGERPRINTS = """
    SELECT (c.committed_at AT TIME ZONE 'UTC')::date, md5(string_agg(k.cells, '' ORDER BY b.position))
    FROM hud_branch t JOIN hud_branchcommit b ON b.branch_id = t.id JOIN hud_commit c ON c.id = b.commit_id
    LEFT JOIN hud_commitcells k ON k.commit_id = c.id
    WHERE t.repository_id = %(repository)s AND t.name = %(trunk)s AND c.committed_at >= %(since)s
    GROUP BY 1
    UNION ALL
    SELECT (at AT TIME ZONE 'UTC')::date, md5(string_agg(says, ' ' ORDER BY says))
    FROM (SELECT unnest(ARRAY[reverted_at, culprit_at]) AS at, concat_ws(' ', number, classification, broke_at) AS says
          FROM hud_break WHERE repository_id = %(repository)s AND merged_into_id IS NULL) known
    WHERE at >= %(since)s GROUP BY 1
"""


def measure_due(repository: Repository, now: datetime, *, most: int = 40) -> int:
    """Measure today and yesterday, and every older day of which anything has changed since; returns how many.

    `most` in a turn, newest first: after a backfill the next turn goes on.
    """
    today = now.astimezone(UTC).date()
    since = datetime.combine(today - DAYS * (MOST_DAYS - 1), time(), UTC)
    prints: dict[date, str] = {}
    with connection.cursor() as cursor:
        cursor.execute(_FINGERPRINTS, {"repository": repository.pk, "trunk": repository.trunk, "since": since})
        for day, digest in cursor.fetchall():
            prints[day] = f"{prints.get(day, '')} {digest}".strip()[:70]
    measured = MeasuredDay.objects.filter(repository=repository)
    known = dict(measured.values_list("day", "fingerprint"))
    recent = {today, today - DAYS}  # their queues move without any square changing
    due = [day for day in sorted(prints.keys() | known.keys(), reverse=True) if prints.get(day) != known.get(day)]
    due = sorted({*due, *(recent & prints.keys())}, reverse=True)[:most]
    for day in due:
        measure(repository, day, at=now, fingerprint=prints.get(day, ""))
    return len(due)


# -- reading ----------------------------------------------------------------------------------------------------------


class Number(NamedTuple):
    """One number of one day; see `DailyMetric`."""

    day: date
    metric: str
    label: str
    value: float | None
    p90: float | None
    n: int
    made_of: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """Rows of some days, oldest first."""

    first: date
    last: date
    rows: Sequence[Number]

    def of(self, metric: Metric, label: str | None = None) -> list[Number]:
        """The rows of one metric, of one label if given."""
        return [row for row in self.rows if row.metric == metric and (label is None or row.label == label)]

    @property
    def days(self) -> list[date]:
        """Every day, measured or not."""
        return [self.first + DAYS * n for n in range((self.last - self.first).days + 1)]


def read(repository_id: int, days: int, *, metric: str = "", today: date | None = None) -> Numbers:
    """The last so many days. One query. Configurations that were not flaky are left out, unless `metric` asks for
    them."""
    last = today or timezone.now().astimezone(UTC).date()
    first = last - DAYS * (days - 1)
    rows = DailyMetric.objects.filter(repository_id=repository_id, day__gte=first, day__lte=last)
    rows = rows.filter(metric=metric) if metric else rows.exclude(metric=Metric.FLAKY, value=0)
    found = rows.order_by("metric", "day", "label").values_list(*Number._fields)
    return Numbers(first, last, [Number._make(row) for row in found])


class Flaky(NamedTuple):
    """A configuration's flaky results, of all that it had."""

    slot: int
    flaky: int
    results: int

    @property
    def share(self) -> float:
        return self.flaky / self.results if self.results else 0.0


def flakiest(repository_id: int, shown: Numbers, most: int = 10) -> list[Flaky]:
    """The configurations with the largest share of flaky results. One query. Fewer than three flaky results are no
    habit: those come after all others."""
    rows = DailyMetric.objects.filter(repository_id=repository_id, metric=Metric.FLAKY)
    rows = rows.filter(day__gte=shown.first, day__lte=shown.last)
    sums = rows.values("label").annotate(flaky=Sum("value"), results=Sum("n")).filter(flaky__gt=0)
    found = [Flaky(int(row["label"]), int(row["flaky"]), row["results"]) for row in sums]
    return sorted(found, key=lambda one: (one.flaky < 3, -one.share, -one.flaky, one.slot))[:most]


def as_csv(shown: Numbers) -> str:
    """The rows as a table. What a spreadsheet would run as a formula is told as text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["day", "metric", "label", "value", "p90", "n", "made_of"])
    for row in shown.rows:
        label = "'" + row.label if row.label[:1] in "=+-@\t\r" and row.label else row.label
        writer.writerow([row.day, row.metric, label, _cell(row.value), _cell(row.p90), row.n, row.made_of])
    return out.getvalue()


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.10g}"
