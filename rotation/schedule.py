"""Whose shift is it: the one resolver for pages, API, calendar feeds, header and reminders.

`holder` says who holds a rotation at an instant, `shifts` who holds it when; `stretches` says the same with the
reason, for rows, feeds and previews. All are pure: no Django, no clock, no I/O. The rules are
design/rules/rotation.md; when turns begin and end is worked out in `rotation.turns`.

Instants must be aware. They are turned into UTC where they come in, since Python compares two times of the same zone
by their wall clocks, which is wrong in a repeated hour; what goes out is in UTC. Intervals are half-open. Asking about
the first or last days of Python's calendar (the years 1 and 9999) raises OverflowError.

From the bottom up: each turn belongs to the next active entry of the list (the base sequence, which nothing moves), to
a substitute where that member is absent for the whole of it, and to whoever overrides it for as long as they do.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from rotation.turns import Kind, Pattern, Turn, Turns

__all__ = ["Absence", "Kind", "Member", "Override", "Reason", "Rotation", "Shift", "Stretch"]
__all__ += ["holder", "odd_handoffs", "shifts", "stretches"]

Reason = Literal["turn", "substitute", "override"]


# What goes in


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of the list: a login that counts for the shifts starting at or after `since` and before `until`.

    So the versions of a list are kept in the list itself. Whoever joins is inserted with a `since`, whoever leaves
    keeps the entry and gets an `until`, and a person who moves does both: since no entry is ever taken out, the place
    of the last holder never loses its meaning.

    Raises ValueError for a naive instant.
    """

    login: str
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "since", self.since and _utc(self.since))
        object.__setattr__(self, "until", self.until and _utc(self.until))

    def is_active(self, at: datetime) -> bool:
        """Whether the entry counts for a shift that starts at that instant."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class _Interval:
    login: str
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _utc(self.start))
        object.__setattr__(self, "end", _utc(self.end))
        if self.end < self.start:
            raise ValueError(f"ends before it starts: {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC")


@dataclass(frozen=True, slots=True)
class Override(_Interval):
    """A login that holds the rotation for this whole interval, whoever's turn it is, and where there is no shift. A
    swap is two of these. An empty one (a running override cut off as it began) holds nothing.

    Raises ValueError if it ends before it starts, or for a naive instant.
    """


@dataclass(frozen=True, slots=True)
class Absence(_Interval):
    """A login that is away for this interval. It counts for shifts that it covers from beginning to end, alone or with
    other absences of the same login; the others stay as they are, to be asked about.

    Raises ValueError if it ends before it starts, or for a naive instant.
    """


@dataclass(frozen=True, slots=True, init=False)
class Rotation(Pattern):
    """When the turns of a duty are, and whose.

    kind, every: "daily", "weekly" or "hourly" turns, of that many days, weeks or hours.
    handoff: the time on the wall at which turns change, on each boundary date.
    timezone: where that wall is, as an IANA name.
    start: the local date of the first shift; its weekday is that of a weekly handoff.
    members: in order.
    weekdays_only: Saturdays and Sundays have no shift and use up no turn.
    holidays: local dates that have no shift and use up no turn either.
    runs_on: a shift before such dates lasts until the next one begins, instead of leaving them empty.

    Times and dates may also be given in ISO format. Raises ValueError for an unknown kind or zone, `every` out of
    range, a handoff with a zone of its own, an instant for a date, and what isn't ISO format.
    """

    members: tuple[Member, ...]

    def __init__(
        self,
        kind: Kind,
        every: int,
        handoff: time | str,
        timezone: ZoneInfo | str,
        start: date | str,
        members: Iterable[Member],
        weekdays_only: bool = False,
        holidays: Iterable[date | str] = (),
        *,
        runs_on: bool = False,
    ) -> None:
        Pattern.__init__(self, kind, every, handoff, timezone, start, weekdays_only, holidays, runs_on)
        object.__setattr__(self, "members", tuple(members))


# What comes out


class Shift(NamedTuple):
    login: str
    start: datetime
    end: datetime


class Stretch(NamedTuple):
    """An uninterrupted stretch of one shift or one override, and why it is whose.

    planned: whom the base sequence names; None for an override, which may span several shifts.
    boundary: when the shift began that this is (a part of): the same whoever holds it and whatever is cut out of it,
        and so what a calendar event is named by. None for an override.
    override: the place, from 0, of the override among those given; None for a shift.
    """

    login: str
    start: datetime
    end: datetime
    reason: Reason
    planned: str | None
    boundary: datetime | None
    override: int | None


class OddHandoff(NamedTuple):
    """A handoff whose time is skipped, or comes twice, on that local date. `at` is when it takes place."""

    day: date
    at: datetime
    why: Literal["skipped", "repeated"]


# Who holds it


def holder(
    rotation: Rotation,
    at: datetime,
    *,
    overrides: Iterable[Override] = (),
    absences: Iterable[Absence] = (),
) -> str | None:
    """Who holds the rotation at that instant; None where nobody does. At a handoff it is already the incoming member.

    `overrides` are given oldest first. Raises ValueError for a naive instant.
    """
    at = _utc(at)
    for override in reversed(list(overrides)):
        if override.start <= at < override.end:
            return override.login
    held = (shift.login for shift in _planned(rotation, at, at + timedelta.resolution, absences))
    return next(held, None)


def shifts(
    rotation: Rotation,
    start: datetime,
    end: datetime,
    *,
    overrides: Iterable[Override] = (),
    absences: Iterable[Absence] = (),
) -> list[Shift]:
    """Who holds the rotation from `start` to `end`: one entry per uninterrupted stretch of one shift or one override,
    in order, cut off at the window's edges, gaps left out.

    `overrides` are given oldest first. Raises ValueError for a naive instant, and for a window that ends before it
    starts.
    """
    start, end = _utc(start), _utc(end)
    return [
        Shift(stretch.login, max(stretch.start, start), min(stretch.end, end))
        for stretch in stretches(rotation, start, end, overrides=overrides, absences=absences)
    ]


def stretches(
    rotation: Rotation,
    start: datetime,
    end: datetime,
    *,
    overrides: Iterable[Override] = (),
    absences: Iterable[Absence] = (),
) -> list[Stretch]:
    """The same as `shifts`, with reasons, and with the stretches at the window's edges whole: a feed must not name
    an event's beginning after the day on which it was read, and "until when" often lies beyond the window.

    Raises as `shifts` does.
    """
    start, end = _utc(start), _utc(end)
    if end < start:
        raise ValueError("the window ends before it starts")
    if start == end:
        return []
    planned = list(_planned(rotation, start, end, absences))
    first = min(start, planned[0].start) if planned else start
    last = max(end, planned[-1].end) if planned else end
    laid = _visible(list(overrides), first, last)
    found = [stretch for stretch in _merged(planned, laid) if stretch.end > start and stretch.start < end]
    found.sort(key=lambda stretch: stretch.start)
    return found


def odd_handoffs(rotation: Rotation, start: datetime, end: datetime) -> list[OddHandoff]:
    """The handoffs in the window that fall in a skipped or repeated hour, for the form to warn of.

    Of hourly turns only the first has a wall-clock handoff. Raises ValueError for a naive instant.
    """
    start, end = _utc(start), _utc(end)
    turns = Turns.of(rotation)
    if rotation.kind == "hourly":
        boundaries = {turns.handoff_on(rotation.start)}
    else:
        boundaries = {at for turn in turns.around(start, end) for stretch in turn.stretches for at in stretch}
    odd: list[OddHandoff] = []
    for at in sorted(at for at in boundaries if start <= at < end):
        # A time that is skipped late in the evening takes place on the date after the one it was meant for.
        day = at.astimezone(rotation.timezone).date()
        day = day if turns.handoff_on(day) == at else day - timedelta(days=1)
        wall = datetime.combine(day, rotation.handoff, rotation.timezone)
        change = _offset(wall.replace(fold=1)) - _offset(wall)
        if change and turns.handoff_on(day) == at:
            odd.append(OddHandoff(day, at, "skipped" if change > timedelta() else "repeated"))
    return odd


# The base sequence, with substitutes


class _Seating(NamedTuple):
    """From this turn on, until the next seating, these places of the list take turns, `seat` being the first."""

    turn: int
    places: list[int]
    seat: int


def _seatings(rotation: Rotation, turns: Turns, end: datetime) -> list[_Seating]:
    """The base sequence as far as turns that begin before `end`.

    Between two edits the list is a fixed ring, in which any turn's holder can be reckoned; only across an edit must
    the place of the last holder be carried over. Reckoning with the length of a ring is safe for that reason alone:
    the count starts anew at each edit.
    """
    members = rotation.members
    edits = {at for member in members for at in (member.since, member.until) if at is not None and at < end}
    found: list[_Seating] = []
    places = [place for place, member in enumerate(members) if member.since is None]
    turn, last = 0, -1
    for edit in sorted(edits):
        following = turns.begun_before(edit)  # an edit counts from the first shift starting at or after it
        if following > turn:
            seating = _seated(turn, places, last)
            found.append(seating)
            if places:
                last = places[(seating.seat + following - turn - 1) % len(places)]
            turn = following
        places = [place for place, member in enumerate(members) if member.is_active(edit)]
    found.append(_seated(turn, places, last))
    return found


def _seated(turn: int, places: list[int], last: int) -> _Seating:
    # The next active place after the last base holder's, who need no longer be active. While nobody is, no place is
    # used up.
    return _Seating(turn, places, bisect_right(places, last) % len(places) if places else 0)


class _Span(NamedTuple):
    start: datetime
    end: datetime


def _planned(rotation: Rotation, start: datetime, end: datetime, absences: Iterable[Absence]) -> Iterator[Stretch]:
    """The shifts with a part in the window, whole and in order, as they are without overrides."""
    turns = Turns.of(rotation)
    seatings = _seatings(rotation, turns, end)
    away = _Away(absences)
    current = 0
    for turn in turns.around(start, end):
        while current + 1 < len(seatings) and seatings[current + 1].turn <= turn.number:
            current += 1
        first, places, seat = seatings[current]
        seat += turn.number - first
        # The substitute is the next present member in order; the seat itself stays, and so do everybody else's dates.
        in_order = (rotation.members[places[(seat + n) % len(places)]].login for n in range(len(places)))
        planned = login = next(in_order, None)
        while login is not None and away.for_whole(login, turn):
            login = next(in_order, None)
        if planned is None or login is None:
            continue
        reason: Reason = "turn" if login == planned else "substitute"
        for begun, over in turn.stretches:
            if over > start and begun < end:
                yield Stretch(login, begun, over, reason, planned, begun, None)


class _Away:
    """Absences by login, those that touch or overlap joined."""

    def __init__(self, absences: Iterable[Absence]) -> None:
        self._spans: dict[str, list[_Span]] = {}
        for absence in sorted(absences, key=lambda absence: absence.start):
            spans = self._spans.setdefault(absence.login, [])
            if spans and absence.start <= spans[-1].end:
                spans[-1] = _Span(spans[-1].start, max(spans[-1].end, absence.end))
            else:
                spans.append(_Span(absence.start, absence.end))

    def for_whole(self, login: str, turn: Turn) -> bool:
        """Whether the login is away for all that the turn holds; whoever comes back for an hour of it, has it."""
        spans = self._spans.get(login)
        return spans is not None and all(self._covered(spans, *stretch) for stretch in turn.stretches)

    @staticmethod
    def _covered(spans: list[_Span], start: datetime, end: datetime) -> bool:
        index = bisect_right(spans, start, key=lambda span: span.start) - 1
        return index >= 0 and end <= spans[index].end


# Overrides on top


def _visible(overrides: list[Override], start: datetime, end: datetime) -> list[Stretch]:
    """What is to be seen of the overrides in the window: whole stretches, in order, no two at once.

    A sweep along the times at which an override begins or ends; of those that are on, the newest counts.
    """
    inside = [each for each in overrides if each.start < end and each.end > start]
    if not inside:
        return []
    # A stretch that sticks out of the window may be cut by a newer override that lies outside altogether.
    start, end = min(each.start for each in inside), max(each.end for each in inside)
    coming = [
        (each.start, index, each)
        for index, each in enumerate(overrides)
        if each.start < end and each.end > start and each.start < each.end
    ]
    coming.sort()
    times = sorted({at for _, _, each in coming for at in (each.start, each.end)})
    on: list[tuple[int, Override]] = []  # newest first
    seen: list[Stretch] = []
    arrived = 0
    for at, following in pairwise(times):
        while arrived < len(coming) and coming[arrived][0] <= at:
            _, index, override = coming[arrived]
            heapq.heappush(on, (-index, override))
            arrived += 1
        while on and on[0][1].end <= at:
            heapq.heappop(on)
        if not on:
            continue
        index, override = -on[0][0], on[0][1]
        if seen and seen[-1].override == index:  # and so it ends here: it was on all the time
            seen[-1] = seen[-1]._replace(end=following)
        else:
            seen.append(Stretch(override.login, at, following, "override", None, None, index))
    return seen


def _merged(planned: list[Stretch], laid: list[Stretch]) -> Iterator[Stretch]:
    """The overrides, and what they leave of the shifts; not in order."""
    yield from laid
    first = 0
    for shift in planned:
        while first < len(laid) and laid[first].end <= shift.start:
            first += 1
        free = shift.start
        index = first
        while index < len(laid) and laid[index].start < shift.end:
            if free < laid[index].start:
                yield shift._replace(start=free, end=laid[index].start)
            free = laid[index].end
            index += 1
        if free == shift.start:
            yield shift
        elif free < shift.end:
            yield shift._replace(start=free)


# What comes in, made uniform


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"an instant needs a time zone: {at.isoformat()}")
    return at.astimezone(UTC)


def _offset(wall: datetime) -> timedelta:
    offset = wall.utcoffset()
    assert offset is not None
    return offset
