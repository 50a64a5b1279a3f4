"""What stands above the grid: which break first, how sure in words, and at what cost."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hud import attention, layout
from hud.models import Break, BreakSignal, Repository
from project.accounts import roles
from tests.factories import breaks as make
from tests.hud.test_views import text_of, trunk, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def repository() -> Repository:
    return trunk(commits=20, configurations=12, groups=3)


def read(repository: Repository) -> attention.Attention:
    return attention._read(repository.pk)


def bumped(repository: Repository) -> None:
    Repository.objects.filter(pk=repository.pk).update(version=repository.version + 1)
    repository.refresh_from_db()


def test_what_can_be_reverted_comes_first_then_what_nobody_saw(repository: Repository) -> None:
    now = timezone.now()
    reverting = make.broken(repository, [0], suspect=15, newest=18, decision="revert", state="reverting")
    seen = make.broken(repository, [1], suspect=15, newest=18, acknowledged_at=now, state="acknowledged")
    unseen = make.broken(repository, [2], suspect=15, newest=18)
    sure = make.broken(repository, [3], suspect=15, newest=18, decision="revert", code="confirmed", acknowledged_at=now)
    assert [one.number for one in read(repository).breaks] == [
        sure.number, unseen.number, seen.number, reverting.number,
    ]  # fmt: skip


def test_equally_needy_ones_by_age(repository: Repository) -> None:
    young = make.broken(repository, [0], suspect=15, newest=18, broke_at=timezone.now() - timedelta(minutes=5))
    old = make.broken(repository, [1], suspect=15, newest=18, broke_at=timezone.now() - timedelta(hours=5))
    assert [one.number for one in read(repository).breaks] == [old.number, young.number]


def test_closed_dismissed_and_left_ones_need_nobody(repository: Repository) -> None:
    make.closed(repository)
    make.broken(repository, [0], suspect=15, newest=18, dismissed_at=timezone.now())
    one = make.broken(repository, [1, 2], suspect=15, newest=18)
    BreakSignal.objects.filter(broken=one, configuration__slot=2).update(left_at=timezone.now())
    (found,) = read(repository).breaks
    assert [hit.slot for hit in found.hits] == [1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"decision": "revert", "code": "confirmed"}, "sure"),
        ({"failures": 2}, "likely: 1 more failure needed"),
        ({"failures": 1}, "likely: 2 more failures needed"),
        ({"oldest": 13, "code": "gap_unresolved"}, "one of 3 commits"),
        ({"failures": 3, "code": "infra_not_ruled_out"}, "likely: a failure of the machines is not ruled out"),
        ({"failures": 3, "decision": "restart", "code": "need_more_evidence"}, "likely: more evidence needed"),
        ({"decision": "none", "code": "flaky"}, "in doubt: it also passed"),
        ({"suspect": None, "decision": "none", "code": "no_success_seen"}, "no suspect"),
    ],
)
def test_how_sure_in_words(repository: Repository, fields: dict[str, Any], words: str) -> None:
    make.broken(repository, [0], **{"suspect": 15, "newest": 18, **fields})
    assert read(repository).breaks[0].sureness == words


def test_its_evidence_is_that_of_the_surest_signal(repository: Repository) -> None:
    one = make.broken(repository, [0], suspect=15, newest=18, failures=1, code="too_few_failures")
    make.broken(repository, [1], suspect=15, newest=18, failures=7, code="flaky", number=99)
    BreakSignal.objects.filter(configuration__slot=1).update(broken=one)
    assert read(repository).breaks[0].failures == 1


def test_reach_counts_configurations_of_the_groups_and_tests(repository: Repository) -> None:
    make.broken(repository, [0, 3], suspect=15, newest=18)  # both in group 0, which has four
    columns = layout.load(repository.pk, repository.layout_version)
    (one,) = read(repository).breaks
    assert attention.reach(one, columns) == "2 of 4 configurations"
    assert list(attention.where(one, columns)) == ["Group 0"]
    make.broken(repository, [1], suspect=15, newest=18, test="test_a.py::test_b")
    assert attention.reach(read(repository).breaks[1], columns) == "1 of 4 configurations, 1 test"


def test_three_queries_whatever_the_number_and_none_when_nothing_changed(repository: Repository) -> None:
    for slot in range(12):
        make.broken(repository, [slot], suspect=15, newest=18)
    with CaptureQueriesContext(connection) as seen:
        assert len(attention.of(repository.pk, repository.version).breaks) == 12
        attention.of(repository.pk, repository.version)
    assert len(seen) == 3
    with CaptureQueriesContext(connection) as seen:
        attention.of(repository.pk, repository.version + 1)
    assert len(seen) == 3


def test_trunk_is_green(client: Client, repository: Repository) -> None:
    assert "Trunk is green." in text_of(client.get(url(repository)))
    make.closed(repository, ago=timedelta(hours=2))
    bumped(repository)
    said = text_of(client.get(url(repository)))
    assert "Trunk is green. Last break closed 2h 00m ago." in said


def test_a_break_is_in_the_etag_by_the_version(client: Client, repository: Repository) -> None:
    first = client.get(url(repository))
    make.broken(repository, [0], suspect=15, newest=18, title="Group 0 fails")
    bumped(repository)
    second = client.get(url(repository), headers={"if-none-match": first["ETag"]})
    assert second.status_code == 200
    assert "Group 0 fails" in text_of(second)


def test_buttons_are_for_those_who_may(client: Client, repository: Repository) -> None:
    one = make.broken(repository, [0], suspect=15, newest=18, decision="revert", code="confirmed")
    make.broken(repository, [1], suspect=15, oldest=12, newest=18, code="gap_unresolved")
    assert "/own" not in client.get(url(repository)).content.decode()
    person = get_user_model().objects.create_user("odalys")
    client.force_login(person)
    assert "data-act" not in client.get(url(repository)).content.decode()
    roles.grant(person, roles.Role.TREE_HUGGER, by=None, repository=str(repository))
    said = client.get(url(repository)).content.decode()
    base = f"/hud/{repository.owner}/{repository.name}/break/{one.number}"
    assert f'action="{base}/rerun"' in said
    assert f'href="{base}/revert"' in said
    assert "Not known yet which of 4 commits it was." in said
    assert said.count("btn sm pri") == 1  # one primary button per view
    Break.objects.filter(pk=one.pk).update(owner=person)
    bumped(repository)
    assert 'av you"' in client.get(url(repository)).content.decode()


def test_hostile_titles_are_text(client: Client, repository: Repository) -> None:
    one = make.broken(repository, [0], suspect=15, newest=18, title="<img src=x onerror=alert(1)>")
    type(one.suspect).objects.filter(pk=one.suspect.pk).update(title="<b>bold</b>", author_login='"><i>')
    said = client.get(url(repository)).content.decode()
    assert "<img" not in said
    assert "<b>bold" not in said
    assert '"><i>' not in said


def test_more_breaks_than_lines(client: Client, repository: Repository) -> None:
    for _ in range(attention.MOST + 3):
        make.BreakFactory(repository=repository, number=Break.objects.count() + 1)
    said = client.get(url(repository)).content.decode()
    assert said.count("<tr data-break") == attention.MOST
    assert f"All {attention.MOST + 3} open breaks" in said
