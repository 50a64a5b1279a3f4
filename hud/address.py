"""The view of the grid that an address asks for. The whole view is in the address, and nowhere else.

`open` names the groups shown unfolded, by slug: `open=linux,rocm`; `open=*` unfolds all, `open=*,-rocm` all but one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

MAX_TEXT = 200
MAX_PAGE = 100_000
SHA = re.compile(r"[0-9a-f]{4,64}")
SHOWS = ("", "failing", "notgreen")


@dataclass(frozen=True, slots=True)
class Address:
    """What the query string says, with everything unknown or absurd replaced by the default."""

    q: str = ""
    regex: bool = False
    show: str = ""
    unstable: bool = True
    rare: bool = True
    author: str = ""
    open: tuple[str, ...] = ()
    at: str = ""
    page: int = 1

    def query(self, **changes: Any) -> str:
        """The query string of this view with `changes` made, `?` included; empty for the default view."""
        return as_query(replace(self, **changes).fields())

    def fields(self) -> list[tuple[str, str]]:
        """Name and value of each parameter that differs from the default, in the order of the address."""
        return [
            (name, value)
            for name, value in (
                ("q", self.q),
                ("re", "1" if self.regex else ""),
                ("show", self.show),
                ("unstable", "" if self.unstable else "0"),
                ("rare", "" if self.rare else "0"),
                ("author", self.author),
                ("open", ",".join(self.open)),
                ("at", self.at),
                ("page", str(self.page) if self.page > 1 else ""),
            )
            if value
        ]

    def opens(self, slug: str) -> bool:
        """Whether the group with this slug is unfolded."""
        return slug in self.open or ("*" in self.open and "-" + slug not in self.open)

    def toggled(self, slug: str) -> tuple[str, ...]:
        """`open` as it must be to fold the group if it is unfolded, and the reverse."""
        if "*" in self.open:
            away = "-" + slug
            return tuple(one for one in self.open if one != away) if away in self.open else (*self.open, away)
        return tuple(one for one in self.open if one != slug) if slug in self.open else (*self.open, slug)


def as_query(fields: list[tuple[str, str]]) -> str:
    """`?a=b&c=d`, leaving readable what needs no escaping in a query string."""
    return "?" + urlencode(fields, safe="*,/:@") if fields else ""


def parse(query: QueryDict) -> Address:
    """The view that a query string asks for."""

    def text(name: str) -> str:
        return query.get(name, "").replace("\0", "").strip()[:MAX_TEXT].strip()

    # A browser leaves an unticked box out of the form, so the form sends `unstable=0` hidden before the box's `1`.
    return Address(
        q=text("q"),
        regex=query.get("re") == "1",
        show=show if (show := query.get("show", "")) in SHOWS else "",
        unstable=query.get("unstable", "1") != "0",
        rare=query.get("rare", "1") != "0",
        author=text("author").lstrip("@ "),
        open=tuple(dict.fromkeys(one for value in query.getlist("open") for one in value[:10_000].split(",") if one)),
        at=at if SHA.fullmatch(at := text("at").lower()) else "",
        page=page_number(query.get("page", "")),
    )


def page_number(text: str) -> int:
    """A page number out of an address; nonsense means the first page."""
    return min(max(int(text), 1), MAX_PAGE) if text.isascii() and text.isdigit() and len(text) < 9 else 1
