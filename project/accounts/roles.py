"""Who may do what.

A role comes from a person's hand (`grant`), from a GitHub team (`project.accounts.teams`) or, the first admins', from
the setting ARBORIST_ADMINS; never from GitHub's `author_association`, which says who once contributed. What a person
has costs one query a request, whatever is asked of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from project import audit
from project.accounts import refusals
from project.accounts.models import Role, RoleGrant, Source, User

__all__ = [
    "Refused",
    "Role",
    "allows",
    "grant",
    "highest",
    "needs",
    "of",
    "only_in",
    "open_to_all",
    "people_with",
    "require",
    "take",
    "why_not",
]

Person = AbstractBaseUser | AnonymousUser
View = TypeVar("View", bound=Callable[..., HttpResponseBase])
_KNOWN = "_arborist_roles"  # on the user object, which lives as long as its request
ASKED_AT_MOST = 3


class Refused(PermissionDenied):
    """Somebody may not do this; the message says who may, in words for them."""


def of(user: Person, repository: str | None = None) -> Role | None:
    """The highest role that somebody has in a repository ("owner/name"), or everywhere if none is named."""
    wanted = ("", (repository or "").lower())
    return max((role for role, where in _roles(user) if where in wanted), default=None)


def highest(user: Person) -> Role | None:
    """The highest role that somebody has anywhere."""
    return max((role for role, _ in _roles(user)), default=None)


def only_in(user: Person) -> set[str] | None:
    """The repositories, in lower case, to which somebody's roles are bound; None if one of them holds everywhere."""
    found = {where for _, where in _roles(user)}
    return None if "" in found else found


def allows(user: Person, role: Role, repository: str | None = None) -> bool:
    """Whether somebody may do what needs the role. On a public site everybody may read."""
    if role == Role.READER and settings.PUBLIC:
        return True
    has = of(user, repository)
    return has is not None and has >= role


def require(user: Person, role: Role, repository: str | None = None, *, to: str = "do this") -> None:
    """Raise `Refused`, in words, unless `allows`. For actions; views have `needs`."""
    if not allows(user, role, repository):
        raise Refused(why_not(role, repository, to=to))


