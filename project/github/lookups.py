"""Single things read from GitHub for a write: whether it was done already, and what it is made of.

Never conditional, never stored; a person may be waiting, so they come first in the budget.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import requests

from . import conversation, gitdata, payloads
from .budget import Priority
from .client import PER_PAGE, RepoRef, address
from .conversation import CommentPayload, IssuePayload, PullPayload
from .errors import BadAnswer, Invalid, NotFound
from .fields import PayloadError
from .gitdata import CommitChange, Comparison, GitCommitPayload, RefPayload, TreePayload
from .payloads import CommitPayload, WorkflowRunPayload
from .transport import Transport, origin

T = TypeVar("T")

PAGES_MAX: Final = 20
SKEW: Final = timedelta(minutes=2)  # how far GitHub's clock and ours may be apart


class Lookups:
    """Reads of one GitHub as one credential. Every method may raise any `GitHubError`."""

    def __init__(self, transport: Transport, api_url: str) -> None:
        self._transport = transport
        self._api_url = api_url.rstrip("/")

    # -- issues, pull requests, comments -----------------------------------------------------------------------

    def issue(self, repo: RepoRef, number: int) -> IssuePayload:
        """An issue or pull request."""
        return self._one(conversation.parse_issue, repo, "issues", number)

    def issues_since(self, repo: RepoRef, since: datetime) -> Iterator[IssuePayload]:
        """What was filed since then, newest first, pull requests too."""
        query = {"state": "all", "sort": "created", "direction": "desc", "since": _moment(since - SKEW)}
        for issue in self._many(conversation.parse_issue, repo, "issues", **query):
            if issue.created_at < since - SKEW:
                return
            yield issue

    def comments_since(self, repo: RepoRef, number: int, since: datetime) -> Iterator[CommentPayload]:
        """An issue's comments, oldest first."""
        return self._many(conversation.parse_comment, repo, "issues", number, "comments", since=_moment(since - SKEW))

    def comment(self, repo: RepoRef, comment_id: int) -> CommentPayload | None:
        """A comment; None if there is none."""
        return _or_none(lambda: self._one(conversation.parse_comment, repo, "issues", "comments", comment_id))

    def pull(self, repo: RepoRef, number: int) -> PullPayload:
        """A pull request."""
        return self._one(conversation.parse_pull, repo, "pulls", number)

    def pulls_since(self, repo: RepoRef, since: datetime) -> Iterator[PullPayload]:
        """What was opened since then, newest first."""
        query = {"state": "all", "sort": "created", "direction": "desc"}
        for pull in self._many(conversation.parse_pull, repo, "pulls", **query):
            if pull.created_at < since - SKEW:
                return
            yield pull

    def pulls_from(self, repo: RepoRef, branch: str) -> Iterator[PullPayload]:
        """The pull requests made from a branch of the repository itself."""
        return self._many(conversation.parse_pull, repo, "pulls", head=f"{repo.owner}:{branch}", state="all")

    # -- runs ----------------------------------------------------------------------------------------------------

    def workflow_run(self, repo: RepoRef, run_id: int) -> WorkflowRunPayload:
        """A workflow run in its newest attempt."""
        return self._one(payloads.parse_workflow_run, repo, "actions", "runs", run_id)

    # -- git -----------------------------------------------------------------------------------------------------

    def branch_ref(self, repo: RepoRef, branch: str) -> RefPayload | None:
        """Where a branch points; None if there is none."""
        return _or_none(lambda: self._one(gitdata.parse_ref, repo, "git", "ref", "heads", *branch.split("/")))

    def git_commit(self, repo: RepoRef, sha: str) -> GitCommitPayload:
        """A commit as Git has it."""
        return self._one(gitdata.parse_git_commit, repo, "git", "commits", sha)

    def tree(self, repo: RepoRef, sha: str, *, recursive: bool = False) -> TreePayload:
        """A tree, with all that is below it if ``recursive``."""
        query = {"recursive": "1"} if recursive else {}
        return self._one(gitdata.parse_tree, repo, "git", "trees", sha, **query)

    def commit_change(self, repo: RepoRef, sha: str) -> CommitChange:
        """A commit with the first 300 files that it changed."""
        return self._one(gitdata.parse_commit_change, repo, "commits", sha)

    def compare(self, repo: RepoRef, base: str, head: str) -> Comparison:
        """What lies between two commits. The files come with the first page, the commits are not asked for."""
        spec = f"{base}...{head}"
        return self._one(gitdata.parse_comparison, repo, "compare", spec, per_page=1)

    def commits_touching(self, repo: RepoRef, head: str, path: str) -> Iterator[CommitPayload]:
        """The commits that changed a file, from ``head`` backwards."""
        return self._many(payloads.parse_commit, repo, "commits", sha=head, path=path)

    # -- how -----------------------------------------------------------------------------------------------------

    def url(self, repo: RepoRef, *path: str | int, **query: str | int) -> str:
        """The address of something in a repository."""
        return address(self._api_url, repo, *path, **query)

    def asked(self, method: str, url: str) -> str:
        """Method and path, as errors name them."""
        return f"{method} {self._transport.path(url)}"

    def _one(self, parse: Callable[[object], T], repo: RepoRef, *path: str | int, **query: str | int) -> T:
        url = self.url(repo, *path, **query)
        return read(parse, self._get(url).data, self.asked("GET", url))

    def _many(self, parse: Callable[[object], T], repo: RepoRef, *path: str | int, **query: str | int) -> Iterator[T]:
        url: str | None = self.url(repo, *path, **query, per_page=PER_PAGE)
        for _ in range(PAGES_MAX):
            if url is None:
                return
            answer = self._get(url)
            asked = self.asked("GET", url)
            if not isinstance(answer.data, list):
                raise BadAnswer(asked, "it is no list")
            for item in answer.data:
                yield read(parse, item, asked)
            url = self._next(answer.headers.get("link", ""), asked)

    def _get(self, url: str) -> Any:
        return self._transport.get(url, etag=None, priority=Priority.HIGH)

    def _next(self, links: str, asked: str) -> str | None:
        found = next(
            (link["url"] for link in requests.utils.parse_header_links(links) if link.get("rel") == "next"), None
        )
        if found and origin(found) != origin(self._api_url):
            raise BadAnswer(asked, "its next page is on another host")
        return found


def read(parse: Callable[[object], T], data: object, asked: str) -> T:
    """What an answer says; `BadAnswer` if it cannot be understood."""
    try:
        return parse(data)
    except PayloadError as error:
        words = str(error)
    raise BadAnswer(asked, words)


def _or_none(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except NotFound:
        return None
    except Invalid as error:
        if error.status == 409:  # "Git Repository is empty."
            return None
        raise


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
