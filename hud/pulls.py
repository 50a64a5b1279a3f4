"""Pull requests: read when somebody looks, told by events, kept.

A page shows what is stored at once, and `ask` has it read again in the background if it is old: one reading at a time
for each pull request, however many people look. Everything here may be repeated and come in any order: of two
descriptions the one that GitHub updated last wins, and a head once seen is never forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from hud import ingest, polling
from hud.ingest import Batch
from hud.models import Commit, CommitCells, PullHead, PullRequest, Repository, Run, WorkflowRun
from project.github import errors
from project.github import pulls as github_pulls
from project.github.budget import Priority
from project.github.client import Client, Page, RepoRef
from project.github.payloads import CommitPayload, PayloadError, Status, reject
from project.github.pulls import PullRequestPayload, TimelinePayload

log = logging.getLogger(__name__)

FRESH = timedelta(seconds=60)  # while it is open, or something still runs
LASTING = timedelta(minutes=30)  # once it is closed and nothing runs
MISSING_FOR = timedelta(minutes=10)  # before GitHub is asked again for what it did not find
ASK_AGAIN = timedelta(seconds=20)  # before a reading that somebody asked for is asked for again
AFTER_A_PROBLEM = timedelta(minutes=2)
FIRST_READS = 30  # a minute, of pull requests that nobody had looked at before: a robot must not spend the budget
MOST_PAGES = 10  # of a hundred each
_LOCK = 10_000_000  # advisory locks above this are pull requests'


# -- asking for it -------------------------------------------------------------------------------------------------


def ask(repository: Repository, number: int, sha: str = "") -> tuple[PullRequest | None, bool]:
    """The pull request as it is stored, and whether it is being read now. None: too many new ones are being read.

    `sha` is the head that is looked at, if not the newest.
    """
    now = timezone.now()
    pull = PullRequest.objects.filter(repository=repository, number=number).first()
    if pull is None:
        recently = PullRequest.objects.filter(repository=repository, asked_at__gt=now - timedelta(minutes=1))
        if recently.filter(Q(read_at=None) | Q(missing_at__isnull=False)).count() >= FIRST_READS:
            return None, False
        pull, _ = PullRequest.objects.get_or_create(repository=repository, number=number)
    if not repository.active or not _old(pull, sha or pull.head_sha, now):
        return pull, False
    # Of two who look at the same moment, one asks.
    pause = AFTER_A_PROBLEM if pull.problem else ASK_AGAIN
    mine = PullRequest.objects.filter(Q(asked_at=None) | Q(asked_at__lt=now - pause), pk=pull.pk)
    if mine.update(asked_at=now, problem=""):
        pull.asked_at, pull.problem = now, ""
        _send(repository.pk, number, sha)
    return pull, not pull.problem


def _send(repository_id: int, number: int, sha: str) -> None:
    from hud.tasks import read_pull  # it imports this module

    def send() -> None:
        try:
            read_pull.apply_async((repository_id, number, sha), retry=False, expires=120)
        except Exception:  # what is stored is shown all the same
            log.exception("a pull request could not be asked for", extra={"number": number})

    transaction.on_commit(send)


def _old(pull: PullRequest, sha: str, now: datetime) -> bool:
    """Whether it should be read again."""
    if pull.missing_at is not None and pull.read_at is None:
        return now - pull.missing_at > MISSING_FOR
    if pull.read_at is None:
        return True
    head = PullHead.objects.filter(pull=pull, sha=sha).first()
    if head is None or head.read_at is None:
        return True
    return now - min(pull.read_at, head.read_at) > (
        FRESH if pull.open or _unfinished(pull.repository_id, sha) else LASTING
    )


def _unfinished(repository_id: int, sha: str) -> bool:
    pending = Run.objects.filter(commit__repository=repository_id, commit__sha=sha, status__lt=Status.COMPLETED)
    runs = WorkflowRun.objects.filter(repository=repository_id, commit__sha=sha, status__lt=Status.COMPLETED)
    return pending.exists() or runs.exists()


# -- reading it ----------------------------------------------------------------------------------------------------


def read(
    repository_id: int, number: int, sha: str = "", *, now: datetime | None = None, client: Client | None = None
) -> str:
    """Read a pull request and the runs of one of its heads. Returns how it went, in a word; what went wrong stands on
    its row, in words."""
    now = now or timezone.now()
    repository = Repository.objects.filter(pk=repository_id, active=True).first()
    if repository is None:
        return "not watched"
    with _only_one(repository_id, number) as mine:
        if not mine:
            return "already running"
        pull, _ = PullRequest.objects.get_or_create(repository=repository, number=number)
        reading = _Reading(repository, pull, client or polling.github(), now)
        try:
            reading.whole(sha)
        except errors.NotFound:
            PullRequest.objects.filter(pk=pull.pk).update(missing_at=now, problem="")
            return "not found"
        except errors.GitHubError as error:
            PullRequest.objects.filter(pk=pull.pk).update(problem=error.words[:500])
            return "failed"
        PullRequest.objects.filter(pk=pull.pk).update(read_at=now, missing_at=None, problem="")
    return "done"


class _Reading:
    """One reading of one pull request."""

    def __init__(self, repository: Repository, pull: PullRequest, client: Client, now: datetime) -> None:
        self.repository = repository
        self.pull = pull
        self.client = client
        self.now = now
        self.ref = RepoRef(repository.owner, repository.name)

    def whole(self, sha: str) -> None:
        number = self.pull.number
        page = github_pulls.pull(self.client, self.ref, number)
        with transaction.atomic():
            store(self.repository, page.items)
            self._keep(page)
        self.pull.refresh_from_db()
        if page.rejected:
            raise errors.BadAnswer(f"pull request {number}", page.rejected[0].reason)
        self._listed(github_pulls.commits, _store_commits)
        self._listed(github_pulls.timeline, _store_timeline)
        self.pull.refresh_from_db()
        known = PullHead.objects.filter(pull=self.pull)
        head = known.filter(sha=sha or self.pull.head_sha).first() or known.filter(sha=self.pull.head_sha).first()
        if head is not None:
            self._head(head)

    def _listed(self, read: Callable[..., Iterator[Page[Any]]], keep: Callable[[PullRequest, list[Any]], None]) -> None:
        """Read a list that belongs together, and store it whole, validators included; unchanged it brings nothing."""
        pages = list(islice(read(self.client, self.ref, self.pull.number), MOST_PAGES))
        if all(page.not_modified for page in pages):
            return
        if any(page.not_modified for page in pages):
            # A later page of an old list. All are needed, and a 304 brings nothing.
            pages = list(islice(read(self.client, self.ref, self.pull.number, conditional=False), MOST_PAGES))
        with transaction.atomic():
            keep(self.pull, [item for page in pages for item in page.items])
            for page in pages:
                self._keep(page)

    def _keep(self, page: Page[Any]) -> None:
        """Store a page's validator, and its commits if it holds commits."""
        if page.not_modified:
            return
        commits = [item for item in page.items if isinstance(item, CommitPayload)]
        ingest.store(
            self.repository.pk,
            Batch(
                asked_at=page.fetched_at,
                commits=commits,
                rejected=page.rejected,
                validators=[page.validator] if page.validator else [],
            ),
        )

    def _head(self, head: PullHead) -> None:
        """Where a head branched off, and what ran on it; and what ran where it branched off, if nobody read that."""
        problem = ""
        try:
            if not head.merge_base and self.pull.base_ref:
                head.merge_base = self._merge_base(head.sha)
                head.save(update_fields=["merge_base"])
            polling.read_commit(self.repository, head.sha, client=self.client, priority=Priority.HIGH)
            base = Commit.objects.filter(repository=self.repository, sha=head.merge_base).first()
            if head.merge_base and (base is None or not CommitCells.objects.filter(commit=base).exists()):
                polling.read_commit(self.repository, head.merge_base, client=self.client, priority=Priority.NORMAL)
        except (errors.NotFound, errors.Gone, errors.Invalid) as error:
            problem = error.words[:500]  # GitHub forgets commits that a force-push took away
        PullHead.objects.filter(pk=head.pk).update(read_at=self.now, problem=problem)

    def _merge_base(self, sha: str) -> str:
        try:
            page = github_pulls.comparison(self.client, self.ref, self.pull.base_ref, sha)
        except errors.NotFound:  # no common ancestor, or GitHub has dropped the commit
            return ""
        found = page.items[0].merge_base if page.items else ""
        if found != sha:
            return found
        # Merged as it was, its head is on trunk itself: then it began where its first commit did.
        first = PullHead.objects.filter(pull=self.pull, place=0).values_list("sha", flat=True).first()
        parent = Commit.objects.filter(repository=self.repository, sha=first).values_list("parent_sha", flat=True)
        return parent.first() or ""


