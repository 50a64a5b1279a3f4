"""The grid: fifty commits down, configurations across.

Speed decides the shape of this module. A commit's cells come out of the database packed, one byte a configuration. A
row of the page is those bytes, put into the order of the columns; then every byte below twelve is replaced by the
HTML of the cell that it stands for: twelve passes of C over the row, whatever the number of cells. Python itself
looks only at the few cells that need a person, for those become links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection

from hud import brackets, header
from hud.address import Address
from hud.brackets import Mark
from hud.cells import FINISHED, Outcome
from hud.freshness import short_age
from hud.layout import Kept, Layout, Shape, shape
from hud.models import BranchCommit
from hud.patterns import Pattern

PER_PAGE = 50
RARE = 4  # a column is rarely run if fewer than one in four of the page's commits have it

# A cell's class, and its letter in a refresh. Passed cells are most cells, and so have no class at all.
LETTERS = "NSCUOQLWFPTX"
LOUD_OUTCOMES = (Outcome.OVERDUE, Outcome.TOLERATED, Outcome.FLAKY, Outcome.TIMED_OUT, Outcome.FAILED)

_TO_LETTER = bytes.maketrans(bytes(range(len(LETTERS))), LETTERS.encode())
_OPEN = [f"<td class={letter}>".encode() if letter != "O" else b"<td>" for letter in LETTERS]
_CELLS = [(bytes([outcome]), _OPEN[outcome] + outcome.glyph.encode()) for outcome in Outcome]
_LINK = [opening + b'<a href="' for opening in _OPEN]
_TAIL = [f': {outcome.words}">{outcome.glyph}</a>'.encode() for outcome in Outcome]
_SUSPECT_TAIL = [f': {outcome.words}, suspect">{outcome.glyph}</a>'.encode() for outcome in Outcome]
_LOUD = re.compile(b"[" + bytes(LOUD_OUTCOMES) + b"]")
_KNOWN = bytes(code if code < len(Outcome) else 0 for code in range(256))
_FINISHED = bytes(code if code in FINISHED else 0 for code in range(256))
_LOUD_ONLY = bytes(code if code in LOUD_OUTCOMES else 0 for code in range(256))
_PRESENT = bytes(min(code, 1) for code in range(256))
_FAILING = bytes(int(code >= Outcome.TIMED_OUT) for code in range(256))

SHAPES = Kept(64)
ROWS = Kept(600)  # of up to some 20 KB


class Row(NamedTuple):
    """A commit with its packed cells, as the database has it."""

    sha: str
    title: str
    author_login: str
    author_name: str
    committed_at: float | None  # seconds since the epoch: fifty datetimes would cost as much as a query
    pr_number: int | None
    position: int
    cells: bytes | None


_READ = """
    SELECT c.sha, c.title, c.author_login, c.author_name, date_part('epoch', c.committed_at), c.pr_number,
           b.position, s.cells
    FROM hud_branchcommit b JOIN hud_commit c ON c.id = b.commit_id LEFT JOIN hud_commitcells s ON s.commit_id = c.id
    WHERE b.branch_id = %s {only} ORDER BY b.position DESC OFFSET %s LIMIT %s
