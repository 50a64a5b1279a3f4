"""The text of a log as a page shows it: colours, folded groups, search. Pure.

Logs are hostile. Of all that a terminal would do on their word only colours and weights are done; the rest (links that
say one thing and lead to another, cursor moves, titles, bells) is left out, and what it encloses stays plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from hud.failure_rules import STAMP

SHOWN_LINE = 4_000  # characters of a line on a page; the raw log on GitHub has the others
LONGEST_QUERY = 200
MOST_FOUND = 1_000

# A colour sequence (its numbers caught), or anything else that begins with an escape or is a control character.
_ESCAPE = re.compile(
    r"\x1b\[([0-9;:]{0,60})m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|\x1b[\]P^_X][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # without its end, it hides nothing
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]"
)
_MARKED = re.compile(r"##\[(error|warning|notice|debug|command|section)\]|\[command\]")
_GROUP = re.compile(r"##\[group\](.*)")
_END = "##[endgroup]"

_NAMED = {1: "b", 2: "d", 3: "i", 4: "u", 9: "s"}
# What ends which: 22 ends bold and faint, and so on.
_ENDS = {22: "bd", 23: "i", 24: "u", 29: "s"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is shown. `kind` is what GitHub marks it as; `html` is escaped, with spans for colours."""

    number: int
    time: str
    kind: str
    html: str
    more: int = 0  # characters that are not shown


@dataclass(slots=True)
class Group:
    """Lines that a log folds: shown when opened. Lines outside of any group have none."""

    head: Line
    lines: list[Line] = field(default_factory=list)
    open: bool = False


@dataclass
class _Style:
    """How text is to be shown from here on, as classes."""

    marks: set[str] = field(default_factory=set)
    front: str = ""
    back: str = ""

    @property
    def classes(self) -> str:
        return " ".join(filter(None, (self.front, self.back, *sorted(self.marks))))

    def apply(self, numbers: str) -> None:
        """What a colour sequence changes. What it does not know, it leaves."""
        codes = [int(one) if one and len(one) < 4 else 0 for one in re.split("[;:]", numbers)]
        at = 0
        while at < len(codes):
            code = codes[at]
            at += 1
            if code == 0:
                self.marks, self.front, self.back = set(), "", ""
            elif code in _NAMED:
                self.marks.add(_NAMED[code])
            elif code in _ENDS:
                self.marks -= set(_ENDS[code])
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.front = f"f{code % 10}"
            elif 40 <= code <= 47 or 100 <= code <= 107:
                self.back = f"k{code % 10}"
            elif code == 39:
                self.front = ""
            elif code == 49:
                self.back = ""
            elif code in (38, 48):
                hue, at = _extended(codes, at)
                if hue is not None:
                    if code == 38:
                        self.front = f"f{hue}"
                    else:
                        self.back = f"k{hue}"


def _extended(codes: Sequence[int], at: int) -> tuple[int | None, int]:
    """One of eight hues for a colour of 256, or of sixteen million; and where the codes go on."""
    if codes[at : at + 1] == [5] and at + 1 < len(codes):
        number = codes[at + 1]
        if number < 16:
            return number % 8, at + 2
        if number >= 232:
            return (7 if number > 243 else 0), at + 2
        cube = number - 16
        return _hue(cube // 36 * 51, cube // 6 % 6 * 51, cube % 6 * 51), at + 2
    if codes[at : at + 1] == [2] and at + 3 < len(codes):
        return _hue(*codes[at + 1 : at + 4]), at + 4
    return None, len(codes)


def _hue(red: int, green: int, blue: int) -> int:
    middle = (max(red, green, blue) + min(red, green, blue)) / 2
    return (red > middle or red > 220) + 2 * (green > middle or green > 220) + 4 * (blue > middle or blue > 220)


def plain(line: str) -> str:
    """The line without escapes and control characters."""
    return _ESCAPE.sub("", line)


def html(text: str) -> str:
    """Escaped text, with a span wherever it is coloured."""
    if "\x1b" not in text and text.isprintable():
        return escape(text)
    style = _Style()
    pieces: list[str] = []
    at = 0
    for match in _ESCAPE.finditer(text):
        _add(pieces, text[at : match.start()], style)
        at = match.end()
        if match[1] is not None:
            style.apply(match[1])
    _add(pieces, text[at:], style)
    return "".join(pieces)


def _add(pieces: list[str], text: str, style: _Style) -> None:
    if text:
        classes = style.classes
        pieces.append(f'<span class="{classes}">{escape(text)}</span>' if classes else escape(text))


def line(number: int, raw: str) -> Line:
    """A line as it is shown."""
    stamp = STAMP.match(raw)
    time = raw[11:19] if stamp and raw[:1] != "\ufeff" else ""
    text = raw[stamp.end() :] if stamp else raw
    kind = ""
    if marked := _MARKED.match(text):
        kind = marked[1] or "command"
        text = text[marked.end() :]
    elif text.startswith("##[") and (group := _GROUP.match(text)):
        kind, text = "group", group[1]
    more = max(0, len(text) - SHOWN_LINE)
    return Line(number, time, kind, html(text[:SHOWN_LINE]), more)


def folded(lines: Iterable[tuple[int, str]], opened: set[int]) -> Iterator[Line | Group]:
    """Lines, and groups of lines. A group is open if it holds one of these numbers, or if its end was not reached."""
    group: Group | None = None
    for number, raw in lines:
        shown = line(number, raw)
        if shown.kind == "group":
            if group:
                yield group
            group = Group(shown)
        elif raw.endswith(_END) and plain(raw).endswith(_END) and len(raw) < 100:
            if group:
                yield group
            group = None
        elif group:
            group.lines.append(shown)
            group.open = group.open or number in opened
        else:
            yield shown
    if group:
        group.open = True
        yield group


def search(parts: Iterable[tuple[int, Sequence[str]]], query: str) -> tuple[list[int], bool]:
    """Numbers of the lines that contain the text, in any case of letters; and whether there are more than are told."""
    wanted = query[:LONGEST_QUERY].casefold()
    found: list[int] = []
    if not wanted:
        return found, False
    for first, lines in parts:
        if wanted not in "\n".join(lines).casefold() and "\x1b" not in "".join(lines):
            continue
        for number, raw in enumerate(lines, first):
            text = plain(raw) if "\x1b" in raw else raw
            if wanted in text.casefold():
                if len(found) == MOST_FOUND:
                    return found, True
                found.append(number)
    return found, False
