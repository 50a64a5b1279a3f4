"""What requests have written, laid over the drawn world: plain records that can be saved as JSON and read back.

Records say when they happened in simulated time, or will: a landing may lie ahead. The world works out what follows.
"""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from project.simulator.history import MADE_SERIAL, Commit
from project.simulator.plans import Again

FIRST_MADE_NUMBER = 1_000_000  # of pull requests and issues that requests opened
MADE_COMMENT_ID = 8_000_000_000


@dataclass
class Head:
    """A push to a pull request that a request opened."""

    at: int
    sha: str
    forced: bool = False


@dataclass
class MadePull:
    number: int
    title: str
    body: str
    author: str
    branch: str
    base: str
    created: int
    draft: bool
    heads: list[Head]
    reverts: str | None = None  # sha of the trunk commit that it takes back whole


@dataclass
class MadeIssue:
    number: int
    title: str
    body: str
    author: str
    created: int


@dataclass
class Comment:
    id: int
    number: int
    author: str
    body: str
    at: int
    updated: int
    deleted: bool = False


@dataclass
class LabelEdit:
    number: int
    at: int
    name: str
    added: bool
    actor: str


@dataclass
class StateEdit:
    number: int
    at: int
    state: str  # open | closed
    actor: str
    reason: str | None = None


@dataclass
class WordsEdit:
    number: int
    at: int
    title: str | None = None
    body: str | None = None
    draft: bool | None = None


@dataclass
class Landing:
    """A commit that trunk gets because of a request."""

    sha: str
    at: int
    number: int  # the pull request that lands; 0 if it is the merge bot's own commit
    actor: str
    reverts: str | None = None  # sha of the commit taken back
    reverted: int = 0  # the pull request taken back


@dataclass
class Writes:
    commits: dict[str, Commit] = field(default_factory=dict)
    trees: dict[str, dict[str, str]] = field(default_factory=dict)  # tree → its files' blobs
    tree_of: dict[str, str] = field(default_factory=dict)  # commit → its tree, for those made through the git data API
    blobs: dict[str, str] = field(default_factory=dict)  # blob → its content in base64
    refs: dict[str, str] = field(default_factory=dict)  # branch → sha
    gone_refs: list[str] = field(default_factory=list)
    pulls: dict[int, MadePull] = field(default_factory=dict)
    issues: dict[int, MadeIssue] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    labels: list[LabelEdit] = field(default_factory=list)
    states: list[StateEdit] = field(default_factory=list)
    words: list[WordsEdit] = field(default_factory=list)
    landings: list[Landing] = field(default_factory=list)
    agains: list[Again] = field(default_factory=list)

    @property
    def next_serial(self) -> int:
        return MADE_SERIAL + len(self.commits)

    @property
    def next_number(self) -> int:
        return FIRST_MADE_NUMBER + len(self.pulls) + len(self.issues)

    @property
    def next_comment(self) -> int:
        return MADE_COMMENT_ID + len(self.comments)

    def save(self, path: Path) -> None:
        """Replace the file as a whole, so that a process killed meanwhile leaves the old one."""
        told = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps(told))
        os.replace(beside, path)

    @classmethod
    def load(cls, path: Path) -> "Writes":
        """What a file holds; nothing if it does not exist."""
        if not path.exists():
            return cls()
        told = json.loads(path.read_text())
        writes = cls(**{name: told[name] for name in ("trees", "tree_of", "blobs", "refs", "gone_refs")})
        writes.commits = {sha: Commit(**item) for sha, item in told["commits"].items()}
        writes.pulls = {
            int(number): MadePull(**{**item, "heads": [Head(**head) for head in item["heads"]]})
            for number, item in told["pulls"].items()
        }
        writes.issues = {int(number): MadeIssue(**item) for number, item in told["issues"].items()}
        for name, kind in _LISTS.items():
            setattr(writes, name, [kind(**item) for item in told[name]])
        return writes


_LISTS: dict[str, Any] = {
    "comments": Comment, "labels": LabelEdit, "states": StateEdit, "words": WordsEdit, "landings": Landing,
    "agains": Again,
}  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