"""


def read(branch_id: int, address: Address, *, below: int | None = None) -> list[Row]:
    """A page of the branch, newest first, and one commit more if there is an older page. `below`: from that position
    on."""
    only, start = "", (address.page - 1) * PER_PAGE
    values: list[Any] = [branch_id]
    if address.author:
        only += f"AND {BY_AUTHOR}"
        values += [address.author.lower(), address.author.lower()]
    if below is not None:
        only, start = only + " AND b.position <= %s", 0
        values.append(below)
    with connection.cursor() as cursor:
        cursor.execute(_READ.format(only=only), [*values, start, PER_PAGE + 1])
        return [Row._make(row) for row in cursor.fetchall()]


BY_AUTHOR = "(lower(c.author_login) = %s OR strpos(lower(c.author_name), %s) > 0)"


def count_newer(branch_id: int, author: str, position: int) -> int:
    """How many commits, of the author if there is one, are above that position."""
    only = f"AND {BY_AUTHOR}" if author else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM hud_branchcommit b JOIN hud_commit c ON c.id = b.commit_id"
            f" WHERE b.branch_id = %s AND b.position > %s {only}",
            [branch_id, position, *([author.lower()] * 2 if author else [])],
        )
        return int(cursor.fetchone()[0])


def newest_cells(branch_id: int) -> list[bytes]:
    """The cells of the branch's newest commits, for the Now row of a page that doesn't show them."""
    rows = BranchCommit.objects.filter(branch_id=branch_id).order_by("-position")
    return [bytes(cells or b"") for cells in rows.values_list("commit__commitcells__cells", flat=True)[:PER_PAGE]]


@dataclass(frozen=True, slots=True)
class Grid:
    """What the page's template and the refresh show."""

    shape: Shape
    head: header.Header
    rows: Sequence[Row]
    cells: Sequence[bytes]
    groups: Sequence[bytes]
    now: bytes
    counts: dict[str, int]
    older: bool

    @property
    def letters(self) -> dict[str, str]:
        """For each commit, one letter a column: what a refresh sends."""
        return {row.sha: as_letters(cells) for row, cells in zip(self.rows, self.cells, strict=True)}

    def html(
        self, base: str, github: str, now: datetime, marks: Mapping[int, Mark] | None = None
    ) -> dict[bytes, bytes]:
        """The parts of the page's table, by name. `base` is the repository's address here, `github` the one on
        GitHub; `marks` are the rows of suspects."""
        head = self.head
        return {
            b"columns": head.columns, b"names": head.names, b"counts": head.counts,
            b"now": as_cells(self.now), b"rows": self._rows(base.encode(), github.encode(), now, marks or {}),
        }  # fmt: skip

    def _rows(self, base: bytes, github: bytes, now: datetime, marks: Mapping[int, Mark]) -> bytes:
        """The table's body. From one refresh to the next few rows change, so the others are not made again; only
        their age is."""
        lines = list(zip(self.rows, self.cells, self.groups, strict=True))
        keys: list[tuple[Any, ...]] = [
            (self.head.key, base, github, *row[:4], row.pr_number, cells, groups) for row, cells, groups in lines
        ]
        for n, mark in marks.items():
            keys[n] = (*keys[n], mark)
        kept: list[Any] = [ROWS.find(key) for key in keys]
        missing = [n for n, found in enumerate(kept) if found is None]
        if missing:  # all at once, so that the page is gone through twelve times and not each of its rows
            made = [_row(*lines[n], self.head.middles, base, github, marks.get(n)) for n in missing]
            ends = as_cells(_SEAM.join(raw for _, raw in made)).split(_SEAM)
            for n, (begin, _), end in zip(missing, made, ends, strict=True):
                kept[n] = (begin, end)
                ROWS.keep(keys[n], kept[n])
        seconds_now = now.timestamp()
        parts: list[bytes] = []
        for (row, _, _), found in zip(lines, kept, strict=True):
            begin, end = found
            when = b"><time>"
            if row.committed_at is not None:
                at = datetime.fromtimestamp(row.committed_at, UTC).isoformat()[:19]
                when = f"><time datetime={at}Z>{short_age(seconds_now - row.committed_at)}".encode()
            parts += (begin, when, end)
        return b"".join(parts)


_SEAM = b"\x0c"  # a byte that neither stands for a cell nor is left in anybody's text


def _row(
    row: Row,
    cells: bytes,
    groups: bytes,
    middles: Sequence[bytes],
    base: bytes,
    github: bytes,
    mark: Mark | None = None,
) -> tuple[bytes, bytes]:
    """A row of the table before and after its age: which commit it is; its cells, those that need a person as links,
    the others still as bytes."""
    sha = row.sha.encode()
    short, link = sha[:7], base + b"/cell/" + sha
    title = row.title.removesuffix(f"(#{row.pr_number})").rstrip() if row.pr_number else row.title
    pr = b"<a href=%b/pull/%d>#%d</a>" % (base, row.pr_number, row.pr_number) if row.pr_number else b""
    suspect = tag = b""
    if mark is not None:
        suspect = b' class=sus data-sus="%b"' % " ".join(map(str, mark.columns)).encode()
        tag = brackets.tag(mark, base.decode()).encode()
    begin = (
        b'<tr id=%b%b><th scope=row class="m sha"><a href="%b/commit/%b">%b</a><td class="m pr">%b'
        b'<td class="m ti">%b<a href="%b/commit/%b"><bdi>%b</bdi></a><td class="m au"><bdi>%b</bdi><td class="m ag"'
    ) % (
        sha, suspect, base, sha, short, pr, tag, base, sha, header.plain(title or "(not read yet)").encode(),
        header.plain(row.author_login or row.author_name).encode(),
    )  # fmt: skip
    # Until `as_cells` the bytes below twelve stand for cells, so there must be no others of those: see `header.plain`.
    parts = [b"</time>"]
    done = 0
    for match in _LOUD.finditer(cells):
        at = match.start()
        code = cells[at]
        tail = _SUSPECT_TAIL if mark is not None and at in mark.columns else _TAIL
        parts += (cells[done:at], _LINK[code], link, middles[at], short, tail[code])
        done = at + 1
    parts += (cells[done:], b'<td class="m su">', sums(groups))
    return begin, b"".join(parts)


