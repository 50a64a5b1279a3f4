"""The grid: fifty commits down, configurations across.

Speed decides the shape of this module. A commit's cells come out of the database packed, one byte a configuration; a row of
the page is those bytes, picked into the order of the columns, looked up in a table of 256 strings and joined. Nothing here
runs once per cell in Python, except for the few cells that need a person: those become links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, NamedTuple

from django.db.models import Q

from hud import header
from hud.address import Address
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
_OPEN = [f"<td class={letter}>" if letter != "O" else "<td>" for letter in LETTERS]
_TABLE = [_OPEN[outcome] + outcome.glyph for outcome in Outcome] + [f"{_OPEN[0]}·"] * (256 - len(Outcome))
_CELL = _TABLE.__getitem__
_LINK = [f'{opening}<a href="' for opening in _OPEN]
_TAIL = [f': {outcome.words}">{outcome.glyph}</a>' for outcome in Outcome]
_LOUD = re.compile(b"[" + bytes(LOUD_OUTCOMES) + b"]")
_FINISHED = bytes(code if code in FINISHED else 0 for code in range(256))
_LOUD_ONLY = bytes(code if code in LOUD_OUTCOMES else 0 for code in range(256))
_PRESENT = bytes(min(code, 1) for code in range(256))
_FAILING = bytes(int(code >= Outcome.TIMED_OUT) for code in range(256))

SHAPES = Kept(64)


class Row(NamedTuple):
    """A commit with its packed cells, as the database has it."""

    sha: str
    title: str
    author_login: str
    author_name: str
    committed_at: datetime | None
    pr_number: int | None
    position: int
    cells: bytes | None


def read(branch_id: int, address: Address, *, below: int | None = None) -> list[Row]:
    """A page of the branch, newest first, and one commit more if there is an older page. `below`: from that position on."""
    commits = BranchCommit.objects.filter(branch_id=branch_id)
    if address.author:
        name = Q(commit__author_name__icontains=address.author)
        commits = commits.filter(Q(commit__author_login__iexact=address.author) | name)
    start = (address.page - 1) * PER_PAGE
    if below is not None:
        commits, start = commits.filter(position__lte=below), 0
    rows = commits.order_by("-position").values_list(
        "commit__sha", "commit__title", "commit__author_login", "commit__author_name", "commit__committed_at",
        "commit__pr_number", "position", "commit__commitcells__cells",
    )[start : start + PER_PAGE + 1]  # fmt: skip
    return [Row(*row) for row in rows]


def newest_cells(branch_id: int) -> list[bytes]:
    """The cells of the branch's newest commits, for the Now row of a page that doesn't show them."""
    rows = BranchCommit.objects.filter(branch_id=branch_id).order_by("-position")
    return [cells or b"" for cells in rows.values_list("commit__commitcells__cells", flat=True)[:PER_PAGE]]


@dataclass(frozen=True, slots=True)
class Grid:
    """What the page's template and the refresh show."""

    shape: Shape
    head: header.Header
    rows: Sequence[Row]
    cells: Sequence[tuple[bytes, bytes]]
    now: bytes
    counts: dict[str, int]
    older: bool

    @property
    def letters(self) -> dict[str, str]:
        """For each commit, one letter a column: what a refresh sends."""
        return {row.sha: as_letters(cells) for row, (cells, _) in zip(self.rows, self.cells, strict=True)}

    def now_html(self) -> str:
        """The cells of the Now row."""
        return "".join(map(_CELL, self.now))

    def body_html(self, base: str, github: str, now: datetime) -> str:
        """The table's body. `base` is the repository's address here, `github` the one on GitHub."""
        commit = f"{base}/commit/"
        lines: list[str] = []
        add = lines.append
        cell_base, middles = f"{base}/cell/", self.head.middles
        for row, (cells, groups) in zip(self.rows, self.cells, strict=True):
            sha = row.sha
            short = sha[:7]
            when, ago = "", ""
            if row.committed_at:
                when = f" datetime={row.committed_at.strftime('%Y-%m-%dT%H:%M:%SZ')}"
                ago = short_age((now - row.committed_at).total_seconds())
            pr = f"<a href={github}/pull/{row.pr_number}>#{row.pr_number}</a>" if row.pr_number else ""
            title = escape(row.title) or "(not read yet)"
            add(
                f'<tr id={sha}><th scope=row class="m sha"><a href="{commit}{sha}">{short}</a><td class="m pr">{pr}'
                f'<td class="m ti"><a href="{commit}{sha}"><bdi>{title}</bdi></a>'
                f'<td class="m au"><bdi>{escape(row.author_login or row.author_name)}</bdi>'
                f'<td class="m ag"><time{when}>{ago}</time>'
            )
            squares = list(map(_CELL, cells))
            for match in _LOUD.finditer(cells):
                at = match.start()
                code = cells[at]
                squares[at] = f"{_LINK[code]}{cell_base}{sha}{middles[at]}{short}{_TAIL[code]}"
            lines += squares
            add(f'<td class="m su">{sums(groups)}')
        return "".join(lines)


def as_letters(cells: bytes) -> str:
    """Cells as text, one letter each."""
    return cells.translate(_TO_LETTER).decode()


def sums(groups: bytes) -> str:
    """“26 passed · 3 running or queued”: what a phone says instead of showing every square."""
    passed = groups.count(Outcome.PASSED) + groups.count(Outcome.NEUTRAL)
    pending = groups.count(Outcome.RUNNING) + groups.count(Outcome.QUEUED)
    return " · ".join(
        f"{number} {words}" for number, words in ((passed, "passed"), (pending, "running or queued")) if number
    )


def build(
    layout: Layout,
    address: Address,
    pattern: Pattern,
    rows: Sequence[Row],
    *,
    key: tuple[Any, ...],
    path: str,
    newest: Iterable[bytes] = (),
) -> Grid:
    """The page's columns and cells. `key` identifies the layout; `path` is the page's address, for the links in its header;
    `newest` are the cells of newer commits than the page shows."""
    shown = rows[:PER_PAGE]
    size = layout.size
    packed = [(row.cells or b"").ljust(size, b"\0")[:size] for row in shown]
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
    now_groups = base.row(now)[1]
    loud_groups = base.row(loud.to_bytes(size, "little"))[1]
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
    head = header.of(chosen, address, path)
    return Grid(chosen, head, shown, [chosen.row(cells) for cells in packed], chosen.row(now)[0], counts, len(rows) > PER_PAGE)


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
    total = sum(int.from_bytes(cells.translate(_PRESENT), "little") for cells in packed)  # at most 50: a byte can't overflow
    least = max(1, -(-len(packed) // RARE))
    return int.from_bytes(total.to_bytes(size, "little").translate(bytes(int(n >= least) for n in range(256))), "little")
