"""The page of the last good commit, and its badge."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import parse_etags, quote_etag
from django.views.decorators.http import require_safe

from hud import freshness, last_good_page, last_good_push, places
from hud.edition import EDITION
from hud.freshness import age
from hud.models import Commit
from hud.views import frame

BADGE_SECONDS = 60
_LETTER = 6.6  # of 11 px Verdana, about; `textLength` makes it exact


@require_safe
def page(request: HttpRequest, owner: str, repo: str) -> HttpResponse:
    """The last good commit; what blocks newer ones, since when and by whom."""
    repository = places.the_repository(owner, repo)
    place = places.trunk_place(repository)
    row = last_good_page.stored(repository.pk)
    now = timezone.now()
    found = last_good_page.explained(repository, row)
    commit = Commit.objects.filter(repository=repository, sha=row.sha).first() if row and row.sha else None
    context: dict[str, Any] = {
        **frame(place, freshness.of_repository(repository.pk, active=repository.active)),
        "row": row,
        "commit": commit,
        "now": now,
        "said": last_good_page.headline(row, now),
        "blocking": [one for one in found if one.block.still],
        "earlier": [one for one in found if not one.block.still],
        "stuck": age(now - row.stuck_since) if row and row.stuck_since else "",
        "push": last_good_push.how(repository, row),
    }
    response = render(request, "hud/last_good.html", context)
    response["Cache-Control"] = "private, no-cache"
    return response


@require_safe
def badge(request: HttpRequest, owner: str, repo: str) -> HttpResponse:
    """The same as a picture, for a README. It says an age, so it is made anew once a minute."""
    repository = places.the_repository(owner, repo)
    now = timezone.now()
    said = last_good_page.headline(last_good_page.stored(repository.pk), now)
    words = f"{said['good']}" + (f", {said['behind']}" if said.get("sha") else "")
    digest = blake2b(repr((EDITION, str(repository), said)).encode(), digest_size=12).hexdigest()
    etag = quote_etag(digest)
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        response: HttpResponse = HttpResponseNotModified()
    else:
        left, right = _width("last good"), _width(words)
        context = {
            "tone": said["tone"], "words": words, "title": f"Last good of {repository}: {words}",
            "left": left, "right": right, "width": left + right,
            "left_middle": left / 2, "right_middle": left + right / 2, "left_text": left - 12, "right_text": right - 12,
        }  # fmt: skip
        response = render(request, "hud/last_good_badge.svg", context, content_type="image/svg+xml; charset=utf-8")
    response["ETag"] = etag
    # GitHub's image proxy keeps what it may; a README's badge shall not be older than the page's own ages.
    response["Cache-Control"] = f"public, max-age={BADGE_SECONDS}"
    response["Access-Control-Allow-Origin"] = "*"
    return response


def _width(text: str) -> int:
    return round(len(text) * _LETTER) + 12
