"""The search language of queues: GitHub's own, so that a team's existing searches work unchanged.

`parse` reads a search, or raises a `QueryError` with a code and the place: what can't be read is never taken for a
search that finds nothing. The rules are design/rules/search.md. The grammar is Lark's business, what single terms mean
is `triage.terms`', and why an item is found is `triage.reasons`'. Pure; the time taken is linear in the text's length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from django.apps import apps
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken

from triage.bounds import Span
from triage.pieces import Code, Piece, QueryError, pieces
from triage.terms import NO_IS_NOT_NEGATED, Names, Person, Term, read, write

__all__ = ["And", "Code", "Either", "Node", "Note", "Or", "Query", "QueryError", "Sort", "Term", "parse"]

Field = Literal["title", "body", "comments"]
FIELDS: Final[tuple[Field, ...]] = ("title", "body", "comments")
SORTS: Final = ("created", "updated", "comments", "interactions", "reactions")
DEEPEST: Final = 5

# Of terms of one family side by side, one is enough: "several involves: = any of them", and an item lies in one
# repository only, so GitHub documents the same of these.
_FAMILIES: Final = {"involves": "people", "repo": "place", "org": "place", "user": "place"}


# What is asked


@dataclass(frozen=True, slots=True)
class Either:
    """Terms side by side of which one is enough: several `involves:`, or several of `repo:`, `org:` and `user:`."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class And:
    nodes: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    nodes: "tuple[Node, ...]"


Node = Term | Either | And | Or
"""Negation is found only on terms: it is moved there on reading."""


