"""When a rotation's turns begin and end, whoever holds them: wall-clock handoffs and days off, in UTC.

Pure, and read by `rotation.schedule` alone. The rules are design/rules/rotation.md, under Handoff, Kinds and Turns.
No length is stored or added to reach a wall-clock handoff: each boundary date is turned into an instant by itself,
so that days of 23, 23.5, 24.5 and 25 hours come out right. Hourly turns alone count elapsed time.

A turn is what one member holds before the next one does. Mostly it is one uninterrupted stretch; days off inside
it (a holiday in a weekly turn, the weekend in a turn of three working days) cut it into several.

The number of a turn is found by arithmetic, not by walking from the start date, so that "who is on now" costs the
same for a rotation that is ten years old.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

Kind = Literal["daily", "weekly", "hourly"]

DAY: Final = timedelta(days=1)
SATURDAY: Final = 5
MAX_EVERY: Final = 1000
"""Longer turns are mistyped, and would only keep the machine busy."""


class Turn(NamedTuple):
    """One member's go. `number` counts from 0 at the start date; the stretches are half-open UTC intervals, in order
    and apart. There are none where the zone left out the whole local date (Samoa's 30 December 2011)."""

    number: int
    stretches: tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True, slots=True, init=False)
class Pattern:
    """What decides when turns are; `rotation.schedule.Rotation` says what each part means."""

    kind: Kind
    every: int
    handoff: time
    timezone: ZoneInfo
    start: date
    weekdays_only: bool
    holidays: frozenset[date]
    runs_on: bool

    def __init__(
        self,
        kind: Kind,
        every: int,
        handoff: time | str,
        timezone: ZoneInfo | str,
        start: date | str,
        weekdays_only: bool,
        holidays: Iterable[date | str],
        runs_on: bool,
    ) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"unknown kind of rotation: {kind!r}")
        if not 1 <= every <= MAX_EVERY:
            raise ValueError(f"a turn must be 1 to {MAX_EVERY} units long, not {every}")
        handoff = time.fromisoformat(handoff) if isinstance(handoff, str) else handoff
        if handoff.tzinfo is not None:
            raise ValueError("the handoff is a time on the wall; its zone is the rotation's")
        put = object.__setattr__
        put(self, "kind", kind)
        put(self, "every", every)
        put(self, "handoff", handoff.replace(fold=0))
        put(self, "timezone", _zone(timezone) if isinstance(timezone, str) else timezone)
        put(self, "start", _date(start))
        put(self, "weekdays_only", weekdays_only)
        put(self, "holidays", frozenset(map(_date, holidays)))
        put(self, "runs_on", runs_on)


class Turns(ABC):
    """What the kinds have in common: the handoff and the days off."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._every, self._start, self._runs_on = pattern.every, pattern.start, pattern.runs_on

    @staticmethod
    def of(pattern: Pattern) -> "Turns":
        return HourTurns(pattern) if pattern.kind == "hourly" else DateTurns(pattern)

    def handoff_on(self, day: date) -> datetime:
        """The handoff of that local date, in UTC. In a skipped hour it is the same number of minutes after the jump as
        it was meant to be after its beginning; of a repeated hour it is the first pass: `zoneinfo` with fold=0."""
        return datetime.combine(day, self._pattern.handoff, self._pattern.timezone).astimezone(UTC)

    def is_off(self, day: date) -> bool:
        """Whether that local date has no shift and uses up no turn."""
        return day in self._pattern.holidays or (self._pattern.weekdays_only and day.weekday() >= SATURDAY)

    @abstractmethod
    def begun_before(self, at: datetime) -> int:
        """How many turns begin before that instant: also the number of the first that begins at or after it."""

    @abstractmethod
    def around(self, start: datetime, end: datetime) -> Iterator[Turn]:
        """The turns that have a part in the window, whole and in order; the first may lie just before it."""


class DateTurns(Turns):
    """Daily and weekly turns, made of local dates: a date's part runs from its handoff to the next date's.

    A daily turn is `every` dates that aren't off, so people take turns of n working days. A weekly one is `every` weeks
    from the start date's weekday, less the dates off; one that is off altogether uses up nobody's turn.
    """

    def __init__(self, pattern: Pattern) -> None:
        super().__init__(pattern)
        start, self._weekly = pattern.start, pattern.kind == "weekly"
        self._first_handoff = self.handoff_on(start)
        # Only holidays that take a date away: a Saturday is off already.
        self._lost = sorted(
            day
            for day in pattern.holidays
            if day >= start and not (pattern.weekdays_only and day.weekday() >= SATURDAY)
        )
        self._empty_blocks: list[int] = []
        if self._weekly:
            blocks = sorted({(day - start).days // (7 * pattern.every) for day in self._lost})
            self._empty_blocks = [n for n in blocks if self._worked(self._block(n)) == self._worked(self._block(n + 1))]

    def begun_before(self, at: datetime) -> int:
        return self._turns_before(self._first_day(at))

    def around(self, start: datetime, end: datetime) -> Iterator[Turn]:
        day = self._first_day(start)
        number = max(self._turns_before(day) - 1, 0)  # the one that is running when the window opens
        while self._turns_before(day) > number:
            day -= DAY
        stretches: list[tuple[datetime, datetime]] = []
        since: datetime | None = None
        while True:
            if not self.is_off(day):
                turn = self._turns_before(day + DAY) - 1
                if since is None or turn != number:
                    at = self.handoff_on(day)
                    if since is not None and since < at:
                        stretches.append((since, at))
                    if turn != number:
                        yield Turn(number, tuple(stretches))
                        if at >= end:
                            return
                        number, stretches = turn, []
                    since = at
            elif since is not None and not self._runs_on:
                at = self.handoff_on(day)
                if since < at:
                    stretches.append((since, at))
                since = None
            day += DAY

    def _first_day(self, at: datetime) -> date:
        """The first date from the start on whose handoff is at or after the instant."""
        if at <= self._first_handoff:
            return self._start
        day = at.astimezone(self._pattern.timezone).date() - DAY
        while self.handoff_on(day) < at:
            day += DAY
        return day

    def _turns_before(self, day: date) -> int:
        """How many turns have a date before this one."""
        if day <= self._start:
            return 0
        if not self._weekly:
            return -(-self._worked(day) // self._every)
        number = (day - self._start).days // (7 * self._every)
        begun = self._worked(day) > self._worked(self._block(number))
        return number - bisect_left(self._empty_blocks, number) + begun

    def _block(self, number: int) -> date:
        return self._start + timedelta(weeks=self._every * number)

    def _worked(self, day: date) -> int:
        """How many dates from the start date up to this one, which is left out, aren't off."""
        if self._pattern.weekdays_only:
            days = _weekdays_before(day) - _weekdays_before(self._start)
        else:
            days = (day - self._start).days
        return days - bisect_left(self._lost, day)


