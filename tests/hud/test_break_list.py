"""The list of breaks: order, filters, pages by key, and the same by API."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hud import break_list
from hud.models import Break, BreakSignal, Repository
from tests.factories import breaks as make
from tests.hud.test_views import text_of, trunk, url

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def repository() -> Repository:
    return trunk(commits=20, configurations=12, groups=3)


def numbers(repository: Repository, query: str = "", per_page: int = 50) -> list[int]:
    page = break_list.page(repository, break_list.parse(QueryDict(query)), per_page)
    return [one.number for one in page.rows]


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def test_open_first_newest_noticed_on_top(repository: Repository) -> None:
    make.BreakFactory(repository=repository, number=1, noticed_at=at(1))
    make.BreakFactory(repository=repository, number=2, noticed_at=at(5), closed_at=at(6))
    make.BreakFactory(repository=repository, number=3, noticed_at=at(3))
    make.BreakFactory(repository=repository, number=4, noticed_at=at(2), closed_at=at(9))
    make.BreakFactory(number=7, noticed_at=at(9))  # of another repository
    assert numbers(repository) == [3, 1, 2, 4]


def test_pages_by_key_lose_and_repeat_nothing(repository: Repository) -> None:
    for number in range(1, 12):
        same_moment = at(number // 3)
        make.BreakFactory(
            repository=repository, number=number, noticed_at=same_moment, closed_at=at(50) if number % 2 else None
        )
    whole = numbers(repository)
    assert len(whole) == 11
    for per_page in (1, 2, 4, 5, 11):
        seen, after = [], ""
        while True:
            page = break_list.page(repository, break_list.Filter(after=after), per_page)
            seen += [one.number for one in page.rows]
            after = page.after
            if not after:
                break
            assert len(page.rows) == per_page
        assert seen == whole


def test_a_break_that_opens_meanwhile_shifts_nobodys_page(repository: Repository) -> None:
    for number in range(1, 7):
        make.BreakFactory(repository=repository, number=number, noticed_at=at(number), closed_at=at(50))
    first = break_list.page(repository, break_list.Filter(), 3)
    make.BreakFactory(repository=repository, number=7, noticed_at=at(60))
    second = break_list.page(repository, break_list.Filter(after=first.after), 3)
    assert [one.number for one in (*first.rows, *second.rows)] == [6, 5, 4, 3, 2, 1]


def test_filters(repository: Repository) -> None:
    person = get_user_model().objects.create_user("Odalys")
    one = make.broken(repository, [0, 3], suspect=15, newest=18, owner=person, noticed_at=at(0))
    two = make.broken(repository, [4], suspect=14, newest=18, test="test_a.py::test_b", noticed_at=at(24))
    past = make.closed(repository, noticed_at=at(-48))
    assert numbers(repository, "state=open") == [two.number, one.number]
    assert numbers(repository, "state=fixed") == [past.number]
    assert numbers(repository, "owner=odalys") == numbers(repository, "owner=@Odalys") == [one.number]
    assert numbers(repository, "owner=-") == [two.number, past.number]
    assert numbers(repository, "q=config3") == [one.number]
    assert numbers(repository, "q=group+1") == [two.number]
    assert numbers(repository, "q=test_b") == [two.number]
    assert numbers(repository, "q=pull+/+linux") == [two.number, one.number]
    assert numbers(repository, f"suspect={one.suspect.sha[:9]}") == [one.number]
    assert numbers(repository, f"suspect=%23{two.suspect.pr_number}") == [two.number]
    type(one.suspect).objects.filter(pk=one.suspect.pk).update(author_login="tsuzuki")
    assert numbers(repository, "suspect=@tsuz") == [one.number]
    assert numbers(repository, "from=2026-11-20&to=2026-11-20") == [one.number]
    assert numbers(repository, "to=2026-11-20") == [one.number, past.number]
    assert numbers(repository, "from=2026-11-21") == [two.number]


@pytest.mark.parametrize(
    "query",
    ["state=burning", "from=2026-13-45", "to=yesterday", "after=o99999999999999999-1", "after=x", "after=p-1",
     "q=%00", "owner=%00&suspect=%00", "suspect=99999999999999999999", "from=0001-01-01&to=9998-12-31"],
)  # fmt: skip
def test_absurd_filters_are_answered(client: Client, repository: Repository, query: str) -> None:
    make.broken(repository, [0], suspect=15, newest=18)
    assert client.get(url(repository, "breaks") + "?" + query).status_code == 200


@pytest.mark.parametrize("open_breaks", [True, False])
def test_at_most_six_queries_whatever_the_number(client: Client, repository: Repository, open_breaks: bool) -> None:
    for number in range(70):
        make.closed(repository, ago=timedelta(hours=number + 1))
    if open_breaks:
        for slot in range(12):
            make.broken(repository, [slot], suspect=15, newest=18)
    for query in (
        "",
        "?q=config&suspect=mkrv&owner=-",
        "?after=" + break_list.page(repository, break_list.Filter(), 5).after,
    ):
        with CaptureQueriesContext(connection) as seen:
            assert client.get(url(repository, "breaks") + query).status_code == 200
        assert len(seen) <= 6, query


def test_what_a_row_says(client: Client, repository: Repository) -> None:
    person = get_user_model().objects.create_user("odalys")
    one = make.broken(repository, [0, 1, 2], suspect=15, oldest=13, newest=18, owner=person, title="Three <fail>")
    into = make.closed(repository, took=90, title="Lint fails")
    make.closed(repository, state="open", merged_into=into, green_at=None, title="Same as lint")
    said = text_of(client.get(url(repository, "breaks")))
    assert "Three &lt;fail&gt;" in said
    assert "1 of 3" in said
    assert "3 configurations" in said
    assert "@odalys" in said
    assert "1 h 30 min" in said
    assert f"merged into {into.number}" in said
    assert one.suspect.sha[:7] in said
    assert "Trunk is green" not in said


def test_empty_words(client: Client, repository: Repository) -> None:
    assert "Trunk is green. No break so far." in text_of(client.get(url(repository, "breaks")))
    make.closed(repository, ago=timedelta(hours=2))
    said = text_of(client.get(url(repository, "breaks")))
    assert "Trunk is green. Last break closed 2h 00m ago." in said
    said = text_of(client.get(url(repository, "breaks") + "?q=cuda13"))
    assert "No break matches. Clear filter" in said
    assert "Trunk is green" not in said


def test_neighbours_follow_the_list(repository: Repository) -> None:
    for number, closed in ((1, False), (2, True), (3, False), (4, True)):
        make.BreakFactory(
            repository=repository, number=number, noticed_at=at(number), closed_at=at(50) if closed else None
        )
    order = numbers(repository)
    assert order == [3, 1, 4, 2]
    for place, number in enumerate(order):
        before, after = break_list.neighbours(Break.objects.get(repository=repository, number=number))
        assert before == (order[place - 1] if place else None)
        assert after == (order[place + 1] if place + 1 < len(order) else None)


# -- API --------------------------------------------------------------------------------------------------------------


def api(repository: Repository, rest: str = "") -> str:
    return f"/api/v1/repositories/{repository.owner}/{repository.name}/breaks{rest}"


def test_the_list_by_api(client: Client, repository: Repository) -> None:
    one = make.broken(repository, [0, 1], suspect=15, oldest=13, newest=18)
    make.closed(repository)
    said = client.get(api(repository) + "?per_page=1").json()
    assert [row["number"] for row in said["breaks"]] == [one.number]
    row = said["breaks"][0]
    assert (row["configurations"], row["suspects"], row["suspect"]["sha"]) == (2, 3, one.suspect.sha)
    assert row["url"] == f"/hud/{repository}/break/{one.number}"
    more = client.get(api(repository) + f"?per_page=1&after={said['after']}").json()
    assert [row["state"] for row in more["breaks"]] == ["fixed"]
    assert more["after"] == ""
    assert [row["number"] for row in client.get(api(repository) + "?state=open").json()["breaks"]] == [one.number]
    assert client.get(api(repository) + "?state=burning").status_code == 400


def test_one_by_api(client: Client, repository: Repository) -> None:
    one = make.broken(repository, [0, 1], suspect=15, newest=18)
    BreakSignal.objects.filter(broken=one, configuration__slot=1).update(left_at=timezone.now(), green=True)
    with CaptureQueriesContext(connection) as seen:
        said = client.get(api(repository, f"/{one.number}")).json()
    assert len(seen) <= 4
    here, gone = sorted(said["signals"], key=lambda signal: signal["slot"])
    assert here["failing"] == [sha for sha in here["failing"] if len(sha) == 40]
    assert len(here["failing"]) == 4
    assert here["missing"][0]["restart"] == [one.suspect.sha]
    assert gone["green"]
    assert gone["failing"] == []
    for number in ("999", "99999999999"):
        assert "no break" in client.get(api(repository, f"/{number}")).json()["detail"]
