"""Pull requests as a page about them needs them: what they are, their commits, what happened, where they branched off.

The contract is that of `project.github.payloads` and `project.github.client`, whose paging and validators are used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from .budget import Priority
from .client import PER_PAGE, Client, Page, RepoRef, _Shape
from .fields import (
    LOGIN_LENGTH,
    NAME_LENGTH,
    as_dict,
    as_object,
    inside,
    read_date,
    read_id,
    read_sha,
    read_text,
    required_date,
)
from .payloads import CommitPayload, PayloadError, parse_commit

NUMBER_MAX = 2**31 - 1
LABELS_KEPT = 50


@dataclass(frozen=True, slots=True)
class PullRequestPayload:
    """A pull request, from its own address, a list of them, or an event."""

    number: int
    title: str
    author: str
    open: bool
    draft: bool
    head_sha: str
    head_ref: str
    base_ref: str
    labels: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    merged_at: datetime | None
    landed_sha: str  # the commit it was merged as; empty while there is only GitHub's test merge


@dataclass(frozen=True, slots=True)
class TimelinePayload:
    """Something that happened to it. GitHub has many kinds; most have no commit, and a kind of tomorrow is kept by its
    name."""

    event: str
    at: datetime | None
    actor: str
    sha: str  # the commit that it is about: after a force-push the new head, on closing the commit that closed it
    before: str  # the head that a force-push took away, where the server says it


@dataclass(frozen=True, slots=True)
class ComparisonPayload:
    """Where two commits part."""

    merge_base: str


def parse_pull_request(data: object) -> PullRequestPayload:
    """A pull request."""
    kind = "pull request"
    it = as_object(data, kind)
    number = read_id(it, "number", kind)
    if number > NUMBER_MAX:
        raise PayloadError(kind, "is too big a number", "number")
    head, merged_at = inside(it, "head"), read_date(it.get("merged_at"))
    labels = it.get("labels")
    names = [read_text(as_dict(one).get("name"), NAME_LENGTH) for one in (labels if isinstance(labels, list) else ())]
    return PullRequestPayload(
        number=number,
        title=read_text(it.get("title"), NAME_LENGTH),
        author=read_text(inside(it, "user").get("login"), LOGIN_LENGTH),  # null for a deleted account
        open=it.get("state") == "open",
        draft=it.get("draft") is True,
        head_sha=read_sha(head.get("sha"), "head.sha", kind),
        head_ref=read_text(head.get("ref"), NAME_LENGTH),
        base_ref=read_text(inside(it, "base").get("ref"), NAME_LENGTH),
        labels=tuple(name for name in names if name)[:LABELS_KEPT],
        created_at=required_date(it, "created_at", kind),
        updated_at=required_date(it, "updated_at", kind),
        closed_at=read_date(it.get("closed_at")),
        merged_at=merged_at,
        landed_sha=_sha(it.get("merge_commit_sha")) if merged_at else "",
    )


def parse_timeline(data: object) -> TimelinePayload:
    """An entry of a timeline. A commit among them has its sha where others have an id, and a committer's date."""
    it = as_object(data, "timeline entry")
    before, after = inside(it, "before_commit"), inside(it, "after_commit")
    return TimelinePayload(
        event=read_text(it.get("event"), LOGIN_LENGTH),
        at=read_date(it.get("created_at")) or read_date(inside(it, "committer").get("date")),
        actor=read_text(inside(it, "actor").get("login"), LOGIN_LENGTH),
        sha=_sha(it.get("commit_id")) or _sha(it.get("sha")) or _sha(after.get("oid")) or _sha(it.get("after")),
        before=_sha(it.get("before")) or _sha(before.get("oid")),
    )


def parse_comparison(data: object) -> ComparisonPayload:
    """A comparison of two commits. Without a common ancestor GitHub has no merge base, and answers 404."""
    it = as_object(data, "comparison")
    return ComparisonPayload(
        merge_base=read_sha(inside(it, "merge_base_commit").get("sha"), "merge_base_commit.sha", "comparison")
    )


def _sha(value: object) -> str:
    """A full sha; empty for anything else."""
    try:
        return read_sha(value, "sha", "commit")
    except PayloadError:
        return ""


_PULL = _Shape("pull request", parse_pull_request, None)
_PULLS = _Shape("pull request", parse_pull_request, "")
_COMMITS = _Shape("commit", parse_commit, "", grows=True)
_TIMELINE = _Shape("timeline entry", parse_timeline, "", grows=True)
_COMPARISON = _Shape("comparison", parse_comparison, None)


def pull(
    client: Client, repo: RepoRef, number: int, *, conditional: bool = True, priority: Priority = Priority.HIGH
) -> Page[PullRequestPayload]:
    """One pull request. `NotFound` if there is none of that number, or it is an issue."""
    return client._page(client._url(repo, "pulls", number), _PULL, conditional, priority)


def pulls(
    client: Client, repo: RepoRef, *, state: str = "open", priority: Priority = Priority.NORMAL
) -> Iterator[Page[PullRequestPayload]]:
    """Pull requests, the one touched last first. The list has no `since`: stop at one that is known."""
    url = client._url(repo, "pulls", state=state, sort="updated", direction="desc", per_page=PER_PAGE)
    return client._pages(url, _PULLS, True, priority)


def commits(
    client: Client, repo: RepoRef, number: int, *, conditional: bool = True, priority: Priority = Priority.HIGH
) -> Iterator[Page[CommitPayload]]:
    """Its commits, oldest first; GitHub tells at most 250."""
    url = client._url(repo, "pulls", number, "commits", per_page=PER_PAGE)
    return client._pages(url, _COMMITS, conditional, priority)


def timeline(
    client: Client, repo: RepoRef, number: int, *, conditional: bool = True, priority: Priority = Priority.HIGH
) -> Iterator[Page[TimelinePayload]]:
    """What happened to it, oldest first."""
    url = client._url(repo, "issues", number, "timeline", per_page=PER_PAGE)
    return client._pages(url, _TIMELINE, conditional, priority)


def comparison(
    client: Client, repo: RepoRef, base: str, head: str, *, priority: Priority = Priority.HIGH
) -> Page[ComparisonPayload]:
    """Where `head` branched off `base` (shas or names of branches). Its list of commits is not read."""
    url = client._url(repo, "compare", f"{base}...{head}", per_page=1)
    return client._page(url, _COMPARISON, False, priority)
