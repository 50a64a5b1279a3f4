"""The page of a pull request. It shows what is stored at once; if that is old, it is read again meanwhile, and the page
asks for itself until it is there."""

from __future__ import annotations

import re
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from hud import freshness, places, pull_page, pulls
from hud.address import SHA
from hud.models import PullRequest
from hud.places import Place
from hud.views import VARY, frame
from project.github.pulls import NUMBER_MAX

SOON, LATER = 3, 30  # seconds until the page asks for itself again
UNANSWERED = timedelta(seconds=45)  # after which a reading that did not come is said to be late


@require_safe
def page(request: HttpRequest, owner: str, repo: str, number: int) -> HttpResponse:
    """What a pull request broke, or did not; with `HX-Request` the part of the page that keeps itself up to date."""
    repository = places.the_repository(owner, repo)
    if not 0 < number <= NUMBER_MAX:
        raise Http404(f"{repository} has no pull request #{number}.")
    place = places.trunk_place(repository)
    sha = request.GET.get("head", "").lower()
    sha = sha if SHA.fullmatch(sha) else ""
    pull, reading = pulls.ask(repository, number, sha)
    live = _live(place, pull, number, sha, reading)
    if request.headers.get("HX-Request") == "true":
        # Nothing to swap: what is focused or selected stays as it is.
        if request.GET.get("seen") == live["seen"]:
            return _answered(HttpResponse(status=204))
        return _answered(HttpResponse(live["html"]))
    fresh = freshness.of_repository(repository.pk, active=repository.active)
    status = 404 if live["state"] == "missing" else 503 if live["state"] == "busy" else 200
    return _answered(render(request, "hud/pull.html", {**frame(place, fresh), **live, "number": number}, status=status))


def _live(place: Place, pull: PullRequest | None, number: int, sha: str, reading: bool) -> dict[str, Any]:
    """The part of the page that changes, as HTML, and what its frame needs to know."""
    now = timezone.now()
    context: dict[str, Any] = {"place": place, "repository": place.repository, "number": number, "now": now}
    if pull is None:
        state = "busy"
    elif pull.read_at is None and pull.missing_at is not None and not reading:
        state = "missing"
    elif pull.updated_at is None:
        state = "first" if reading else "failed"
    else:
        state = "known"
        context |= pull_page.of_pull(place, pull, sha)
    going = state == "known" and ((pull is not None and pull.open) or bool(context.get("unfinished")))
    every = SOON if reading else LATER if going else 0
    late = reading and pull is not None and pull.asked_at is not None and now - pull.asked_at > UNANSWERED
    context |= {"state": state, "pull": pull, "reading": reading, "every": every, "late": late, "sha": sha}
    body = render_to_string("hud/_pull.html", context)
    # What the page says of time moves by itself, so it does not count as a change.
    lasting = re.sub(r"<time [^>]*>[^<]*</time>", "", body)
    seen = blake2b(f"{every}{lasting}".encode(), digest_size=8).hexdigest()
    html = render_to_string("hud/_pull_live.html", {**context, "body": body, "seen": seen})
    return {**context, "html": html, "seen": seen}


def _answered(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, VARY)
    return response
