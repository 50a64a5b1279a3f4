"""The text or regular expression by which a person filters columns.

The expression is a stranger's, and Python's `re` can neither be interrupted nor bounded: `(a+)+$` hangs the process.
So Python only checks the syntax, for it can say where a mistake is; the search itself is done by PostgreSQL, which
stops at a deadline.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Protocol

from django.db import DataError, OperationalError, connection, transaction

from hud.address import Address
from hud.layout import Kept

DEADLINE_MS = 300
# The two dialects differ in how they spell a word's edge.
_EDGES = {"b": "y", "B": "Y"}
_MATCHED = Kept(64)


class _Named(Protocol):
    @property
    def slot(self) -> int: ...
    @property
    def full_name(self) -> str: ...


class _Titled(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an expression can't be used, and where (counted from 0) if that is known."""

    words: str
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the filter leaves. `slots` is set for an expression, `text` for plain text; neither: everything."""

    text: str = ""
    slots: frozenset[int] | None = None
    problem: Problem | None = None

    def matches(self, group: _Titled, member: _Named) -> bool:
        """Whether this configuration, or its whole group, is what the person looks for."""
        if self.slots is not None:
            return member.slot in self.slots
        return not self.text or self.text in member.full_name.casefold() or self.text in group.name.casefold()


def of(address: Address, repository_id: int, layout_version: int) -> Pattern:
    """The filter that the address asks for. A broken one leaves all columns, and says what is wrong."""
    if not address.q:
        return Pattern()
    if not address.regex:
        return Pattern(text=address.q.casefold())
    key = (repository_id, layout_version, address.q)
    return _MATCHED.get(key, lambda: _search(repository_id, address.q))


def _search(repository_id: int, expression: str) -> Pattern:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(expression)
    except re.error as error:
        return Pattern(problem=Problem(error.msg, error.pos))
    except (RecursionError, OverflowError):
        return Pattern(problem=Problem("it is nested too deeply or repeats too often"))
    spelled = re.sub(r"\\(.)", lambda match: "\\" + _EDGES.get(match[1], match[1]), expression, flags=re.DOTALL)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(DEADLINE_MS)])
            cursor.execute(
                "SELECT slot FROM hud_configuration WHERE repository_id = %s"
                """ AND (workflow || ' / ' || name ~* %s OR "group" ~* %s)""",
                [repository_id, spelled, spelled],
            )
            return Pattern(slots=frozenset(slot for (slot,) in cursor.fetchall()))
    except OperationalError:
        return Pattern(problem=Problem("searching for it takes too long; make it simpler"))
    except DataError as error:
        said = str(error).splitlines()[0].removeprefix("invalid regular expression: ")
        return Pattern(problem=Problem(said))