def as_cells(text: bytes) -> bytes:
    """Every byte below twelve replaced by the cell that it stands for."""
    for code, cell in _CELLS:
        text = text.replace(code, cell)
    return text


def as_letters(cells: bytes) -> str:
    """Cells as text, one letter each."""
    return cells.translate(_TO_LETTER).decode()


def sums(groups: bytes) -> bytes:
    """“26 passed · 3 running or queued”: what a phone says instead of showing every square."""
    passed = groups.count(Outcome.PASSED) + groups.count(Outcome.NEUTRAL)
    pending = groups.count(Outcome.RUNNING) + groups.count(Outcome.QUEUED)
    return _DOT.join(
        b"%d %b" % (number, words) for number, words in ((passed, b"passed"), (pending, b"running or queued")) if number
    )


_DOT = " · ".encode()


def build(
    layout: Layout,
    address: Address,
    pattern: Pattern,
    rows: Sequence[Row],
    *,
    key: tuple[Any, ...],
    path: str,
    suffix: str = "",
    newest: Iterable[bytes] = (),
) -> Grid:
    """The page's columns and cells. `key` identifies the layout; `path` is the page's address and
    `suffix` the end of its cells' addresses;
    `newest` are the cells of newer commits than the page shows."""
    shown = rows[:PER_PAGE]
    size = layout.size
    packed = [(row.cells or b"").translate(_KNOWN).ljust(size, b"\0")[:size] for row in shown]
    now = latest_finished([*newest, *packed], size)
    mask = present = union(packed, _PRESENT)
    if not address.rare and packed:
        mask = often(packed, size)

    def kept(mask: int) -> Shape:
        unfolded = (address.open, address.unstable, pattern.slots, pattern.text, mask)
        return SHAPES.get((key, *unfolded), lambda: _shape(layout, address, pattern, mask.to_bytes(size, "little")))

    base = kept(mask)
    loud = union(packed, _LOUD_ONLY)
    failing_now = int.from_bytes(now.translate(_FAILING), "little")
    cells, groups = base.rows([*packed, now, loud.to_bytes(size, "little")])
    loud_groups, now_groups = groups.pop(), groups.pop()
    now_cells = (cells.pop(), cells.pop())[1]
    counts = {
        "all": len(now_groups),
        "failing": sum(code >= Outcome.TIMED_OUT for code in now_groups),
        "notgreen": len(loud_groups) - loud_groups.count(0),
        "ran": present.bit_count(),
    }
    chosen = base
    if address.show == "failing":
        chosen = kept(mask & failing_now)
    elif address.show == "notgreen":
        chosen = kept(mask & union([loud.to_bytes(size, "little")], _PRESENT))
    if chosen is not base:
        cells, groups = chosen.rows([*packed, now])
        now_cells = (groups.pop(), cells.pop())[1]
    head = header.of(chosen, address, path, suffix)
    return Grid(chosen, head, shown, cells, groups, now_cells, counts, len(rows) > PER_PAGE)


def _shape(layout: Layout, address: Address, pattern: Pattern, mask: bytes) -> Shape:
    def keep(group: Any, member: Any) -> bool:
        return bool(mask[member.slot]) and (address.unstable or not member.unstable) and pattern.matches(group, member)

    return shape(layout, address, keep)


# The three below work on all columns at once: a commit's cells, read as one big integer, are combined by a handful of
# operations whose loops are C's. Column by column in Python they would cost as much as the rest of the page.


def union(packed: Iterable[bytes], table: bytes) -> int:
    """Every byte translated by `table`, all commits or-ed together."""
    result = 0
    for cells in packed:
        result |= int.from_bytes(cells.translate(table), "little")
    return result


def latest_finished(packed: Iterable[bytes], size: int) -> bytes:
    """For each slot its newest finished outcome: the Now row."""
    ones = int.from_bytes(b"\1" * size, "little")
    result = 0
    for cells in packed:
        result_known = (result | result >> 1 | result >> 2 | result >> 3) & ones  # outcomes fit in four bits
        fresh = int.from_bytes(cells[:size].translate(_FINISHED), "little")
        result |= fresh & ~(result_known * 15)
    return result.to_bytes(size, "little")


def often(packed: Sequence[bytes], size: int) -> int:
    """1 in the byte of each slot that ran on at least one in `RARE` of the commits."""
    total = sum(
        int.from_bytes(cells.translate(_PRESENT), "little") for cells in packed
    )  # at most 50: a byte can't overflow
    least = max(1, -(-len(packed) // RARE))
    return int.from_bytes(
        total.to_bytes(size, "little").translate(bytes(int(n >= least) for n in range(256))), "little"
    )
