"""`/audit`: who did what, for everybody who has a role."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from project.accounts import refusals, roles
from project.audit import search
from project.audit.models import Entry

PER_PAGE = 50
CSV_ROWS = 50_000  # a download's end; older ones by their dates
COLUMNS = ("at", "person", "action", "repository", "target", "why", "detail")


def _with_a_role(view: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Also on a public site the log is for those who act on it."""

    @wraps(view)
    def inner(request: HttpRequest) -> HttpResponseBase:
        if roles.highest(request.user) is not None:
            return view(request)
        if not request.user.is_authenticated:
            return refusals.sign_in_first(request, "Sign in to read the audit log.")
        names = roles.people_with(roles.Role.ADMIN)[: roles.ASKED_AT_MOST]
        ask = f" Ask {' or '.join('@' + name for name in names)}." if names else ""
        return refusals.refuse(request, f"Only people with a role can read the audit log.{ask}")

    return inner


@never_cache
@require_safe
@_with_a_role
def page(request: HttpRequest) -> HttpResponse:
    """A page of it, newest first."""
    wanted = search.parse(request.GET)
    entries = list(_readable(request, wanted.entries())[: PER_PAGE + 1])
    shown = entries[:PER_PAGE]
    context = {
        "search": wanted,
        "entries": [_shown(entry) for entry in shown],
        "older": wanted.query(before=shown[-1].pk) if len(entries) > PER_PAGE else "",
        "newest": wanted.query(before=0) or "?",
        "csv": reverse("audit-csv") + wanted.query(before=0),
    }
    return render(request, "audit/log.html", context)


@never_cache
@require_safe
@_with_a_role
def download(request: HttpRequest) -> HttpResponseBase:
    """What the same filters find, for a spreadsheet."""
    entries = _readable(request, search.parse(request.GET).entries())[:CSV_ROWS]
    response = StreamingHttpResponse(_lines(entries.iterator(chunk_size=1000)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="audit-{timezone.now():%Y-%m-%d}.csv"'
    return response


def _readable(request: HttpRequest, entries: QuerySet[Entry]) -> QuerySet[Entry]:
    """Where reading is for members, those of one repository read what was done in that one."""
    places = None if settings.PUBLIC else roles.only_in(request.user)
    if places is None:
        return entries
    return entries.annotate(place=Lower("repository")).filter(place__in=places)


class _Line:
    """What `csv` writes to: gives the line back."""

    def write(self, line: str) -> str:
        return line


def _lines(entries: Iterator[Entry]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for one in entries:
        detail = json.dumps(one.detail, ensure_ascii=False) if one.detail else ""
        row = (one.at.isoformat(), one.actor_login, one.action, one.repository, one.target, one.why, detail)
        yield writer.writerow([_harmless(text) for text in row])


def _harmless(text: str) -> str:
    """A spreadsheet would run what begins like a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "entry": entry,
        "target": re.sub(r"^(commit [0-9a-f]{10})[0-9a-f]+$", r"\1", entry.target),
        "target_url": _address(entry),
        "repository_url": _reverse("trunk", *entry.repository.split("/", 1)) if "/" in entry.repository else "",
        "detail": [(key.replace("_", " "), _as_text(value)) for key, value in entry.detail.items()]
        if isinstance(entry.detail, dict)
        else [],
    }


def _address(entry: Entry) -> str:
    """Of the page about a target, if there is one: “break 12”, “commit 0f3a…”."""
    found = re.fullmatch(r"(break|commit) ([0-9a-f]{1,64})", entry.target)
    if not found or "/" not in entry.repository:
        return ""
    number: str | int = int(found[2]) if found[1] == "break" and found[2].isdigit() else found[2]
    return _reverse(found[1], *entry.repository.split("/", 1), number)


def _reverse(name: str, *arguments: object) -> str:
    try:
        return reverse(name, args=arguments)
    except NoReverseMatch:
        return ""


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
