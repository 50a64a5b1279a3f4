"""The page of a column's history."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from hud import column, freshness, places
from hud.views import VARY, frame


@require_safe
def page(request: HttpRequest, owner: str, repo: str, slot: int) -> HttpResponse:
    """One configuration over trunk's newest commits."""
    repository = places.the_repository(owner, repo)
    place = places.trunk_place(repository)
    found = column.of_column(place, slot, column.days_asked(request.GET.get("days", "")))
    if found is None:
        raise Http404(f"{repository} has no configuration in column {slot}.")
    fresh = freshness.of_repository(repository.pk, active=repository.active)
    response = render(request, "hud/column.html", {**frame(place, fresh), **found})
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, VARY)
    return response
