"""The kinds of writes: what each is told (its payload), how it is sent, how it is found again, who may ask for it.

A kind is two functions of a `Turn`. `send` does it and returns the result. `find` asks GitHub whether it was done, and
returns the result if so; it is asked before a write is repeated, so no effect comes twice.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from project.github.client import RepoRef
from project.github.fields import clean
from project.github.writes import Writer

TEXT_LENGTH = 60_000  # GitHub takes 65,536 characters; a marker is added
LINE_LENGTH = 1_000
LIST_LENGTH = 100

Result = dict[str, Any]
P = TypeVar("P")


class BadPayload(ValueError):  # noqa: N818 - reads as what it is
    """A payload that its kind cannot use; the message names the field."""


class Refused(Exception):  # noqa: N818 - it is a write that was refused, not an error of ours
    """We ourselves refuse to do it, with words and perhaps a result that says how else it can be done."""

    def __init__(self, words: str, result: Result | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.result = result or {}


@dataclass(slots=True)
class Turn(Generic[P]):
    """One try of one write."""

    github: Writer
    repo: RepoRef
    payload: P
    marker: str
    by_login: str
    created_at: datetime
    steps: dict[str, Any]
    save_steps: Callable[[], None]

    def step(self, name: str, value: Any) -> None:
        """Remember a step that is done, for whoever goes on from here. Also a sign of life."""
        self.steps[name] = value
        self.save_steps()

    @property
    def hidden(self) -> str:
        """The marker as GitHub's Markdown hides it."""
        return f"<!-- arborist:{self.marker} -->"

    def marked(self, body: str) -> str:
        """A body with the marker. On lines of its own, so that a merge bot's command stays a line."""
        return f"{body.rstrip()}\n\n{self.hidden}\n"


@dataclass(frozen=True, slots=True)
class Kind(Generic[P]):
    """``role`` names the `Role` that may undo or repeat what somebody else asked for."""

    name: str
    payload: type[P]
    send: Callable[[Turn[P]], Result]
    find: Callable[[Turn[P]], Result | None]
    role: str
    words: str  # what it does, for people


_kinds: dict[str, Kind[Any]] = {}


def register(*kinds: Kind[Any]) -> None:
    """Make kinds known."""
    _kinds.update({kind.name: kind for kind in kinds})


def get(name: str) -> Kind[Any]:
    """The kind of that name. Raises `BadPayload` if there is none."""
    if not _kinds:
        from project.outbox import branching, reruns, reverting, talking

        for module in (talking, reruns, reverting, branching):
            register(*module.KINDS)
    try:
        return _kinds[name]
    except KeyError:
        raise BadPayload(
            f"there is no kind of write named {name[:60]!r}; there are {', '.join(sorted(_kinds))}"
        ) from None


def names() -> list[str]:
    """All kinds."""
    get("comment")
    return sorted(_kinds)


def checked(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload as it is stored, with defaults filled in. Raises `BadPayload`."""
    return asdict(read(kind, payload))


def read(kind: str, payload: Mapping[str, Any]) -> Any:
    """The payload as its dataclass. Raises `BadPayload`."""
    shape = get(kind).payload
    known = {field.name: field for field in fields(shape)}
    if strange := sorted(set(payload) - set(known)):
        raise BadPayload(f"{kind}: it has no field {', '.join(map(repr, strange))[:200]}")
    hints = typing.get_type_hints(shape)
    values = {}
    for name, field in known.items():
        if name in payload:
            values[name] = _value(kind, name, hints[name], payload[name], field.metadata)
        elif field.default is MISSING:
            raise BadPayload(f"{kind}: {name} is missing")
    return shape(**values)


def _value(kind: str, name: str, hint: Any, value: Any, rules: Mapping[str, Any]) -> Any:
    def no(wanted: str) -> BadPayload:
        return BadPayload(f"{kind}: {name} must be {wanted}, not {str(value)[:60]!r}")

    if isinstance(hint, types.GenericAlias):  # tuple[str, ...]
        if not isinstance(value, list | tuple) or len(value) > LIST_LENGTH:
            raise no(f"a list of at most {LIST_LENGTH}")
        return tuple(_value(kind, name, str, item, rules) for item in value)
    if hint is bool:
        if type(value) is not bool:
            raise no("true or false")
        return value
    if hint is int:
        if type(value) is not int or not 0 < value < 2**63:
            raise no("a positive whole number")
        return value
    longest = rules.get("longest", LINE_LENGTH)
    if type(value) is not str or (not value.strip() and not rules.get("empty")):
        raise no("a text that is not empty" if not rules.get("empty") else "a text")
    if len(value) > longest:
        raise BadPayload(f"{kind}: {name} has {len(value)} characters; at most {longest} are possible")
    if (pattern := rules.get("pattern")) and value and not pattern.fullmatch(value):
        raise no(rules["wanted"])
    return clean(value, longest)
