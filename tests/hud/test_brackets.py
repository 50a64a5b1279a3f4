"""Where brackets stand on the grid, from places on trunk; and how they reach the page without touching its rows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from hud.attention import Hit, OpenBreak, Suspect
from hud.brackets import Bracket, draw, marks, svg
from hud.cells import Outcome
from hud.grid import ROWS
from hud.layout import Column, Group, Member, Shape
from hud.models import Configuration
from tests.factories import breaks as make
from tests.hud.test_views import trunk, url

MEMBERS = tuple(Member(slot, f"pull / config{slot}", f"config{slot}", False) for slot in range(4))
FIRST, SECOND = Group("First", "first", MEMBERS[:2]), Group("Second", "second", MEMBERS[2:])


def shape(*, unfolded: bool = False) -> Shape:
    """Two groups of two configurations; the first one unfolded or not."""
    columns = [Column(FIRST, FIRST.members, False, unfolded)]
    if unfolded:
        columns += [Column(FIRST, (member,), True, False) for member in FIRST.members]
    return Shape([*columns, Column(SECOND, SECOND.members, False, False)], 4)


def one(*hits: Hit, number: int = 1, suspect_at: int | None = 17, range_from: int | None = None, **fields: Any):
    return OpenBreak(
        number=number, title="A <title>", state="open", decision="wait", code="", culprit_known=False,
        suspect=Suspect("a" * 40, "", "ash", 1), suspect_at=suspect_at, range_from=range_from,
        broke_at=datetime(2026, 1, 5, tzinfo=UTC), acknowledged=False, reverted_at=None, owner="", issue_url="",
        version=0, hits=hits, **fields,
    )  # fmt: skip


PAGE = list(range(20, 10, -1))  # ten commits, newest first: row 0 is at place 20


def test_from_the_suspect_up_to_the_newest_failure() -> None:
    found = draw(shape(), PAGE, [one(Hit(0, 17, 17, 19))])
    assert found == [Bracket(1, 0, solid=1, end=4, closed=True, dashed=4, dashed_closed=False)]


def test_commits_not_told_apart_are_dashed_and_have_the_end() -> None:
    (found,) = draw(shape(), PAGE, [one(Hit(0, 17, 15, 19), range_from=15)])
    assert (found.solid, found.end, found.dashed, found.dashed_closed) == (1, 4, 6, True)
    # Another column of the break has told more of them apart.
    (found,) = draw(shape(), PAGE, [one(Hit(0, 17, 13, 19), range_from=16)])
    assert (found.end, found.dashed) == (4, 5)


@pytest.mark.parametrize(("suspect", "closed"), [(11, True), (10, False), (2, False), (None, False)])
def test_a_suspect_below_the_page_has_no_foot(suspect: int | None, closed: bool) -> None:
    (found,) = draw(shape(), PAGE, [one(Hit(0, suspect, suspect, 18), suspect_at=suspect)])
    assert (found.solid, found.end, found.closed) == (2, 10, closed)
    assert ('class="f"' in svg([found]).decode()) is closed


def test_what_is_wholly_above_or_below_the_page_is_not_drawn() -> None:
    assert draw(shape(), PAGE, [one(Hit(0, 30, 30, 35)), one(Hit(0, 2, 2, 5))]) == []
    assert draw(shape(), [], [one(Hit(0, 17, 17, 19))]) == []


def test_newer_failures_than_the_page_shows_leave_the_top_open() -> None:
    (found,) = draw(shape(), PAGE, [one(Hit(0, 17, 17, 30))])
    assert (found.solid, found.end) == (0, 4)
    assert 'class="d"' not in svg([found]).decode()


def test_an_author_filter_leaves_out_rows_but_not_the_bracket() -> None:
    places = [20, 18, 15, 12]  # the suspect at 17 is not shown
    (found,) = draw(shape(), places, [one(Hit(0, 17, 17, 19))])
    assert (found.solid, found.end, found.closed) == (1, 2, False)
    assert draw(shape(), [20, 15], [one(Hit(0, 17, 17, 19))])[0].end == 1  # nothing of the run is shown


def test_a_folded_group_has_the_bracket_and_unfolded_its_member_too() -> None:
    hits = (Hit(1, 17, 17, 19), Hit(2, 16, 16, 18))
    assert [found.column for found in draw(shape(), PAGE, [one(*hits)])] == [0, 1]
    assert [found.column for found in draw(shape(unfolded=True), PAGE, [one(*hits)])] == [0, 2, 3]


def test_several_members_of_a_group_make_one_bracket() -> None:
    (found,) = draw(shape(), PAGE, [one(Hit(0, 17, 17, 18), Hit(1, 16, 16, 19), suspect_at=16)])
    assert (found.solid, found.end) == (1, 5)


def test_the_suspects_row_is_marked_with_its_columns() -> None:
    hits = (Hit(0, 17, 15, 19), Hit(2, 17, 15, 19))
    breaks = [one(*hits, range_from=15)]
    drawn = draw(shape(), PAGE, breaks)
    found = marks(drawn, PAGE, breaks)
    assert list(found) == [3]
    assert (found[3].words, found[3].columns) == ("1 of 3 suspects", (0, 1))
    assert marks(drawn, [20, 19], breaks) == {}


def test_of_two_breaks_with_one_suspect_the_first_names_it() -> None:
    breaks = [one(Hit(0, 17, 17, 19), number=4), one(Hit(2, 17, 17, 19), number=9)]
    found = marks(draw(shape(), PAGE, breaks), PAGE, breaks)[3]
    assert (found.number, found.columns) == (4, (0, 1))


# -- on the page ------------------------------------------------------------------------------------------------------

X = bytes([Outcome.FAILED])


@pytest.mark.django_db
def test_rows_without_a_suspect_stay_kept(client: Client) -> None:
    repository = trunk(commits=6, cells=X + b"\4\4\4", version=7)
    client.get(url(repository))
    before = set(ROWS._entries)
    make.broken(repository, [0], suspect=6, newest=6)
    type(repository).objects.filter(pk=repository.pk).update(version=8)
    page = client.get(url(repository)).content.decode()
    assert len(set(ROWS._entries) - before) == 1
    assert page.count("class=sus") == 1
    assert page.count(": failed, suspect") == 1
    assert '<svg class="brackets"' in page
    assert 'data-b="1" data-c="0" data-r="0"' in page


@pytest.mark.django_db
def test_a_refresh_brings_them(client: Client) -> None:
    repository = trunk(commits=6, cells=X + b"\4\4\4")
    sha = repository.branch_set.get().head_sha
    make.broken(repository, [0], suspect=6, newest=6, title='<script>"&')
    said = client.get(url(repository), headers={"x-arborist-refresh": sha}).json()["breaks"]
    assert said["svg"].startswith("<svg")
    assert list(said["marks"]) == [sha]
    columns, tag = said["marks"][sha]
    assert columns == "0"
    assert "<script>" not in tag + said["needs"]
    assert "&lt;script&gt;" in tag
    assert "&lt;script&gt;" in said["needs"]


@pytest.mark.django_db
def test_a_filter_that_hides_the_column_hides_its_bracket(client: Client) -> None:
    repository = trunk(commits=6, cells=X + b"\4\4\4")
    make.broken(repository, [0], suspect=6, newest=6)
    hidden = client.get(url(repository) + "?q=config1").content.decode()
    assert 'data-b="1"' not in hidden
    assert "class=sus" in hidden  # the commit is still the suspect
    assert Configuration.objects.filter(repository=repository).count() == 4


@pytest.mark.django_db
def test_another_branch_has_none(client: Client) -> None:
    repository = trunk(commits=6, cells=X + b"\4\4\4")
    make.broken(repository, [0], suspect=6, newest=6)
    repository.branch_set.create(name="release", watched=True)
    page = client.get(url(repository, "release")).content.decode()
    assert 'data-b="1"' not in page
    assert "Needs you now" not in page
