"""Roles by GitHub team, against the simulated GitHub's organization."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from project.accounts import roles, tasks, teams
from project.accounts.models import RoleGrant, TeamRole, User
from project.accounts.roles import Role
from project.audit.models import Entry

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _teams(github: Any) -> None:
    call_command("give_role", "Grove/Tree-Huggers", "tree_hugger")
    call_command("give_role", "grove/owners", "admin")
    call_command("give_role", "grove/triagers", "triager", repository="grove/bonsai")


def role_of(login: str, repository: str | None = None) -> Role | None:
    return roles.of(User.objects.get(username=login), repository)


def test_signing_in_gives_what_the_teams_give(person: Any) -> None:
    person().sign_in("oakapple")
    person().sign_in("juniper-q")
    person().sign_in("ivy-lattice")
    person().sign_in("birchbark")
    assert role_of("oakapple") == Role.TREE_HUGGER
    assert role_of("juniper-q") == Role.ADMIN
    assert User.objects.get(username="juniper-q").is_staff
    assert (role_of("ivy-lattice"), role_of("ivy-lattice", "grove/bonsai")) == (None, Role.TRIAGER)
    assert role_of("birchbark") is None


def test_whoever_leaves_the_team_loses_its_role(person: Any, github: Any) -> None:
    one = person()
    one.sign_in("oakapple")
    roles.grant(User.objects.get(), Role.READER, by=None)
    github.control("people", leave="tree-huggers", person="oakapple")
    assert role_of("oakapple") == Role.TREE_HUGGER
    one.sign_in("oakapple")
    assert role_of("oakapple") == Role.READER  # what a hand gave stays
    entry = Entry.objects.get(action="role.take")
    assert (entry.actor_login, entry.why, entry.detail["team"]) == (
        "", "no longer in the team on GitHub", "grove/tree-huggers",
    )  # fmt: skip


def test_once_a_day_roles_follow_teams_without_anybody_signing_in(person: Any, github: Any) -> None:
    person().sign_in("oakapple")
    person().sign_in("birchbark")
    github.control("people", leave="tree-huggers", person="oakapple")
    github.control("people", join="owners", person="birchbark")
    tasks.renew_roles()
    assert role_of("oakapple") is None
    assert role_of("birchbark") == Role.ADMIN


def test_a_team_that_cannot_be_read_changes_nothing(person: Any, github: Any) -> None:
    person().sign_in("oakapple")
    long_ago = timezone.now() - timedelta(days=3)
    RoleGrant.objects.update(confirmed_at=long_ago)
    github.control("faults", kind="error", status=403, match="tree-huggers/members")
    told = teams.renew_all("Bearer x")
    assert told["grove/tree-huggers"] == "could not be read: GitHub answered 403"
    assert told["grove/owners"] == "1 members"
    assert role_of("oakapple") == Role.TREE_HUGGER
    assert RoleGrant.objects.get().confirmed_at == long_ago
    teams.renew_all("Bearer x")
    assert RoleGrant.objects.get().confirmed_at > long_ago


def test_signing_in_goes_on_if_teams_cannot_be_read(person: Any, github: Any) -> None:
    one = person()
    one.sign_in("oakapple")
    for kind in ("error", "malformed", "cut"):
        github.control("faults", kind=kind, match="/user/teams")
        assert one.sign_in("oakapple").status_code == 302
        assert role_of("oakapple") == Role.TREE_HUGGER


def test_a_team_of_another_github_gives_nothing(person: Any) -> None:
    TeamRole.objects.update(host="github.com")
    person().sign_in("oakapple")
    assert role_of("oakapple") is None


def test_a_role_taken_from_a_team_is_taken_from_its_people(person: Any, admin_client: Any) -> None:
    person().sign_in("oakapple")
    number = TeamRole.objects.get(team="grove/tree-huggers").pk
    admin_client.post(f"/admin/accounts/teamrole/{number}/delete/", {"post": "yes"})
    assert role_of("oakapple") is None
    assert Entry.objects.filter(action="team.take", target="grove/tree-huggers").exists()


def test_teams_in_the_admin(admin_client: Any, person: Any) -> None:
    person().sign_in("cedarline")
    answer = admin_client.post(
        "/admin/accounts/teamrole/add/", {"team": "grove/maintainers", "role": 4, "repository": "https://x"}
    )
    assert "owner/name, or empty" in answer.content.decode()
    admin_client.post("/admin/accounts/teamrole/add/", {"team": "Grove/Maintainers", "role": 4, "repository": ""})
    made = TeamRole.objects.get(role=4)
    assert (made.team, made.host) == ("grove/maintainers", "127.0.0.1")
    answer = admin_client.post(
        "/admin/accounts/teamrole/", {"action": "renew", "_selected_action": made.pk}, follow=True
    )
    assert "Grove/maintainers: 2 members" in answer.content.decode()
    assert role_of("cedarline") == Role.MAINTAINER


def test_roles_in_the_admin(admin_client: Any, person: Any) -> None:
    person().sign_in("oakapple")
    user = User.objects.get(username="oakapple")
    admin_client.post("/admin/accounts/rolegrant/add/", {"user": user.pk, "role": 4, "repository": "Grove/Bonsai"})
    assert role_of("oakapple", "grove/bonsai") == Role.MAINTAINER
    assert Entry.objects.filter(action="role.give", actor_login="admin", repository="grove/bonsai").exists()
    everything = {"action": "take", "_selected_action": list(RoleGrant.objects.values_list("pk", flat=True))}
    answer = admin_client.post("/admin/accounts/rolegrant/", everything, follow=True)
    assert "1 by a team: take them there." in answer.content.decode()
    assert role_of("oakapple", "grove/bonsai") == Role.TREE_HUGGER


def test_nobody_is_made_a_superuser_from_the_admin(person: Any) -> None:
    one = person()
    one.sign_in("juniper-q")
    user = User.objects.get()
    assert one.browser.get(f"/admin/accounts/user/{user.pk}/change/").status_code == 200
    token = one.browser.get("/accounts/login/").cookies.get("arborist_csrf")
    csrf = one.browser.cookies["arborist_csrf"].value if token is None else token.value
    fields = {"is_active": "on", "is_superuser": "on", "is_staff": "on", "csrfmiddlewaretoken": csrf}
    assert one.browser.post(f"/admin/accounts/user/{user.pk}/change/", fields).status_code == 302
    assert not User.objects.get().is_superuser
    boss = User.objects.create_superuser("root", password="p")
    fields.pop("is_active")
    assert one.browser.post(f"/admin/accounts/user/{boss.pk}/change/", fields).status_code == 403
    assert one.browser.get("/admin/socialaccount/socialaccount/").status_code == 404


def test_the_command_says_what_it_cannot_do() -> None:
    with pytest.raises(CommandError, match="has not signed in yet"):
        call_command("give_role", "nobody", "triager")
    with pytest.raises(CommandError, match="two names"):
        call_command("give_role", "a/b/c", "triager")
    User.objects.create(username="Somebody")
    call_command("give_role", "@somebody", "maintainer", repository="a/b")
    assert role_of("Somebody", "a/b") == Role.MAINTAINER
