"""Issues, pull requests and comments, as far as writing needs them. The contract is that of `payloads`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from .fields import (
    LOGIN_LENGTH,
    NAME_LENGTH,
    as_dict,
    as_object,
    inside,
    read_id,
    read_text,
    read_url,
    required_date,
)

BODY_LENGTH: Final = 100_000  # GitHub's limit is 65,536; a cut body could lose its marker


@dataclass(frozen=True, slots=True)
class CommentPayload:
    """A comment on an issue or a pull request."""

    id: int
    body: str
    author_login: str
    created_at: datetime
    html_url: str


@dataclass(frozen=True, slots=True)
class IssuePayload:
    """An issue, or a pull request seen as one (``is_pull``). ``state`` is GitHub's: open or closed."""

    number: int
    title: str
    body: str
    state: str
    is_pull: bool
    labels: tuple[str, ...]
    created_at: datetime
    html_url: str


@dataclass(frozen=True, slots=True)
class PullPayload:
    """A pull request. Lists do not say ``merged``; there it is told from ``merged_at``."""

    number: int
    node_id: str
    title: str
    body: str
    state: str
    merged: bool
    head_ref: str
    head_sha: str
    base_ref: str
    created_at: datetime
    html_url: str


def parse_comment(data: object) -> CommentPayload:
    """A comment."""
    it = as_object(data, "comment")
    return CommentPayload(
        id=read_id(it, "id", "comment"),
        body=read_text(it.get("body"), BODY_LENGTH),
        author_login=read_text(inside(it, "user").get("login"), LOGIN_LENGTH),
        created_at=required_date(it, "created_at", "comment"),
        html_url=read_url(it.get("html_url")),
    )


def parse_issue(data: object) -> IssuePayload:
    """An issue."""
    it = as_object(data, "issue")
    labels = it.get("labels")
    return IssuePayload(
        number=read_id(it, "number", "issue"),
        title=read_text(it.get("title"), NAME_LENGTH),
        body=read_text(it.get("body"), BODY_LENGTH),
        state=read_text(it.get("state"), LOGIN_LENGTH),
        is_pull="pull_request" in it,
        labels=tuple(parse_label(label) for label in (labels if isinstance(labels, list) else ())),
        created_at=required_date(it, "created_at", "issue"),
        html_url=read_url(it.get("html_url")),
    )


def parse_label(data: object) -> str:
    """A label's name; some answers give only that."""
    return read_text(data if isinstance(data, str) else as_dict(data).get("name"), NAME_LENGTH)


def parse_pull(data: object) -> PullPayload:
    """A pull request."""
    it = as_object(data, "pull request")
    head = inside(it, "head")
    return PullPayload(
        number=read_id(it, "number", "pull request"),
        node_id=read_text(it.get("node_id"), NAME_LENGTH),
        title=read_text(it.get("title"), NAME_LENGTH),
        body=read_text(it.get("body"), BODY_LENGTH),
        state=read_text(it.get("state"), LOGIN_LENGTH),
        merged=it.get("merged") is True or isinstance(it.get("merged_at"), str),
        head_ref=read_text(head.get("ref"), NAME_LENGTH),
        head_sha=read_text(head.get("sha"), LOGIN_LENGTH),
        base_ref=read_text(inside(it, "base").get("ref"), NAME_LENGTH),
        created_at=required_date(it, "created_at", "pull request"),
        html_url=read_url(it.get("html_url")),
    )
