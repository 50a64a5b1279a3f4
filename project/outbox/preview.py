"""What a write would do, before anyone asks for it. Reads GitHub, so it belongs into a task or a page that may wait."""

from __future__ import annotations

from project.github import factory, reverts
from project.github.client import RepoRef


def revert_commit(*, repository: str, sha: str, trunk_head: str, branch: str, base: str) -> reverts.RevertPlan:
    """Whether a commit can be reverted by the API, what is in the way, and the git commands. Raises `GitHubError`."""
    owner, _, name = repository.partition("/")
    return reverts.plan(factory.writer(), RepoRef(owner, name), sha, trunk_head, branch=branch, base=base)
