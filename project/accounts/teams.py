"""Roles by GitHub team: whoever is in the team has the role, whoever leaves it loses it.

A person's teams are read with their own token when they sign in; that token is not kept. Once a day, and when asked,
the teams' members are read with the site's token, if it may read them. Where GitHub does not answer, nothing changes:
a team's role ends by itself when GitHub has not confirmed it for as long as a session may last.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import quote

import requests
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction

from project.accounts import roles
from project.accounts.models import RoleGrant, Source, TeamRole, User
from project.accounts.provider import host
from project.github.tokens import AppInstallationToken, Bearer, PersonalToken

log = logging.getLogger(__name__)

PAGES_AT_MOST = 20
TIMEOUT = (5, 10)


def of_person(token: str) -> frozenset[str] | None:
    """The teams of the person whose token it is, as "org/team"; None if GitHub did not say."""
    if not TeamRole.objects.filter(host=host()).exists():
        return frozenset()
    try:
        return frozenset(
            f"{team['organization']['login']}/{team['slug']}".lower()
            for team in _listed(f"{settings.GITHUB_API_URL}/user/teams?per_page=100", f"Bearer {token}")
        )
    except (requests.RequestException, LookupError, TypeError) as error:
        log.warning("the teams of a person could not be read: %s", _kind(error))
        return None


@transaction.atomic
def renew(user: User, teams: Collection[str] | None, *, unread: Collection[str] | None = None) -> None:
    """Have a person's team roles follow their teams. `unread`: teams of which GitHub said nothing (all, if `teams` is
    None); their roles stay as they are."""
    User.objects.select_for_update().filter(pk=user.pk).first()  # a sign-in and the daily renewal, one after the other
    offered = list(TeamRole.objects.filter(host=host()))
    given = {(one.role, one.repository, one.team) for one in offered if one.team in (teams or ())}
    known = {(one.role, one.repository, one.team) for one in offered}
    for role, repository, team in sorted(given):
        roles.grant(user, roles.Role(role), by=None, repository=repository, team=team)
    gone = []
    for grant in RoleGrant.objects.filter(user=user, source=Source.TEAM):
        what = (grant.role, grant.repository, grant.team)
        silent = teams is None or grant.team in (unread or ())
        if what not in (known if silent else given):
            gone.append(grant.pk)
    if gone:
        roles.take_grants(RoleGrant.objects.filter(pk__in=gone), by=None, why="no longer in the team on GitHub")


def settle(*, by: User | None) -> None:
    """After a team's role was changed here: take what no team gives any more."""
    offered = {(one.role, one.repository, one.team) for one in TeamRole.objects.filter(host=host())}
    rows = RoleGrant.objects.filter(source=Source.TEAM).values_list("pk", "role", "repository", "team")
    gone = [pk for pk, *what in rows if tuple(what) not in offered]
    roles.take_grants(RoleGrant.objects.filter(pk__in=gone), by=by, why="the team no longer gives it")


def renew_all(authorization: str) -> dict[str, str]:
    """Read every team's members with the site's own token, and have roles follow: how it went, by team."""
    told: dict[str, str] = {}
    members: dict[str, set[str]] = {}
    unread = set()
    for team in TeamRole.objects.filter(host=host()).values_list("team", flat=True).distinct():
        org, _, slug = team.partition("/")
        url = f"{settings.GITHUB_API_URL}/orgs/{quote(org)}/teams/{quote(slug)}/members?per_page=100"
        try:
            members[team] = {str(one["id"]) for one in _listed(url, authorization)}
            told[team] = f"{len(members[team])} members"
        except (requests.RequestException, LookupError, TypeError) as error:
            unread.add(team)
            told[team] = f"could not be read: {_kind(error)}"
    for account in SocialAccount.objects.filter(provider=host()).select_related("user"):
        renew(account.user, {team for team, numbers in members.items() if account.uid in numbers}, unread=unread)
    settle(by=None)
    return told


def authorization() -> str:
    """The site's own token, as a header has it. Raises `GitHubError`."""
    if settings.GITHUB_APP_ID:
        with requests.Session() as session:
            return AppInstallationToken(
                app_id=settings.GITHUB_APP_ID,
                private_key=settings.GITHUB_APP_PRIVATE_KEY,
                installation_id=settings.GITHUB_APP_INSTALLATION_ID,
                api_url=settings.GITHUB_API_URL,
                session=session,
            ).header()
    return PersonalToken(settings.GITHUB_TOKEN).header() if settings.GITHUB_TOKEN else ""


def _listed(url: str, authorization: str) -> Iterator[dict[str, Any]]:
    """All pages of a list. Not through the site's client: it is another's token, and costs another's budget."""
    with requests.Session() as session:
        for _ in range(PAGES_AT_MOST):
            answer = session.get(
                url,
                headers={"Accept": "application/vnd.github+json", "User-Agent": "arborist"},
                auth=Bearer(authorization),
                timeout=TIMEOUT,
                allow_redirects=False,
            )
            answer.raise_for_status()
            if answer.status_code != 200:
                raise requests.HTTPError(response=answer)
            yield from answer.json()
            following = answer.links.get("next", {}).get("url", "")
            if not following:
                return
            if not following.startswith(settings.GITHUB_API_URL + "/"):
                raise requests.exceptions.InvalidURL
            url = following
    raise LookupError("more pages than anybody has teams")


def _kind(error: Exception) -> str:
    """What it was, without what was sent."""
    answer = getattr(error, "response", None)
    return f"GitHub answered {answer.status_code}" if answer is not None else type(error).__name__
