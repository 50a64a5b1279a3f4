"""Comments, issues, labels, and closing pull requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from project.github.errors import NotFound
from project.outbox.kinds import TEXT_LENGTH, Kind, Result, Turn

BODY = {"longest": TEXT_LENGTH}
TITLE = {"longest": 256}
LABEL = {"longest": 100}


@dataclass(frozen=True)
class Comment:
    """On an issue or pull request. Commands to a merge bot are comments."""

    number: int
    body: str = field(metadata=BODY)


@dataclass(frozen=True)
class CommentId:
    """A comment that is there."""

    comment_id: int


@dataclass(frozen=True)
class Number:
    """An issue or pull request."""

    number: int


@dataclass(frozen=True)
class NewIssue:
    """What a new issue says."""

    title: str = field(metadata=TITLE)
    body: str = field(default="", metadata={**BODY, "empty": True})
    labels: tuple[str, ...] = field(default=(), metadata=LABEL)


@dataclass(frozen=True)
class Labels:
    """Labels to add or to take off."""

    number: int
    labels: tuple[str, ...] = field(metadata=LABEL)


def _comment(turn: Turn[Comment]) -> Result:
    made = turn.github.create_comment(turn.repo, turn.payload.number, turn.marked(turn.payload.body))
    return {"id": made.id, "url": made.html_url}


def _find_comment(turn: Turn[Comment]) -> Result | None:
    for comment in turn.github.comments_since(turn.repo, turn.payload.number, turn.created_at):
        if turn.hidden in comment.body:
            return {"id": comment.id, "url": comment.html_url}
    return None


def _delete_comment(turn: Turn[CommentId]) -> Result:
    turn.github.delete_comment(turn.repo, turn.payload.comment_id)
    return {}


def _find_deleted_comment(turn: Turn[CommentId]) -> Result | None:
    return {} if turn.github.comment(turn.repo, turn.payload.comment_id) is None else None


def _create_issue(turn: Turn[NewIssue]) -> Result:
    said = turn.payload
    made = turn.github.create_issue(turn.repo, title=said.title, body=turn.marked(said.body), labels=said.labels)
    return {"number": made.number, "url": made.html_url}


def _find_issue(turn: Turn[NewIssue]) -> Result | None:
    for issue in turn.github.issues_since(turn.repo, turn.created_at):
        if turn.hidden in issue.body and not issue.is_pull:
            return {"number": issue.number, "url": issue.html_url}
    return None


def _set_issue(state: str) -> tuple[Callable[[Turn[Number]], Result], Callable[[Turn[Number]], Result | None]]:
    def send(turn: Turn[Number]) -> Result:
        made = turn.github.set_issue_state(turn.repo, turn.payload.number, state)
        return {"number": made.number, "url": made.html_url}

    def find(turn: Turn[Number]) -> Result | None:
        issue = turn.github.issue(turn.repo, turn.payload.number)
        return {"number": issue.number, "url": issue.html_url} if issue.state == state else None

    return send, find


def _close_pull(turn: Turn[Number]) -> Result:
    made = turn.github.set_pull_state(turn.repo, turn.payload.number, "closed")
    return {"number": made.number, "url": made.html_url}


def _find_closed_pull(turn: Turn[Number]) -> Result | None:
    pull = turn.github.pull(turn.repo, turn.payload.number)
    return {"number": pull.number, "url": pull.html_url} if pull.state == "closed" else None


def _add_labels(turn: Turn[Labels]) -> Result:
    turn.github.add_labels(turn.repo, turn.payload.number, turn.payload.labels)
    return {"number": turn.payload.number, "labels": list(turn.payload.labels)}


def _find_labels(turn: Turn[Labels]) -> Result | None:
    issue = turn.github.issue(turn.repo, turn.payload.number)
    there = {label.casefold() for label in issue.labels}
    if all(label.casefold() in there for label in turn.payload.labels):
        return {"number": issue.number, "labels": list(turn.payload.labels), "url": issue.html_url}
    return None


def _remove_labels(turn: Turn[Labels]) -> Result:
    """Each that is still there. GitHub takes one off at a time."""
    for label in turn.payload.labels:
        try:
            turn.github.remove_label(turn.repo, turn.payload.number, label)
        except NotFound:
            # The label is gone, or the issue is: then asking for it fails.
            there = turn.github.issue(turn.repo, turn.payload.number).labels
            if label.casefold() in {one.casefold() for one in there}:
                raise
    return {"number": turn.payload.number, "labels": list(turn.payload.labels)}


def _find_no_labels(turn: Turn[Labels]) -> Result | None:
    issue = turn.github.issue(turn.repo, turn.payload.number)
    there = {label.casefold() for label in issue.labels}
    if there.isdisjoint(label.casefold() for label in turn.payload.labels):
        return {"number": issue.number, "labels": list(turn.payload.labels), "url": issue.html_url}
    return None


KINDS: list[Kind[Any]] = [
    Kind("comment", Comment, _comment, _find_comment, "TREE_HUGGER", "comment"),
    Kind("merge_bot_comment", Comment, _comment, _find_comment, "TREE_HUGGER", "comment to the merge bot"),
    Kind("delete_comment", CommentId, _delete_comment, _find_deleted_comment, "TRIAGER", "deletion of a comment"),
    Kind("create_issue", NewIssue, _create_issue, _find_issue, "TRIAGER", "new issue"),
    Kind("close_issue", Number, *_set_issue("closed"), "TRIAGER", "closing of an issue"),
    Kind("reopen_issue", Number, *_set_issue("open"), "TRIAGER", "reopening of an issue"),
    Kind("close_pull", Number, _close_pull, _find_closed_pull, "TREE_HUGGER", "closing of a pull request"),
    Kind("add_labels", Labels, _add_labels, _find_labels, "TRIAGER", "labels"),
    Kind("remove_label", Labels, _remove_labels, _find_no_labels, "TRIAGER", "removal of labels"),
]
