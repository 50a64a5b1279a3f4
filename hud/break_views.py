"""The pages of breaks: the list, and one. Nothing here writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from hud import attention, break_history, break_list, break_page, freshness, places
from hud.models import Break, BreakState, Classification, Repository
from hud.places import Place
from hud.views import VARY, frame
from project.accounts import roles
from project.accounts.roles import Role

ACTS = ("acknowledge", "own", "note", "issue", "dismiss", "revert", "rerun", "opinion")
KEYS = [
    ("N P", "next, previous break"), ("A", "acknowledge"), ("O", "own it"), ("V", "revert…"), ("R", "re-run"),
    ("B", "opinion: not this"), ("I", "issue"), ("E", "note"),
    ("Z", "undo"), ("U", "back to the grid"),
]  # fmt: skip


@require_safe
def breaks(request: HttpRequest, owner: str, repo: str) -> HttpResponse:
    """Open breaks, then past ones; filters and the place in the list are in the address."""
    repository = places.the_repository(owner, repo)
    place = Place(repository, None, repository.trunk, "")
    wanted = break_list.parse(request.GET)
    page = break_list.page(repository, wanted)
    fresh = freshness.of_repository(repository.pk, active=repository.active)
    path = f"{place.base}/breaks"
    open_here = sum(one.open for one in page.rows)
    quiet = not open_here and not wanted.filtered and not wanted.after
    closed = [one.closed_at for one in page.rows if one.closed_at is not None and one.merged_into_id is None]
    context = {
        **frame(place, fresh),
        "wanted": wanted,
        "page": page,
        "lines": [_line(one, page.hits.get(one.pk, 0)) for one in page.rows],
        "path": path,
        "segments": [
            (path + wanted.query(state=state, after=""), words, wanted.state == state)
            for state, words in [("", "All"), *BreakState.choices]
        ],
        "unfiltered": path,
        "next": path + wanted.query(after=page.after) if page.after else "",
        "first": path + wanted.query(after="") if wanted.after else "",
        "green": quiet,
        "closed_at": max(closed, default=None) if quiet else None,
        "now": timezone.now(),
    }
    return _fresh(render(request, "hud/breaks.html", context))


def _line(one: Break, hits: int) -> dict[str, Any]:
    """A break as a row of the list."""
    return {
        "one": one,
        "glyph": break_page.state_glyph(one),
        "suspects": break_list.suspects_of(one),
        "hits": hits,
        "took": words_of(one.green_at - one.broke_at) if one.green_at is not None else "",
    }


@require_safe
def one_break(request: HttpRequest, owner: str, repo: str, number: int) -> HttpResponse:
    """One break. To htmx only what is inside `main`."""
    repository = places.the_repository(owner, repo)
    place = places.trunk_place(repository)
    row = break_page.find(place, number) if number < 2**31 else None
    if row is None:
        raise Http404(f"{repository} has no break {number}.")
    page = break_page.of(place, row)
    newer, older = break_list.neighbours(row)
    can_act = attention.may_act(request.user, repository)
    context = {
        "place": place,
        "repository": repository,
        "page": page,
        "row": row,
        "one": page,
        "url": f"{place.base}/break/{row.number}",
        "strips": page.strips[: break_page.STRIPS],
        "others": page.strips[break_page.STRIPS :],
        "steps": [(step, words_of(step.took) if step.took is not None else "") for step in page.steps],
        "history": break_history.history(row),
        "previous_break": newer,
        "next_break": older,
        "fates": break_history.fates(row, request.user),
        "opinions": [(one, break_history.SAID.get(one.says, one.says)) for one in break_history.opinions(row)],
        "can_act": can_act,
        "may_not": _may_not(request, repository) if not can_act else "",
        "mine": bool(row.owner_id) and row.owner_id == request.user.pk,
        "act": act if (act := request.GET.get("act", "")) in ACTS else "",
        "classifications": Classification.choices,
        "says": break_history.SAYS,
        "page_keys": KEYS,
        "now": timezone.now(),
    }
    if request.headers.get("HX-Request") == "true":
        return _fresh(render(request, "hud/_break_card.html", context))
    fresh = freshness.of_repository(repository.pk, active=repository.active)
    return _fresh(render(request, "hud/break.html", {**frame(place, fresh), **context}))


def _may_not(request: HttpRequest, repository: Repository) -> str:
    """Who may act, for whoever has signed in and may not."""
    if not request.user.is_authenticated:
        return ""
    return roles.why_not(Role.TREE_HUGGER, str(repository), to="act on breaks")


def words_of(took: timedelta) -> str:
    """“1 h 51 min”, “4 min”, “2 d 3 h”: how long something took."""
    minutes = max(0, int(took.total_seconds())) // 60
    if minutes < 60:
        return f"{minutes} min" if minutes else "at once" if took.total_seconds() < 1 else "under a minute"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"


def _fresh(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-cache"
    patch_vary_headers(response, VARY)
    return response
