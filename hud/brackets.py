"""The brackets that breaks draw around their red runs on the grid.

They are one picture laid over the table: rows are as high, and columns as wide, as tokens.css says, so a bracket is a
few paths whose numbers follow from its rows and columns. No cell is touched, so a thousand columns cost nothing, the
rows' kept HTML stays what it is, and without script the brackets are there as well. Only the rows of suspects differ:
they are marked, and their broken cells say “suspect”.

Solid from the suspect up to the newest failure, a thick foot on the suspect; dotted above, where results are still to
come; dashed below, over commits not yet told apart. A suspect that is not on the page has no foot there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from hud.attention import Hit, OpenBreak
from hud.header import plain
from hud.layout import Kept, Shape

PITCH, ROW = 19, 22  # `--pitch` and `--row` of tokens.css
LINE, FOOT = 1.5, 4.0


class Bracket(NamedTuple):
    """One column's red run of one break, in rows counted from the top of the page; ends are exclusive.

    `solid` begins at the newest failure and ends below the suspect; `closed` says whether the suspect is on the page;
    `dashed` ends below the oldest commit that may be to blame.
    """

    number: int
    column: int
    solid: int
    end: int
    closed: bool
    dashed: int
    dashed_closed: bool


class Mark(NamedTuple):
    """A suspect's row: which columns say so, and the tag on its title."""

    number: int
    words: str
    title: str
    columns: tuple[int, ...]


class Drawn(NamedTuple):
    """All that a page shows of them."""

    brackets: Sequence[Bracket]
    marks: Mapping[int, Mark]
    svg: bytes


PLACES = Kept(64)
DRAWN = Kept(64)


def of_page(shape: Shape, positions: Sequence[int], breaks: Sequence[OpenBreak], *, key: Hashable) -> Drawn:
    """What breaks draw onto a page. `key` names the breaks as they are: the repository and its version."""
    if not breaks:
        return NOTHING
    places = tuple(positions)

    def made() -> Drawn:
        found = draw(shape, places, breaks)
        return Drawn(found, marks(found, places, breaks), svg(found))

    return DRAWN.get((shape, places, key), made)


def draw(shape: Shape, positions: Sequence[int], breaks: Sequence[OpenBreak]) -> list[Bracket]:
    """The brackets on a page whose rows are these places on trunk, newest first."""
    if not breaks or not positions:
        return []
    columns = PLACES.get(shape, lambda: _columns(shape))
    upward = [-position for position in positions]
    found = []
    for one in breaks:
        by_column: dict[int, list[Hit]] = {}
        for hit in one.hits:
            for column in columns.get(hit.slot, ()):
                by_column.setdefault(column, []).append(hit)
        for column, hits in sorted(by_column.items()):
            bracket = _bracket(one, column, hits, upward)
            if bracket is not None:
                found.append(bracket)
    return found


def _columns(shape: Shape) -> Mapping[int, Sequence[int]]:
    """Where each configuration is shown: in its own column, its group's, or both."""
    found: dict[int, list[int]] = {}
    for index, column in enumerate(shape.columns):
        for member in column.members:
            found.setdefault(member.slot, []).append(index)
    return found


def _bracket(one: OpenBreak, column: int, hits: Sequence[Hit], upward: Sequence[int]) -> Bracket | None:
    newest = max((hit.failing_to for hit in hits if hit.failing_to is not None), default=None)
    suspect = min((hit.suspect_at for hit in hits if hit.suspect_at is not None), default=None)
    if newest is None:
        return None
    oldest = min((hit.range_from for hit in hits if hit.range_from is not None), default=suspect)
    if suspect is not None and one.range_from is not None and oldest is not None:
        oldest = min(suspect, max(oldest, one.range_from))  # another column may have told more commits apart
    solid = bisect_left(upward, -newest)  # the first row that is not newer
    end = len(upward) if suspect is None else bisect_right(upward, -suspect)
    below = end if suspect is None or oldest is None else bisect_right(upward, -oldest)
    if solid >= len(upward) or below <= 0:
        return None  # wholly below the page, or wholly above
    return Bracket(
        one.number, column, solid, end, suspect is not None and _has(upward, -suspect), below,
        suspect is not None and oldest is not None and oldest < suspect and _has(upward, -oldest),
    )  # fmt: skip


