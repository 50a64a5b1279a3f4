"""Roles: given, taken, looked up, and refused in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import get_resolver
from django.utils import timezone

from project.accounts import roles
from project.accounts.models import RoleGrant, User
from project.accounts.roles import Role
from project.audit.models import Entry
from tests.hud import worlds

pytestmark = pytest.mark.django_db

HERE = "grove/orchard"


@pytest.fixture
def user() -> User:
    return User.objects.create(username="oakapple")


@pytest.fixture
def boss() -> User:
    return User.objects.create(username="juniper-q")


@roles.needs(Role.TREE_HUGGER, to="revert")
def revert(request: Any, owner: str, repo: str) -> HttpResponse:
    return HttpResponse("reverted")


def ask(user: Any, *, method: str = "post", owner: str = "grove", **headers: str) -> Any:
    request = getattr(RequestFactory(headers=headers), method)(f"/hud/{owner}/orchard/revert?x=1")
    request.user = user
    return revert(request, owner=owner, repo="orchard")


def test_a_higher_role_includes_the_lower(user: User) -> None:
    assert roles.of(user) is None
    roles.grant(user, Role.TREE_HUGGER, by=None)
    assert roles.of(user) == roles.of(user, HERE) == Role.TREE_HUGGER
    assert [roles.allows(user, role) for role in Role] == [True, True, True, False, False]


def test_a_role_in_one_repository_is_none_elsewhere(user: User) -> None:
    roles.grant(user, Role.MAINTAINER, by=None, repository="Grove/Orchard")
    assert roles.of(user, "grove/ORCHARD") == Role.MAINTAINER
    assert roles.of(user, "grove/redwood") is None
    assert roles.of(user) is None
    assert roles.highest(user) == Role.MAINTAINER
    roles.grant(user, Role.TRIAGER, by=None)
    assert roles.of(user, "grove/redwood") == Role.TRIAGER
    assert roles.of(user, HERE) == Role.MAINTAINER


def test_whatever_is_asked_costs_one_query(user: User, django_assert_num_queries: Any) -> None:
    roles.grant(user, Role.TRIAGER, by=None)
    fresh = User.objects.get()
    with django_assert_num_queries(1):
        for role in Role:
            roles.allows(fresh, role, HERE)
        roles.of(fresh)
        roles.highest(fresh)
    with django_assert_num_queries(0):
        assert roles.of(AnonymousUser()) is None


def test_giving_and_taking_are_written_down(user: User, boss: User) -> None:
    roles.grant(user, Role.TRIAGER, by=boss, repository=HERE, why="triages since May")
    roles.grant(user, Role.TRIAGER, by=boss, repository=HERE)  # twice is once
    assert roles.take(user, Role.TRIAGER, by=boss, repository=HERE)
    assert not roles.take(user, Role.TRIAGER, by=boss, repository=HERE)
    assert roles.of(user, HERE) is None
    given, taken = Entry.objects.order_by("id")
    assert (given.action, given.actor_login, given.target, given.repository, given.why, given.detail) == (
        "role.give", "juniper-q", "@oakapple", HERE, "triages since May", {"role": "triager"},
    )  # fmt: skip
    assert taken.action == "role.take"


def test_admins_enter_djangos_admin_and_are_no_superusers(user: User, client: Any) -> None:
    roles.grant(user, Role.ADMIN, by=None, repository=HERE)
    assert not User.objects.get().is_staff  # an admin of one repository is none of the site
    roles.grant(user, Role.ADMIN, by=None)
    stored = User.objects.get()
    assert (stored.is_staff, stored.is_superuser) == (True, False)
    client.force_login(stored)
    assert client.get("/admin/accounts/user/").status_code == 200
    roles.take(user, Role.ADMIN, by=None)
    assert not User.objects.get().is_staff
    assert client.get("/admin/accounts/user/").status_code == 302


def test_the_closed_and_the_super(user: User, boss: User) -> None:
    roles.grant(user, Role.ADMIN, by=None)
    user.is_active = False
    assert roles.of(user) is None
    boss.is_superuser = True
    assert roles.of(boss, HERE) == Role.ADMIN


def test_a_teams_role_ends_when_github_no_longer_confirms_it(user: User) -> None:
    roles.grant(user, Role.TRIAGER, by=None, team="grove/triagers")
    RoleGrant.objects.update(confirmed_at=timezone.now() - timedelta(days=15))
    assert roles.of(User.objects.get()) is None
    assert roles.people_with(Role.TRIAGER) == []


def test_people_with_a_role(user: User, boss: User, settings: Any) -> None:
    roles.grant(user, Role.TREE_HUGGER, by=None, repository=HERE)
    roles.grant(boss, Role.ADMIN, by=None)
    closed = User.objects.create(username="closed", is_active=False)
    roles.grant(closed, Role.ADMIN, by=None)
    assert roles.people_with(Role.TREE_HUGGER, HERE) == ["oakapple", "juniper-q"]
    assert roles.people_with(Role.TREE_HUGGER) == ["juniper-q"]
    User.objects.create(username="Birchbark")
    settings.ADMIN_LOGINS = frozenset({"birchbark"})
    assert roles.people_with(Role.ADMIN) == ["Birchbark", "juniper-q"]


class TestRefusals:
    def test_whoever_may_gets_in(self, user: User) -> None:
        roles.grant(user, Role.MAINTAINER, by=None, repository=HERE)
        assert ask(user).content == b"reverted"
        assert ask(user, owner="other").status_code == 403

    def test_whoever_may_too_little_reads_who_may(self, user: User, boss: User) -> None:
        answer = ask(user)
        assert answer.status_code == 403
        assert "Only people with the tree hugger role can revert. Nobody has it yet." in answer.content.decode()
        roles.grant(boss, Role.TREE_HUGGER, by=None)
        page = ask(user).content.decode()
        assert "Only people with the tree hugger role can revert. Ask @juniper-q." in page
        assert "<title>" in page

    def test_htmx_gets_a_fragment_and_scripts_get_json(self, user: User) -> None:
        fragment = ask(user, **{"HX-Request": "true"})
        assert (fragment.status_code, b"<title>" in fragment.content) == (403, False)
        told = ask(user, Accept="application/json")
        assert json.loads(told.content)["error"].startswith("Only people with the tree hugger role can revert.")

    def test_strangers_are_sent_to_sign_in_and_back(self) -> None:
        stranger = AnonymousUser()
        answer = ask(stranger, method="get")
        assert (answer.status_code, answer["Location"]) == (
            302, "/accounts/login/?next=%2Fhud%2Fgrove%2Forchard%2Frevert%3Fx%3D1",
        )  # fmt: skip
        posted = ask(stranger, Referer="http://testserver/hud/grove/orchard/main?at=abc")
        assert posted["Location"] == "/accounts/login/?next=%2Fhud%2Fgrove%2Forchard%2Fmain%3Fat%3Dabc"
        assert ask(stranger, Referer="http://evil.example/x")["Location"] == "/accounts/login/"

    def test_strangers_scripts_get_401(self) -> None:
        fragment = ask(AnonymousUser(), **{"HX-Request": "true", "HX-Current-URL": "http://testserver/hud/a/b/main"})
        assert fragment.status_code == 401
        assert b'href="/accounts/login/?next=%2Fhud%2Fa%2Fb%2Fmain"' in fragment.content
        assert ask(AnonymousUser(), **{"Sec-Fetch-Mode": "cors"}).status_code == 401
        assert ask(AnonymousUser(), **{"Sec-Fetch-Mode": "navigate"}).status_code == 302
        told = ask(AnonymousUser(), Accept="application/json")
        assert told.status_code == 401
        assert json.loads(told.content) == {"error": "Sign in to revert.", "sign_in": "/accounts/login/"}

    def test_for_actions_it_is_raised(self, user: User, client: Any) -> None:
        with pytest.raises(roles.Refused, match="Only people with the maintainer role can mark this"):
            roles.require(user, Role.MAINTAINER, HERE, to="mark this")
        roles.grant(user, Role.MAINTAINER, by=None)
        roles.require(user, Role.MAINTAINER, HERE)

    def test_names_are_escaped(self, user: User) -> None:
        evil = User.objects.create(username="<b>x</b>")
        roles.grant(evil, Role.TREE_HUGGER, by=None)
        assert b"<b>x</b>" not in ask(user, **{"HX-Request": "true"}).content + ask(user).content


class TestMembersOnly:
    @pytest.fixture(autouse=True)
    def _closed(self, settings: Any) -> None:
        settings.PUBLIC = False

    @pytest.mark.parametrize(
        "address", ["/", "/status", "/hud/grove/orchard/main", "/no/such/page", "/audit", "/audit.csv"]
    )
    def test_pages_are_closed_to_strangers(self, client: Any, address: str) -> None:
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/login/")

    def test_the_api_answers_401(self, client: Any) -> None:
        assert client.get("/api/v1/repositories").status_code == 401
        assert client.get("/api/v1/openapi.json").status_code == 401

    @pytest.mark.parametrize("address", ["/healthz", "/accounts/login/", "/admin/login/"])
    def test_what_must_stay_open_does(self, client: Any, address: str) -> None:
        assert client.get(address).status_code == 200

    def test_signed_in_without_a_role_is_no_member(self, client: Any, user: User, boss: User) -> None:
        roles.grant(boss, Role.ADMIN, by=None)
        client.force_login(user)
        answer = client.get("/status")
        assert answer.status_code == 403
        assert "Only members can read this. Ask @juniper-q." in answer.content.decode()

    def test_a_reader_reads(self, client: Any, user: User) -> None:
        roles.grant(user, Role.READER, by=None, repository=HERE)
        client.force_login(user)
        assert client.get("/status").status_code == 200
        assert client.get("/hud/grove/orchard/main").status_code == 404  # let in; there is no such repository
        assert client.get("/hud/grove/redwood/main").status_code == 403

    def test_a_badge_is_shown_to_all(self, client: Any) -> None:
        worlds.repository()
        assert client.get("/hud/grove/orchard/last-good.svg").status_code == 200
        assert client.get("/hud/grove/orchard/main").status_code == 302

    def test_a_view_can_open_itself(self, client: Any, monkeypatch: Any) -> None:
        from hud import status_views

        assert client.get("/status").status_code == 302
        monkeypatch.setattr(status_views.page, "open_to_all", True, raising=False)
        assert client.get("/status").status_code == 200


def test_public_pages_are_open(client: Any) -> None:
    assert client.get("/status").status_code == 200
    assert roles.allows(AnonymousUser(), Role.READER)
    assert not roles.allows(AnonymousUser(), Role.TRIAGER)


def test_every_form_is_checked_for_where_it_came_from() -> None:
    """No view is exempt from CSRF protection but the API's, which changes nothing by a cookie."""

    def views(patterns: Any, path: str = "") -> Iterator[tuple[str, Any]]:
        for one in patterns:
            if hasattr(one, "url_patterns"):
                yield from views(one.url_patterns, path + str(one.pattern))
            else:
                yield path + str(one.pattern), one.callback

    found = dict(views(get_resolver().url_patterns))
    assert "accounts/logout/" in found
    exempt = {path for path, view in found.items() if getattr(view, "csrf_exempt", False)}
    assert {path for path in exempt if not path.startswith("api/")} == set()
