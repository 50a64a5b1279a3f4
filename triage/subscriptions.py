"""Who wants to be cc'd on a label: reading the subscriptions out of an issue, and writing the cc line of an item.

`parse` reads rows like `* module: autograd @ann @acme/quant`; `cc` gives an item's body its cc line; `rewritten` and
`merged` keep the issue and our database in step. Pure. The rules are design/rules/subscriptions.md; where Markdown
begins to be code is CommonMark's to say, so its blocks come from markdown-it.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from markdown_it import MarkdownIt

Rows = Mapping[str, Sequence[str]]
"""Label to the names that want to be cc'd on it: logins and `org/team`, without `@`. Neither minds case."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in the issue that looks like one. `line` counts from 1."""

    code: Literal["trailing_hyphen", "email", "unknown_label", "unknown_login"]
    line: int
    text: str
    message: str


@dataclass(frozen=True, slots=True)
class Parsed:
    rows: dict[str, list[str]]
    warnings: tuple[Mistake, ...] = ()


# A login is letters, digits, hyphens and, for managed accounts, underscores; a dot or comma ends it.
_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:/[A-Za-z0-9_][A-Za-z0-9_-]*)?"
_WHOLE_NAME: Final = re.compile(_NAME)
_MENTION: Final = re.compile(
    # An address swallows what looks like a name in it. `@ann@ben` are two names, but not `@ann@example.org`.
    rf"(?P<email>(?<![\w.+@-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*|(?<=\w)@[\w-]+(?:\.[\w-]+)+)|@(?P<name>{_NAME})"
)
_ROW: Final = re.compile(r"\* +(?P<label>[^@]*)(?=@)")
_END: Final = re.compile(r"\r\n|\r|\n")


# Reading the issue


def parse(body: str | None, *, labels: Collection[str] | None = None, logins: Collection[str] | None = None) -> Parsed:
    """The subscriptions that an issue's body lists, repeated labels merged, and what in it looks like a mistake.

    `labels` and `logins` (teams too) are those that exist; what isn't among them is warned of, but kept, since it may
    exist by the time it matters. None: don't look.
    """
    rows = _Rows()
    warnings: list[Mistake] = []
    known_labels = None if labels is None else set(map(_fold, labels))
    known_logins = None if logins is None else set(map(_fold, logins))
    for row in _rows_in(body or ""):
        for email in row.emails:
            message = f"“{email}” is an e-mail address, so nobody is subscribed by it."
            warnings.append(Mistake("email", row.line, email, message))
        if not row.label or not row.names:
            continue
        rows.add(row.label, row.names)
        if row.label.endswith("-"):
            message = f"The hyphen before the names is read as part of the label “{row.label}”."
            warnings.append(Mistake("trailing_hyphen", row.line, row.label, message))
        if known_labels is not None and _fold(row.label) not in known_labels:
            warnings.append(Mistake("unknown_label", row.line, row.label, f"There is no label “{row.label}”."))
        if known_logins is not None:
            warnings.extend(
                Mistake("unknown_login", row.line, name, f"There is nobody called @{name} here.")
                for name in row.names
                if _fold(name) not in known_logins
            )
    return Parsed(rows.spelled, tuple(warnings))


def _fold(text: str) -> str:
    return text.casefold()


class _Rows:
    """Names by label, where neither minds case and the first spelling is kept."""

    def __init__(self, rows: Rows | None = None) -> None:
        self.spelled: dict[str, list[str]] = {}
        self._labels: dict[str, str] = {}
        self._names: dict[str, set[str]] = {}
        for label, names in (rows or {}).items():
            self.add(label, names)

    def add(self, label: str, names: Iterable[str]) -> None:
        spelled = self.spelled.setdefault(self._labels.setdefault(_fold(label), label), [])
        seen = self._names.setdefault(_fold(label), set())
        for name in names:
            if _fold(name) not in seen:
                seen.add(_fold(name))
                spelled.append(name)

    def of(self, label: str) -> list[str]:
        return self.spelled.get(self._labels.get(_fold(label), label), [])

    def has(self, label: str, name: str) -> bool:
        return _fold(name) in self._names.get(_fold(label), ())


@dataclass(frozen=True, slots=True)
class _Row:
    line: int  # from 1
    start: int  # in the body
    end: int  # of the line, its end of line aside
    label: str
    mentions: tuple[tuple[int, int, str], ...]  # place in the body, and the name
    emails: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for _, _, name in self.mentions)