@contextmanager
def _only_one(repository_id: int, number: int) -> Iterator[bool]:
    """Whether nobody else reads it now. The database frees the lock by itself when a worker is killed."""
    keys = [repository_id, _LOCK + number]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", keys)
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", keys)


# -- storing it ----------------------------------------------------------------------------------------------------


def store_event(repository: Repository, payload: dict[str, Any]) -> None:
    """What a `pull_request` event tells: `payload` is all of it. What can't be used is set aside."""
    now = timezone.now()
    data = payload.get("pull_request")
    try:
        told = github_pulls.parse_pull_request(data)
    except PayloadError as error:
        ingest.set_aside(repository.pk, [reject("pull request", data, error)], now)
        return
    with transaction.atomic():
        (pull,) = store(repository, [told])
        before = github_pulls.parse_timeline({"before": payload.get("before")}).before
        if before:
            _see(pull, before)


def store(repository: Repository, payloads: Iterable[PullRequestPayload]) -> list[PullRequest]:
    """Store pull requests; of two descriptions the one updated last stays. Their heads are never forgotten."""
    stored = []
    for told in payloads:
        PullRequest.objects.get_or_create(repository=repository, number=told.number)
        pull = PullRequest.objects.select_for_update().get(repository=repository, number=told.number)
        if pull.updated_at is None or told.updated_at >= pull.updated_at:
            for field in _TAKEN:
                setattr(pull, field, getattr(told, field))
            pull.labels, pull.landed_sha = list(told.labels), told.landed_sha or pull.landed_sha
            pull.save(update_fields=[*_TAKEN, "labels", "landed_sha"])
        _see(pull, told.head_sha, told.updated_at)
        stored.append(pull)
    return stored


