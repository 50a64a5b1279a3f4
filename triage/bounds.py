"""What comparisons and ranges in a search mean: `>=2019-04-02` as a span of time, `5..*` as a span of counts.

Whole days, offsets and operators are resolved on reading, so what is left is two bounds. Pure. The rules are
design/rules/search.md.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

from triage.pieces import Piece, QueryError


@dataclass(frozen=True, slots=True)
class Span:
    """`start <= t < end`, in UTC; None is no bound."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Count:
    """`low <= n <= high`; None is no bound."""

    low: int | None
    high: int | None


# Reading

_Unit = TypeVar("_Unit", datetime, int)


def span(piece: Piece) -> Span:
    """Raises QueryError: bad_date, bad_range, empty_value."""
    start, end = _bounds(piece, _moments)
    if start == _FOREVER:
        raise QueryError("bad_date", piece.at, "Nothing comes after this.")
    return Span(start, None if end == _FOREVER else end)


def count(piece: Piece) -> Count:
    """Raises QueryError: bad_number, bad_range, empty_value."""
    low, above = _bounds(piece, _number)
    return Count(low, None if above is None else above - 1)


def _bounds(piece: Piece, unit: Callable[[str, int], tuple[_Unit, _Unit]]) -> tuple[_Unit | None, _Unit | None]:
    """Where a comparison or a range begins, and where it no longer holds. `unit` gives the same two of one value."""
    text, at = piece.text, piece.at
    match = _OPERATOR.match(text)
    operator = match[0] if match else ""
    if ".." in text:
        if operator:
            raise QueryError("bad_range", at, f"A range takes no “{operator}”: write a..b, or * for an open end.")
        first, _, last = text.partition("..")
        if not first or not last or ".." in last or first == last == "*":
            raise QueryError("bad_range", at, "A range is a..b; an open end is *, as in a..* or *..b.")
        start = None if first == "*" else unit(first, at)[0]
        stop = None if last == "*" else unit(last, at + len(first) + 2)[1]
        if start is not None and stop is not None and start >= stop:
            raise QueryError("bad_range", at, "This range ends before it starts.")
        return start, stop
    if operator == text:
        raise QueryError("empty_value", at, f"A value is missing after “{operator}”.")
    start, stop = unit(text[len(operator) :], at + len(operator))
    match operator:
        case ">":
            return stop, None
        case ">=":
            return start, None
        case "<":
            return None, start
        case "<=":
            return None, stop
        case _:
            return start, stop


_OPERATOR: Final = re.compile(r"[<>]=?")
_MOMENT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:T([0-9]{2}:[0-9]{2})(?::([0-9]{2})(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_FOREVER: Final = datetime.max.replace(tzinfo=UTC)


def _moments(text: str, at: int) -> tuple[datetime, datetime]:
    """A date as its whole UTC day; a date with a time as that second (GitHub's times have no fractions), or as that
    microsecond if it has one. A time without an offset is UTC, like a date."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise QueryError("bad_date", at, f"“{text}” is no date like 2026-03-01 or 2026-03-01T09:00:00+00:00.")
    day, clock, seconds, fraction, offset = match.groups()
    try:
        start = datetime.fromisoformat(f"{day}T{clock or '00:00'}:{seconds or '00'}")
        if fraction:
            start = start.replace(microsecond=int(fraction[1:].ljust(6, "0")))
        start = start.replace(tzinfo=UTC) - _offset(offset)
    except (ValueError, OverflowError):
        raise QueryError("bad_date", at, f"There is no {text}.") from None
    length = _DAY if clock is None else _MICROSECOND if fraction else _SECOND
    try:
        return start, start + length
    except OverflowError:  # the last day there is: it has no end
        return start, _FOREVER


def _offset(text: str | None) -> timedelta:
    if text is None or text in "Zz":
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)


_DIGITS: Final = re.compile(r"[0-9]{1,18}")  # more fit into no column


def _number(text: str, at: int) -> tuple[int, int]:
    if not _DIGITS.fullmatch(text):
        raise QueryError("bad_number", at, f"“{text}” is no number of things.")
    return int(text), int(text) + 1


# Writing


def written(value: Span | Count) -> str:
    """The text that reads as equal bounds."""
    if isinstance(value, Count):
        return _count_written(value.low, value.high)
    start, end = value.start, value.end
    if start is None:
        return f"<{_moment(end, _unit_at(end))}" if end else f"<={date.max}"
    first = _moment(start, _unit_at(start))
    if end is None:
        return f">={first}"
    unit = _unit_at(end)  # a range includes its end, so the last unit before it is named
    last = _moment(end - unit, unit)
    return first if first == last else f"{first}..{last}"


def _unit_at(moment: datetime) -> timedelta:
    """The longest unit that can begin or end at a moment."""
    if moment.microsecond:
        return _MICROSECOND
    return _DAY if (moment.hour, moment.minute, moment.second) == (0, 0, 0) else _SECOND


def _moment(moment: datetime, unit: timedelta) -> str:
    if unit == _DAY:
        return moment.date().isoformat()
    timespec = "seconds" if unit == _SECOND else "microseconds"
    return moment.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _count_written(low: int | None, high: int | None) -> str:
    # With the operators that never need one more digit than was written.
    if high is None:
        return f">{low - 1}" if low else ">=0"
    if low is None:
        return f"<={high}" if high >= 0 else "<0"
    return str(low) if low == high else f"{low}..{high}"