def needs(role: Role, *, to: str = "do this") -> Callable[[View], View]:
    """For a view: let only people with the role in. Its arguments `owner` and `repo` say in which repository.

    Whoever hasn't signed in is sent to do so; htmx and scripts get 401. Whoever may too little reads who may:
    “Only people with the tree hugger role can revert. Ask @odalys.” (`to="revert"`)
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **named: Any) -> HttpResponseBase:
            owner, repo = named.get("owner"), named.get("repo")
            repository = f"{owner}/{repo}" if owner and repo else None
            if allows(request.user, role, repository):
                return view(request, *args, **named)
            if not request.user.is_authenticated:
                return refusals.sign_in_first(request, f"Sign in to {to}.")
            return refusals.refuse(request, why_not(role, repository, to=to))

        inner.open_to_all = False  # type: ignore[attr-defined]
        return cast(View, inner)

    return decorate


def open_to_all(view: View) -> View:
    """For a view that answers strangers even where only members may read: it looks after itself."""
    view.open_to_all = True  # type: ignore[attr-defined]
    return view


def why_not(role: Role, repository: str | None = None, *, to: str = "do this") -> str:
    """“Only people with the tree hugger role can revert. Ask @odalys.”"""
    names = people_with(role, repository)[:ASKED_AT_MOST]
    who = [f"@{name}" for name in names]
    ask = f"Ask {', '.join(who[:-1]) + ' or ' if who[1:] else ''}{who[-1]}." if who else "Nobody has it yet."
    if role == Role.READER:
        return f"Only members can {to}. {ask if who else 'Nobody is one yet.'}"
    return f"Only people with the {role.words} role can {to}. {ask}"


def people_with(role: Role, repository: str | None = None) -> list[str]:
    """The logins of those who have at least the role there, those who have just it first."""
    where = (repository or "").lower().replace("\0", "")  # of an address that somebody made up
    grants = RoleGrant.objects.filter(_valid(), role__gte=role, repository__in={"", where}, user__is_active=True)
    found: dict[str, int] = {}
    for login, has in grants.order_by("role", "user__username").values_list("user__username", "role"):
        found.setdefault(login, has)
    for user in User.objects.filter(is_active=True).filter(_first_admins()):
        found.setdefault(user.username, Role.ADMIN)
    return sorted(found, key=lambda login: (found[login], login))


# -- giving and taking ------------------------------------------------------------------------------------------------


@transaction.atomic
def grant(
    user: User, role: Role, *, by: Person | None, repository: str | None = None, team: str = "", why: str = ""
) -> RoleGrant:
    """Give a role, by hand unless a team is named. Given twice, it is had once."""
    given, new = RoleGrant.objects.get_or_create(
        user=user,
        role=role,
        repository=(repository or "").lower(),
        source=Source.TEAM if team else Source.HAND,
        team=team,
        defaults={"by": by if isinstance(by, User) else None},
    )
    if new:
        _changed(user, "role.give", given, by=by, why=why)
    elif team:
        RoleGrant.objects.filter(pk=given.pk).update(confirmed_at=timezone.now())
        forget(user)
    return given


@transaction.atomic
def take(user: User, role: Role, *, by: Person | None, repository: str | None = None, why: str = "") -> bool:
    """Take a role that was given by hand; False if there was none. One that a team gives is taken in that team."""
    by_hand = RoleGrant.objects.filter(user=user, role=role, repository=(repository or "").lower(), source=Source.HAND)
    taken = take_grants(by_hand, by=by, why=why)
    forget(user)
    return taken


@transaction.atomic
def take_grants(grants: Any, *, by: Person | None, why: str = "") -> bool:
    """Take these grants (a query set of `RoleGrant`)."""
    taken = list(grants.select_for_update(of=("self",)).select_related("user"))
    RoleGrant.objects.filter(pk__in=[one.pk for one in taken]).delete()
    for one in taken:
        _changed(one.user, "role.take", one, by=by, why=why)
    return bool(taken)


def forget(user: User) -> None:
    """What is known of a person's roles is no longer so; and whether they may enter Django's admin follows."""
    user.__dict__.pop(_KNOWN, None)
    staff = user.is_superuser or of(user) == Role.ADMIN
    if user.is_staff != staff:
        user.is_staff = staff
        User.objects.filter(pk=user.pk).update(is_staff=staff)


def _changed(user: User, action: str, grant: RoleGrant, *, by: Person | None, why: str) -> None:
    forget(user)
    audit.record(
        by=by,
        action=action,
        target=f"@{user.username}",
        repository=grant.repository,
        why=why,
        detail={"role": Role(grant.role).words} | ({"team": grant.team} if grant.team else {}),
    )


# -- looking up -------------------------------------------------------------------------------------------------------


def _roles(user: Person) -> list[tuple[Role, str]]:
    """(role, repository in lower case or "" for everywhere) of a person, read once."""
    if not user.is_authenticated or not getattr(user, "is_active", False):
        return []
    known: list[tuple[Role, str]] | None = user.__dict__.get(_KNOWN)
    if known is None:
        if getattr(user, "is_superuser", False) or user.get_username().lower() in settings.ADMIN_LOGINS:
            known = [(Role.ADMIN, "")]
        else:
            rows = RoleGrant.objects.filter(_valid(), user_id=user.pk).values_list("role", "repository")
            known = [(Role(role), repository) for role, repository in rows]
        user.__dict__[_KNOWN] = known
    return known


def _valid() -> Q:
    """A team's role lasts as long as GitHub's word for it: no longer than a session may."""
    return Q(source=Source.HAND) | Q(confirmed_at__gt=timezone.now() - timedelta(hours=settings.SESSION_HOURS))


def _first_admins() -> Q:
    found = Q(is_superuser=True)
    for login in settings.ADMIN_LOGINS:
        found |= Q(username__iexact=login)
    return found