def _rows_in(body: str) -> Iterator[_Row]:
    """Every line that begins like a row and holds an @, outside code and comments."""
    text = _Hidden(body).blanked(inline=False, blank=" ")
    for number, (start, end) in enumerate(_lines(text), 1):
        match = _ROW.match(text, start, end)
        if match is None:
            continue
        found = list(_MENTION.finditer(text, match.start("label"), end))
        yield _Row(
            number,
            start,
            end,
            match["label"].strip(),
            tuple((each.start(), each.end(), each["name"]) for each in found if each["name"]),
            tuple(each["email"].lstrip("@") for each in found if each["email"]),
        )


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends, its end of line aside; as Markdown counts lines."""
    start = 0
    for end in _END.finditer(text):
        yield start, end.start()
        start = end.end()
    yield start, len(text)


# Writing the cc line


def cc(body: str | None, *, labels: Sequence[str], author: str, rows: Rows) -> str | None:
    """The item's body with everybody cc'd who subscribes to one of its labels; None if nothing changes.

    `labels` are all that it now carries, in their order. Names are only ever added, in front of those that are
    there, and a second time changes nothing.
    """
    body = body or ""
    line, mentioned = _cc_lines(body)
    wanted = _Rows(rows)
    there = {_fold(author), *map(_fold, mentioned)}
    new: list[str] = []
    for name in (name for label in labels for name in wanted.of(label)):
        if _fold(name) not in there and _WHOLE_NAME.fullmatch(name):  # nobody else could be mentioned
            there.add(_fold(name))
            new.append(f"@{name}")
    if not new:
        return None
    names = " ".join(new)
    if line is not None:
        return f"{body[:line]}{names} {body[line:]}"
    if not body.strip():
        return f"cc {names}"
    return f"{_closed(body)}cc {names}"


# `main.cc`, `my-cc`, `@cc` and `org/cc` aren't the word, `/cc` is.
_CC: Final = re.compile(rf"(?<![\w@])(?<!\w[./-])cc(?:[ \t]*:)?[ \t,]*(?<!c)(?=@{_NAME})", re.IGNORECASE)


def _cc_lines(body: str) -> tuple[int | None, list[str]]:
    """Where the first cc line's names begin, and everybody mentioned on any cc line.

    A line in a comment is no cc line either: it would reach nobody.
    """
    text = _Hidden(body).blanked(inline=True, blank="\0")
    first: int | None = None
    mentioned: list[str] = []
    for start, end in _lines(text):
        match = _CC.search(text, start, end)
        if match is not None:
            first = match.end() if first is None else first
            mentioned += [each["name"] for each in _MENTION.finditer(text, start, end) if each["name"]]
    return first, mentioned


def _closed(body: str) -> str:
    """The body with a blank line at its end, after which text is text. Code or a comment that is left open reaches to
    the end of the body, so it has to be closed before anything can be added."""
    newline = _newline(body)
    lines = _END.split(body)
    if lines[-1]:
        body += newline
        lines.append("")
    if (closing := _Hidden(f"{body}{newline}x").left_open) is not None:
        body += closing + newline
        lines[-1:] = [closing, ""]
    return body if len(lines) > 1 and not lines[-2].strip() else body + newline


def _newline(body: str) -> str:
    return match[0] if (match := _END.search(body)) else "\n"


# Keeping the issue and our database in step


def merged(base: Rows, ours: Rows, theirs: Rows) -> dict[str, list[str]]:
    """What both should hold now, given what they both held last, what we hold and what the issue holds: whatever
    either side added or took away since. The issue's spelling and order come first."""
    before, here, there = _Rows(base), _Rows(ours), _Rows(theirs)
    both = _Rows(theirs)
    for label, names in here.spelled.items():
        both.add(label, names)
    kept = {
        label: [
            name for name in names if (here.has(label, name) and there.has(label, name)) or not before.has(label, name)
        ]
        for label, names in both.spelled.items()
    }
    return {label: names for label, names in kept.items() if names}


def rewritten(body: str | None, rows: Rows) -> str:
    """The issue's body so changed that it lists `rows`, and otherwise left as whoever wrote it left it.

    A name is taken out with what separates it from the one before, and a row with its last name; a name is added to
    its label's first row, a label after the last row. What no row can say (an @ or a line's end in a label) is left
    out, as is a name that GitHub wouldn't read as one.
    """
    body = body or ""
    wanted = _Rows()
    for label, names in rows.items():
        if (shown := label.strip()) and not re.search(r"[@\r\n]", shown):
            wanted.add(shown, [name for name in names if _WHOLE_NAME.fullmatch(name)])
    found = [row for row in _rows_in(body) if row.label and row.names]
    listed = _Rows()
    for row in found:
        listed.add(row.label, row.names)
    edits: list[tuple[int, int, str]] = []  # from, to, and what to put there; in the body's order
    added: set[str] = set()
    last = None  # where the last row ends that stays
    for row in found:
        kept = [mention for mention in row.mentions if wanted.has(row.label, mention[2])]
        if not kept:
            edits.append((row.start, _line_end(body, row.end), ""))
            continue
        edits += _taken_out(row, kept)
        last = row.end
        if _fold(row.label) not in added:
            added.add(_fold(row.label))
            new = [name for name in wanted.of(row.label) if not listed.has(row.label, name)]
            edits.append((kept[-1][1], kept[-1][1], "".join(f" @{name}" for name in new)))
    fresh = [
        f"* {label} {' '.join(f'@{name}' for name in names)}"
        for label, names in wanted.spelled.items()
        if names and _fold(label) not in added
    ]
    newline = _newline(body)
    if fresh and last is not None:
        edits.append((last, last, "".join(newline + row for row in fresh)))
        fresh = []
    edits.sort(key=lambda edit: edit[:2])
    for start, end, text in reversed(edits):
        body = body[:start] + text + body[end:]
    if fresh:
        body = (_closed(body) if body.strip() else "") + newline.join(fresh) + newline
    return body


