"""Just enough of GraphQL's language: one operation with variables, aliases, arguments and nested selections."""

import re
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r'\s+|,|\ufeff|#[^\n]*|(?P<string>"""(?:.|\n)*?"""|"(?:\\.|[^"\\\n])*")|(?P<number>-?\d+(?:\.\d+)?)'
    r"|(?P<name>[_A-Za-z]\w*)|(?P<sign>\.\.\.|[!$():=@\[\]{}|&])"
)


class NotGraphQLError(ValueError):
    """The text cannot be read."""


@dataclass
class Field:
    name: str
    alias: str
    arguments: dict[str, Any] = field(default_factory=dict)
    inner: list["Field"] = field(default_factory=list)


@dataclass
class Operation:
    kind: str  # query | mutation
    fields: list[Field]


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotGraphQLError(f"Expected one of SCHEMA, SCALAR, TYPE, ENUM, actual: UNKNOWN_CHAR ({text[at]!r})")
        if match.lastgroup:
            found.append(match.group())
        at = match.end()
    return found


class _Reader:
    def __init__(self, text: str, variables: dict[str, Any]) -> None:
        self.tokens, self.at, self.variables = _tokens(text), 0, dict(variables)

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise NotGraphQLError(f"Parse error on {token or 'end of document'!r}, expected {wanted or 'more'!r}")
        self.at += 1
        return token

    def operation(self) -> Operation:
        kind = "query"
        if self.peek() != "{":
            kind = self.take()
            if kind not in ("query", "mutation"):
                raise NotGraphQLError(f"Parse error on {kind!r}")
            if self.peek() not in ("(", "{", "@"):
                self.take()
            if self.peek() == "(":
                self._declarations()
        return Operation(kind, self.selection())

    def _declarations(self) -> None:
        self.take("(")
        while self.peek() != ")":
            self.take("$")
            name = self.take()
            self.take(":")
            while self.peek() in ("[", "]", "!") or (self.peek() not in ("$", ")", "=") and self.peek()):
                self.take()
            if self.peek() == "=":
                self.take()
                self.variables.setdefault(name, self.value())
        self.take(")")

    def selection(self) -> list[Field]:
        fields: list[Field] = []
        self.take("{")
        while self.peek() != "}":
            if self.peek() == "...":
                self.take()
                if self.peek() == "on":
                    self.take()
                    self.take()
                fields += self.selection()
                continue
            alias = name = self.take()
            if self.peek() == ":":
                self.take()
                name = self.take()
            arguments = self._arguments() if self.peek() == "(" else {}
            fields.append(Field(name, alias, arguments, self.selection() if self.peek() == "{" else []))
        self.take("}")
        return fields

    def _arguments(self) -> dict[str, Any]:
        found = {}
        self.take("(")
        while self.peek() != ")":
            name = self.take()
            self.take(":")
            found[name] = self.value()
        self.take(")")
        return found

    def value(self) -> Any:
        token = self.take()
        if token == "$":
            return self.variables.get(self.take())
        if token == "[":
            items = []
            while self.peek() != "]":
                items.append(self.value())
            self.take("]")
            return items
        if token == "{":
            told = {}
            while self.peek() != "}":
                name = self.take()
                self.take(":")
                told[name] = self.value()
            self.take("}")
            return told
        if token.startswith('"""'):
            return token[3:-3]
        if token.startswith('"'):
            return token[1:-1].encode().decode("unicode_escape") if "\\" in token else token[1:-1]
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        return {"true": True, "false": False, "null": None}.get(token, token)


def parse(text: str, variables: dict[str, Any]) -> Operation:
    reader = _Reader(text, variables)
    operation = reader.operation()
    if reader.peek():
        raise NotGraphQLError(f"Parse error on {reader.peek()!r}")
    return operation
