"""Reverts: by GitHub itself for a merged pull request, or as a commit of our own, opened as a pull request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from project.github import reverts
from project.github.conversation import PullPayload
from project.github.errors import Invalid
from project.github.fields import NAME_LENGTH
from project.outbox.branching import BRANCH, SHA
from project.outbox.kinds import TEXT_LENGTH, Kind, Refused, Result, Turn

TITLE = {"longest": 256}
BODY = {"longest": TEXT_LENGTH, "empty": True}


@dataclass(frozen=True)
class RevertPull:
    """Of a pull request that GitHub shows as merged; ``node_id`` is how GraphQL calls it ("" has it looked up)."""

    pull_number: int
    title: str = field(metadata=TITLE)
    body: str = field(default="", metadata=BODY)
    node_id: str = field(default="", metadata={"longest": NAME_LENGTH, "empty": True})
    draft: bool = False


@dataclass(frozen=True)
class RevertCommit:
    """Of the commit ``sha``, made on top of ``onto`` (trunk's head), as ``branch`` for a pull request into ``base``."""

    sha: str = field(metadata=SHA)
    onto: str = field(metadata=SHA)
    branch: str = field(metadata=BRANCH)
    base: str = field(metadata=BRANCH)
    title: str = field(metadata=TITLE)
    body: str = field(default="", metadata=BODY)


def _revert_pull(turn: Turn[RevertPull]) -> Result:
    said = turn.payload
    node_id = said.node_id
    if not node_id:
        pull = turn.github.pull(turn.repo, said.pull_number)
        if not pull.merged:
            raise Refused(f"GitHub does not show pull request {said.pull_number} as merged, so it cannot revert it.")
        node_id = pull.node_id
    body = said.body or f"Reverts {turn.repo}#{said.pull_number}"
    number, url = turn.github.revert_pull(node_id, title=said.title, body=turn.marked(body), draft=said.draft)
    return {"number": number, "url": url}


def _find_reverting_pull(turn: Turn[RevertPull]) -> Result | None:
    for pull in turn.github.pulls_since(turn.repo, turn.created_at):
        if turn.hidden in pull.body:
            return _pull(pull)
    return None


def _revert_commit(turn: Turn[RevertCommit]) -> Result:
    """Every step gives the same when it is done again, so that a killed worker's half is simply gone over."""
    said, github, repo = turn.payload, turn.github, turn.repo
    if "commit" not in turn.steps:
        turn.step("commit", _make_commit(turn))
    commit = turn.steps["commit"]
    try:
        github.create_branch(repo, said.branch, commit)
    except Invalid:
        ref = github.branch_ref(repo, said.branch)
        if ref is None:
            raise
        if ref.sha != commit:
            if ref.sha not in _commits_before(turn.steps):
                raise Refused(f"There is a branch {said.branch} on GitHub already, with other commits.") from None
            github.move_branch(repo, said.branch, commit, force=True)
    turn.step("branch", said.branch)
    try:
        pull = github.create_pull(repo, title=said.title, body=turn.marked(said.body), head=said.branch, base=said.base)
    except Invalid:
        found = _find_pull(turn, commit)
        if found is None:
            raise
        return {**found, "branch": said.branch, "sha": commit}
    return {**_pull(pull), "branch": said.branch, "sha": commit}


def _make_commit(turn: Turn[RevertCommit]) -> str:
    said, github, repo = turn.payload, turn.github, turn.repo
    # By trunk as it is now: what was pushed since the person looked counts, too.
    ref = github.branch_ref(repo, said.base)
    plan = reverts.plan(github, repo, said.sha, ref.sha if ref else said.onto, branch=said.branch, base=said.base)
    if not plan.possible:
        raise Refused(
            f"It cannot be reverted automatically. {plan.why_not}",
            {
                "git_commands": list(plan.git_commands),
                "blocked_by": [
                    {"sha": one.sha, "title": one.title, "files": one.files[:20]} for one in plan.blocked_by
                ],
            },
        )
    try:
        entries = reverts.restored(github, repo, plan)
    except Invalid as error:
        raise Refused(f"It cannot be reverted automatically: {error.said}.", _by_hand(plan)) from None
    onto = github.git_commit(repo, said.onto)
    tree = github.create_tree(repo, base=onto.tree_sha, entries=entries)
    if tree.sha == onto.tree_sha:
        raise Refused("There is nothing to revert: trunk already is as it was before this commit.")
    who = turn.by_login or "arborist"
    author = {
        "name": who,
        "email": f"{who}@users.noreply.github.com",
        "date": f"{turn.created_at:%Y-%m-%dT%H:%M:%SZ}",  # not now: the same commit each time
    }
    message = f"{said.title}\n\nThis reverts commit {said.sha}.\n"
    return github.create_commit(repo, message=message, tree=tree.sha, parents=[said.onto], author=author).sha


def _commits_before(steps: dict[str, Any]) -> set[str]:
    """Those that this write made while it still had another payload."""
    found = set()
    while steps := steps.get("before", {}):
        found.add(steps.get("commit", ""))
    return found


def _by_hand(plan: reverts.RevertPlan) -> Result:
    return {"git_commands": list(plan.git_commands)}


def _find_revert_commit(turn: Turn[RevertCommit]) -> Result | None:
    commit = turn.steps.get("commit", "")
    found = _find_pull(turn, commit)
    return {**found, "branch": turn.payload.branch, "sha": commit} if found else None


def _find_pull(turn: Turn[RevertCommit], commit: str) -> Result | None:
    for pull in turn.github.pulls_from(turn.repo, turn.payload.branch):
        if turn.hidden in pull.body or (commit and pull.head_sha == commit):
            return _pull(pull)
    return None


def _pull(pull: PullPayload) -> Result:
    return {"number": pull.number, "url": pull.html_url}


KINDS: list[Kind[Any]] = [
    Kind("revert_pull", RevertPull, _revert_pull, _find_reverting_pull, "TREE_HUGGER", "revert"),
    Kind("revert_commit", RevertCommit, _revert_commit, _find_revert_commit, "TREE_HUGGER", "revert"),
]