@dataclass(frozen=True, slots=True)
class Sort:
    by: str = "created"
    descending: bool = True

    def __str__(self) -> str:
        return f"{self.by}-{'desc' if self.descending else 'asc'}"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that can be read, but may not mean what was meant."""

    code: str
    position: int
    message: str


@dataclass(frozen=True, slots=True)
class Query:
    """A search that has been read. Queries are equal when they ask the same in the same order, however they were
    written; `str()` is one way to write them, and reads as an equal query."""

    where: Node | None  # None asks nothing: all items
    sort: Sort = Sort()
    within: tuple[Field, ...] = FIELDS  # where the free words are looked for
    text: str = field(default="", compare=False)  # as it was written; `Term.at` and `Term.end` are places in it
    notes: tuple[Note, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        parts = [_written(self.where)] if self.where is not None else []
        if self.within != FIELDS:
            parts.append(f"in:{','.join(self.within)}")
        if self.sort != Sort():
            parts.append(f"sort:{self.sort}")
        return " ".join(parts)

    @property
    def terms(self) -> tuple[Term, ...]:
        return tuple(_terms(self.where))

    @property
    def asks_for_viewer(self) -> bool:
        """Whether the answer depends on who asks: there is an `@me` in it."""
        return any(isinstance(term.value, Person) and term.value.me for term in self.terms)

    @property
    def labels(self) -> tuple[tuple[Term, str], ...]:
        """Every label that is named, with the term that names it: what the linter looks up."""
        return tuple(
            (term, name)
            for term in self.terms
            if term.qualifier == "label" and isinstance(term.value, Names)
            for name in term.value.names
        )

    @property
    def floors(self) -> tuple[Term, ...]:
        """The terms that hide what is older than a date: what the linter counts open items behind."""
        return tuple(
            term
            for term in self.terms
            if isinstance(term.value, Span) and (term.value.end if term.negated else term.value.start) is not None
        )

    def without(self, term: Term) -> "Query":
        """The same search without one of its own terms, to see what that term hides."""
        return replace(self, where=_pruned(self.where, term), text="", notes=())

    def only(self, term: Term) -> "Query":
        """That term alone, to see whether it matches anything at all."""
        return replace(self, where=term, text="", notes=())

    def items(self, *, viewer: str | None = None) -> Any:
        """The items found, in order, as a QuerySet. `viewer` is the login that `@me` stands for; without one, `@me`
        is nobody.

        `found_by` of the items' QuerySet compiles `where`, `sort` and `within`; what it has to select is what
        `triage.reasons.selects` says of each item alone.
        """
        item: Any = apps.get_app_config("triage").get_model("Item")
        return item.objects.found_by(self, viewer=viewer)


def _terms(node: Node | None) -> Iterator[Term]:
    match node:
        case None:
            return
        case Term():
            yield node
        case Either(terms):
            yield from terms
        case And(nodes) | Or(nodes):
            for each in nodes:
                yield from _terms(each)


def _pruned(node: Node | None, term: Term) -> Node | None:
    if node is None or node is term:
        return None
    if isinstance(node, Term):
        return node
    if isinstance(node, Either):
        return _either([each for each in node.terms if each is not term])
    left = [kept for each in node.nodes if (kept := _pruned(each, term)) is not None]
    return _joined(type(node), left)


# Reading

_GRAMMAR: Final = Lark(
    r"""
    start: [either]
    either: both (_OR both)*
    both: beside (_AND beside)*
    beside: factor+
    factor: (NOT | MINUS)* (TERM | PHRASE | WORD | _OPEN either _CLOSE)

    TERM.3: /[^\s()":]*:(?:"(?:\\[\s\S]|[^"\\])*"|[^\s()"])*(?:"[\s\S]*)?/
    _OR.2: /OR(?![^\s()"])/
    _AND.2: /AND(?![^\s()"])/
    NOT.2: /NOT(?![^\s()"])/
    MINUS.2: /-(?=\()/
    PHRASE.1: /-?"(?:(?:\\[\s\S]|[^"\\])*"|[\s\S]*)/
    WORD: /[^\s()":]+/
    _OPEN: "("
    _CLOSE: ")"
    %ignore /\s+/
    """,
    parser="lalr",
    lexer="basic",
    maybe_placeholders=False,
)


@dataclass(frozen=True, slots=True)
class _Aside:
    """`in:` or `sort:`, which hold for the whole search wherever they stand."""

    qualifier: str
    at: int

    def refused(self, why: str) -> QueryError:
        return QueryError("bad_sort" if self.qualifier == "sort" else "bad_value", self.at, why)

    def negated(self) -> QueryError:
        return self.refused(f"“{self.qualifier}:” can't be negated.")


def parse(text: str) -> Query:
    """The search that a text is. Empty text is the search for everything.

    Raises QueryError, naming one place: the first that can't be read by itself, else one that only the whole shows to
    be wrong (a parenthesis never closed, a group that can't be negated).
    """
    reading = _Reading(text)
    where = reading.built(reading.tree())
    within = tuple(name for name in FIELDS if name in reading.within) if reading.within else FIELDS
    return Query(where, reading.sort or Sort(), within, text, tuple(reading.notes))


class _Reading:
    """One search while it is read: first token by token, so that the first mistake is named, then as a tree."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sort: Sort | None = None
        self.within: set[str] = set()
        self.notes: list[Note] = []
        self._read: dict[int, Term | _Aside] = {}

    def tree(self) -> "Tree[Token]":
        parser: Any = _GRAMMAR.parse_interactive(self.text)  # only partly typed
        before: Token | None = None
        opened: list[int] = []
        for token in parser.lexer_thread.lex(parser.parser_state):
            at = _at(token)
            if token.type == "_OPEN":
                if before is not None and before.type in _CONDITIONS and before.end_pos == at:
                    raise QueryError("bad_value", at, "Parentheses in a value need quotes; before a group, a space.")
                opened.append(at)
                if len(opened) > DEEPEST:
                    raise QueryError("too_deep", at, f"Parentheses may be nested {DEEPEST} deep.")
            elif token.type == "_CLOSE":
                if not opened:
                    raise QueryError("unbalanced_paren", at, "This parenthesis closes none.")
                opened.pop()
            elif token.type in _CONDITIONS:
                self._read[at] = self._aside(token, at) or read(str(token), at)
            try:
                parser.feed_token(token)
            except UnexpectedToken:
                raise _misplaced(token, before) from None
            before = token
        if opened:
            raise QueryError("unbalanced_paren", opened[-1], "This parenthesis is never closed.")
        try:
            tree: Tree[Token] = parser.feed_eof(before)
        except UnexpectedToken as error:
            raise _nothing_after(before or error.token) from None
        return tree

    def _aside(self, token: Token, at: int) -> _Aside | None:
        negated = token.startswith("-")
        name, _, raw = token[negated:].partition(":")
        qualifier = name.lower()
        if token.type != "TERM" or qualifier not in ("in", "sort"):
            return None
        aside = _Aside(qualifier, at)
        if negated:
            raise aside.negated()
        for piece in pieces(raw, at + len(name) + 1, commas=qualifier == "in"):
            if qualifier == "in":
                if piece.text.lower() not in FIELDS:
                    listed = ", ".join(FIELDS)
                    raise QueryError("bad_value", piece.at, f"“in:” takes {listed}, not “{piece.text}”.")
                self.within.add(piece.text.lower())
            elif self.sort is not None:
                raise QueryError("bad_sort", at, "A search has one order only.")
            else:
                self.sort = _sort(piece)
        return aside

    # From the tree to nodes, which is nested no deeper than its parentheses

    def built(self, tree: "Tree[Token]") -> Node | None:
        return next((self._either(each) for each in _trees(tree)), None)

    def _either(self, tree: "Tree[Token]") -> Node | None:
        found: list[Node] = []
        boths = _trees(tree)
        for both in boths:
            node = self._both(both)
            if node is not None:
                found.append(node)
            elif len(boths) > 1:
                aside = next(read for read in self._under(both) if isinstance(read, _Aside))
                raise aside.refused("There is no condition on this side of OR.")
            if isinstance(node, And) and len(boths) > 1 and not _is_single(both):
                message = "AND, and a space, bind closer than OR: parentheses would say what is meant."
                self.notes.append(Note("and_or_mixed", next(self._under(both)).at, message))
        return _joined(Or, found)

    def _both(self, tree: "Tree[Token]") -> Node | None:
        found = [node for each in _trees(tree) if (node := self._beside(each)) is not None]
        return _joined(And, found)

    def _beside(self, tree: "Tree[Token]") -> Node | None:
        found: list[Node] = []
        families: dict[str, tuple[int, list[Term]]] = {}
        for factor in _trees(tree):
            node = self._factor(factor)
            if node is None:
                continue
            family = _family(node)
            if family is None or not isinstance(node, Term):
                found.append(node)
            elif family in families:
                families[family][1].append(node)
            else:
                families[family] = len(found), [node]
                found.append(node)
        for place, terms in families.values():
            found[place] = _either(terms)
        return _joined(And, found)

    def _factor(self, tree: "Tree[Token]") -> Node | None:
        *signs, last = tree.children
        node: Node | None
        if isinstance(last, Tree):
            node = self._either(last)
        else:
            read = self._read[_at(last)]
            node = read if isinstance(read, Term) else None
        if not signs:
            return node
        for read in self._under(tree):
            if isinstance(read, _Aside):
                raise read.negated()
            if read.qualifier == "no":
                raise QueryError("negated_no", read.at, NO_IS_NOT_NEGATED)
        return _negated(node) if node is not None and len(signs) % 2 else node

    def _under(self, tree: "Tree[Token]") -> "Iterator[Term | _Aside]":
        for token in tree.scan_values(_is_condition):
            yield self._read[_at(token)]


_CONDITIONS: Final = ("TERM", "WORD", "PHRASE")


def _is_condition(token: Any) -> bool:
    return token.type in _CONDITIONS


def _sort(piece: Piece) -> Sort:
    by, dash, direction = piece.text.lower().partition("-")
    if by not in SORTS or (dash and direction not in ("asc", "desc")):
        listed = ", ".join(SORTS)
        raise QueryError("bad_sort", piece.at, f"“sort:” takes {listed}, with -asc, -desc or neither.")
    return Sort(by, direction != "asc")


def _family(node: Node) -> str | None:
    """Which family a node is of, so that one of those side by side is enough."""
    first = node.terms[0] if isinstance(node, Either) else node
    return _FAMILIES.get(first.qualifier) if isinstance(first, Term) and not first.negated else None


def _at(token: Any) -> int:
    return int(token.start_pos)


def _trees(tree: "Tree[Token]") -> "list[Tree[Token]]":
    return [child for child in tree.children if isinstance(child, Tree)]


def _is_single(both: "Tree[Token]") -> bool:
    besides = _trees(both)
    return len(besides) == 1 and len(besides[0].children) == 1


def _misplaced(token: Token, before: Token | None) -> QueryError:
    """Why a token can't follow what stands before it: an operator or a closing parenthesis without its operand."""
    if before is not None and before.type in _OPERATORS:
        return _nothing_after(before)
    where = "in these parentheses" if token.type == "_CLOSE" else f"before {token}"
    at = _at(before) if token.type == "_CLOSE" and before is not None else _at(token)
    return QueryError("empty_value", at, f"There is nothing {where}.")


def _nothing_after(operator: Token) -> QueryError:
    return QueryError("empty_value", _at(operator), f"There is nothing after {operator}.")


_OPERATORS: Final = ("_AND", "_OR", "NOT", "MINUS")


def _negated(node: Node) -> Node:
    match node:
        case Term():
            return ~node
        case Either(terms):
            return And(tuple(~term for term in terms))
        case And(nodes):
            return Or(tuple(map(_negated, nodes)))
        case Or(nodes):
            return And(tuple(map(_negated, nodes)))


def _either(terms: Sequence[Term]) -> Term | Either:
    return terms[0] if len(terms) == 1 else Either(tuple(terms))


def _joined(kind: type[And] | type[Or], nodes: Sequence[Node]) -> Node | None:
    """The nodes as one, without nesting what means the same unnested."""
    if len(nodes) < 2:
        return nodes[0] if nodes else None
    flat: list[Node] = []
    for node in nodes:
        if isinstance(node, kind):
            flat.extend(node.nodes)
        else:
            flat.append(node)
    return kind(tuple(flat))


# Writing


def _written(node: Node) -> str:
    match node:
        case Term():
            return write(node)
        case Either(terms):
            return " ".join(map(write, terms))
        case Or(nodes):
            return " OR ".join(map(_written, nodes))
        case And(nodes):
            return "".join(_beside_written(nodes))


def _beside_written(nodes: Sequence[Node]) -> Iterator[str]:
    seen: set[str] = set()
    for index, node in enumerate(nodes):
        family = _family(node)
        if family in seen:  # side by side with the first they would be alternatives
            yield " AND "
            seen.clear()
        elif index:
            yield " "
        if family is not None:
            seen.add(family)
        yield f"({_written(node)})" if isinstance(node, Or) else _written(node)
