"""Plots as SVG: numbers in, path data and places out. Pure; `templates/hud/_plot.html` draws what `chart` returns.

Nothing here knows a colour: a series has a `kind`, which is its class (`static/css/plots.css`). A hole in a series
(`None`) is a hole in its line, for a line drawn across it would claim what nobody measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Steps between ticks that people count in.
_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values between `low` and `high` to places between `start` and `end`. SVG's y grows downwards."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value, to a tenth of a pixel; the middle if the scale has no extent."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point or a bar, with what it says and where it leads. Of a point, `width` and `height` are 0."""

    x: float
    y: float
    width: float
    height: float
    label: str
    url: str
    kind: str


@dataclass(frozen=True, slots=True)
class Point:
    """What is plotted: `x` may be a time in seconds or a number; `y` None where nothing was measured."""

    x: float
    y: float | None
    label: str = ""
    url: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one meaning, left to right; `kind` is the class that colours them, `name` stands in the legend."""

    name: str
    kind: str
    points: Sequence[Point]
    bars: bool = False
    dots: bool = True


@dataclass(frozen=True, slots=True)
class Drawn:
    """A series as it is drawn: a path, or bars; and what can be pointed at."""

    name: str
    kind: str
    path: str
    marks: Sequence[Mark]
    bars: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything a template needs. Empty `series`: nothing was measured, so there is nothing to draw."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    series: Sequence[Drawn]
    words: str = ""


def nice(low: float, high: float, most: int = 5) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart), at most about `most`, the last at or above `high`."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        high = low + 1 if math.isfinite(low) else 1.0
        low = low if math.isfinite(low) else 0.0
    raw = max((high - low) / max(1, most - 1), 1e-300)  # below that a power of ten can't be told apart from 0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return _steps(low, high, step)


def nice_seconds(high: float, most: int = 5) -> list[float]:
    """The same for durations from 0, in steps of seconds, minutes, hours or days."""
    high = max(high, 1.0) if math.isfinite(high) else 1.0
    raw = high / max(1, most - 1)
    step = next((one for one in _SECONDS if one >= raw), math.ceil(raw / 86400) * 86400)
    return _steps(0, high, step)


def nice_times(low: float, high: float, most: int = 6) -> list[Tick]:
    """Ticks on round hours or days of UTC between two times, in seconds since the epoch. `at` is still the time."""
    span = max(high - low, 1.0)
    step = next((one for one in _SECONDS if one >= span / most), math.ceil(span / most / 86400) * 86400)
    first = math.ceil(low / step) * step
    form = "%b %-d" if step >= 86400 else "%H:%M" if span <= 86400 else "%b %-d, %H:%M"
    times = [first + step * number for number in range(int((high - first) // step) + 1)]
    return [Tick(at, f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at):{form}}") for at in times]


def _steps(low: float, high: float, step: float) -> list[float]:
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def line(points: Sequence[tuple[float, float | None]], x: Scale, y: Scale) -> str:
    """The `d` of a path through the points, broken where a value is missing. A lone point is a dot of no length."""
    parts: list[str] = []
    going = False
    for at, value in points:
        if value is None:
            going = False
            continue
        parts.append(f"{'L' if going else 'M'}{x(at):g} {y(value):g}")
        if not going:
            parts.append("h0")  # with round caps this is seen even if the next value is missing
        going = True
    return "".join(parts)


def bars(points: Sequence[Point], x: Scale, y: Scale, width: float) -> list[Mark]:
    """An upright bar for each point that has a value; a value of zero keeps a hair, for it was measured."""
    ground = y(y.low)
    found = []
    for point in points:
        if point.y is None:
            continue
        height = max(1.0, round(ground - y(point.y), 1))
        left = round(x(point.x) - width / 2, 1)
        found.append(Mark(left, round(ground - height, 1), width, height, point.label, point.url, point.kind))
    return found


def percent(value: float) -> str:
    """“40 %”: a share as an axis says it."""
    return f"{value * 100:g} %"


def plain(value: float) -> str:
    """“1,200”: a number as an axis says it."""
    return f"{value:,.10g}"


def span(seconds: float) -> str:
    """“45 s”, “30 min”, “2 h”, “1 h 30”: a duration as an axis says it."""
    if seconds < 60:
        return f"{seconds:g} s"
    if seconds < 3600:
        return f"{seconds / 60:g} min"
    if seconds % 86400 == 0 and seconds:
        return f"{seconds / 86400:g} d"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02}" if minutes else f"{hours} h"


def chart(
    series: Sequence[Series],
    *,
    width: int = 720,
    height: int = 180,
    y_label: Callable[[float], str] = plain,
    y_values: Sequence[float] | None = None,
    x_ticks: Sequence[Tick] | None = None,
    bar_width: float | None = None,
    words: str = "",
) -> Chart:
    """A chart of these series over one pair of axes.

    `y_values`: the values that have a tick; from zero to the highest, if not given. `x_ticks`: ticks whose `at` is a
    value of x; times in UTC if not given. `words` is what the whole says to a screen reader.
    """
    known = [point for one in series for point in one.points]
    values = [point.y for point in known if point.y is not None]
    left, right, top, bottom = 52.0, width - 8.0, 8.0, height - 22.0
    if not values:
        return Chart(width, height, left, right, top, bottom, (), (), (), words)
    first, last = min(point.x for point in known), max(point.x for point in known)
    high = max(values)
    if y_values is None:
        y_values = nice_seconds(high) if y_label is span else nice(0, high)
    places = max(2, max(len(one.points) for one in series))
    room = (right - left) / places
    inner = room / 2 if any(one.bars for one in series) else 4.0
    x = Scale(first, last, left + inner, right - inner)
    y = Scale(min(y_values), max(y_values), bottom, top)
    wide = bar_width or round(min(max(room * 0.7, 1.5), 26), 1)
    drawn = []
    for one in series:
        if one.bars:
            marks = bars(one.points, x, y, wide)
            drawn.append(Drawn(one.name, one.kind, "", marks, True))
            continue
        path = line([(point.x, point.y) for point in one.points], x, y)
        dots = [
            Mark(x(point.x), y(point.y), 0, 0, point.label, point.url, point.kind)
            for point in one.points
            if point.y is not None and one.dots
        ]
        drawn.append(Drawn(one.name, one.kind, path, dots, False))
    ticks = nice_times(first, last) if x_ticks is None else x_ticks
    return Chart(
        width, height, left, right, top, bottom,
        [Tick(x(tick.at), tick.label) for tick in ticks],
        [Tick(y(value), y_label(value)) for value in y_values],
        drawn, words,
    )  # fmt: skip


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value that `share` of the values do not exceed, between two of them in proportion; None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)
