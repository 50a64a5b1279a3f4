"""`/writes`: what was asked of GitHub and what became of it, with undo and another try."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from hashlib import blake2b
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags, quote_etag
from django.views.decorators.http import require_POST, require_safe

from project.accounts import refusals, roles
from project.accounts.roles import Role
from project.outbox import actions
from project.outbox.models import State, Write
from project.outbox.shown import Fate, of, role_lacking

FAILED_SHOWN = 50
RECENT_SHOWN = 100
LOOKED_THROUGH = 2000  # newest writes that the choice of repositories is made from


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The newest writes, those that failed first, of all repositories that one may read or of one."""
    repository = request.GET.get("repository", "").replace("\0", "")[:210]
    newest = Write.objects.order_by("-pk").values("repository")[:LOOKED_THROUGH]
    names = sorted({row["repository"] for row in newest})
    readable = [name for name in names if roles.allows(request.user, Role.READER, name)]
    wanted = [name for name in readable if name == repository] if repository else readable
    rows = Write.objects.filter(repository__in=wanted).order_by("-pk")
    context = {
        "repositories": readable,
        "repository": repository,
        "failed": [of(write, request.user) for write in rows.filter(state=State.FAILED)[:FAILED_SHOWN]],
        "recent": [of(write, request.user) for write in rows.exclude(state=State.FAILED)[:RECENT_SHOWN]],
    }
    response = render(request, "outbox/writes.html", context)
    response["Cache-Control"] = "private, no-cache"
    return response


@require_safe
def write(request: HttpRequest, write_id: int) -> HttpResponseBase:
    """One write: a page, or for htmx the fragment that brings itself up to date until its fate is known."""
    found = _find(write_id)
    if not roles.allows(request.user, Role.READER, found.repository):
        if not request.user.is_authenticated:
            return refusals.sign_in_first(request, "Sign in to read this.")
        return refusals.refuse(request, roles.why_not(Role.READER, found.repository, to="read this"))
    fate = of(found, request.user)
    etag = _etag(request, fate)
    known = parse_etags(request.headers.get("If-None-Match", ""))
    response = HttpResponseNotModified() if etag in known else _shown(request, fate)
    response["ETag"] = etag
    return _cached(response)


def _etag(request: HttpRequest, fate: Fate) -> str:
    parts = (fate.key, request.user.pk, _is_fragment(request), request.GET.get("late", ""))
    return "W/" + quote_etag(blake2b(repr(parts).encode(), digest_size=12).hexdigest())


def _shown(request: HttpRequest, fate: Fate, notice: str = "") -> HttpResponse:
    if not notice and request.GET.get("late"):
        notice = TOO_LATE
    context = {"fate": fate, "write": fate.write, "notice": notice}
    return render(request, "outbox/_fate.html" if _is_fragment(request) else "outbox/write.html", context)


def _is_fragment(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _cached(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, ("Cookie", "HX-Request"))
    return response


def _find(write_id: int) -> Write:
    found = Write.objects.filter(pk=write_id).first() if write_id < 2**63 else None
    if found is None:
        raise Http404(f"There is no write {write_id}.")
    return found


# -- what a person does ----------------------------------------------------------------------------------------------

TOO_LATE = "Too late for that: it has gone its way since this page was shown."


def _by_role(to: str) -> Callable[[Callable[[HttpRequest, Write], bool]], Callable[..., HttpResponseBase]]:
    """A POST on a write, by whoever asked for it or has the role that its kind asks for."""

    def decorate(act: Callable[[HttpRequest, Write], bool]) -> Callable[..., HttpResponseBase]:
        @require_POST
        @wraps(act)
        def view(request: HttpRequest, write_id: int) -> HttpResponseBase:
            found = _find(write_id)
            role = role_lacking(found, request.user)
            if role is not None:
                if not request.user.is_authenticated:
                    return refusals.sign_in_first(request, f"Sign in to {to}.")
                return refusals.refuse(request, roles.why_not(role, found.repository, to=to))
            in_time = act(request, found)
            if not _is_fragment(request):
                return redirect(f"/writes/{write_id}" + ("" if in_time else "?late=1"))
            return _cached(_shown(request, of(found, request.user), "" if in_time else TOO_LATE))

        return view

    return decorate


@_by_role("undo this")
def cancel(request: HttpRequest, found: Write) -> bool:
    """Undo it, if it has not been sent."""
    return actions.cancel(found, by=_person(request))


@_by_role("send this again")
def retry(request: HttpRequest, found: Write) -> bool:
    """Try again what failed or was undone."""
    return actions.retry(found, by=_person(request))


def _person(request: HttpRequest) -> Any:
    assert request.user.is_authenticated  # nobody else has a role
    return request.user
