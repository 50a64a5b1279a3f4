"""A log as it arrives, piece by piece, and as it is kept: compressed in parts, beside its failing line.

Nothing here is as big as the log: of one that is too long only the beginning and the end are held.
"""

from __future__ import annotations

import codecs
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from django.db import transaction
from django.db.models import F, Q

from hud.failure_rules import SHIPPED, Finder, Found, Rule, Rules
from hud.models import FailureRule, JobLog, LogPart, LogState, Repository

HEAD = 2 * 1024 * 1024  # bytes kept of the beginning of a log that is too long
PART_LINES, PART_SIZE = 2_000, 1_000_000
PIECE = 64 * 1024  # bytes that are dropped at once
LONGEST_LINE = 10_000  # characters kept of one line

# -- rules ------------------------------------------------------------------------------------------------------------


def rules_of(repository: Repository) -> Rules:
    """The repository's own rules, or else the installation's, or else those that are shipped."""
    stored = list(FailureRule.objects.filter(Q(repository=repository) | Q(repository=None)))
    own = [rule for rule in stored if rule.repository_id] or stored
    return compiled(tuple(Rule(rule.name, rule.category, rule.pattern) for rule in own) or SHIPPED)


@lru_cache(maxsize=32)
def compiled(rules: tuple[Rule, ...]) -> Rules:
    """Rules ready to use, kept: they are the same from log to log."""
    return Rules(rules)


# -- storing ----------------------------------------------------------------------------------------------------------


@dataclass
class Text:
    """A log as it arrives: all of it, or its beginning and its end."""

    limit: int
    size: int = 0
    dropped_lines: int = 0
    dropped: int = 0
    _head: bytearray = field(default_factory=bytearray)
    _tail: deque[bytes] = field(default_factory=deque)
    _tail_size: int = 0

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        self.size += len(piece)
        room = min(HEAD, self.limit) - len(self._head)
        if room > 0:
            self._head += piece[:room]
            piece = piece[room:]
        for at in range(0, len(piece), PIECE):
            self._tail.append(piece[at : at + PIECE])
        self._tail_size += len(piece)
        while self._tail and self._tail_size > self.limit - len(self._head):
            gone = self._tail.popleft()
            self._tail_size -= len(gone)
            self.dropped += len(gone)
            self.dropped_lines += gone.count(b"\n")

    def parts(self) -> Iterator[tuple[int, list[str]]]:
        """(number of the first line, lines), in order."""
        if not self.dropped:
            yield from _parts(1, _lines([bytes(self._head), *self._tail]))
            return
        # Lines that were cut in half are dropped too, unless the whole beginning is one line.
        end = self._head.rfind(b"\n") + 1 or len(self._head)
        head, half = bytes(self._head[:end]), self._head[end:]
        yield from _parts(1, _lines([head]))
        first = head.count(b"\n") + (not head.endswith(b"\n")) + half.count(b"\n") + self.dropped_lines + 1
        tail = iter(self._tail)
        rest = b""
        for piece in tail:
            _, found, rest = piece.partition(b"\n")
            if found:
                break
        else:
            return
        if head.endswith(b"\n"):
            first += 1
        yield from _parts(first, _lines([rest, *tail]))


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + decoder.decode(piece)).split("\n")
        for line in whole:
            yield _clean(line)
        if len(rest) > 2 * LONGEST_LINE:
            rest = rest[: LONGEST_LINE + 1]  # the others are not kept anyway
    rest += decoder.decode(b"", True)
    if rest:
        yield _clean(rest)


def _clean(line: str) -> str:
    """A line as it may be stored: PostgreSQL takes no NUL, and no page an endless line."""
    if len(line) > LONGEST_LINE:
        line = line[:LONGEST_LINE] + " […]"
    return line.removesuffix("\r").replace("\0", "\ufffd")


def _parts(first: int, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    part: list[str] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line)
        if len(part) >= PART_LINES or size >= PART_SIZE:
            yield first, part
            first, part, size = first + len(part), [], 0
    if part:
        yield first, part


def store(row: JobLog, text: Text, rules: Rules, now: datetime) -> None:
    """Find the failing line, and keep the text. In one transaction."""
    finder = Finder(rules)
    parts = []
    last, cut = 0, None
    for first, lines in text.parts():
        if first > last + 1:
            cut = (last + 1, first - 1)
        finder.feed(first, lines)
        last = first + len(lines) - 1
        body = zlib.compress("\n".join(lines).encode(), 6)
        parts.append(LogPart(log=row, first_line=first, lines=len(lines), body=body))
    found = finder.result()
    row.state, row.kept, row.problem = LogState.READ, True, ""
    row.due_at, row.read_at, row.size, row.lines = None, now, text.size, last
    row.cut_from, row.cut_to = cut or (None, None)
    row.errors = finder.errors
    keep(row, found)
    with transaction.atomic():
        LogPart.objects.filter(log=row).delete()
        LogPart.objects.bulk_create(parts, batch_size=50)
        row.save()


def keep(row: JobLog, found: Found | None) -> None:
    """Write on the row what was found; it is not saved."""
    row.rule, row.category = (found.rule, found.category) if found else ("", "")
    row.line_number = found.line_number if found else None
    row.line, row.test, row.key = (found.line, found.test, found.key) if found else ("", "", "")
    row.captures = list(found.captures) if found else []
    row.context = {"before": list(found.before), "after": list(found.after)} if found else {}


def look(row: JobLog, rules: Rules) -> None:
    """Find the failing line of a kept log anew; the row is not saved."""
    finder = Finder(rules)
    for first, lines in stored_parts(row):
        finder.feed(first, lines)
    keep(row, finder.result())
    row.errors = finder.errors


def stored_parts(row: JobLog, first: int = 1, last: int = 2**31 - 1) -> Iterator[tuple[int, list[str]]]:
    """The kept parts that hold lines of this range: (number of the first line, lines)."""
    parts = LogPart.objects.filter(log=row, first_line__lte=last, first_line__gt=first - F("lines"))
    for part in parts.order_by("first_line").iterator(chunk_size=5):
        yield part.first_line, zlib.decompress(part.body).decode().split("\n")


def stored_lines(row: JobLog, first: int, last: int) -> list[tuple[int, str]]:
    """(number, line) of the lines in this range that were kept."""
    return [
        (number, line)
        for at, lines in stored_parts(row, first, last)
        for number, line in enumerate(lines, at)
        if first <= number <= last
    ]
