"""What `/hud/…/metrics` shows: stored numbers as plots, each with its table, each point with where it leads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from hud import layout, metrics
from hud.metrics import Number, Numbers
from hud.models import Classification, Metric
from hud.places import Place
from hud.plots import Chart, Point, Series, Tick, chart, percent, quantile, span

RANGES = (7, 30, 90, 365)
FEW = 5  # of fewer things a 90th percentile says nothing
WIDTH, HEIGHT = 560, 170


@dataclass(frozen=True, slots=True)
class Table:
    """A plot's numbers, for whoever reads rather than looks: rows of (text, address) cells."""

    heads: Sequence[str]
    rows: Sequence[Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot of the page. `said` is its number in words; `empty` is said instead of a plot without points."""

    key: str
    title: str
    about: str
    said: str
    empty: str
    chart: Chart
    table: Table
    legend: Sequence[tuple[str, str]] = field(default=())


@dataclass(frozen=True, slots=True)
class FlakyRow:
    """A configuration among the flakiest; `width` is its bar's, of a hundred."""

    name: str
    url: str
    share: str
    of: str
    width: float


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A group's waiting: of a typical day, that is the median of its days."""

    name: str
    half: str
    most: str
    n: str
    width: float


def panels(place: Place, shown: Numbers) -> list[Panel]:
    """The plots over time, and the reverts by classification."""
    return [_red(place, shown), _to_signal(place, shown), _to_revert(place, shown), _reverts(place, shown)]


def _red(place: Place, shown: Numbers) -> Panel:
    broken, flaky = shown.of(Metric.RED, "broken"), shown.of(Metric.RED, "flaky")
    commits, red = sum(row.n for row in broken), sum(int(row.value or 0) for row in broken)
    doubt = sum(int(row.value or 0) for row in flaky)

    def point(row: Number, word: str) -> Point:
        share = (row.value or 0) / row.n
        words = (
            f"{day_words(row.day)}: {row.value:.0f} of {_count(row.n, 'commit')} {word} ({percent(round(share, 3))})"
        )
        return Point(_x(row.day), share, words, _grid(place, row))

    series = [
        Series("broken", "bad", _daily(shown, broken, lambda row: point(row, "broken"))),
        Series("flaky only", "doubt", _daily(shown, flaky, lambda row: point(row, "flaky"))),
    ]
    said = ""
    if commits:
        shares = percent(round(red / commits, 3)), percent(round(doubt / commits, 3))
        said = f"{shares[0]} of {_count(commits, 'commit')} broken, {shares[1]} flaky only"
    by_day = {row.day: row for row in flaky}
    rows = [
        [
            (str(row.day), _grid(place, row)), (str(row.n), ""), (f"{row.value:.0f}", ""),
            (f"{by_day[row.day].value or 0:.0f}" if row.day in by_day else "", ""),
        ]
        for row in broken
    ]  # fmt: skip
    return Panel(
        "red", "Red commits", "Share of a day’s commits. Flaky: passed on a retry, or failed between two passes.", said,
        "No commit of these days has a result yet.",
        _chart(shown, series, percent, f"Share of red commits a day. {said}"),
        Table(("Day", "Commits", "Broken", "Flaky only"), rows), (("bad", "broken"), ("doubt", "flaky only")),
    )  # fmt: skip


def _to_signal(place: Place, shown: Numbers) -> Panel:
    rows = shown.of(Metric.TIME_TO_SIGNAL)
    return _durations(
        shown, rows, "signal", "Time to signal",
        "From a commit’s landing to its last required result, first runs only.",
        "No commit of these days has all its results yet.", "commit", lambda row: _grid(place, row),
    )  # fmt: skip


def _to_revert(place: Place, shown: Numbers) -> Panel:
    reverts, culprits = shown.of(Metric.TIME_TO_REVERT), shown.of(Metric.TIME_TO_CULPRIT)

    def point(row: Number, word: str) -> Point:
        words = f"{day_words(row.day)}: {_count(row.n, word)}, {_half(row)}"
        return Point(_x(row.day), row.value, words, _breaks(place, row))

    series = [
        Series("to revert", "bad", _daily(shown, reverts, lambda row: point(row, "revert"))),
        Series("to culprit known", "idle", _daily(shown, culprits, lambda row: point(row, "culprit"))),
    ]
    n = sum(row.n for row in reverts)
    said = f"{_count(n, 'revert')}, typical day {_typical(reverts)}" if n else ""
    table = Table(
        ("Day", "What", "Number", "Median"),
        [
            [(str(row.day), _breaks(place, row)), (word, ""), (str(row.n), ""), (_span(row.value), "")]
            for row, word in sorted([(r, "revert") for r in reverts] + [(r, "culprit") for r in culprits])
        ],
    )
    return Panel(
        "revert", "Time to revert", "From a break’s first failure to its revert on trunk, and to its culprit known.",
        said, "No break was reverted in these days.", _chart(shown, series, span, f"Time to revert. {said}"), table,
        (("bad", "to revert"), ("idle", "to culprit known")),
    )  # fmt: skip


def _reverts(place: Place, shown: Numbers) -> Panel:
    found: dict[str, int] = {}
    for row in shown.of(Metric.REVERTS):
        found[row.label] = found.get(row.label, 0) + row.n
    names = [one for one in (*Classification.values, "") if one in found]
    names += sorted(found.keys() - set(names))
    where = f"{place.base}/breaks?from={shown.first}&to={shown.last}"
    total = sum(found.values())
    points = [
        Point(n, found[name], f"{_count(found[name], 'revert')}: {_class(name)}", where) for n, name in enumerate(names)
    ]
    series = [Series("reverts", "act", points, bars=True)]
    return Panel(
        "reverts", "Reverts by classification", "As given when the revert was asked for.",
        _count(total, "revert") if total else "", "No break was reverted in these days.",
        chart(
            series, width=WIDTH, height=HEIGHT, x_ticks=[Tick(n, name or "not said") for n, name in enumerate(names)],
            y_values=_whole(max(found.values(), default=0)), words=f"Reverts by classification: {total}", bar_width=26,
        ),
        Table(("Classification", "Reverts"), [[(_class(name), where), (str(found[name]), "")] for name in names]),
    )  # fmt: skip


def queues(place: Place, shown: Numbers) -> tuple[Panel, list[QueueRow]]:
    """How long jobs waited for a runner: all of them by day, and the groups that waited longest."""
    rows = shown.of(Metric.QUEUE, "")
    panel = _durations(
        shown, rows, "queue", "Queue time", "From a job’s queueing to its start on a runner.",
        "No job of these days says when it was queued.", "job", lambda row: place.path,
    )  # fmt: skip
    groups: dict[str, list[Number]] = {}
    for row in shown.of(Metric.QUEUE):
        if row.label:
            groups.setdefault(row.label, []).append(row)
    typical = {
        name: (quantile([r.value or 0 for r in found], 0.5) or 0, quantile([r.p90 or 0 for r in found], 0.5) or 0)
        for name, found in groups.items()
    }
    worst = sorted(typical, key=lambda name: (-typical[name][1], name))[:10]
    most = max((typical[name][1] for name in worst), default=0) or 1
    return panel, [
        QueueRow(
            name, _span(typical[name][0]), _span(typical[name][1]), f"{sum(row.n for row in groups[name]):,}",
            round(100 * typical[name][1] / most, 1),
        )
        for name in worst
    ]  # fmt: skip


def flakiest(place: Place, shown: Numbers) -> list[FlakyRow]:
    """The ten configurations with the largest share of flaky results. One query, and the kept layout."""
    repository = place.repository
    found = metrics.flakiest(repository.pk, shown)
    names = layout.load(repository.pk, repository.layout_version).by_slot
    most = max((one.share for one in found), default=0) or 1
    return [
        FlakyRow(
            names[one.slot][1].full_name if one.slot in names else f"configuration {one.slot}",
            f"{place.base}/column/{one.slot}", percent(round(one.share, 3)), f"{one.flaky} of {one.results}",
            round(100 * one.share / most, 1),
        )
        for one in found
    ]  # fmt: skip


# -- what the above share ---------------------------------------------------------------------------------------------


def _durations(
    shown: Numbers, rows: Sequence[Number], key: str, title: str, about: str, empty: str, noun: str,
    where: Callable[[Number], str],
) -> Panel:  # fmt: skip
    def point(row: Number, value: float | None) -> Point:
        p90 = f", p90 {_span(row.p90)}" if row.n >= FEW else ""
        return Point(_x(row.day), value, f"{day_words(row.day)}: {_count(row.n, noun)}, {_half(row)}{p90}", where(row))

    series = [
        Series("median", "act", _daily(shown, rows, lambda row: point(row, row.value))),
        Series("p90", "idle", _daily(shown, rows, lambda row: point(row, row.p90 if row.n >= FEW else None))),
    ]
    n = sum(row.n for row in rows)
    said = f"typical day {_typical(rows)}, of {_count(n, noun)}" if rows else ""
    table = [
        [
            (str(row.day), where(row)), (f"{row.n:,}", ""), (_span(row.value), ""),
            (_span(row.p90) if row.n >= FEW else "too few", ""),
        ]
        for row in rows
    ]  # fmt: skip
    return Panel(
        key, title, about, said, empty, _chart(shown, series, span, f"{title}. {said}"),
        Table(("Day", f"{noun.title()}s", "Median", "p90"), table), (("act", "median"), ("idle", "p90")),
    )  # fmt: skip


def _chart(shown: Numbers, series: Sequence[Series], label: Callable[[float], str], words: str) -> Chart:
    values = None
    highest = max((point.y or 0 for one in series for point in one.points), default=0)
    if label is percent:
        top = next((one for one in (0.05, 0.1, 0.2, 0.5) if highest <= one), 1.0)
        values = [round(top * n / 5, 3) for n in range(6)]
    return chart(series, width=WIDTH, height=HEIGHT, y_label=label, y_values=values, words=words)


def _daily(shown: Numbers, rows: Sequence[Number], point: Callable[[Number], Point]) -> list[Point]:
    """A point a day, without a value where nothing was measured, so that every plot has the same axis."""
    by_day = {row.day: row for row in rows}
    return [point(by_day[day]) if day in by_day else Point(_x(day), None) for day in shown.days]


def _x(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def _grid(place: Place, row: Number) -> str:
    return f"{place.path}?at={row.made_of[:10]}" if row.made_of else place.path


def _breaks(place: Place, row: Number) -> str:
    first, _, last = row.made_of.partition("..")
    return f"{place.base}/breaks?from={first}&to={last}" if last else f"{place.base}/break/{first}"


def day_words(day: date) -> str:
    """“Nov 21”."""
    return f"{day:%b} {day.day}"


def _half(row: Number) -> str:
    return f"took {_span(row.value)}" if row.n == 1 else f"half within {_span(row.value)}"


def _typical(rows: Sequence[Number]) -> str:
    return _span(quantile([row.value for row in rows if row.value is not None], 0.5))


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    rounded = round(seconds) if seconds < 60 else round(seconds / 60) * 60
    days, rest = divmod(rounded, 86400)
    return f"{days} d {span(rest)}" if days and rest else span(rounded)


def _whole(highest: int) -> list[float]:
    step = max(1, -(-highest // 4))
    return [float(n) for n in range(0, max(highest, 1) + step, step)]


def _class(name: str) -> str:
    return dict(Classification.choices).get(name, name) if name else "not said"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def days_asked(text: str) -> int:
    """How many days an address asks for; nonsense means thirty."""
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        return 30
    return min(max(int(text), 1), metrics.MOST_DAYS)


def context(place: Place, days: int, *, today: date | None = None) -> dict[str, Any]:
    """All of it. Two queries, and one while the layout isn't kept."""
    shown = metrics.read(place.repository.pk, days, today=today)
    queue, groups = queues(place, shown)
    return {
        "days": days, "offered": RANGES, "shown": shown, "panels": [*panels(place, shown), queue],
        "flakiest": flakiest(place, shown), "groups": groups, "measured": bool(shown.rows),
    }  # fmt: skip
