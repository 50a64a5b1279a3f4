"""Signing in and out."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from django.conf import settings
from django.contrib.auth import logout
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from project import audit
from project.accounts import provider, refusals

STARTED_SECONDS = 900  # so long a session lives in which somebody began to sign in


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """The sign-in page; its button posts here, which leads to GitHub.

    By a page that goes there by itself, not by a redirect: the policy that keeps forms on this site
    (`form-action 'self'`) would hold for every address that GitHub, or a company's own sign-in behind it, redirects to.
    """
    following = refusals.own_address(request, request.POST.get("next") or request.GET.get("next") or "/")
    context = _page(following)
    if request.method == "POST" and context["possible"]:
        if not request.user.is_authenticated:
            request.session.set_expiry(STARTED_SECONDS)
        answer = get_adapter().get_provider(request, "github").redirect(request, process="login", next_url=following)
        if not isinstance(answer, HttpResponseRedirect):
            return answer  # type: ignore[no-any-return]
        return render(request, "account/leaving.html", context | {"github": answer.url})
    if request.user.is_authenticated and request.method != "POST" and "next" in request.GET:
        return redirect(following)
    return render(request, "account/login.html", context)


@never_cache
@require_safe
def returned(request: HttpRequest) -> HttpResponseBase:
    """Back from GitHub, with a code that says who it is."""
    if not settings.OAUTH_CLIENT_ID:
        raise Http404("Signing in with GitHub is not set up here.")
    answer: HttpResponseBase = provider.callback(request)
    return answer


@never_cache
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Here; GitHub keeps its own session."""
    if request.user.is_authenticated:
        with transaction.atomic():
            audit.record(by=request.user, action="account.sign_out", target=f"@{request.user.get_username()}")
            logout(request)
    return redirect("/" if settings.PUBLIC else settings.LOGIN_URL)


@never_cache
@require_safe
def cancelled(request: HttpRequest) -> HttpResponse:
    """Somebody said no at GitHub."""
    notice = "You cancelled at GitHub. Nothing was changed."
    return render(request, "account/login.html", _page("/") | {"notice": notice})


@never_cache
@require_safe
def inactive(request: HttpRequest) -> HttpResponse:
    """GitHub says who it is, but an admin has closed the account."""
    return refusals.refuse(request, "This account is closed here. An admin of this site can open it again.")


def _page(following: str) -> dict[str, Any]:
    days, hours = divmod(settings.SESSION_HOURS, 24)
    lasts = f"{days} day{'s' * (days > 1)}" if days and not hours else f"{settings.SESSION_HOURS} hours"
    possible = bool(settings.OAUTH_CLIENT_ID)
    host = provider.host()
    github = {"github.com": "GitHub", "127.0.0.1": "the simulated GitHub"}.get(host, host)
    return {"next": following, "possible": possible, "github": github, "lasts": lasts}
