"""What Arborist reads from GitHub, as pages of frozen dataclasses.

The contract: a `Client` never stores anything and never yields half a page. Each `Page` carries the validator
(ETag) under which it may be asked for again at no cost; the caller saves it *in the same transaction as the
page's items*, so that a crash in between costs a request and never an item. All failures are `GitHubError`s.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import quote, urlencode

import requests

from . import payloads
from .budget import Budget, Priority
from .errors import BadAnswer, Invalid
from .logs import ArtifactPayload, DownloadReads, Downloads, parse_artifact
from .payloads import (
    BranchPayload,
    CheckRunPayload,
    CheckSuitePayload,
    CommitPayload,
    JobPayload,
    Rejected,
    RepositoryPayload,
    StatusPayload,
    WorkflowRunPayload,
)
from .tokens import TokenSource
from .transport import Answer, origin

T = TypeVar("T")

PER_PAGE: Final = 100  # GitHub's maximum; its default of 30 would cut lists silently
ETAG_LENGTH: Final = 300
USER_AGENT: Final = "arborist"


@dataclass(frozen=True, slots=True)
class RepoRef:
    """A repository as its address names it."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, slots=True)
class Validator:
    """What is needed to ask for a page again at no cost: valid for one token (``key`` tells it) and one URL.

    ``next_url`` is kept because a 304 answer need not repeat where the list goes on.
    """

    key: str
    url: str
    etag: str
    next_url: str | None


class Validators(Protocol):
    """The store of validators, written by whoever stores the pages."""

    def find(self, key: str) -> Validator | None:
        """The validator saved under ``key`` (64 hex digits), or None."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, or one object as a page of one.

    ``not_modified``: nothing changed since ``validator`` was saved; ``items`` is then empty, and the request
    was free. ``rejected``: what could not be parsed, to be shown on the status page. ``next_url``: None on
    the last page. ``fetched_at`` is the moment *before* the request, in UTC: nothing on the page is older
    than that. ``final_url`` differs from ``url`` if GitHub redirected: the repository was renamed or
    transferred.
    """

    url: str
    not_modified: bool
    items: tuple[T, ...]
    rejected: tuple[Rejected, ...]
    next_url: str | None
    validator: Validator | None
    fetched_at: datetime
    final_url: str


@dataclass(frozen=True, slots=True)
class _Shape(Generic[T]):
    """How JSON becomes items. ``field``: the list's key; "" if the list is bare, None for one object."""

    kind: str
    parse: Callable[[object], T]
    field: str | None
    # New items may come after the old ones: a full last page can then go on without changing itself, and a
    # 304 would hide that.
    grows: bool = False

    def items(self, data: Any, asked: str) -> list[object]:
        if self.field is None:
            if isinstance(data, dict):
                return [data]
            raise BadAnswer(asked, f"a {self.kind} should be a JSON object")
        found = data
        if self.field:
            found = data.get(self.field) if isinstance(data, dict) else None
        if isinstance(found, list):
            return found
        raise BadAnswer(asked, f"there is no list of {self.kind}s in it")


_REPOSITORY = _Shape("repository", payloads.parse_repository, None)
_BRANCHES = _Shape("branch", payloads.parse_branch, "", grows=True)
_BRANCH = _Shape("branch", payloads.parse_branch, None)
_COMMITS = _Shape("commit", payloads.parse_commit, "")
_RUNS = _Shape("workflow run", payloads.parse_workflow_run, "workflow_runs")
_RUN = _Shape("workflow run", payloads.parse_workflow_run, None)
_JOBS = _Shape("job", payloads.parse_job, "jobs")
_ARTIFACTS = _Shape("artifact", parse_artifact, "artifacts")
_SUITES = _Shape("check suite", payloads.parse_check_suite, "check_suites")
_CHECK_RUNS = _Shape("check run", payloads.parse_check_run, "check_runs")


