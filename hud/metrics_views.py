"""The page of plots; and `/metrics`, the same house in numbers for Prometheus."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hud import exposition, freshness, metrics_page, places
from hud.views import frame
from project.accounts import refusals, roles


@require_safe
def page(request: HttpRequest, owner: str, repo: str) -> HttpResponse:
    """The last days of a trunk, plotted."""
    repository = places.the_repository(owner, repo)
    place = places.trunk_place(repository)
    days = metrics_page.days_asked(request.GET.get("days", ""))
    fresh = freshness.of_repository(repository.pk, active=repository.active)
    response = render(request, "hud/metrics.html", {**frame(place, fresh), **metrics_page.context(place, days)})
    response["Cache-Control"] = "private, no-cache"
    return response


@roles.open_to_all  # it looks after itself: a machine can't sign in
@never_cache
@require_safe
def prometheus(request: HttpRequest) -> HttpResponseBase:
    """What an alarm may stand on, from stored numbers; with ARBORIST_METRICS_TOKEN only for those who know it."""
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    if not token and not roles.allows(request.user, roles.Role.READER):
        return refusals.sign_in_first(request, "Only members can read this; machines need ARBORIST_METRICS_TOKEN.")
    if token and not constant_time_compare(given, f"Bearer {token}"):
        answer = HttpResponse("A bearer token is needed.\n", status=401, content_type="text/plain; charset=utf-8")
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    return HttpResponse(exposition.text(), content_type=exposition.CONTENT_TYPE)
