"""The list of breaks: open ones first, then past ones, the newest noticed on top.

What is shown is in the address. Pages are found by key and not by number, so that a break that opens or closes
meanwhile shifts nobody's page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import QueryDict

from hud.address import MAX_TEXT, SHA, as_query
from hud.attention import suspects
from hud.models import Break, BreakSignal, BreakState, Repository

PER_PAGE = 50
NOBODY = "-"
STATES = ("", *BreakState.values)

_CURSOR = re.compile(r"([op])([0-9]{1,17})-([0-9]{1,9})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Filter:
    """What the address asks for; everything unknown or absurd is replaced by the default."""

    state: str = ""
    owner: str = ""
    q: str = ""
    suspect: str = ""
    since: str = ""
    until: str = ""
    after: str = ""

    def query(self, **changes: Any) -> str:
        """The query string of this view with `changes` made."""
        return as_query([(name, value) for name, value in replace(self, **changes).fields() if value])

    def fields(self) -> list[tuple[str, str]]:
        """Name and value of each parameter, in the order of the address."""
        return [
            ("state", self.state), ("owner", self.owner), ("q", self.q), ("suspect", self.suspect),
            ("from", self.since), ("to", self.until), ("after", self.after),
        ]  # fmt: skip

    @property
    def filtered(self) -> bool:
        """Whether anything is left out."""
        return any(value for name, value in self.fields() if name != "after")


def parse(query: QueryDict) -> Filter:
    """The filter that a query string asks for."""

    def text(name: str) -> str:
        return query.get(name, "").replace("\0", "").strip()[:MAX_TEXT].strip()

    return Filter(
        state=state if (state := query.get("state", "")) in STATES else "",
        owner=text("owner").removeprefix("@"),
        q=text("q"),
        suspect=text("suspect").removeprefix("@"),
        since=day if _day(day := text("from")) else "",
        until=day if _day(day := text("to")) else "",
        after=after if _CURSOR.fullmatch(after := query.get("after", "")) else "",
    )


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Page:
    """A page of the list; `after` leads to the next one, empty if there is none. `hits` says of each break, by its
    id, how many configurations it has turned red."""

    rows: Sequence[Break]
    hits: Mapping[int, int]
    after: str


def page(repository: Repository, wanted: Filter, per_page: int = PER_PAGE) -> Page:
    """The breaks after the cursor. Two queries: the breaks, and how many configurations each has hit."""
    chosen = _filtered(repository, wanted).select_related("suspect", "owner", "merged_into")
    newest_first = chosen.order_by("-noticed_at", "-number")
    still_open, past = newest_first.filter(closed_at=None), newest_first.filter(closed_at__isnull=False)
    cursor = _CURSOR.fullmatch(wanted.after)
    if cursor is None:
        parts = [still_open, past]
    elif cursor[1] == "o":
        parts = [_beyond(still_open, cursor), past]
    else:
        parts = [_beyond(past, cursor)]
    wanted_rows = per_page + 1
    if len(parts) == 1:
        rows = list(parts[0][:wanted_rows])
    else:
        rows = list(parts[0][:wanted_rows].union(parts[1][:wanted_rows], all=True))
        rows.sort(key=lambda one: (one.closed_at is not None, -one.noticed_at.timestamp(), -one.number))
    shown = rows[:per_page]
    hits = dict(
        BreakSignal.objects.filter(broken__in=[one.pk for one in shown])
        .values_list("broken")
        .annotate(number=Count("configuration", distinct=True))
    )
    return Page(shown, hits, _cursor(shown[-1]) if len(rows) > per_page else "")


def _cursor(last: Break) -> str:
    at = int((last.noticed_at - _EPOCH) / timedelta(microseconds=1))
    return f"{'o' if last.closed_at is None else 'p'}{at}-{last.number}"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _beyond(rows: QuerySet[Break], cursor: re.Match[str]) -> QuerySet[Break]:
    try:
        at = _EPOCH + timedelta(microseconds=int(cursor[2]))
    except OverflowError:
        return rows
    return rows.filter(Q(noticed_at__lt=at) | Q(noticed_at=at, number__lt=int(cursor[3])))


def _filtered(repository: Repository, wanted: Filter) -> QuerySet[Break]:
    rows = Break.objects.filter(repository=repository)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    if wanted.owner == NOBODY:
        rows = rows.filter(owner=None)
    elif wanted.owner:
        rows = rows.filter(owner__username__iexact=wanted.owner)
    if wanted.q:
        hit = Q(test__icontains=wanted.q)
        for field in ("workflow", "name", "group"):
            hit |= Q(**{f"configuration__{field}__icontains": wanted.q})
        if " / " in wanted.q:
            workflow, _, name = wanted.q.partition(" / ")
            hit |= Q(configuration__workflow__iendswith=workflow, configuration__name__istartswith=name)
        rows = rows.filter(Exists(BreakSignal.objects.filter(hit, broken=OuterRef("pk"))))
    if wanted.suspect:
        digits = wanted.suspect.lower()
        who = Q(suspect__author_login__icontains=wanted.suspect) | Q(suspect__author_name__icontains=wanted.suspect)
        if SHA.fullmatch(digits):
            who |= Q(suspect__sha__gte=digits, suspect__sha__lt=digits + "g")
        number = digits.removeprefix("#")
        if number.isascii() and number.isdigit() and len(number) < 10:
            who |= Q(suspect__pr_number=int(number))
        rows = rows.filter(who)
    if since := _day(wanted.since):
        rows = rows.filter(noticed_at__gte=since)
    if until := _day(wanted.until):
        rows = rows.filter(noticed_at__lt=until + timedelta(days=1))
    return rows


def neighbours(one: Break) -> tuple[int | None, int | None]:
    """The numbers of the break before and after this one in the list. Two queries."""
    rows = Break.objects.filter(repository=one.repository_id)
    same, others = rows.filter(closed_at__isnull=one.open), rows.filter(closed_at__isnull=not one.open)
    newer = same.filter(Q(noticed_at__gt=one.noticed_at) | Q(noticed_at=one.noticed_at, number__gt=one.number))
    older = same.filter(Q(noticed_at__lt=one.noticed_at) | Q(noticed_at=one.noticed_at, number__lt=one.number))
    up, down = ("noticed_at", "number"), ("-noticed_at", "-number")
    before = newer.order_by(*up).values_list("number", flat=True)[:1]
    after = older.order_by(*down).values_list("number", flat=True)[:1]
    # From the last open one on to the newest past one, and back.
    if one.open:
        return before.first(), next(iter([*after, *others.order_by(*down).values_list("number", flat=True)[:1]]), None)
    return next(iter([*before, *others.order_by(*up).values_list("number", flat=True)[:1]]), None), after.first()


def suspects_of(one: Break) -> int:
    """How many commits may be to blame."""
    return suspects(one.suspect_at, one.range_from) if one.suspect_id else 0