class Client(DownloadReads):
    """GitHub's REST API as one credential sees it.

    ``conditional=False`` asks for a page in full although it is known; ``priority`` says who is refused first
    when the budget runs short. Methods that return an iterator fetch a page only when the caller asks for it.
    Every method may raise any `GitHubError`.
    """

    def __init__(
        self,
        *,
        token: TokenSource,
        api_url: str,
        budget: Budget,
        validators: Validators,
        session: requests.Session | None = None,
        timeout: tuple[float, float] = (5, 30),
        sleep: Callable[[float], None] = time.sleep,
        retries: int = 3,
        user_agent: str = USER_AGENT,
    ) -> None:
        self._token = token
        self._api_url = api_url.rstrip("/")
        self._origin = origin(api_url)
        self._validators = validators
        self.budget = budget
        self._transport = Downloads(
            token=token,
            api_url=self._api_url,
            budget=budget,
            session=session,
            timeout=timeout,
            sleep=sleep,
            retries=retries,
            user_agent=user_agent,
        )

    def repository(
        self, owner: str, name: str, *, conditional: bool = True, priority: Priority = Priority.NORMAL
    ) -> Page[RepositoryPayload]:
        """The repository, also under its former name: the payload then says the new one."""
        return self._page(self._url(RepoRef(owner, name)), _REPOSITORY, conditional, priority)

    def branches(
        self, repo: RepoRef, *, conditional: bool = True, priority: Priority = Priority.NORMAL
    ) -> Iterator[Page[BranchPayload]]:
        """All branches."""
        return self._pages(self._url(repo, "branches", per_page=PER_PAGE), _BRANCHES, conditional, priority)

    def branch(
        self, repo: RepoRef, name: str, *, conditional: bool = True, priority: Priority = Priority.NORMAL
    ) -> Page[BranchPayload]:
        """One branch. `NotFound` if it was deleted."""
        return self._page(self._url(repo, "branches", name), _BRANCH, conditional, priority)

    def commits(
        self,
        repo: RepoRef,
        sha: str,
        *,
        per_page: int = PER_PAGE,
        conditional: bool = True,
        priority: Priority = Priority.NORMAL,
    ) -> Iterator[Page[CommitPayload]]:
        """The commits from ``sha`` (or a branch's head) backwards. An empty repository has one empty page."""
        url = self._url(repo, "commits", sha=sha, per_page=per_page)
        try:
            yield from self._pages(url, _COMMITS, conditional, priority)
        except Invalid as error:
            if error.status != 409:
                raise
            # "Git Repository is empty."
            yield Page(url, False, (), (), None, None, datetime.now(UTC), url)

    def workflow_runs(
        self,
        repo: RepoRef,
        *,
        conditional: bool = True,
        priority: Priority = Priority.NORMAL,
        **filters: str | int,
    ) -> Iterator[Page[WorkflowRunPayload]]:
        """Workflow runs, newest first.

        Filtered lists end after 1,000 runs and may lag; the unfiltered one is right. Raises ValueError for an
        empty filter, which GitHub would ignore.
        """
        if any(value == "" for value in filters.values()):
            raise ValueError("an empty filter would return every run")
        url = self._url(repo, "actions", "runs", **{"per_page": PER_PAGE, **filters})
        return self._pages(url, _RUNS, conditional, priority)

    def workflow_run(
        self, repo: RepoRef, run_id: int, *, conditional: bool = True, priority: Priority = Priority.NORMAL
    ) -> Page[WorkflowRunPayload]:
        """One workflow run in its newest attempt."""
        return self._page(self._url(repo, "actions", "runs", run_id), _RUN, conditional, priority)

    def attempt_jobs(
        self,
        repo: RepoRef,
        run_id: int,
        attempt: int,
        *,
        conditional: bool = True,
        priority: Priority = Priority.NORMAL,
    ) -> Iterator[Page[JobPayload]]:
        """The jobs of one attempt, those that a "re-run failed jobs" only copied included."""
        url = self._url(repo, "actions", "runs", run_id, "attempts", attempt, "jobs", per_page=PER_PAGE)
        return self._pages(url, _JOBS, conditional, priority)

    def artifacts(
        self, repo: RepoRef, run_id: int, *, conditional: bool = True, priority: Priority = Priority.LOW
    ) -> Iterator[Page[ArtifactPayload]]:
        """The artifacts that all attempts of a workflow run left."""
        url = self._url(repo, "actions", "runs", run_id, "artifacts", per_page=PER_PAGE)
        return self._pages(url, _ARTIFACTS, conditional, priority)

    def check_suites(
        self, repo: RepoRef, sha: str, *, conditional: bool = True, priority: Priority = Priority.NORMAL
    ) -> Iterator[Page[CheckSuitePayload]]:
        """The check suites of a commit, one per app that checks it."""
        url = self._url(repo, "commits", sha, "check-suites", per_page=PER_PAGE)
        return self._pages(url, _SUITES, conditional, priority)

    def suite_check_runs(
        self,
        repo: RepoRef,
        suite_id: int,
        *,
        filter: str = "all",
        conditional: bool = True,
        priority: Priority = Priority.NORMAL,
    ) -> Iterator[Page[CheckRunPayload]]:
        """The check runs of one suite."""
        url = self._url(repo, "check-suites", suite_id, "check-runs", filter=filter, per_page=PER_PAGE)
        return self._pages(url, _CHECK_RUNS, conditional, priority)

    def commit_check_runs(
        self,
        repo: RepoRef,
        sha: str,
        *,
        filter: str = "all",
        conditional: bool = True,
        priority: Priority = Priority.NORMAL,
    ) -> Iterator[Page[CheckRunPayload]]:
        """The check runs of a commit by all apps, from its newest 1,000 suites."""
        url = self._url(repo, "commits", sha, "check-runs", filter=filter, per_page=PER_PAGE)
        return self._pages(url, _CHECK_RUNS, conditional, priority)

    def statuses(
        self, repo: RepoRef, sha: str, *, conditional: bool = True, priority: Priority = Priority.NORMAL
    ) -> Iterator[Page[StatusPayload]]:
        """The statuses of a commit, newest first. ``sha`` is the full one: the answer does not repeat it."""
        shape = _Shape("status", partial(payloads.parse_status, sha=sha), "")
        url = self._url(repo, "commits", sha, "statuses", per_page=PER_PAGE)
        return self._pages(url, shape, conditional, priority)

    # -- pages -----------------------------------------------------------------------------------------------

    def _pages(self, url: str, shape: _Shape[T], conditional: bool, priority: Priority) -> Iterator[Page[T]]:
        seen: set[str] = set()
        next_url: str | None = url
        while next_url is not None:
            if next_url in seen:
                raise BadAnswer(self._asked(next_url), "its pages go round in a circle")
            seen.add(next_url)
            page = self._page(next_url, shape, conditional, priority)
            yield page
            next_url = page.next_url

    def _page(self, url: str, shape: _Shape[T], conditional: bool, priority: Priority) -> Page[T]:
        key = self._key(url)
        known = self._validators.find(key) if conditional else None
        fetched_at = datetime.now(UTC)
        answer = self._transport.get(url, etag=known.etag if known else None, priority=priority)
        next_url = self._next_url(answer, url)
        if answer.not_modified and known is not None:
            next_url = next_url or known.next_url
            return Page(url, True, (), (), next_url, known, fetched_at, answer.url)
        found = shape.items(answer.data, self._asked(url))
        items, rejected = payloads.parse_many(shape.parse, found, shape.kind)
        validator = None
        etag = answer.headers.get("etag", "")
        # After a renewed token the old key would promise what the new token never got.
        same_token = key == self._key(url)
        may_go_on = shape.grows and next_url is None and len(found) >= PER_PAGE
        if _usable(etag) and same_token and not may_go_on:
            validator = Validator(key, url, etag, next_url)
        return Page(url, False, tuple(items), tuple(rejected), next_url, validator, fetched_at, answer.url)

    def _next_url(self, answer: Answer, url: str) -> str | None:
        links = requests.utils.parse_header_links(answer.headers.get("link", ""))
        found = next((link.get("url") for link in links if link.get("rel") == "next"), None)
        if not found:
            return None
        try:
            ours = origin(found) == self._origin
        except ValueError:
            ours = False
        if not ours:
            raise BadAnswer(self._asked(url), "its next page is on another host")
        return found

    def _key(self, url: str) -> str:
        return hashlib.sha256(f"{self._token.fingerprint()}\n{url}".encode()).hexdigest()

    def _url(self, repo: RepoRef, *path: str | int, **query: str | int) -> str:
        return address(self._api_url, repo, *path, **query)

    def _asked(self, url: str) -> str:
        return f"GET {self._transport.path(url)}"


def address(api_url: str, repo: RepoRef, *path: str | int, **query: str | int) -> str:
    """Of something in a repository. Each part of the path is quoted, slashes in a branch's name included."""
    parts = "/".join(quote(str(part), safe="") for part in ("repos", repo.owner, repo.name, *path))
    return f"{api_url}/{parts}" + (f"?{urlencode(query)}" if query else "")


def _usable(etag: str) -> bool:
    return 0 < len(etag) <= ETAG_LENGTH and etag.isascii() and etag.isprintable()