class HourTurns(Turns):
    """Hourly turns: slots of `every` elapsed hours from the first handoff. Over a change of the clocks the wall-clock
    time of the handoff moves, by design. A slot belongs to the local date on which it begins: if that one is off, so
    is the whole slot, and a slot that begins on Friday runs into Saturday."""

    def __init__(self, pattern: Pattern) -> None:
        super().__init__(pattern)
        self._first = self.handoff_on(pattern.start)
        self._length = timedelta(hours=pattern.every)
        # Runs of slots that are off, [from, to), and how many slots the runs before each hold; known for the dates
        # before `_known_to`, and extended when a later slot is asked for.
        self._off_from: list[int] = []
        self._off_to: list[int] = []
        self._off_sum: list[int] = [0]
        self._known_to = self._first.astimezone(pattern.timezone).date()

    def begun_before(self, at: datetime) -> int:
        return self._number(self._slots_before(at))

    def around(self, start: datetime, end: datetime) -> Iterator[Turn]:
        slot = max((start - self._first) // self._length, 0)
        if self._runs_on:
            while slot > 0 and self._next_held(slot) != slot:
                slot -= 1
        slot = self._next_held(slot)
        number = self._number(slot)
        while (at := self._begins(slot)) < end:
            following = self._next_held(slot + 1)
            yield Turn(number, ((at, self._begins(following if self._runs_on else slot + 1)),))
            slot, number = following, number + 1

    def _begins(self, slot: int) -> datetime:
        return self._first + slot * self._length

    def _slots_before(self, at: datetime) -> int:
        """How many slots begin before that instant."""
        return max(-((self._first - at) // self._length), 0)

    def _number(self, slot: int) -> int:
        """How many slots before this one aren't off."""
        self._know(slot)
        run = bisect_left(self._off_from, slot)
        off = self._off_sum[run]
        if run and self._off_to[run - 1] > slot:
            off -= self._off_to[run - 1] - slot
        return slot - off

    def _next_held(self, slot: int) -> int:
        """This slot, or the first after it that isn't off."""
        while True:
            self._know(slot)
            run = bisect_right(self._off_from, slot) - 1
            if run < 0 or self._off_to[run] <= slot:
                return slot
            slot = self._off_to[run]

    def _know(self, slot: int) -> None:
        """Finds the runs of slots that are off, up to the date on which this slot begins."""
        if not (self._pattern.weekdays_only or self._pattern.holidays):
            return
        last = self._begins(slot).astimezone(self._pattern.timezone).date()
        while self._known_to <= last:
            day, self._known_to = self._known_to, self._known_to + DAY
            if self.is_off(day):
                begin, end = self._slots_before(self._midnight(day)), self._slots_before(self._midnight(day + DAY))
                if begin < end:
                    self._off_from.append(begin)
                    self._off_to.append(end)
                    self._off_sum.append(self._off_sum[-1] + end - begin)

    def _midnight(self, day: date) -> datetime:
        # Where midnight is skipped, fold=0 gives the jump itself, which is where the date begins.
        return datetime.combine(day, time(), self._pattern.timezone).astimezone(UTC)


def _weekdays_before(day: date) -> int:
    """Monday to Friday dates before this one, since 1 January of the year 1, a Monday."""
    weeks, rest = divmod(day.toordinal() - 1, 7)
    return weeks * SATURDAY + min(rest, SATURDAY)


def _date(day: date | str) -> date:
    if isinstance(day, datetime):
        raise ValueError(f"a local date is wanted, not an instant: {day.isoformat()}")
    return date.fromisoformat(day) if isinstance(day, str) else day


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:  # unknown; a directory's name; a name that leaves its folder
        raise ValueError(f"unknown time zone: {name!r}") from error
