"""`/status`: how reading from GitHub is going, for a person."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from hud import status


@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The whole page, or for htmx the part of it that refreshes itself."""
    overview = status.read()
    if request.headers.get("HX-Request") == "true":
        return render(request, "hud/_status_live.html", {"overview": overview})
    set_aside = status.set_aside(request.GET.get("page", "1"))
    return render(request, "hud/status.html", {"overview": overview, "set_aside": set_aside})
