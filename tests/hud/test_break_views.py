"""The page of a break as a browser without script gets it."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hud.models import Break, BreakState, Repository
from project import audit
from project.accounts import roles
from tests.factories import breaks as make
from tests.hud.test_views import text_of, trunk, url

pytestmark = pytest.mark.django_db
ACTS = {"acknowledge", "own", "note", "issue", "dismiss", "revert", "rerun", "opinion"}


@pytest.fixture
def repository() -> Repository:
    return trunk(commits=60, configurations=60, groups=5)


def acts(html: str, number: int) -> set[str]:
    return set(re.findall(rf'<form method="post" action="[^"]*/break/{number}/(\w+)"', html))


def test_the_same_number_of_queries_for_one_signal_and_sixty(client: Client, repository: Repository) -> None:
    small = make.broken(repository, [0], suspect=30, newest=33)
    large = make.broken(repository, list(range(1, 60)), suspect=30, oldest=28, newest=33)
    counts = []
    for one in (small, large):
        client.get(url(repository, f"break/{one.number}"))
        with CaptureQueriesContext(connection) as seen:
            assert client.get(url(repository, f"break/{one.number}")).status_code == 200
        counts.append(len(seen))
    assert counts[1] <= counts[0] + 1  # the range's commits
    assert max(counts) <= 16


def test_htmx_gets_only_what_is_inside(client: Client, repository: Repository) -> None:
    one = make.broken(repository, [0], suspect=30, newest=33, title="Group 0 fails")
    whole = client.get(url(repository, f"break/{one.number}"))
    part = client.get(url(repository, f"break/{one.number}"), headers={"hx-request": "true"})
    assert "<html" in whole.content.decode()
    assert "<html" not in part.content.decode()
    assert part.content.decode().strip()[:40] in whole.content.decode()
    assert 'data-live="/hud/' in whole.content.decode()
    assert "HX-Request" in whole["Vary"]


def test_what_it_says(client: Client, repository: Repository) -> None:
    one = make.broken(
        repository, [0], suspect=30, oldest=28, newest=33, title="Group 0 fails", code="gap_unresolved",
        failure_line="error: <b>no</b> member", note="Looking <i>closely</i>", issue_url="https://github.com/o/r/issues/1",
        missing=[{"code": "gap", "what": "2 commits without a result", "settled_by": "a result on each",
                  "restart": ["c" * 40]}],
    )  # fmt: skip
    page = client.get(url(repository, f"break/{one.number}"))
    said = text_of(page)
    assert "One of 3 commits" in said
    assert "2 commits without a result" in said
    assert "Settled by a result on each" in said
    assert "ccccccc" in said
    assert "error: &lt;b&gt;no&lt;/b&gt; member" in said
    assert "<i>closely" not in page.content.decode()
    assert "https://github.com/o/r/issues/1" in said


def test_where_there_is_none(client: Client, repository: Repository) -> None:
    for number in ("1", "99999999999"):
        assert client.get(url(repository, f"break/{number}")).status_code == 404
    other = make.BreakFactory(number=1)
    assert client.get(url(repository, "break/1")).status_code == 404
    assert client.get(url(other.repository, "break/1")).status_code == 200
    assert client.post(url(other.repository, "break/1")).status_code == 405


def test_one_that_was_merged_says_into_which(client: Client, repository: Repository) -> None:
    one = make.broken(repository, [0], suspect=30, newest=33)
    gone = make.closed(repository, merged_into=one, state=BreakState.OPEN, green_at=None)
    said = text_of(client.get(url(repository, f"break/{gone.number}")))
    assert f"This was the same as break {one.number} and is part of it now." in said


def test_acts_are_forms_for_those_who_may(client: Client, repository: Repository) -> None:
    one = make.broken(repository, [0], suspect=30, newest=33, decision="revert", code="confirmed")
    address = url(repository, f"break/{one.number}")
    assert acts(client.get(address).content.decode(), one.number) == set()
    person = get_user_model().objects.create_user("odalys")
    roles.grant(person, roles.Role.TRIAGER, by=None, repository=str(repository))
    client.force_login(person)
    assert acts(client.get(address).content.decode(), one.number) == set()
    roles.grant(person, roles.Role.TREE_HUGGER, by=None, repository=str(repository))
    said = client.get(address).content.decode()
    assert acts(said, one.number) == ACTS
    assert said.count("csrfmiddlewaretoken") >= len(ACTS)
    assert said.count('name="version"') == len(ACTS)
    asked = client.get(address + "?act=revert").content.decode()
    assert '<details class="ask" id="revert" open>' in asked
    assert '<details class="ask" id="opinion">' in asked


def test_what_cannot_be_done_says_why(client: Client, repository: Repository) -> None:
    person = get_user_model().objects.create_user("odalys", is_superuser=True)
    client.force_login(person)
    unknown = make.broken(repository, [0], suspect=30, oldest=28, newest=33, code="gap_unresolved")
    said = client.get(url(repository, f"break/{unknown.number}")).content.decode()
    assert "revert" not in acts(said, unknown.number)
    assert 'aria-disabled="true" data-act="revert"' in said
    assert "Not known yet which of 3 commits it was." in said
    over = make.closed(repository)
    said = client.get(url(repository, f"break/{over.number}")).content.decode()
    assert acts(said, over.number) == {"note", "issue"}
    assert said.count("This break is over.") >= 3


def test_acknowledged_and_owned(client: Client, repository: Repository) -> None:
    person = get_user_model().objects.create_user("odalys", is_superuser=True)
    client.force_login(person)
    one = make.broken(
        repository, [0], suspect=30, newest=33, owner=person, acknowledged_by=person, acknowledged_at=timezone.now()
    )
    said = client.get(url(repository, f"break/{one.number}"))
    assert "acknowledge" not in acts(said.content.decode(), one.number)
    assert "Release" in text_of(said)
    Break.objects.filter(pk=one.pk).update(owner=get_user_model().objects.create_user("kofi"))
    assert "Take over" in text_of(client.get(url(repository, f"break/{one.number}")))


def test_what_people_did(client: Client, repository: Repository) -> None:
    person = get_user_model().objects.create_user("odalys")
    one = make.broken(repository, [0], suspect=30, newest=33)
    audit.record(
        by=person, action="break.acknowledge", target=f"break {one.number}", repository=str(repository), why="<looking>"
    )
    audit.record(by=person, action="break.dismiss", target=f"break {one.number}", repository="octo/other")
    said = text_of(client.get(url(repository, f"break/{one.number}")))
    assert "@odalys acknowledged it: &lt;looking&gt;" in said
    assert "dismiss" not in said.split("What people did")[1]
