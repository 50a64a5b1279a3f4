"""Branches that follow something, like `viable/strict`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from project.outbox.kinds import Kind, Refused, Result, Turn

SHA = {"pattern": re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?"), "wanted": "a full commit sha"}
# What Git allows for a branch, as far as it matters here: no part may be empty, begin with a dot or end in ".lock".
BRANCH = {
    "longest": 200,
    "pattern": re.compile(
        r"(?!.*(?:\.\.|@\{|//|\.lock(?:/|\Z)|\.\Z|/\Z))(?!\.|/|-)(?!.*/\.)[^\x00-\x20\x7f~^:?*\[\\]+"
    ),
    "wanted": "the name of a branch",
}


@dataclass(frozen=True)
class UpdateRef:
    """Point ``branch`` at ``sha``: forwards only unless ``force``, making it if ``create``."""

    branch: str = field(metadata=BRANCH)
    sha: str = field(metadata=SHA)
    force: bool = False
    create: bool = False


def _find(turn: Turn[UpdateRef]) -> Result | None:
    ref = turn.github.branch_ref(turn.repo, turn.payload.branch)
    return _result(turn) if ref is not None and ref.sha == turn.payload.sha else None


def _send(turn: Turn[UpdateRef]) -> Result:
    want = turn.payload
    ref = turn.github.branch_ref(turn.repo, want.branch)
    if ref is None:
        if not want.create:
            raise Refused(f"There is no branch {want.branch} on GitHub.")
        turn.github.create_branch(turn.repo, want.branch, want.sha)
    elif ref.sha != want.sha:
        turn.github.move_branch(turn.repo, want.branch, want.sha, force=want.force)
    return _result(turn)


def _result(turn: Turn[UpdateRef]) -> Result:
    return {"branch": turn.payload.branch, "sha": turn.payload.sha}


KINDS: list[Kind[Any]] = [Kind("update_ref", UpdateRef, _send, _find, "MAINTAINER", "move of a branch")]
