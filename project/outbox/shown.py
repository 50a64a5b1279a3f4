"""A write as a person sees it: in words, with what they may do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from project.accounts import roles
from project.accounts.roles import Role
from project.outbox import kinds
from project.outbox.kinds import BadPayload, Kind
from project.outbox.models import State, Write

TAGS = {State.QUEUED: "act", State.SENDING: "act", State.DONE: "grn", State.FAILED: "red", State.CANCELLED: ""}


@dataclass(frozen=True, slots=True)
class Fate:
    """What the fragment `outbox/_fate.html` shows."""

    write: Write
    what: str  # "revert of abc1234"
    who: str  # "@sunil" or "Arborist"
    says: str  # a sentence or two; "" when the tag says it all
    tag: str  # the tag's class
    may_undo: bool
    may_retry: bool
    commands: tuple[str, ...]  # how to do it by hand

    @property
    def key(self) -> tuple[Any, ...]:
        """Changes when what is shown changes."""
        write = self.write
        return (write.pk, write.state, write.tries, self.what, self.says, self.may_undo, self.may_retry, write.url)


def of(write: Write, user: Any) -> Fate:
    """What somebody sees of it. No query but for their roles, once."""
    kind = _kind(write)
    may = role_lacking(write, user) is None
    result = write.result if isinstance(write.result, dict) else {}
    commands = result.get("git_commands")
    return Fate(
        write=write,
        what=write.subject or (kind.words if kind else write.kind),
        who=f"@{write.by_login}" if write.by_login else "Arborist",
        says=_sentence(write, result),
        tag=TAGS[State(write.state)],
        may_undo=may and write.state == State.QUEUED and not write.unsure,
        may_retry=may and write.state in (State.FAILED, State.CANCELLED),
        commands=tuple(line for line in commands if isinstance(line, str)) if isinstance(commands, list) else (),
    )


def role_lacking(write: Write, user: Any) -> Role | None:
    """The role that somebody lacks to undo or repeat it; None if they may.

    Whoever asked for it may, as long as they are a triager; others need the role that its kind asks for.
    """
    if write.by_id is not None and write.by_id == user.pk and roles.allows(user, Role.TRIAGER, write.repository):
        return None
    kind = _kind(write)
    role = Role[kind.role] if kind else Role.ADMIN
    return None if kind and roles.allows(user, role, write.repository) else role


def _kind(write: Write) -> Kind[Any] | None:
    try:
        return kinds.get(write.kind)
    except BadPayload:  # of a version of Arborist that knew it
        return None


def _sentence(write: Write, result: dict[str, Any]) -> str:
    match State(write.state):
        case State.QUEUED:
            left = math.ceil((write.due_at - timezone.now()).total_seconds())
            if write.tries and write.problem:
                return f"{write.problem} Trying again{_in(left)}."
            return f"Goes to GitHub{_in(left)}." if left > 0 else "Waits for a worker."
        case State.SENDING:
            return "On its way to GitHub…"
        case State.DONE:
            return "It had been done on GitHub already." if result.get("already") else ""
        case State.FAILED:
            return write.problem
    return "It was not sent."


def _in(seconds: int) -> str:
    if seconds <= 0:
        return " now"
    return f" in {seconds} s" if seconds < 120 else f" in {round(seconds / 60)} min"
