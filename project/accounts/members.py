"""Where reading is for members (ARBORIST_PUBLIC=false), a page is closed unless it is opened here by name."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, ResolverMatch, resolve
from django.utils.decorators import sync_only_middleware

from project.accounts import refusals, roles

# Signing in, and the admin's own sign-in, must work for strangers; the admin looks after itself. Health is asked for by
# machines and tells nothing of what is watched. Badges are shown by other sites. What else looks after itself says
# `roles.open_to_all`. (Webhooks, which are signed, and streams, which ask for the role, don't come through Django.)
OPEN_BELOW, OPEN_PATHS, OPEN_NAMES = ("/accounts/", "/admin/"), ("/healthz", "/readyz"), ("last-good-badge",)


@sync_only_middleware
def members_only(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuse whoever isn't at least a reader. Synchronous, as everything around `project.threads`."""
    if settings.PUBLIC:
        raise MiddlewareNotUsed

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(OPEN_BELOW) or request.path_info in OPEN_PATHS:
            return get_response(request)
        try:
            match: ResolverMatch | None = resolve(request.path_info)
        except Resolver404:
            match = None
        if match is not None and (match.url_name in OPEN_NAMES or getattr(match.func, "open_to_all", False)):
            return get_response(request)
        named = match.kwargs if match is not None else {}
        # The pages call a repository's name `repo`, the API `name`.
        if _may_read(request, named.get("owner"), named.get("repo") or named.get("name")):
            return get_response(request)
        if not request.user.is_authenticated:
            return refusals.sign_in_first(request, "Only members can read this site.")
        return refusals.refuse(request, roles.why_not(roles.Role.READER, to="read this"))

    return middleware


def _may_read(request: HttpRequest, owner: str | None, repo: str | None) -> bool:
    if owner and repo:
        return roles.of(request.user, f"{owner}/{repo}") is not None
    return roles.highest(request.user) is not None
