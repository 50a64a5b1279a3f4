"""What one term of a search says: `label:bug,question`, `-is:draft`, `updated:>=2019-04-02`, `"empty batch"`.

`read` turns a term's text into what it means, with all that depends on writing resolved (quotes, commas, operators,
whole days), so that nothing after it parses again; `write` is its inverse. Pure. The rules are design/rules/search.md,
and what they leave open follows GitHub's documentation.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal

from triage import bounds
from triage.bounds import Count, Span
from triage.pieces import Piece, QueryError, pieces, quoted

# What terms mean


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a qualifier's fixed values, in lower case."""

    what: str


@dataclass(frozen=True, slots=True)
class Names:
    """Whole names as they were written, of which one is enough. Compare them with `fold`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """A login; or whoever is signed in; or anyone; or an app, which isn't the person of the same login."""

    login: str = ""
    me: bool = False
    anyone: bool = False
    app: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """Whole words, folded, one directly after the other. `commit` is set on a bare word of seven hexadecimal digits
    or more, which a pull request also matches by holding a commit that begins like it."""

    words: tuple[str, ...]
    commit: str | None = None


Value = Choice | Names | Person | Span | Count | Words


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `qualifier` is lower case, and "words" for free text. Where it stood is not part of what it is,
    so equal terms are equal wherever they stand."""

    qualifier: str
    value: Value
    negated: bool = False
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __invert__(self) -> "Term":
        return replace(self, negated=not self.negated)

    @property
    def only_on(self) -> Literal["issue", "pr"] | None:
        """The kind of item that the qualifier is about. On the other kind it is neither true nor false, and so selects
        nothing, negated or not: `-review:approved` are pull requests that are not approved, and no issues, as
        GitHub's documentation has it for `-linked:pr`. `is:draft` is not among them: it is simply false of issues."""
        if self.qualifier in PR_QUALIFIERS or self.value in _PR_CHOICES.get(self.qualifier, ()):
            return "pr"
        return "issue" if self.qualifier == "linked" and self.value == Choice("pr") else None


PR_QUALIFIERS: Final = frozenset(
    {
        "draft", "review", "reviewed-by", "review-requested", "user-review-requested", "team-review-requested",
        "base", "head", "status",
    }
)  # fmt: skip
_PR_CHOICES: Final[dict[str, tuple[Choice, ...]]] = {
    "is": (Choice("merged"), Choice("unmerged")),
    "linked": (Choice("issue"),),
}


def fold(text: str) -> str:
    """The text as everything is compared: case never matters, in names, labels or words."""
    return text.casefold()


def words_of(text: str) -> tuple[str, ...]:
    """The whole words of a text, folded: runs of letters, digits and underscores. All else separates."""
    return tuple(_WORD.findall(fold(text)))


_WORD: Final = re.compile(r"\w+")


# Reading


def read(text: str, at: int) -> Term:
    """The term that a piece of a search is, `at` being its place in it: a qualifier with its value when it holds a
    colon outside quotes, else a word or a quoted phrase.

    Raises QueryError.
    """
    negated = text.startswith("-")
    bare = text[negated:]
    where = at + negated
    if bare.startswith('"'):
        (phrase,) = pieces(bare, where)
        return _words(phrase, negated=negated, at=at, end=at + len(text), bare=False)
    name, colon, raw = bare.partition(":")
    if not colon:
        return _words(Piece(bare, where), negated=negated, at=at, end=at + len(text), bare=True)
    qualifier = name.lower()
    reader = _READERS.get(qualifier)
    if reader is None:
        raise QueryError("unknown_qualifier", at, f"“{name}:” is no qualifier. Words with a colon in them need quotes.")
    if qualifier == "no" and negated:
        raise QueryError("negated_no", at, NO_IS_NOT_NEGATED)
    found = pieces(raw, where + len(name) + 1, commas=qualifier == "label")
    value = Names(tuple(piece.text for piece in found)) if len(found) > 1 else reader(qualifier, found[0])
    return Term(qualifier, value, negated, at, at + len(text))


NO_IS_NOT_NEGATED: Final = "“no:” can't be negated: name what should be there instead, as in “assignee:*”."


def _words(piece: Piece, *, negated: bool, at: int, end: int, bare: bool) -> Term:
    words = words_of(piece.text)
    if not words:
        raise QueryError("empty_value", at, "There is no word in this: no letter and no digit.")
    commit = piece.text.lower() if bare and _HEX.fullmatch(piece.text) else None
    return Term("words", Words(words, commit), negated, at, end)


_HEX: Final = re.compile(r"[0-9a-fA-F]{7,}")

# What each qualifier takes


def _choice(choices: Collection[str], qualifier: str, piece: Piece) -> Value:
    what = _ALSO.get(piece.text.lower(), piece.text.lower())
    if what not in choices:
        listed = ", ".join(f'"{choice}"' if " " in choice else choice for choice in choices)
        raise QueryError("bad_value", piece.at, f"“{qualifier}:” takes {listed}, not “{piece.text}”.")
    return Choice(what)