def _taken_out(row: _Row, kept: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """The edits that leave only some of a row's names."""
    before: int | None = None  # where the last kept name ends
    for index, (start, end, _) in enumerate(row.mentions):
        if row.mentions[index] in kept:
            before = end
        elif before is not None:
            yield row.mentions[index - 1][1], end, ""
        else:
            yield start, row.mentions[index + 1][0], ""


def _line_end(body: str, end: int) -> int:
    match = _END.match(body, end)
    return match.end() if match else end


# What of a body is hidden

_MARKDOWN: Final = MarkdownIt("commonmark")
_MARKDOWN.core.ruler.enableOnly(["normalize", "block"])
_INLINE: Final = re.compile(r"\\[\s\S]|(?P<ticks>`+)|(?P<comment><!--)")
_COMMENT: Final = re.compile(r"(?P<comment><!--)")


class _Hidden:
    """Where a body is code, and where it is a comment."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.left_open: str | None = None  # what would close the code or comment that the body's last line is in
        self._blocks: list[tuple[int, int]] = []  # code and comments
        self._spans: list[tuple[int, int]] = []  # code in a line
        self._last_close = body.rfind("-->")  # so that no comment is looked through in vain
        starts = [start for start, _ in _lines(body)]
        starts.append(len(body))
        hidden = 0  # up to where a comment has reached
        for token in _MARKDOWN.parse(body):
            if token.map is None:
                continue
            start, end = starts[token.map[0]], starts[min(token.map[1], len(starts) - 1)]
            if end <= hidden:
                continue
            if token.type in ("fence", "code_block"):
                self._blocks.append((start, end))
                if end == len(body) and token.type == "fence":
                    self.left_open = token.markup
            elif token.type in ("inline", "html_block"):
                hidden = self._scan(max(start, hidden), end, html=token.type == "html_block")

    def _scan(self, start: int, end: int, *, html: bool) -> int:
        """Find comments, and outside HTML code in backticks, from a block's start to its end. Returns up to where its
        last comment reaches."""
        closing = {} if html else self._ticks(start, end)
        pattern = _COMMENT if html else _INLINE
        at, reached = start, start
        last = self._last_close if html else self.body.rfind("-->", start, end)
        while match := pattern.search(self.body, at, end):
            at = match.end()
            if match["comment"]:
                # `<!-->` is a whole comment. In HTML one goes on past empty lines, in a line it must end with the text.
                close = self.body.find("-->", match.start() + 2) if match.start() + 2 <= last else -1
                if close < 0 and not html:
                    continue
                at = reached = close + 3 if close >= 0 else end
                self._blocks.append((match.start(), at))
                if close < 0 and end == len(self.body):
                    self.left_open = "-->"
            elif not html and match["ticks"] and (close := closing.get(match.start(), -1)) >= 0:
                at = close + len(match["ticks"])
                self._spans.append((match.start(), at))
        return reached

    def _ticks(self, start: int, end: int) -> dict[int, int]:
        """For each run of backticks the next one of its length."""
        following: dict[int, int] = {}
        closing: dict[int, int] = {}
        for run in reversed(list(re.compile("`+").finditer(self.body, start, end))):
            length = run.end() - run.start()
            closing[run.start()] = following.get(length, -1)
            following[length] = run.start()
        return closing

    def blanked(self, *, inline: bool, blank: str) -> str:
        """The body with what is hidden blanked out, each character in its place. `inline`: code in a line as well."""
        parts: list[str] = []
        at = 0
        for start, end in sorted([*self._blocks, *(self._spans if inline else ())]):
            if end > at:
                start = max(start, at)
                parts += self.body[at:start], re.sub(r"[^\r\n]", blank, self.body[start:end])
                at = end
        return "".join([*parts, self.body[at:]])
