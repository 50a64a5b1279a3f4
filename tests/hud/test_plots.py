"""Plots: round ticks, unbroken lines only where something was measured, everything inside the frame."""

from __future__ import annotations

import math

import pytest
from django.template.loader import render_to_string
from hypothesis import example, given
from hypothesis import strategies as st

from hud import plots
from hud.plots import Point, Scale, Series, chart, line, nice, nice_seconds, nice_times, quantile, span


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 50, 100]),
        (0, 7, [0, 2, 4, 6, 8]),
        (0, 0.13, [0, 0.05, 0.1, 0.15]),
        (3, 3, [3, 3.5, 4]),
        (0, math.inf, [0, 0.5, 1]),
    ],
)
def test_round_ticks(low: float, high: float, expected: list[float]) -> None:
    assert nice(low, high) == expected


@given(st.floats(0.001, 1e9))
def test_ticks_reach_the_highest(high: float) -> None:
    for ticks in (nice(0, high), nice_seconds(high)):
        assert ticks[0] == 0
        assert ticks[-1] >= high * (1 - 1e-6)
        assert 2 <= len(ticks) <= 7


def test_durations_in_steps_that_people_count_in() -> None:
    assert [span(one) for one in nice_seconds(2500)] == ["0 s", "15 min", "30 min", "45 min"]
    assert [span(one) for one in nice_seconds(9000)] == ["0 s", "1 h", "2 h", "3 h"]
    assert span(5400) == "1 h 30"


def test_times_fall_on_round_hours_and_days() -> None:
    assert [tick.label for tick in nice_times(0, 6 * 3600)] == [f"0{hour}:00" for hour in range(7)]
    assert [tick.label for tick in nice_times(0, 5 * 86400)][:3] == ["Jan 1", "Jan 2", "Jan 3"]


def test_a_hole_is_a_hole() -> None:
    x, y = Scale(0, 3, 0, 30), Scale(0, 10, 100, 0)
    assert line([(0, 0), (1, 10), (2, None), (3, 5)], x, y) == "M0 100h0L10 0M30 50h0"
    assert line([(0, None)], x, y) == ""


@example(values=[5e-324], bars=False)  # the smallest number above 0
@given(st.lists(st.none() | st.floats(0, 1e6), max_size=60), st.booleans())
def test_everything_stays_inside(values: list[float | None], bars: bool) -> None:
    made = chart([Series("a", "run", [Point(n, value) for n, value in enumerate(values)], bars=bars)])
    for one in made.series:
        for mark in one.marks:
            assert made.left <= mark.x <= mark.x + mark.width <= made.right + 1
            assert made.top - 1 <= mark.y <= mark.y + mark.height <= made.bottom + 1.1
    known = [value for value in values if value is not None]
    assert bool(made.series) == bool(known)


def test_quantiles() -> None:
    assert quantile([], 0.5) is None
    assert quantile([4], 0.9) == 4
    assert quantile([1, 2, 3, 4], 0.5) == 2.5
    assert quantile(list(range(11)), 0.9) == 9


def test_the_picture_escapes_and_has_no_style() -> None:
    evil = '"><script>alert(1)</script>'
    made = chart([Series(evil, "run", [Point(0, 1234.5, evil, "/x?a=1&b=2", "bad"), Point(1, 2)])], words=evil)
    html = render_to_string("hud/_plot.html", {"chart": made})
    assert "<script>" not in html
    assert "style=" not in html
    assert 'href="/x?a=1&amp;b=2"' in html
    assert plots.percent(0.4) == "40 %"
    assert plots.plain(1200) == "1,200"
