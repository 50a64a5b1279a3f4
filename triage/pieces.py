"""The pieces of a search's text: values in and out of quotes, each with its place, and the error that names a place.
Pure."""

import re
from dataclasses import dataclass
from typing import Final, Literal

Code = Literal[
    "bad_range",
    "negated_no",
    "unknown_qualifier",
    "unterminated_quote",
    "unbalanced_paren",
    "too_deep",
    "bad_date",
    "bad_number",
    "bad_value",
    "empty_value",
    "bad_sort",
]


class QueryError(ValueError):
    """A search that can't be read. `position` is the character, counted from 0, that a caret goes under: always one
    of the text's own."""

    def __init__(self, code: Code, position: int, message: str) -> None:
        super().__init__(code, position, message)
        self.code = code
        self.position = position
        self.message = message

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Piece:
    """A value, or one of a comma list, without its quotes, and where it begins."""

    text: str
    at: int


def pieces(raw: str, at: int, *, commas: bool = False) -> tuple[Piece, ...]:
    """The values in what follows a qualifier's colon: just one, or a comma list. Quotes only hold a value together;
    inside them `\\"` is a quote and `\\\\` a backslash, and all else is plain. `raw` may end inside quotes.

    Raises QueryError: empty_value, unterminated_quote, bad_value.
    """
    found: list[Piece] = []
    expecting = True
    for segment in (_LISTED if commas else _SINGLE).finditer(raw):
        text, start = segment[0], at + segment.start()
        if segment.lastgroup == "comma":
            if expecting:
                raise QueryError("empty_value", start, "A value is missing before this comma.")
            expecting = True
            continue
        if segment.lastgroup == "open":
            raise QueryError("unterminated_quote", start, "This quote is never closed.")
        if not expecting:
            raise QueryError("bad_value", start, "Quotes have to hold the whole value, with a space after it.")
        if segment.lastgroup == "quoted":
            text = _ESCAPED.sub(r"\1", text[1:-1])
        if bad := _UNSTORABLE.search(text):
            raise QueryError("bad_value", start, f"No name or text holds the character U+{ord(bad[0]):04X}.")
        text = text.strip()
        if not text:
            raise QueryError("empty_value", start, "There is nothing between these quotes.")
        found.append(Piece(text, start))
        expecting = False
    if expecting:  # the colon, or the comma, that nothing follows
        raise QueryError("empty_value", at + len(raw) - 1, "A value is missing here.")
    return tuple(found)


_QUOTED: Final = r'(?P<quoted>"(?:\\[\s\S]|[^"\\])*")|(?P<open>"[\s\S]*)'
_SINGLE: Final = re.compile(rf'{_QUOTED}|(?P<bare>[^"]+)')
_LISTED: Final = re.compile(rf'{_QUOTED}|(?P<comma>,)|(?P<bare>[^",]+)')
_ESCAPED: Final = re.compile(r'\\(["\\])')
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")  # PostgreSQL has neither


def quoted(text: str) -> str:
    """The text as one value, in quotes if it needs them."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_PLAIN: Final = re.compile(r"[\w:./'+*@#&-]+")
