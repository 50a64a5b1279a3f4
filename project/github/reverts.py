"""What it takes to revert a commit through GitHub's API, and whether that can be done without a person's merge.

`plan` is for a preview and for the deed: it reads, and writes nothing. A commit can be reverted like this only if no
later commit of the trunk touched the same files; then the parent's versions of these files are the revert.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import islice
from typing import Final

from .client import RepoRef
from .errors import Invalid, NotFound
from .fields import clean
from .gitdata import FILES_TOLD, CommitChange, Comparison, TreeEntry
from .lookups import Lookups

BLOCKERS_MAX: Final = 10  # commits named as in the way
PATHS_ASKED: Final = 20  # files whose history is asked for to find them
HISTORY: Final = 50  # commits looked through for each


@dataclass(frozen=True, slots=True)
class Blocker:
    """A later commit that touched some of the same files."""

    sha: str
    title: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RevertPlan:
    """``why_not`` is empty if it is possible. ``git_commands`` do the same by hand, conflicts included."""

    sha: str
    title: str
    parent: str
    files: tuple[str, ...]
    blocked_by: tuple[Blocker, ...]
    git_commands: tuple[str, ...]
    why_not: str

    @property
    def possible(self) -> bool:
        """Whether the API can do it."""
        return not self.why_not


def plan(
    github: Lookups, repo: RepoRef, sha: str, trunk_head: str, *, branch: str = "", base: str = "main"
) -> RevertPlan:
    """What reverting ``sha`` on a trunk that stands at ``trunk_head`` means. May raise any `GitHubError`."""
    commit = github.commit_change(repo, sha)
    commands = git_commands(repo, commit, branch or f"revert-{sha[:12]}", base)
    paths = touched(commit)
    why_not, blockers = _obstacles(github, repo, commit, trunk_head, paths)
    parent = commit.parents[0] if commit.parents else ""
    return RevertPlan(commit.sha, clean(commit.title, 300), parent, paths, blockers, commands, why_not)


def touched(commit: CommitChange) -> tuple[str, ...]:
    """Every path that it changed, a renamed file's old one too."""
    paths = dict.fromkeys(file.path for file in commit.files)
    return tuple(paths | dict.fromkeys(file.previous_path for file in commit.files if file.status == "renamed"))


def git_commands(repo: RepoRef, commit: CommitChange, branch: str, base: str) -> tuple[str, ...]:
    """The same by hand, to be pasted into a shell in a clone."""
    mainline = " -m 1" if len(commit.parents) > 1 else ""
    name, base = shlex.quote(branch), shlex.quote(base)
    return (
        f"git fetch origin {base}",
        f"git switch -c {name} FETCH_HEAD",
        f"git revert{mainline} {commit.sha}",
        f"git push -u origin {name}",
        f"gh pr create --repo {shlex.quote(str(repo))} --base {base} --head {name} --fill",
    )


def restored(github: Lookups, repo: RepoRef, plan: RevertPlan) -> tuple[TreeEntry, ...]:
    """The entries that put every touched path back as it was in the parent; sha None takes one out.

    Raises `Invalid` if GitHub does not show the whole tree.
    """
    tree = github.tree(repo, github.git_commit(repo, plan.parent).tree_sha, recursive=True)
    if tree.truncated:
        asked = f"GET /repos/{repo}/git/trees"
        raise Invalid(asked, 422, ("the repository has more files than GitHub shows at once",))
    before = {entry.path: entry for entry in tree.entries if entry.type != "tree"}
    return tuple(before.get(path) or TreeEntry(path, "100644", "blob", None) for path in plan.files)


def _obstacles(
    github: Lookups, repo: RepoRef, commit: CommitChange, trunk_head: str, paths: tuple[str, ...]
) -> tuple[str, tuple[Blocker, ...]]:
    if len(commit.parents) != 1:
        kind = "a merge" if commit.parents else "the first commit"
        return f"This commit is {kind}: git has to be told by a person what to go back to.", ()
    if not commit.whole:
        return f"This commit changes {FILES_TOLD} files or more, too many to revert like this.", ()
    if not paths:
        return "This commit changes no file.", ()
    try:
        since = github.compare(repo, commit.sha, trunk_head)
    except NotFound:
        return "GitHub does not know how this commit and the trunk's head relate.", ()
    if since.status not in ("ahead", "identical"):
        return "This commit is not on the trunk.", ()
    suspects = _overlap(since, paths)
    blockers = _blockers(github, repo, commit.sha, trunk_head, suspects)
    if blockers or (suspects and since.whole):
        names = ", ".join(f"{blocker.sha[:7]} ({blocker.title})" for blocker in blockers[:3])
        more = f" and {len(blockers) - 3} more" if len(blockers) > 3 else ""
        later = (
            f"Later commits touched the same files: {names}{more}." if names else "The same files were changed later."
        )
        return clean(later, 600), blockers
    if len(suspects) > PATHS_ASKED:
        return "Too much has changed since to tell whether the same files were touched.", ()
    return "", ()


def _overlap(since: Comparison, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Our paths that differ since then; all of them, if GitHub does not name every file that does."""
    if not since.whole:
        return paths
    changed = {file.path for file in since.files} | {file.previous_path for file in since.files}
    return tuple(path for path in paths if path in changed)


def _blockers(github: Lookups, repo: RepoRef, sha: str, trunk_head: str, paths: tuple[str, ...]) -> tuple[Blocker, ...]:
    found: dict[str, tuple[str, list[str]]] = {}
    for path in paths[:PATHS_ASKED]:
        for commit in islice(github.commits_touching(repo, trunk_head, path), HISTORY):
            if commit.sha == sha:
                break
            title = clean(commit.message.partition("\n")[0], 200)
            found.setdefault(commit.sha, (title, []))[1].append(path)
    blockers = [Blocker(sha, title, tuple(files)) for sha, (title, files) in found.items()]
    return tuple(blockers[:BLOCKERS_MAX])
