"""Git's own objects as GitHub's API shows them: refs, trees, commits and what they changed. As `payloads` does it."""

from dataclasses import dataclass
from typing import Final

from .fields import (
    LOGIN_LENGTH,
    MESSAGE_LENGTH,
    PayloadError,
    as_dict,
    as_object,
    inside,
    read_exact_name,
    read_sha,
    read_text,
    read_url,
)

PATH_LENGTH: Final = 4096
FILES_TOLD: Final = 300  # how many files of a commit or comparison GitHub names on one page
MODES: Final = frozenset({"100644", "100755", "120000", "160000", "040000"})


@dataclass(frozen=True, slots=True)
class RefPayload:
    """A ref (``refs/heads/main``) and what it points at."""

    ref: str
    sha: str


@dataclass(frozen=True, slots=True)
class GitCommitPayload:
    """A commit as Git has it. ``message`` is cut after 10,000 characters."""

    sha: str
    tree_sha: str
    parents: tuple[str, ...]
    message: str
    html_url: str


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file, link or submodule in a tree. ``sha`` None, in a tree to be made: it is taken out."""

    path: str
    mode: str
    type: str
    sha: str | None


@dataclass(frozen=True, slots=True)
class TreePayload:
    """A tree. ``truncated``: GitHub left entries out."""

    sha: str
    entries: tuple[TreeEntry, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class FileChange:
    """What a commit or comparison did to a file. ``status`` is GitHub's: added, removed, modified, renamed, …"""

    path: str
    status: str
    previous_path: str


@dataclass(frozen=True, slots=True)
class CommitChange:
    """A commit with the files that it changed. ``whole``: all of them are here."""

    sha: str
    parents: tuple[str, ...]
    message: str
    files: tuple[FileChange, ...]
    whole: bool

    @property
    def title(self) -> str:
        """The first line of its message."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What lies between two commits. ``status``: ahead, behind, identical or diverged, the head seen from the base."""

    status: str
    files: tuple[FileChange, ...]
    whole: bool


def parse_ref(data: object) -> RefPayload:
    """A ref."""
    it = as_object(data, "ref")
    return RefPayload(read_exact_name(it, "ref", "ref"), read_sha(inside(it, "object").get("sha"), "object.sha", "ref"))


def parse_git_commit(data: object) -> GitCommitPayload:
    """A commit from ``…/git/commits/{sha}``."""
    it = as_object(data, "git commit")
    return GitCommitPayload(
        sha=read_sha(it.get("sha"), "sha", "git commit"),
        tree_sha=read_sha(inside(it, "tree").get("sha"), "tree.sha", "git commit"),
        parents=_parents(it.get("parents"), "git commit"),
        message=read_text(it.get("message"), MESSAGE_LENGTH),
        html_url=read_url(it.get("html_url")),
    )


def parse_tree(data: object) -> TreePayload:
    """A tree. An entry that cannot be used makes the whole unusable: a commit made from the rest would be wrong."""
    it = as_object(data, "tree")
    found = it.get("tree")
    entries = tuple(_entry(entry) for entry in (found if isinstance(found, list) else ()))
    return TreePayload(read_sha(it.get("sha"), "sha", "tree"), entries, it.get("truncated") is True)


def parse_commit_change(data: object) -> CommitChange:
    """A commit with its files, from ``…/commits/{sha}``."""
    it = as_object(data, "commit")
    files = _files(it.get("files"), "commit")
    return CommitChange(
        sha=read_sha(it.get("sha"), "sha", "commit"),
        parents=_parents(it.get("parents"), "commit"),
        message=read_text(inside(it, "commit").get("message"), MESSAGE_LENGTH),
        files=files,
        whole=len(files) < FILES_TOLD,
    )


def parse_comparison(data: object) -> Comparison:
    """What ``…/compare/{base}...{head}`` says."""
    it = as_object(data, "comparison")
    files = _files(it.get("files"), "comparison")
    return Comparison(read_text(it.get("status"), LOGIN_LENGTH), files, len(files) < FILES_TOLD)


def _parents(value: object, kind: str) -> tuple[str, ...]:
    found = value if isinstance(value, list) else ()
    return tuple(read_sha(as_dict(one).get("sha"), f"parents[{index}].sha", kind) for index, one in enumerate(found))


def _entry(data: object) -> TreeEntry:
    it = as_object(data, "tree entry")
    mode = it.get("mode")
    if mode not in MODES:
        raise PayloadError("tree entry", "is none that Git knows", "mode")
    return TreeEntry(
        path=_path(it.get("path"), "path", "tree entry"),
        mode=mode,
        type=read_text(it.get("type"), LOGIN_LENGTH),
        sha=read_sha(it.get("sha"), "sha", "tree entry"),
    )


def _files(value: object, kind: str) -> tuple[FileChange, ...]:
    changes = []
    for index, one in enumerate(value if isinstance(value, list) else ()):
        it = as_dict(one)
        previous = it.get("previous_filename")
        changes.append(
            FileChange(
                path=_path(it.get("filename"), f"files[{index}].filename", kind),
                status=read_text(it.get("status"), LOGIN_LENGTH),
                previous_path="" if previous is None else _path(previous, f"files[{index}].previous_filename", kind),
            )
        )
    return tuple(changes)


def _path(value: object, where: str, kind: str) -> str:
    """A path as it stands: a cleaned or cut one would name another file."""
    if isinstance(value, str) and value and read_text(value, PATH_LENGTH) == value:
        return value
    raise PayloadError(kind, "is not a path that can be used", where)
