"""What is asked of the audit log: in the address, and as a query. Pages are found by key, however long the log is."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import QueryDict

from project.audit.models import Entry

LONGEST = 200


@dataclass(frozen=True)
class Search:
    """Everything empty: all of it. `before` is the number of an entry: only older ones."""

    person: str = ""
    action: str = ""
    repository: str = ""
    target: str = ""
    since: str = ""
    until: str = ""
    before: int = 0
    problems: tuple[str, ...] = ()

    @property
    def filtered(self) -> bool:
        return self.query(before=0) != ""

    def query(self, **changed: object) -> str:
        """The address's query, without what is empty."""
        values = {one.name: changed.get(one.name, getattr(self, one.name)) for one in fields(self)}
        kept = {name: value for name, value in values.items() if value and name != "problems"}
        return "?" + urlencode(kept) if kept else ""

    def entries(self) -> QuerySet[Entry]:
        """Newest first. “break” finds every action on breaks; everything else is meant exactly, or cut at a space."""
        found = Entry.objects.order_by("-id")
        if self.person:
            found = found.filter(actor_login__iexact=self.person)
        if self.action:
            found = found.filter(Q(action=self.action) | Q(action__startswith=self.action + "."))
        if self.repository:
            found = found.filter(repository__iexact=self.repository)
        if self.target:
            found = found.filter(
                Q(target=self.target) | Q(target__startswith=self.target + " ") | Q(target=f"@{self.target}")
            )
        if self.since and (start := _day(self.since)):
            found = found.filter(at__gte=start)
        if self.until and (end := _day(self.until)):
            found = found.filter(at__lt=end + timedelta(days=1))
        return found.filter(id__lt=self.before) if self.before else found


def parse(query: QueryDict) -> Search:
    """From an address; what can't be understood is said, and left out of the search."""
    texts = {
        name: query.get(name, "").replace("\0", "").strip()[:LONGEST]
        for name in ("person", "action", "repository", "target", "since", "until")
    }
    texts["person"] = texts["person"].removeprefix("@")
    wrong = [texts[name] for name in ("since", "until") if texts[name] and not _day(texts[name])]
    problems = tuple(f"“{text[:20]}” is not a date such as 2026-11-23." for text in wrong)
    before = query.get("before", "")
    return Search(**texts, before=int(before) if re.fullmatch(r"[0-9]{1,18}", before) else 0, problems=problems)


def _day(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC) if 1970 <= day.year < 9000 else None
    except ValueError:
        return None