_ALSO: Final = {"not_planned": "not planned", "not-planned": "not planned"}  # as the API and some URLs spell it


def _type(_qualifier: str, piece: Piece) -> Value:
    kind = piece.text.lower()
    return Choice(kind) if kind in ("issue", "pr") else Names((piece.text,))


def _name(_qualifier: str, piece: Piece) -> Value:
    return Names((piece.text,))


def _shaped(shape: re.Pattern[str], form: str, qualifier: str, piece: Piece) -> Value:
    if not shape.fullmatch(piece.text):
        raise QueryError("bad_value", piece.at, f"“{qualifier}:” takes {form}, not “{piece.text}”.")
    return Names((piece.text,))


_LOGIN: Final = re.compile(r"[A-Za-z0-9_-]+(?:\[bot\])?", re.IGNORECASE)
_OWNER: Final = re.compile(r"[A-Za-z0-9_-]+")
_OWNED: Final = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9._-]+")
_BOARD: Final = re.compile(r"[A-Za-z0-9_-]+/[0-9]{1,18}")


def _person(special: Collection[str], qualifier: str, piece: Piece) -> Value:
    login = piece.text
    if login.lower() == "@me":
        return Person(me=True)
    if login == "*" and "*" in special:
        return Person(anyone=True)
    if "app" in special:
        if login.lower().startswith("app/") and _OWNER.fullmatch(login[4:]):
            return Person(login[4:], app=True)
        if login.lower().endswith("[bot]") and _LOGIN.fullmatch(login):
            return Person(login[:-5], app=True)
    if not _LOGIN.fullmatch(login):
        forms = ["a login", "@me", *(["*"] if "*" in special else []), *(["app/NAME"] if "app" in special else [])]
        listed = f"{', '.join(forms[:-1])} or {forms[-1]}"
        raise QueryError("bad_value", piece.at, f"“{qualifier}:” takes {listed}, not “{login}”.")
    return Person(login)


def _span(_qualifier: str, piece: Piece) -> Value:
    return bounds.span(piece)


def _count(_qualifier: str, piece: Piece) -> Value:
    return bounds.count(piece)


_READERS: Final[Mapping[str, Callable[[str, Piece], Value]]] = {
    "is": partial(_choice, ("issue", "pr", "open", "closed", "merged", "unmerged", "draft", "locked", "unlocked")),
    "state": partial(_choice, ("open", "closed")),
    "type": _type,
    "label": _name,
    "no": partial(_choice, ("label", "assignee", "milestone", "project")),
    "author": partial(_person, ("app",)),
    "assignee": partial(_person, ("*",)),
    "mentions": partial(_person, ()),
    "commenter": partial(_person, ()),
    "involves": partial(_person, ()),
    "team": partial(_shaped, _OWNED, "org/name"),
    "milestone": _name,
    "project": partial(_shaped, _BOARD, "owner/NUMBER"),
    "created": _span,
    "updated": _span,
    "closed": _span,
    "merged": _span,
    "comments": _count,
    "reactions": _count,
    "interactions": _count,
    "draft": partial(_choice, ("true", "false")),
    "review": partial(_choice, ("none", "required", "approved", "changes_requested")),
    "reviewed-by": partial(_person, ()),
    "review-requested": partial(_person, ()),
    "user-review-requested": partial(_person, ()),
    "team-review-requested": partial(_shaped, _OWNED, "org/name"),
    "base": _name,
    "head": _name,
    "status": partial(_choice, ("pending", "success", "failure")),
    "linked": partial(_choice, ("pr", "issue")),
    "reason": partial(_choice, ("completed", "not planned", "duplicate")),
    "archived": partial(_choice, ("true", "false")),
    "repo": partial(_shaped, _OWNED, "owner/name"),
    "org": partial(_shaped, _OWNER, "an organization"),
    "user": partial(_person, ()),
}
QUALIFIERS: Final = tuple(_READERS)


# Writing


def write(term: Term) -> str:
    """The term as text that reads as an equal term."""
    match term.value:
        case Words(words, commit):
            alone = len(words) == 1 and (commit is not None or not _HEX.fullmatch(words[0]))
            text = words[0] if alone else f'"{" ".join(words)}"'
        case value:
            text = f"{term.qualifier}:{_written(value)}"
    return f"-{text}" if term.negated else text


def _written(value: Value) -> str:
    match value:
        case Choice(what):
            return quoted(what)
        case Names(names):
            return ",".join(map(quoted, names))
        case Person():
            return "@me" if value.me else "*" if value.anyone else f"{'app/' if value.app else ''}{value.login}"
        case Span() | Count():
            return bounds.written(value)
        case Words():
            raise TypeError("words have no qualifier")