def _has(upward: Sequence[int], place: int) -> bool:
    at = bisect_left(upward, place)
    return at < len(upward) and upward[at] == place


def marks(brackets: Sequence[Bracket], positions: Sequence[int], breaks: Sequence[OpenBreak]) -> dict[int, Mark]:
    """The rows of suspects, by their number on the page."""
    rows = {position: row for row, position in enumerate(positions)}
    found: dict[int, Mark] = {}
    for one in reversed(breaks):  # so that of two breaks with one suspect the first one names it
        row = rows.get(one.suspect_at) if one.suspect_at is not None else None
        if row is None:
            continue
        columns = {bracket.column for bracket in brackets if bracket.number == one.number and _holds(bracket, row)}
        before = found[row].columns if row in found else ()
        words = "suspect" if one.suspects < 2 else f"1 of {one.suspects} suspects"
        if one.culprit_known:
            words = "culprit"
        found[row] = Mark(one.number, words, one.title, tuple(sorted({*columns, *before})))
    return found


def _holds(bracket: Bracket, row: int) -> bool:
    return bracket.solid <= row < max(bracket.end, bracket.dashed)


def svg(brackets: Sequence[Bracket]) -> bytes:
    """The picture over the table. It says nothing to a screen reader: labels and the list above the grid do."""
    if not brackets:
        return b'<svg class="brackets" id="brackets" width="0" height="0" aria-hidden="true"></svg>'
    width = (max(bracket.column for bracket in brackets) + 1) * PITCH
    height = max(max(bracket.end, bracket.dashed) for bracket in brackets) * ROW
    parts = [f'<svg class="brackets" id="brackets" width="{width}" height="{height}" aria-hidden="true">']
    for bracket in brackets:
        parts.append(f'<g data-b="{bracket.number}" data-c="{bracket.column}" data-r="{_foot_row(bracket)}">')
        parts.append(_paths(bracket))
        parts.append("</g>")
    return "".join([*parts, "</svg>"]).encode()


def _foot_row(bracket: Bracket) -> int:
    return max(0, bracket.end - 1)


def _paths(bracket: Bracket) -> str:
    left, right = bracket.column * PITCH + LINE / 2, (bracket.column + 1) * PITCH - LINE / 2
    top, bottom, low = bracket.solid * ROW, bracket.end * ROW, bracket.dashed * ROW
    narrow = bracket.dashed > bracket.end
    parts = []
    if top:
        parts.append(f'<path class="d" d="M{left:g} 0V{top}M{right:g} 0V{top}"/>')
    if bottom > top:
        begin = top + LINE / 2
        parts.append(f'<path class="k" d="M{left:g} {bottom}V{begin:g}H{right:g}V{bottom}"/>')
    if narrow:
        tail = f"V{low - LINE / 2:g}H{right:g}V{max(bottom, top)}" if bracket.dashed_closed else f"V{low}"
        more = "" if bracket.dashed_closed else f"M{right:g} {max(bottom, top)}V{low}"
        parts.append(f'<path class="q" d="M{left:g} {max(bottom, top)}{tail}{more}"/>')
    elif bracket.closed:
        parts.append(
            f'<path class="f" d="M{left - LINE / 2:g} {bottom - FOOT:g}V{bottom - FOOT:g}a4 4 0 0 0 4 4'
            f'H{right + LINE / 2 - 4:g}a4 4 0 0 0 4 -4Z"/>'
        )
    return "".join(parts)


def tag(mark: Mark, base: str) -> str:
    """The word on a suspect's title, which leads to its break."""
    title = plain(f"Break {mark.number}: {mark.title}")
    return f'<a class="tag red sus" href="{base}/break/{mark.number}" title="{title}">{mark.words}</a>'


def as_data(drawn: Drawn, shas: Sequence[str], base: str) -> dict[str, Any]:
    """What a refresh sends: the picture anew, and the marked rows."""
    return {
        "svg": drawn.svg.decode(),
        "marks": {shas[row]: [" ".join(map(str, mark.columns)), tag(mark, base)] for row, mark in drawn.marks.items()},
    }


NOTHING = Drawn((), {}, svg(()))