_TAKEN = (
    "title", "author", "open", "draft", "head_sha", "head_ref", "base_ref", "created_at", "updated_at", "closed_at",
    "merged_at",
)  # fmt: skip


def _see(pull: PullRequest, sha: str, at: datetime | None = None) -> None:
    PullHead.objects.get_or_create(pull=pull, sha=sha, defaults={"pushed_at": at})


@transaction.atomic
def _store_commits(pull: PullRequest, commits: Sequence[CommitPayload]) -> None:
    """Its commits now, in order; what is not among them any more stays as what was pushed once."""
    places = {commit.sha: place for place, commit in enumerate(commits)}
    PullHead.objects.filter(pull=pull).exclude(sha__in=places).update(place=None)
    for commit in commits:
        PullHead.objects.update_or_create(
            pull=pull,
            sha=commit.sha,
            defaults={"place": places[commit.sha], "title": commit.message.split("\n", 1)[0].strip()[:500]},
            create_defaults={
                "place": places[commit.sha],
                "title": commit.message.split("\n", 1)[0].strip()[:500],
                "pushed_at": commit.committed_at,
            },
        )


@transaction.atomic
def _store_timeline(pull: PullRequest, happened: Sequence[TimelinePayload]) -> None:
    """Heads that force-pushes took away, and the commit as which it landed."""
    landed = pull.landed_sha
    for one in happened:
        if one.event == "head_ref_force_pushed":
            if one.before:
                head, _ = PullHead.objects.get_or_create(pull=pull, sha=one.before)
                PullHead.objects.filter(pk=head.pk).update(replaced_at=one.at)
            if one.sha:
                head, _ = PullHead.objects.get_or_create(pull=pull, sha=one.sha)
                PullHead.objects.filter(pk=head.pk).update(pushed_at=one.at)
        elif one.event in ("merged", "closed") and one.sha:
            landed = one.sha
        elif one.event == "reopened":
            landed = ""
    if landed != pull.landed_sha:
        PullRequest.objects.filter(pk=pull.pk).update(landed_sha=landed)


# -- the list ------------------------------------------------------------------------------------------------------


def read_open(repository: Repository, *, client: Client, since: datetime | None) -> datetime | None:
    """Read the list of pull requests, open and closed, down to what was updated at `since`; returns the newest update.

    The first time only the first page: what nobody looks at need not be known.
    """
    newest = since
    ref = RepoRef(repository.owner, repository.name)
    for page in github_pulls.pulls(client, ref, state="all"):
        if page.not_modified:
            break
        with transaction.atomic():
            store(repository, page.items)
            validators = [page.validator] if page.validator else []
            ingest.store(repository.pk, Batch(asked_at=page.fetched_at, rejected=page.rejected, validators=validators))
        newest = max([one.updated_at for one in page.items] + ([newest] if newest else []), default=None)
        if since is None or not page.items or page.items[-1].updated_at < since:
            break
    return newest
