"""The resolver, against the worked examples, the sentences of the rules one by one, changes of the clocks in several
zones, an independent and slow transcription of the rules, and properties that must hold in any rotation."""

import json
import os
import time as clock
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.schedule import (
    Absence,
    Member,
    Override,
    Rotation,
    Shift,
    Stretch,
    holder,
    odd_handoffs,
    shifts,
    stretches,
)

CASES = json.loads((Path(__file__).parent / "examples" / "rotation.json").read_text())["cases"]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NEW_YORK, LONDON = "America/New_York", "Europe/London"
LORD_HOWE, KOLKATA = "Australia/Lord_Howe", "Asia/Kolkata"


def utc(text: str) -> datetime:
    """ "2026-03-01 09:00", in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def people(names: str) -> list[Member]:
    return [Member(name) for name in names.split()]


def daily(
    names: str | list[Member] = "ana bo cy",
    start: str = "2026-06-01",
    handoff: str = "09:00",
    zone: str = "UTC",
    kind: Any = "daily",
    every: int = 1,
    **more: Any,
) -> Rotation:
    """A rotation, daily unless said otherwise. 1 June 2026 is a Monday."""
    members = people(names) if isinstance(names, str) else names
    return Rotation(kind, every, handoff, zone, start, members, **more)


def said(found: Iterable[Shift | Stretch], zone: str = "UTC") -> list[str]:
    """Like "ana 01T09 02T09": day and hour, with minutes if there are any, in that zone."""
    return [f"{each.login} {_short(each.start, zone)} {_short(each.end, zone)}" for each in found]


def _short(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%dT%H:%M").removesuffix(":00")


def june(start: int, end: int) -> tuple[datetime, datetime]:
    """From 09:00 UTC on one day of June 2026 to the same time on another."""
    return utc("2026-06-01 09:00") + (start - 1) * DAY, utc("2026-06-01 09:00") + (end - 1) * DAY


# The worked examples


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_worked_example(case: dict[str, Any]) -> None:
    def at(text: str | None) -> datetime | None:
        return datetime.fromisoformat(text) if text else None

    given = dict(case["rotation"])
    given["members"] = [
        Member(who) if isinstance(who, str) else Member(who["user"], at(who.get("from")), at(who.get("until")))
        for who in given["members"]
    ]
    given["handoff"], given["start"] = time.fromisoformat(given["handoff"]), date.fromisoformat(given["start"])
    given["holidays"] = [date.fromisoformat(day) for day in given.get("holidays", ())]
    rotation = Rotation(**given)
    layers: dict[str, Any] = {
        "overrides": [Override(each["user"], at(each["start"]), at(each["end"])) for each in case["overrides"]],  # type: ignore[arg-type]
        "absences": [Absence(each["user"], at(each["start"]), at(each["end"])) for each in case["unavailability"]],  # type: ignore[arg-type]
    }
    query, expect = case["query"], case["expect"]
    if "at" in query:
        assert holder(rotation, datetime.fromisoformat(query["at"]), **layers) == expect
        return
    window = datetime.fromisoformat(query["from"]), datetime.fromisoformat(query["to"])
    expected = [Shift(each["user"], at(each["start"]), at(each["end"])) for each in expect]  # type: ignore[arg-type]
    assert shifts(rotation, *window, **layers) == expected
    for shift in expected:
        assert holder(rotation, shift.start, **layers) == shift.login
        assert holder(rotation, shift.end - timedelta.resolution, **layers) == shift.login


# Intervals and instants


def test_instants_compare_absolutely_also_in_a_repeated_hour() -> None:
    # Handoff at 01:30 in New York, which comes twice on 1 November: the first pass counts.
    rotation = daily("ana bo", "2026-10-31", "01:30", NEW_YORK)
    assert holder(rotation, local("2026-11-01 01:29", NEW_YORK)) == "ana"
    assert holder(rotation, local("2026-11-01 01:30", NEW_YORK)) == "bo"
    assert holder(rotation, local("2026-11-01 01:10", NEW_YORK, fold=1)) == "bo"  # a wall clock before the handoff
    cover = Override("di", local("2026-11-01 01:50", NEW_YORK), local("2026-11-01 01:10", NEW_YORK, fold=1))
    assert cover.end - cover.start == timedelta(minutes=20)
    assert holder(rotation, local("2026-11-01 01:00", NEW_YORK, fold=1), overrides=[cover]) == "di"
    assert holder(rotation, local("2026-11-01 01:10", NEW_YORK, fold=1), overrides=[cover]) == "bo"
    assert holder(rotation, local("2026-11-01 06:10", "UTC"), overrides=[cover]) == "bo"


def test_window_cuts_shifts_but_not_stretches() -> None:
    window = utc("2026-06-02 12:00"), utc("2026-06-03 12:00")
    assert said(shifts(daily(), *window)) == ["bo 02T12 03T09", "cy 03T09 03T12"]
    assert said(stretches(daily(), *window)) == ["bo 02T09 03T09", "cy 03T09 04T09"]
    assert shifts(daily(), window[0], window[0]) == stretches(daily(), window[0], window[0]) == []
    assert all(at.tzinfo is UTC for each in shifts(daily(zone=KOLKATA), *window) for at in each[1:])


def test_whole_stretches_also_outside_the_window() -> None:
    # The old override reaches back to where a newer one, wholly before the window, left it.
    overrides = [Override("di", *june(2, 9)), Override("ed", *june(3, 4)), Override("flo", *june(12, 13))]
    window = utc("2026-06-05 12:00"), utc("2026-06-05 13:00")
    assert said(stretches(daily(), *window, overrides=overrides)) == ["di 04T09 09T09"]
    assert said(stretches(daily(every=4), *june(8, 9), overrides=overrides[1:])) == ["bo 05T09 09T09"]


# Handoffs and changes of the clocks


@pytest.mark.parametrize(
    ("zone", "before", "hours"),
    [
        (NEW_YORK, "2026-03-07", 23),
        (NEW_YORK, "2026-10-31", 25),
        (LONDON, "2026-03-28", 23),
        (LONDON, "2026-10-24", 25),
        (LORD_HOWE, "2026-10-03", 23.5),
        (LORD_HOWE, "2026-04-04", 24.5),
        (KOLKATA, "2026-03-28", 24),
        (KOLKATA, "2026-10-31", 24),
    ],
)
def test_length_of_days(zone: str, before: str, hours: float) -> None:
    """The date before a change of the clocks, at a handoff of 09:00: only the shift across it is shorter or longer."""
    first = date.fromisoformat(before) - 2 * DAY
    rotation = daily(zone=zone, start=first.isoformat())
    begin = datetime.combine(first, time(9), ZoneInfo(zone))
    found = shifts(rotation, begin, begin + 5 * DAY)  # in wall-clock time, as Python adds within one zone
    assert [(each.end - each.start) / HOUR for each in found] == [24, 24, hours, 24, 24]
    assert [each.login for each in found] == ["ana", "bo", "cy", "ana", "bo"]
    assert {each.start.astimezone(ZoneInfo(zone)).time() for each in found} == {time(9)}


@pytest.mark.parametrize(
    ("zone", "day", "handoff", "at", "why"),
    [
        # skipped: as long after the jump as it was meant to be after its beginning
        (NEW_YORK, "2026-03-08", "02:30", "2026-03-08 07:30", "skipped"),
        (NEW_YORK, "2026-03-08", "02:00", "2026-03-08 07:00", "skipped"),
        (NEW_YORK, "2026-03-08", "03:00", "2026-03-08 07:00", None),
        (LONDON, "2026-03-29", "01:15", "2026-03-29 01:15", "skipped"),
        (LORD_HOWE, "2026-10-04", "02:15", "2026-10-03 15:45", "skipped"),
        (LORD_HOWE, "2026-10-04", "02:45", "2026-10-03 15:45", None),
        # repeated: the first pass
        (NEW_YORK, "2026-11-01", "01:30", "2026-11-01 05:30", "repeated"),
        (NEW_YORK, "2026-11-01", "02:00", "2026-11-01 07:00", None),
        (LONDON, "2026-10-25", "01:15", "2026-10-25 00:15", "repeated"),
        (LORD_HOWE, "2026-04-05", "01:45", "2026-04-04 14:45", "repeated"),
        (LORD_HOWE, "2026-04-05", "02:00", "2026-04-04 15:30", None),
        (KOLKATA, "2026-03-29", "01:30", "2026-03-28 20:00", None),
        # a midnight that doesn't exist
        ("Africa/Cairo", "2026-04-24", "00:00", "2026-04-23 22:00", "skipped"),
    ],
)
def test_handoff_in_a_skipped_or_repeated_hour(zone: str, day: str, handoff: str, at: str, why: str | None) -> None:
    rotation = daily(zone=zone, start=(date.fromisoformat(day) - DAY).isoformat(), handoff=handoff)
    boundary = utc(at)
    assert holder(rotation, boundary - timedelta.resolution) == "ana"
    assert holder(rotation, boundary) == "bo"
    odd = odd_handoffs(rotation, boundary - 60 * DAY, boundary + 60 * DAY)
    assert [(each.day.isoformat(), each.at, each.why) for each in odd] == ([(day, boundary, why)] if why else [])
    # An hourly rotation asks the wall clock but once, however often it comes by that time again.
    for start in (day, (date.fromisoformat(day) - DAY).isoformat()):
        hourly = daily(zone=zone, start=start, handoff=handoff, kind="hourly", every=24)
        assert bool(odd_handoffs(hourly, boundary - 60 * DAY, boundary + 60 * DAY)) == (
            start == day and why is not None
        )


def test_handoff_skipped_late_in_the_evening_belongs_to_its_own_date() -> None:
    # Toronto skipped 23:30 to 00:30 on 30 March 1919.
    rotation = daily(zone="America/Toronto", start="1919-03-28", handoff="23:45")
    (odd,) = odd_handoffs(rotation, utc("1919-03-20 00:00"), utc("1919-04-10 00:00"))
    assert (odd.day, odd.at, odd.why) == (date(1919, 3, 30), utc("1919-03-31 04:45"), "skipped")


def test_odd_handoffs_only_on_boundary_dates() -> None:
    # A weekly rotation from a Monday never meets the Sunday on which clocks change.
    window = utc("2026-01-01 00:00"), utc("2027-01-01 00:00")
    rotation = daily(zone=NEW_YORK, start="2026-01-05", handoff="02:30", kind="weekly")
    assert odd_handoffs(rotation, *window) == []
    assert [each.why for each in odd_handoffs(replace(rotation, kind="daily"), *window)] == ["skipped"]
    assert odd_handoffs(replace(rotation, kind="daily", handoff=time(1, 30)), *window)[0].why == "repeated"
    # Neither does one that has the weekend off, though Saturday's handoff ends Friday's shift.
    assert odd_handoffs(replace(rotation, kind="daily", weekdays_only=True), *window) == []


def test_a_date_that_the_zone_left_out() -> None:
    # Samoa had no 30 December 2011. The turn passes without a stretch; nobody holds an empty interval.
    rotation = daily("ana bo cy di", zone="Pacific/Apia", start="2011-12-28")
    found = shifts(rotation, utc("2011-12-28 00:00"), utc("2012-01-01 19:00"))
    assert said(found, "Pacific/Apia") == ["ana 28T09 29T09", "bo 29T09 31T09", "di 31T09 01T09", "ana 01T09 02T09"]


def test_hourly_turns_count_elapsed_hours() -> None:
    # 24 hours from 09:00 are 10:00 once New York's clocks have gone forward.
    rotation = daily(zone=NEW_YORK, start="2026-03-07", kind="hourly", every=24)
    found = shifts(rotation, utc("2026-03-07 14:00"), utc("2026-03-10 14:00"))
    assert said(found, NEW_YORK) == ["ana 07T09 08T10", "bo 08T10 09T10", "cy 09T10 10T10"]
    assert all(each.end - each.start == DAY for each in found)


def test_kinds() -> None:
    weekly = daily(start="2026-06-03", kind="weekly", every=2)  # a Wednesday
    assert said(shifts(weekly, *june(1, 60))) == [
        "ana 03T09 17T09", "bo 17T09 01T09", "cy 01T09 15T09", "ana 15T09 29T09", "bo 29T09 30T09",
    ]  # fmt: skip
    hourly = daily(kind="hourly", every=5)
    assert said(shifts(hourly, *june(1, 2)))[:3] == ["ana 01T09 01T14", "bo 01T14 01T19", "cy 01T19 02T00"]
    assert holder(hourly, june(1, 2)[0] - timedelta.resolution) is None
    assert holder(weekly, utc("1970-01-01 00:00")) is None


# Turns, weekdays and holidays


def test_weekend_has_no_shift_and_uses_up_no_turn() -> None:
    rotation = daily("ana bo", weekdays_only=True)
    assert said(shifts(rotation, *june(4, 10))) == [
        "bo 04T09 05T09", "ana 05T09 06T09", "bo 08T09 09T09", "ana 09T09 10T09",
    ]  # fmt: skip


def test_a_setting_may_run_friday_to_monday() -> None:
    rotation = daily("ana bo", weekdays_only=True, holidays=["2026-06-09"], runs_on=True)
    assert said(shifts(rotation, *june(4, 11))) == [
        "bo 04T09 05T09", "ana 05T09 08T09", "bo 08T09 10T09", "ana 10T09 11T09",
    ]  # fmt: skip
    assert holder(daily(start="2026-06-06", weekdays_only=True, runs_on=True), utc("2026-06-07 12:00")) is None
    assert said(shifts(rotation, utc("2026-06-07 12:00"), utc("2026-06-07 13:00"))) == ["ana 07T12 07T13"]
    # Absent "for a whole shift" then means the weekend too.
    assert holder(rotation, *june(6, 6)[:1], absences=[Absence("ana", *june(5, 6))]) == "ana"
    assert holder(rotation, *june(6, 6)[:1], absences=[Absence("ana", *june(5, 8))]) == "bo"


def test_start_on_a_day_off() -> None:
    rotation = daily(start="2026-06-06", weekdays_only=True, holidays=[date(2026, 6, 8)])
    assert said(shifts(rotation, *june(1, 11))) == ["ana 09T09 10T09", "bo 10T09 11T09"]


def test_holidays_without_weekdays_only() -> None:
    rotation = daily(holidays=["2026-06-02", "2026-06-06"])
    assert said(shifts(rotation, *june(1, 8))) == [
        "ana 01T09 02T09", "bo 03T09 04T09", "cy 04T09 05T09", "ana 05T09 06T09", "bo 07T09 08T09",
    ]  # fmt: skip


def test_turns_of_three_working_days() -> None:
    # bo's turn is Thursday, Friday and Monday; the weekend between is nobody's.
    rotation = daily(every=3, weekdays_only=True)
    assert said(shifts(rotation, *june(1, 12))) == [
        "ana 01T09 04T09", "bo 04T09 06T09", "bo 08T09 09T09", "cy 09T09 12T09",
    ]  # fmt: skip
    # Away until Sunday isn't away for the whole of it, and neither is away on Monday.
    away = Absence("bo", *june(3, 7))
    monday = Absence("bo", *june(8, 9))
    assert holder(rotation, june(4, 4)[0], absences=[away]) == "bo"
    assert holder(rotation, june(8, 8)[0], absences=[monday]) == "bo"
    assert holder(rotation, june(8, 8)[0], absences=[monday, away]) == "cy"


def test_holidays_cut_weekly_turns() -> None:
    rotation = daily(kind="weekly", holidays=["2026-06-03", "2026-06-08"])
    assert said(shifts(rotation, *june(1, 16))) == [
        "ana 01T09 03T09", "ana 04T09 08T09", "bo 09T09 15T09", "cy 15T09 16T09",
    ]  # fmt: skip
    # A week without a working day uses up nobody's turn.
    rotation = daily(kind="weekly", weekdays_only=True, holidays=[date(2026, 6, day) for day in range(8, 13)])
    assert said(shifts(rotation, *june(1, 23))) == ["ana 01T09 06T09", "bo 15T09 20T09", "cy 22T09 23T09"]


def test_hourly_slots_that_begin_on_a_day_off() -> None:
    rotation = daily(start="2026-06-05", handoff="18:00", kind="hourly", every=12, weekdays_only=True)
    window = utc("2026-06-05 18:00"), utc("2026-06-09 06:00")
    # Friday's second turn runs into Saturday; Monday's first begins at 06:00.
    assert said(shifts(rotation, *window)) == ["ana 05T18 06T06", "bo 08T06 08T18", "cy 08T18 09T06"]
    rotation = daily(start="2026-06-05", handoff="18:00", kind="hourly", every=12, weekdays_only=True, runs_on=True)
    assert said(shifts(rotation, *window)) == ["ana 05T18 08T06", "bo 08T06 08T18", "cy 08T18 09T06"]
    assert holder(rotation, utc("2026-06-07 12:00")) == "ana"


# Absences


def test_absence_counts_for_whole_shifts_only() -> None:
    noon = june(2, 3)[0] + 3 * HOUR
    for absence, expected in [
        (Absence("bo", *june(2, 3)), "cy"),
        (Absence("bo", june(2, 2)[0] - HOUR, june(3, 3)[0] + HOUR), "cy"),
        (Absence("bo", june(2, 2)[0] + timedelta.resolution, june(3, 3)[0]), "bo"),
        (Absence("bo", june(2, 2)[0], june(3, 3)[0] - timedelta.resolution), "bo"),
        (Absence("ana", *june(2, 3)), "bo"),
    ]:
        assert holder(daily(), noon, absences=[absence]) == expected
    halves = [Absence("bo", noon, june(3, 3)[0]), Absence("bo", june(1, 1)[0], noon)]
    assert holder(daily(), noon, absences=halves) == "cy"


def test_substitute_is_the_next_present_and_dates_stay() -> None:
    away = [Absence("bo", *june(1, 7)), Absence("cy", *june(2, 3))]
    assert said(shifts(daily("ana bo cy di"), *june(1, 7), absences=away)) == [
        "ana 01T09 02T09", "di 02T09 03T09", "cy 03T09 04T09", "di 04T09 05T09", "ana 05T09 06T09", "cy 06T09 07T09",
    ]  # fmt: skip
    # Order goes on from the list's end to its beginning, and past whoever doesn't count yet.
    members = [*people("ana bo cy"), Member("di", since=utc("2027-01-01 00:00"))]
    assert holder(daily(members), june(3, 3)[0], absences=[Absence("cy", *june(3, 4))]) == "ana"
    # With nobody present there is a gap: naming somebody who is away would be worse.
    assert holder(daily("ana"), june(3, 3)[0], absences=[Absence("ana", *june(3, 4))]) is None
    everyone = [Absence(name, *june(3, 5)) for name in ("ana", "bo", "cy")]
    assert said(shifts(daily(), *june(2, 6), absences=everyone)) == ["bo 02T09 03T09", "bo 05T09 06T09"]


def test_substitute_of_a_person_who_is_listed_twice_is_somebody_else() -> None:
    assert holder(daily("ana ana bo"), june(1, 1)[0], absences=[Absence("ana", *june(1, 3))]) == "bo"


def test_override_beats_absence() -> None:
    away = [Absence("bo", *june(1, 9))]
    cover = Override("bo", june(2, 2)[0] + HOUR, june(3, 3)[0] - HOUR)
    assert said(shifts(daily(), *june(2, 3), overrides=[cover], absences=away)) == [
        "cy 02T09 02T10", "bo 02T10 03T08", "cy 03T08 03T09",
    ]  # fmt: skip
    # Whether a shift is covered as a whole is asked of the shift, not of what an override leaves of it.
    half = [Absence("bo", june(2, 2)[0] + HOUR, june(3, 3)[0])]
    first_hour = Override("di", june(2, 2)[0], june(2, 2)[0] + HOUR)
    assert holder(daily(), june(3, 3)[0] - HOUR, overrides=[first_hour], absences=half) == "bo"


# Overrides


def test_overrides_where_there_is_no_shift() -> None:
    rotation = daily(weekdays_only=True)
    overrides = [Override("di", june(-1, 1)[0], june(-1, 1)[0] + HOUR), Override("ed", *june(6, 7))]
    assert said(shifts(rotation, *june(-5, 2), overrides=overrides)) == ["di 30T09 30T10", "ana 01T09 02T09"]
    assert said(shifts(rotation, *june(5, 9), overrides=overrides)) == [
        "bo 05T09 06T09", "ed 06T09 07T09", "cy 08T09 09T09",
    ]  # fmt: skip
    assert holder(daily([]), june(1, 1)[0], overrides=[Override("ed", *june(1, 2))]) == "ed"


def test_one_entry_per_override_however_many_shifts_it_spans() -> None:
    overrides = [Override("bo", june(1, 1)[0] + HOUR, june(3, 3)[0] + HOUR)]
    assert said(shifts(daily(), *june(1, 4), overrides=overrides)) == [
        "ana 01T09 01T10", "bo 01T10 03T10", "cy 03T10 04T09",
    ]  # fmt: skip
    # One entry per override, also of one login, and also where the shift is the same person's.
    overrides = [Override("ana", *june(1, 2)), Override("ana", *june(2, 3))]
    assert said(shifts(daily(), *june(1, 3), overrides=overrides)) == ["ana 01T09 02T09", "ana 02T09 03T09"]
    overrides = [Override("ana", june(1, 1)[0] + HOUR, june(1, 1)[0] + 2 * HOUR)]
    assert said(shifts(daily(), *june(1, 2), overrides=overrides)) == [
        "ana 01T09 01T10", "ana 01T10 01T11", "ana 01T11 02T09",
    ]  # fmt: skip


def test_newest_override_wins_and_the_older_resumes() -> None:
    overrides = [
        Override("di", *june(1, 5)),
        Override("ed", *june(2, 3)),
        Override("flo", *june(4, 6)),
        Override("gil", *june(4, 4)),  # empty
        Override("hal", *june(9, 12)),
    ]
    assert said(shifts(daily(), *june(1, 7), overrides=overrides)) == [
        "di 01T09 02T09", "ed 02T09 03T09", "di 03T09 04T09", "flo 04T09 06T09", "cy 06T09 07T09",
    ]  # fmt: skip
    newest_first = overrides[::-1]
    assert said(shifts(daily(), *june(1, 7), overrides=newest_first)) == [
        "di 01T09 05T09", "flo 05T09 06T09", "cy 06T09 07T09",
    ]  # fmt: skip


def test_stretches_say_why() -> None:
    overrides = [Override("di", june(1, 1)[0] + HOUR, june(1, 1)[0] + 2 * HOUR)]
    found = stretches(daily(), *june(1, 3), overrides=overrides, absences=[Absence("bo", *june(2, 3))])
    assert [(each.login, each.reason, each.planned, each.boundary, each.override) for each in found] == [
        ("ana", "turn", "ana", june(1, 1)[0], None),
        ("di", "override", None, None, 0),
        ("ana", "turn", "ana", june(1, 1)[0], None),
        ("cy", "substitute", "bo", june(2, 2)[0], None),
    ]


# List edits


def test_an_edit_counts_from_the_first_shift_at_or_after_it() -> None:
    for since, first in [(june(2, 2)[0], 2), (june(2, 2)[0] + timedelta.resolution, 3), (june(3, 3)[0], 3)]:
        rotation = daily([Member("ana", until=since), Member("bo", since=since)])
        found = shifts(rotation, *june(1, 5))
        assert [each.login for each in found] == ["ana"] * (first - 1) + ["bo"] * (5 - first)


def test_next_holder_is_found_from_the_last_place() -> None:
    def names(*members: Member, days: int = 8) -> str:
        return " ".join(each.login for each in shifts(daily(list(members)), *june(1, 1 + days)))

    edit = june(4, 4)[0]  # the last base holder is cy, on the 3rd
    ana, bo, cy, di = people("ana bo cy di")
    assert names(ana, bo, cy, di) == "ana bo cy di ana bo cy di"
    assert names(ana, bo, cy, Member("di", until=edit)) == "ana bo cy ana bo cy ana bo"
    assert names(ana, bo, Member("cy", until=edit), di) == "ana bo cy di ana bo di ana"
    assert names(ana, Member("x", since=edit), bo, cy, di) == "ana bo cy di ana x bo cy"
    assert names(ana, bo, cy, Member("x", since=edit), di) == "ana bo cy x di ana bo cy"
    # Moved to the front: the old entry stays as a place.
    assert names(Member("di", since=edit), ana, bo, cy, Member("di", until=edit)) == "ana bo cy di ana bo cy di"
    # A substitute or an override never moves the sequence.
    rotation = daily([ana, bo, Member("cy", until=edit), di])
    layers: dict[str, Any] = {"absences": [Absence("cy", *june(3, 4))], "overrides": [Override("x", *june(1, 3))]}
    found = shifts(rotation, *june(1, 7), **layers)
    assert [each.login for each in found] == ["x", "di", "di", "ana", "bo"]


def test_list_without_anybody_for_a_while() -> None:
    gone, back = june(3, 3)[0], june(5, 5)[0]
    members = [Member("ana", until=gone), Member("bo", until=gone), Member("cy", since=back), Member("ana", since=back)]
    assert said(shifts(daily(members), *june(1, 8))) == [
        "ana 01T09 02T09", "bo 02T09 03T09", "cy 05T09 06T09", "ana 06T09 07T09", "cy 07T09 08T09",
    ]  # fmt: skip
    assert shifts(daily([]), *june(1, 8)) == []
    assert holder(daily([Member("ana", since=june(9, 9)[0], until=june(2, 2)[0])]), june(20, 20)[0]) is None


def test_far_ends_of_time() -> None:
    forever = Member("ana", datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    override = Override("di", datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    away = Absence("ana", override.start, override.end)
    for kind in ("daily", "weekly", "hourly"):
        rotation = daily([forever], kind=kind)
        assert holder(rotation, june(3, 3)[0]) == "ana"
        assert holder(rotation, june(3, 3)[0], absences=[away]) is None
        assert said(shifts(rotation, *june(3, 4), overrides=[override])) == ["di 03T09 04T09"]


# Bad input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"zone": "Mars/Olympus"}, "unknown time zone"),
        ({"zone": "../etc/passwd"}, "unknown time zone"),
        ({"zone": "America"}, "unknown time zone"),
        ({"zone": ""}, "unknown time zone"),
        ({"kind": "yearly"}, "unknown kind"),
        ({"every": 0}, "units long"),
        ({"every": -1}, "units long"),
        ({"every": 10**9}, "units long"),
        ({"handoff": "25:00"}, "hour"),
        ({"handoff": "soon"}, "isoformat"),
        ({"handoff": time(9, tzinfo=UTC)}, "on the wall"),
        ({"start": "2026-02-30"}, "day"),
        ({"start": datetime(2026, 1, 1)}, "not an instant"),
        ({"holidays": ["Christmas"]}, "isoformat"),
    ],
)
def test_bad_rotation(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        daily(**change)


def test_bad_instants() -> None:
    naive = datetime(2026, 6, 1)
    start, end = june(1, 2)
    for make in (
        lambda: holder(daily(), naive),
        lambda: shifts(daily(), naive, end),
        lambda: stretches(daily(), start, naive),
        lambda: odd_handoffs(daily(), start, naive),
        lambda: Member("ana", since=naive),
        lambda: Override("ana", naive, end),
        lambda: Absence("ana", start, naive),
    ):
        with pytest.raises(ValueError, match="time zone"):
            make()
    for make in (lambda: Override("ana", end, start), lambda: Absence("ana", end, start)):
        with pytest.raises(ValueError, match="ends before it starts"):
            make()
    with pytest.raises(ValueError, match="ends before it starts"):
        shifts(daily(), end, start)


def test_text_and_typed_values_are_one() -> None:
    typed = Rotation("daily", 1, time(9), ZoneInfo("UTC"), date(2026, 6, 1), people("ana"), True, {date(2026, 6, 2)})
    text = Rotation("daily", 1, "09:00", "UTC", "2026-06-01", people("ana"), True, ["2026-06-02"])
    assert typed == text
    assert hash(typed) == hash(text)
    assert replace(typed, every=2).every == 2
    assert typed != replace(typed, members=people("bo"))


# Speed


def test_a_year_resolves_in_a_few_milliseconds() -> None:
    start = utc("2026-01-01 00:00")
    members = [Member(f"m{i}", since=start - (900 - 20 * i) * DAY if i % 2 else None) for i in range(40)]
    rotation = Rotation("daily", 1, "09:00", NEW_YORK, "2016-01-01", members)
    hours = [start + (37 * i % 8760) * HOUR for i in range(300)]
    overrides = [Override(f"m{i % 40}", at, at + (5 + i % 60) * HOUR) for i, at in enumerate(hours)]
    absences = [Absence(f"m{i % 40}", at, at + (20 + i % 90) * HOUR) for i, at in enumerate(hours[:200])]
    times = []
    for _ in range(5):
        begun = clock.perf_counter()
        shifts(rotation, start, start + 365 * DAY, overrides=overrides, absences=absences)
        times.append(clock.perf_counter() - begun)
    assert min(times) < 0.02  # `make bench` measures; this only notices when a walk from the start date has crept in


# Properties

EXAMPLES = int(os.environ.get("ROTATION_EXAMPLES", "150"))
ORIGIN = utc("2026-01-01 00:00")
LOGINS = ["ana", "bo", "cy", "di", "ed"]
ZONES = [NEW_YORK, LONDON, LORD_HOWE, KOLKATA, "UTC", "Africa/Cairo", "America/Santiago"]
# Just before a change of the clocks in one of the zones, or anywhere.
STARTS = [
    "2026-03-05",
    "2026-03-27",
    "2026-04-02",
    "2026-04-22",
    "2026-09-03",
    "2026-10-01",
    "2026-10-23",
    "2026-10-29",
]
HALF_HOUR = timedelta(minutes=30)


@st.composite
def rotations(draw: st.DrawFn, *, edits: bool = True) -> Rotation:
    start = date.fromisoformat(draw(st.sampled_from(STARTS))) + draw(st.integers(0, 4)) * DAY
    kind = draw(st.sampled_from(["daily", "daily", "weekly", "hourly"]))
    near = st.integers(-100, 1500).map(lambda n: datetime.combine(start, time(), UTC) + n * HALF_HOUR)
    dated = st.none() | near if edits else st.none()
    return Rotation(
        kind,
        draw(st.sampled_from([1, 5, 8, 24, 30]) if kind == "hourly" else st.sampled_from([1, 1, 2, 3])),
        draw(st.sampled_from(["00:00", "01:30", "02:00", "02:30", "09:00", "23:30"])),
        draw(st.sampled_from(ZONES)),
        start,
        draw(st.lists(st.builds(Member, st.sampled_from(LOGINS), dated, dated), max_size=6)),
        draw(st.booleans()),
        draw(st.sets(st.integers(-2, 30).map(lambda n: start + n * DAY), max_size=9)),
        runs_on=draw(st.booleans()),
    )


@st.composite
def spans(draw: st.DrawFn, rotation: Rotation, longest: int = 400) -> tuple[datetime, datetime]:
    begin = datetime.combine(rotation.start, time(), UTC) + draw(st.integers(-150, 1500)) * HALF_HOUR
    return begin, begin + draw(st.integers(0, longest)) * HALF_HOUR


@st.composite
def layers(draw: st.DrawFn, rotation: Rotation) -> dict[str, Any]:
    def some(make: Any, most: int) -> list[Any]:
        return [make(draw(st.sampled_from(LOGINS)), *draw(spans(rotation))) for _ in range(draw(st.integers(0, most)))]

    return {"overrides": some(Override, 4), "absences": some(Absence, 5)}


@given(st.data())
@settings(max_examples=EXAMPLES * 3, deadline=None)
def test_agrees_with_an_independent_transcription(data: st.DataObject) -> None:
    rotation = data.draw(rotations())
    on_top = data.draw(layers(rotation))
    start, end = data.draw(spans(rotation, longest=1500))
    slow = Transcription(rotation, end + 2 * DAY, **on_top)
    assert shifts(rotation, start, end, **on_top) == slow.shifts(start, end)
    for n in range(0, 40):
        at = start + n * (end - start) / 39
        assert holder(rotation, at, **on_top) == slow.holder(at)


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_never_two_holders(data: st.DataObject) -> None:
    rotation = data.draw(rotations())
    on_top = data.draw(layers(rotation))
    start, end = data.draw(spans(rotation, longest=1500))
    found = shifts(rotation, start, end, **on_top)
    whole = stretches(rotation, start, end, **on_top)
    for row in (found, whole):
        assert all(each.start < each.end for each in row)
        assert all(one.end <= other.start for one, other in pairwise(row))
    assert all(start <= each.start and each.end <= end for each in found)
    assert [each.login for each in found] == [each.login for each in whole]
    for each in whole:  # whole: the same, whichever part of it is asked for
        first = each.start, each.start + timedelta.resolution
        assert stretches(rotation, *first, **on_top) == [each]


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_gaps_but_declared_ones(data: st.DataObject) -> None:
    """Declared: before the start, on a date off, with nobody listed, or with everybody away."""
    drawn = data.draw(rotations(edits=False))
    rotation = replace(drawn, members=[*drawn.members, Member("ana")])
    away = data.draw(layers(rotation))["absences"]
    begin = utc(f"{rotation.start}") + 4 * DAY
    end = begin + 40 * DAY
    always = replace(rotation, weekdays_only=False, holidays=())
    present = [each for each in away if each.login != "ana"]
    assert gaps(shifts(always, begin, end, absences=present), begin, end) == []
    # With days off the gaps are those days, from handoff to handoff, and nothing else; unless shifts run on.
    found = gaps(shifts(rotation, begin, end, absences=present), begin, end)
    if rotation.runs_on:
        # Nobody holds it before the first working day.
        assert all(gap_start == begin for gap_start, _ in found)
    elif rotation.kind != "hourly":
        off = [
            (max(handoff(rotation, day), begin), min(handoff(rotation, day + DAY), end))
            for day in (rotation.start + n * DAY for n in range(0, 50))
            if day in rotation.holidays or (rotation.weekdays_only and day.isoweekday() > 5)
        ]
        assert length(found) == length([span for span in off if span[0] < span[1]])
        assert all(any(a <= at < b for a, b in off) for at, _ in found)
    # An override closes what it covers.
    whole = shifts(rotation, begin, end, absences=away, overrides=[Override("ed", begin, end)])
    assert whole == [Shift("ed", begin, end)]


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_swapping_twice_restores(data: st.DataObject) -> None:
    rotation = data.draw(rotations())
    on_top = data.draw(layers(rotation))
    begin = utc(f"{rotation.start}")
    end = begin + 40 * DAY
    before = stretches(rotation, begin, end, **on_top)
    if len(before) < 2:
        return
    one, other = data.draw(st.lists(st.sampled_from(before), min_size=2, max_size=2, unique=True))
    there = [Override(other.login, one.start, one.end), Override(one.login, other.start, other.end)]
    back = [Override(one.login, one.start, one.end), Override(other.login, other.start, other.end)]
    once = shifts(rotation, begin, end, overrides=[*on_top["overrides"], *there], absences=on_top["absences"])
    twice = shifts(rotation, begin, end, overrides=[*on_top["overrides"], *there, *back], absences=on_top["absences"])
    assert twice == shifts(rotation, begin, end, **on_top)
    # Only those two change hands, and each side gets as much as it gave.
    moved = [was.start for was, now in zip(twice, once, strict=True) if was.login != now.login]
    swapped = [each for each in (one, other) if one.login != other.login and each.end > begin and each.start < end]
    assert moved == sorted(max(each.start, begin) for each in swapped)


@given(st.data())
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_edits_never_touch_the_past(data: st.DataObject) -> None:
    """Members may join anywhere in the list or leave, people be away, overrides be made: with effect from an instant,
    nothing before it changes; and by an edit of the list, not the running shift either."""
    rotation = data.draw(rotations())
    on_top = data.draw(layers(rotation))
    begin = utc(f"{rotation.start}") - 2 * DAY
    now, _ = data.draw(spans(rotation))
    later = st.integers(0, 400).map(lambda n: now + n * HALF_HOUR)
    members = []
    for member in rotation.members:
        if data.draw(st.booleans()):
            members.append(Member(data.draw(st.sampled_from(LOGINS)), since=data.draw(later)))
        leaves = member.until is None or member.until >= now
        until = data.draw(later) if leaves and data.draw(st.booleans()) else member.until
        members.append(replace(member, until=until))
    edited = replace(rotation, members=members)
    if now > begin:
        kept = stretches(rotation, begin, now, **on_top)
        assert stretches(edited, begin, now, **on_top) == kept  # whole: the running shift too
        more = {
            "overrides": [*on_top["overrides"], Override("ed", now, data.draw(later))],
            "absences": [*on_top["absences"], Absence("ana", now, data.draw(later))],
        }
        assert shifts(edited, begin, now, **more) == shifts(rotation, begin, now, **on_top)


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_windows_join(data: st.DataObject) -> None:
    rotation = data.draw(rotations())
    on_top = data.draw(layers(rotation))
    start, end = data.draw(spans(rotation, longest=1500))
    middle = start + data.draw(st.integers(0, 10)) * (end - start) / 10
    left, right = shifts(rotation, start, middle, **on_top), shifts(rotation, middle, end, **on_top)
    whole = shifts(rotation, start, end, **on_top)
    if len(whole) < len(left) + len(right):  # one entry was cut in the middle
        left, cut, first, right = left[:-1], left[-1], right[0], right[1:]
        assert (cut.login, cut.end) == (first.login, first.start)
        left = [*left, Shift(cut.login, cut.start, first.end)]
    assert whole == [*left, *right]


def handoff(rotation: Rotation, day: date) -> datetime:
    return datetime.combine(day, rotation.handoff, rotation.timezone).astimezone(UTC)


def gaps(found: Sequence[Shift], start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    edges = [start, *(at for each in found for at in (each.start, each.end)), end]
    return [(one, other) for one, other in zip(edges[::2], edges[1::2], strict=True) if one < other]


def length(parts: Iterable[tuple[datetime, datetime]]) -> timedelta:
    return sum((end - start for start, end in parts), timedelta())


class Transcription:
    """The rules once more, sentence by sentence, without a thought to speed, sharing no code with the resolver: every
    turn is walked from the start date, and every question goes through all of them."""

    def __init__(
        self, rotation: Rotation, end: datetime, *, overrides: list[Override], absences: list[Absence]
    ) -> None:
        self.overrides, self.absences = overrides, absences
        self.turns = self._turns(rotation, end)
        self.held: list[tuple[str | None, list[tuple[datetime, datetime]]]] = []
        place = -1
        for parts in self.turns:
            begins = parts[0][0]
            active = [
                (m.since is None or m.since <= begins) and (m.until is None or m.until > begins)
                for m in rotation.members
            ]
            if not any(active):
                self.held.append((None, parts))
                continue
            place = self._next(place, active)
            candidate = place
            while self._away(rotation.members[candidate].login, parts):
                candidate = self._next(candidate, active)
                if candidate == place:
                    break
            login = rotation.members[candidate].login
            self.held.append((None if self._away(login, parts) else login, parts))

    @staticmethod
    def _next(place: int, active: list[bool]) -> int:
        place += 1
        while place >= len(active) or not active[place]:
            place = place + 1 if place + 1 < len(active) else 0
        return place

    def _away(self, login: str, parts: list[tuple[datetime, datetime]]) -> bool:
        # Everything here is a multiple of a quarter of an hour.
        spans = [(each.start, each.end) for each in self.absences if each.login == login]
        for start, end in parts:
            at = start
            while at < end:
                if not any(a <= at < b for a, b in spans):
                    return False
                at += timedelta(minutes=15)
        return True

    @staticmethod
    def _turns(rotation: Rotation, end: datetime) -> list[list[tuple[datetime, datetime]]]:
        def off(day: date) -> bool:
            return day in rotation.holidays or (rotation.weekdays_only and day.strftime("%a") in ("Sat", "Sun"))

        # Pieces first: the smallest parts that are on, each with the turn that it belongs to.
        pieces: list[tuple[Any, datetime, datetime]] = []
        if rotation.kind == "hourly":
            at = handoff(rotation, rotation.start)
            while at < end + 60 * DAY:
                if not off(at.astimezone(rotation.timezone).date()):
                    pieces.append((at, at, at + rotation.every * HOUR))
                at += rotation.every * HOUR
        else:
            day, worked = rotation.start, 0
            while handoff(rotation, day) < end + 60 * DAY:
                if not off(day):
                    elapsed = worked if rotation.kind == "daily" else (day - rotation.start).days // 7
                    pieces.append((elapsed // rotation.every, handoff(rotation, day), handoff(rotation, day + DAY)))
                    worked += 1
                day += DAY
        if rotation.runs_on:
            pieces = [(turn, start, following[1]) for (turn, start, _), following in pairwise(pieces)]
        turns: dict[Any, list[tuple[datetime, datetime]]] = {}
        for turn, start, over in pieces:
            parts = turns.setdefault(turn, [])
            if parts and parts[-1][1] == start:
                parts[-1] = (parts[-1][0], over)
            else:
                parts.append((start, over))
        return list(turns.values())

    def _source(self, at: datetime) -> tuple[str, Any] | None:
        """Who holds it at that instant, and by what."""
        for number, override in reversed(list(enumerate(self.overrides))):
            if override.start <= at < override.end:
                return override.login, number
        for login, parts in self.held:
            for start, end in parts:
                if login is not None and start <= at < end:
                    return login, start
        return None

    def holder(self, at: datetime) -> str | None:
        source = self._source(at)
        return source and source[0]

    def shifts(self, start: datetime, end: datetime) -> list[Shift]:
        edges = {start, end}
        edges.update(at for each in self.overrides for at in (each.start, each.end))
        edges.update(at for parts in self.turns for part in parts for at in part)
        found: list[tuple[Any, Shift]] = []
        for at, following in pairwise(sorted(at for at in edges if start <= at <= end)):
            source = self._source(at)
            if source is None:
                continue
            if found and found[-1][0] == source and found[-1][1].end == at:
                found[-1] = (source, found[-1][1]._replace(end=following))
            else:
                found.append((source, Shift(source[0], at, following)))
        return [shift for _, shift in found]
