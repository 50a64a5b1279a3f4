"""What a break's page is made of, from rows as the engine writes them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from hud import break_page, places
from hud.cells import Outcome
from hud.models import Break, BreakSignal, Configuration, Repository, Signal
from tests.factories import breaks as make
from tests.factories import hud as rows
from tests.hud.test_views import trunk

pytestmark = pytest.mark.django_db


@pytest.fixture
def repository() -> Repository:
    return trunk(commits=60, configurations=12, groups=3)


def page_of(one: Break) -> break_page.BreakPage:
    place = places.trunk_place(one.repository)
    found = break_page.find(place, one.number)
    assert found is not None
    return break_page.of(place, found)


def test_sides_of_the_strip(repository: Repository) -> None:
    page = page_of(make.broken(repository, [0], suspect=30, oldest=28, newest=33))
    (strip,) = page.strips
    positions = [commit.position for commit in page.commits]
    assert positions == list(range(23, 37))
    assert [dot.side for dot in strip.dots] == [""] + ["green"] * 4 + ["gap"] * 2 + ["failing"] * 4 + [""] * 3
    assert [place for place, dot in zip(positions, strip.dots, strict=True) if dot.suspect] == [30]


def test_a_long_break_keeps_its_suspect_in_sight(repository: Repository) -> None:
    page = page_of(make.broken(repository, [0], suspect=8, newest=60))
    assert len(page.commits) == break_page.WIDEST
    assert page.commits[0].position == 3


def test_a_closed_break_still_shows_where_it_was_red(repository: Repository) -> None:
    one = make.broken(repository, [0], suspect=30, newest=33, closed_at=timezone.now(), state="fixed")
    BreakSignal.objects.filter(broken=one).update(left_at=timezone.now(), green=True)
    Signal.objects.all().delete()  # it has long said something else
    page = page_of(one)
    assert [dot.side for dot in page.strips[0].dots if dot.side] == ["failing"] * 4
    assert page.strips[0].green
    assert page.lacks == []
    assert page.why_not == "This break is over."


def test_a_test_that_passed_in_a_job_that_failed(repository: Repository) -> None:
    one = make.broken(repository, [0], suspect=30, newest=33, test="test_a.py::test_b")
    commit = places.trunk_place(repository).commits.get(position=29).commit
    type(commit.commitcells).objects.filter(commit=commit).update(cells=bytes([Outcome.FAILED]) * 12)
    (strip,) = page_of(one).strips
    assert strip.dots[[dot.sha for dot in strip.dots].index(commit.sha)].outcome == Outcome.PASSED


def test_each_missing_thing_once_of_most_signals_first(repository: Repository) -> None:
    rare = {"code": "gap", "what": "1 commit without a result", "settled_by": "a result", "restart": ["b" * 40]}
    one = make.broken(repository, [0, 1, 2], suspect=30, newest=33)
    signal = Signal.objects.get(configuration__slot=2)
    signal.evidence["missing"] = [rare, *signal.evidence["missing"]]
    signal.save()
    page = page_of(one)
    assert [(lack.what, lack.signals) for lack in page.lacks] == [("2 of 3 failures", 3), (rare["what"], 1)]
    assert page.restart == 2  # commits


def test_the_range_is_listed_newest_first(repository: Repository) -> None:
    page = page_of(make.broken(repository, [0], suspect=30, oldest=28, newest=33))
    assert page.suspects == 3
    assert next(commit.sha for commit in page.range) == page.suspect.sha
    page = page_of(make.broken(repository, [1], suspect=30, oldest=10, newest=33))
    assert (len(page.range), page.range_more) == (break_page.IN_RANGE, 11)


def test_configurations_by_group_unstable_apart(repository: Repository) -> None:
    one = make.broken(repository, [0, 3, 1, 2], suspect=30, newest=33)
    Configuration.objects.filter(repository=repository, slot=2).update(unstable=True)
    page = page_of(one)
    assert [(group.name, [member.slot for member in members]) for group, members in page.groups] == [
        ("Group 0", [0, 3]), ("Group 1", [1]),
    ]  # fmt: skip
    assert [member.slot for member in page.unstable] == [2]


def test_signals_that_went_to_another_break_are_not_its_any_more(repository: Repository) -> None:
    one = make.broken(repository, [0, 1], suspect=30, newest=33)
    BreakSignal.objects.filter(broken=one, configuration__slot=1).update(left_at=timezone.now())
    assert [strip.member.slot for strip in page_of(one).strips] == [0]


def test_steps_in_the_order_of_time(repository: Repository) -> None:
    start = timezone.now() - timedelta(hours=3)
    one = make.broken(
        repository, [0], suspect=30, newest=33, broke_at=start, noticed_at=start + timedelta(minutes=2),
        culprit_at=start + timedelta(minutes=40), acknowledged_at=start + timedelta(minutes=50),
    )  # fmt: skip
    assert [(step.name, step.took) for step in page_of(one).steps] == [
        ("Broke", None), ("Noticed", timedelta(minutes=2)), ("Culprit known", timedelta(minutes=38)),
        ("Acknowledged", timedelta(minutes=10)), ("Reverted", None), ("Green", None),
    ]  # fmt: skip
    Break.objects.filter(pk=one.pk).update(closed_at=timezone.now(), green_at=start + timedelta(minutes=90))
    assert [step.name for step in page_of(one).steps][-1] == "Green"
    assert all(step.at for step in page_of(one).steps)


def test_a_break_without_suspect_or_signals(repository: Repository) -> None:
    page = page_of(make.broken(repository, [0], suspect=None, newest=33))
    assert page.suspects == 0
    assert page.why_not == page.why_no_opinion == "No suspect is known."
    empty = page_of(make.BreakFactory(repository=repository, number=77))
    assert empty.strips == []
    assert empty.commits == []


def test_of_a_configuration_without_cells(repository: Repository) -> None:
    rows.ConfigurationFactory(repository=repository, slot=200, name="brand new", group="New")
    Repository.objects.filter(pk=repository.pk).update(layout_version=2)
    repository.refresh_from_db()
    page = page_of(make.broken(repository, [200], suspect=30, newest=33))
    assert {dot.outcome for dot in page.strips[0].dots} == {Outcome.NONE}
