"""What is asked of GitHub, when, and what is done with the answers. The answers themselves are stored by `hud.ingest`.

Each kind of `SyncKind` is a function below that reads pages and stores each one before it asks for the next. `poll`
runs one of them for one repository, never two of the same at once, and writes down how it went: that is what `/status`
shows.

What keeps the number of counted requests low: a branch is asked for its head only (unchanged: free); commits are
walked by sha from a new head to a known one; workflow runs are read newest first, unfiltered, to where the last poll
began; jobs are asked for only while their attempt runs, and once more after it ended; everything carries its
validator.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from hud import ingest, webhooks
from hud.ingest import ACTIONS_APP, FOREIGN_EVENTS, Batch
from hud.models import Branch, BranchCommit, Commit, Repository, Run, SyncedPage, SyncKind, SyncState, WorkflowRun
from project.github import errors, factory
from project.github.budget import Priority
from project.github.client import Client, Page, RepoRef, Validator
from project.github.payloads import Status, WorkflowRunPayload

log = logging.getLogger(__name__)

# Trunk is to be never older than a minute: asked every 50 s, a slow answer still arrives in time.
INTERVALS = {
    SyncKind.REPOSITORY: timedelta(minutes=10),
    SyncKind.BRANCHES: timedelta(minutes=10),
    SyncKind.COMMITS: timedelta(seconds=30),
    SyncKind.WORKFLOW_RUNS: timedelta(seconds=50),
    SyncKind.JOBS: timedelta(seconds=50),
    SyncKind.CHECKS: timedelta(seconds=50),
    SyncKind.BACKFILL: timedelta(seconds=10),
    SyncKind.PULLS: timedelta(minutes=5),
}
# Where webhooks tell of a repository, polling only looks for what they lost. Even so trunk is never two minutes old.
INTERVALS_BESIDE_WEBHOOKS = INTERVALS | {
    SyncKind.COMMITS: timedelta(seconds=60),
    SyncKind.WORKFLOW_RUNS: timedelta(seconds=100),
    SyncKind.JOBS: timedelta(minutes=5),
    SyncKind.CHECKS: timedelta(minutes=10),
}
LONGEST_PAUSE = timedelta(hours=1)
# A poll that has more to do than this gives its place to others and goes on at its next turn.
SLICE = timedelta(seconds=20)
SWEEP_EVERY = timedelta(minutes=10)
SWEEP_COMMITS = 50  # what the first page of the grid shows
YOUNG = timedelta(hours=1)  # commits younger than this are asked for checks and statuses at every poll
QUIET = timedelta(days=2)  # older ones are asked no more, except by the backfill
LONGEST_WALK = 2_000  # commits from a new head back to a known one
FEW_COMMITS = 20  # usually one is new
BRANCH_PAGES = 5  # of a hundred each; some repositories have tens of thousands
FORGET_PAGES_AFTER = timedelta(days=14)


class _StoredValidators:
    """The client's view of `SyncedPage`."""

    def find(self, key: str) -> Validator | None:
        page = SyncedPage.objects.filter(pk=key).first()
        if page is None:
            return None
        if timezone.now() - page.seen_at > timedelta(days=1):  # kept alive, but not by a write at every poll
            SyncedPage.objects.filter(pk=key).update(seen_at=timezone.now())
        return Validator(key=page.key, url="", etag=page.etag, next_url=page.next_url or None)


def github() -> Client:
    """A client for the GitHub of the settings, whose validators are ours."""
    return factory.client(_StoredValidators())


class _Poll:
    """One turn of one kind for one repository: what the functions below share."""

    def __init__(self, repository: Repository, state: SyncState, client: Client, now: datetime) -> None:
        self.repository = repository
        self.state = state
        self.client = client
        self.now = now
        self.ref = RepoRef(repository.owner, repository.name)
        self.told_since = webhooks.told_since(repository.pk, now)
        self._until = time.monotonic() + SLICE.total_seconds()
        self.behind = ""

    @property
    def interval(self) -> timedelta:
        """How long until the next turn."""
        return (INTERVALS_BESIDE_WEBHOOKS if self.told_since else INTERVALS)[SyncKind(self.state.kind)]

    @property
    def out_of_time(self) -> bool:
        return time.monotonic() > self._until

    def store(self, page: Page[Any], **content: Any) -> None:
        """Store what a page brought, with its validator. An unchanged page brings nothing."""
        if page.not_modified:
            return
        validators = [page.validator] if page.validator else []
        batch = Batch(asked_at=page.fetched_at, rejected=page.rejected, validators=validators, **content)
        if self.told_since:
            webhooks.count_missed(self.repository.pk, batch, since=self.told_since, now=self.now)
        ingest.store(self.repository.pk, batch)

    def watched_branches(self) -> list[str]:
        return [name for name in dict.fromkeys([self.repository.trunk, *self.repository.watched_branches]) if name]


def due(now: datetime) -> list[tuple[int, str]]:
    """(repository id, kind) of every poll whose time has come, the most overdue first."""
    states = {(state.repository_id, state.kind): state for state in SyncState.objects.filter(repository__active=True)}
    told = {pk for (pk, kind), state in states.items() if kind == webhooks.HOOKS and webhooks.is_flowing(state, now)}
    waiting = []
    for pk in Repository.objects.filter(active=True).values_list("pk", flat=True):
        for kind in SyncKind:
            state = states.get((pk, kind))
            # Once webhooks are silent, nothing waits for as long as it was put off while they told everything.
            silent = state is not None and pk not in told and state.succeeded_at is not None and not state.failures
            if silent and state and state.succeeded_at and state.due_at:
                state.due_at = min(state.due_at, state.succeeded_at + INTERVALS[kind])
            if state is None or state.due_at is None or state.due_at <= now:
                waiting.append(
                    (state.due_at if state and state.due_at else datetime.min.replace(tzinfo=now.tzinfo), pk, kind)
                )
    return [(pk, kind.value) for _, pk, kind in sorted(waiting, key=lambda one: (one[0], one[1]))]


def poll(repository_id: int, kind: str, *, now: datetime | None = None, client: Client | None = None) -> str:
    """Poll one kind of one repository if it is due and nobody else is at it. Returns how it went, in a word or two.

    What goes wrong is written on its `SyncState` in words, and the next try is put off: longer each time, at most an
    hour.
    """
    now = now or timezone.now()
    with _only_one(repository_id, kind) as mine:
        if not mine:
            return "already running"
        repository = Repository.objects.filter(pk=repository_id, active=True).first()
        if repository is None:
            return "not watched"
        state, _ = SyncState.objects.get_or_create(repository=repository, kind=kind)
        if state.due_at and state.due_at > now and (repository_id, kind) not in due(now):
            return "not due"
        state.started_at = now
        state.save(update_fields=["started_at"])
        turn = _Poll(repository, state, client or github(), now)
        try:
            _POLLS[SyncKind(kind)](turn)
        except errors.RateLimited as error:
            return _put_off(state, now, error.words, until=error.retry_at)
        except errors.GitHubError as error:
            return _put_off(state, now, error.words)
        except Exception as error:
            log.exception("poll failed", extra={"repository": str(repository), "kind": kind})
            return _put_off(state, now, f"A fault of Arborist's own: {type(error).__name__}. The log says more.")
        state.succeeded_at, state.failures, state.problem, state.behind = now, 0, "", turn.behind
        state.due_at = now + (timedelta() if turn.behind else turn.interval)
        state.save()
        return "behind" if turn.behind else "done"


def _put_off(state: SyncState, now: datetime, words: str, until: datetime | None = None) -> str:
    state.failures += 1
    state.problem = words[:500]
    pause = min(INTERVALS[SyncKind(state.kind)] * 2 ** min(state.failures, 10), LONGEST_PAUSE)
    state.due_at = max(until or now + pause, now + timedelta(seconds=1))
    state.save()
    return "failed"


@contextmanager
def _only_one(repository_id: int, kind: str) -> Iterator[bool]:
    """Whether nobody else polls this now. The database frees the lock by itself when a worker is killed."""
    key = list(SyncKind).index(SyncKind(kind))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [repository_id, key])
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [repository_id, key])


# -- one function a kind ------------------------------------------------------------------------------------------


def _poll_repository(turn: _Poll) -> None:
    page = turn.client.repository(turn.ref.owner, turn.ref.name)
    turn.store(page, repository=page.items[0] if page.items else None)
    SyncedPage.objects.filter(repository=turn.repository, seen_at__lt=turn.now - FORGET_PAGES_AFTER).delete()


def _poll_branches(turn: _Poll) -> None:
    """All branches, and by that those that are no more. Of a repository with very many, the first ones only.

    The watched ones are asked for by name anyway (`_poll_commits`).
    """
    pages = list(islice(turn.client.branches(turn.ref), BRANCH_PAGES))
    if all(page.not_modified for page in pages):
        return
    complete = pages[-1].next_url is None
    if complete and any(page.not_modified for page in pages):
        # What is missing can be told only from all pages as they are at one time.
        pages = list(islice(turn.client.branches(turn.ref, conditional=False), BRANCH_PAGES))
    ingest.store(
        turn.repository.pk,
        Batch(
            asked_at=pages[0].fetched_at,
            branches=[branch for page in pages for branch in page.items],
            all_branches=complete and pages[-1].next_url is None,
            rejected=[one for page in pages for one in page.rejected],
            validators=[page.validator for page in pages if page.validator],
        ),
    )


def _poll_commits(turn: _Poll) -> None:
    """The head of each watched branch, and the commits between a new head and the first that is known."""
    if not turn.repository.trunk:
        _poll_repository(turn)
        turn.repository.refresh_from_db()
    missing = []
    for name in turn.watched_branches():
        try:
            page = turn.client.branch(turn.ref, name)
        except errors.NotFound:
            missing.append(name)
            continue
        head = page.items[0].head_sha if page.items else None
        if head is None:
            known = Branch.objects.filter(repository=turn.repository, name=name).first()
            head = known.head_sha if known else None
        if head:
            _walk(turn, name, head)
        turn.store(page, branches=page.items)
    if missing and len(missing) == len(turn.watched_branches()):
        raise errors.NotFound(f"branch {missing[0]}")  # more likely the repository itself is gone
    if missing:
        ingest.store(turn.repository.pk, Batch(asked_at=timezone.now(), gone_branches=missing))


def _walk(turn: _Poll, branch: str, head: str) -> None:
    on_branch = BranchCommit.objects.filter(branch__repository=turn.repository, branch__name=branch)
    if on_branch.filter(commit__sha=head).exists():
        return
    first_time = not on_branch.exists()
    limit = turn.repository.backfill_commits if first_time else LONGEST_WALK
    per_page = min(100, limit) if first_time else FEW_COMMITS
    read = 0
    for page in turn.client.commits(turn.ref, head, per_page=per_page, conditional=False):
        turn.store(page, commits=page.items)
        read += len(page.items)
        if read >= limit or on_branch.filter(commit__sha__in=[commit.sha for commit in page.items]).exists():
            return


def _poll_workflow_runs(turn: _Poll) -> None:
    """Everything created since the last poll began, and, now and then, what the newest commits may have missed."""
    since = datetime.fromisoformat(turn.state.cursor) if turn.state.cursor else None
    started = turn.now
    for page in turn.client.workflow_runs(turn.ref):
        turn.store(page, workflow_runs=_of_watched_commits(turn, page.items))
        if page.not_modified or since is None or not page.items:
            break
        if min(run.created_at for run in page.items) < since - timedelta(minutes=1):
            break
    turn.state.cursor = started.isoformat()
    turn.state.save(update_fields=["cursor"])
    _sweep(turn)


def _of_watched_commits(turn: _Poll, runs: Iterable[WorkflowRunPayload]) -> list[WorkflowRunPayload]:
    """Runs of pull requests are not shown on a trunk's grid; most of a busy repository's runs are theirs."""
    shas = {run.head_sha for run in runs}
    known = set(
        BranchCommit.objects.filter(
            branch__repository=turn.repository, branch__watched=True, commit__sha__in=shas
        ).values_list("commit__sha", flat=True)
    )
    branches = set(turn.watched_branches())
    return [run for run in runs if run.head_sha in known or (run.head_branch in branches and run.event == "push")]


def _sweep(turn: _Poll) -> None:
    """Ask the newest commits for their workflow runs: finds those that were missed, and re-runs of old ones."""
    newest = _newest_commits(turn, SWEEP_COMMITS)
    stale = Commit.objects.filter(
        pk__in=newest, runs_listed_at__isnull=False, runs_listed_at__lt=turn.now - SWEEP_EVERY
    ).order_by("runs_listed_at")
    for commit in stale:
        if turn.out_of_time:
            return
        for page in turn.client.workflow_runs(turn.ref, head_sha=commit.sha):
            turn.store(page, workflow_runs=page.items)
        Commit.objects.filter(pk=commit.pk).update(runs_listed_at=turn.now)


def read_commit(repository: Repository, sha: str, *, client: Client, priority: Priority) -> None:
    """Everything that ran on one commit, on whatever branch or none. Its jobs are not followed from then on:
    `_poll_jobs` leaves commits alone whose `runs_listed_at` is empty, as it stays here. For heads of pull requests,
    which are read when somebody looks at them."""
    turn = _Poll(repository, SyncState(repository=repository), client, timezone.now())
    for page in client.workflow_runs(turn.ref, head_sha=sha, priority=priority):
        turn.store(page, workflow_runs=page.items)
    runs = WorkflowRun.objects.filter(repository=repository, commit__sha=sha).exclude(event__in=FOREIGN_EVENTS)
    unread, followed = runs.filter(jobs_fetched_attempt__lt=F("attempt")), Q(attempt=1) & ~Q(status=Status.COMPLETED)
    for run in unread.exclude(followed):
        _read_jobs(turn, run, priority)
    if unread.filter(followed).exists():
        for checks in client.commit_check_runs(turn.ref, sha, priority=priority):
            turn.store(checks, check_runs=checks.items)
    else:
        _read_other_checks(turn, sha, priority)
    _read_statuses(turn, sha, priority)


def _newest_commits(turn: _Poll, count: int) -> list[int]:
    """Ids of the newest commits of each watched branch, trunk's first."""
    found: list[int] = []
    for name in turn.watched_branches():
        found += (
            BranchCommit.objects.filter(branch__repository=turn.repository, branch__name=name)
            .order_by("-position")
            .values_list("commit_id", flat=True)[:count]
        )
    return found


def _poll_jobs(turn: _Poll) -> None:
    """Jobs of workflow runs that have ended, for good; of re-runs while they run; and whether a run has ended.

    While a first attempt runs, its jobs are followed through the check runs of its commit (`_poll_checks`): a hundred
    of them share a page there, where each workflow run would have a page of its own here.
    """
    unread = WorkflowRun.objects.filter(repository=turn.repository, jobs_fetched_attempt__lt=F("attempt"))
    unread = unread.exclude(commit__runs_listed_at=None).exclude(event__in=FOREIGN_EVENTS).order_by("-created_at")
    followed = Q(attempt=1) & ~Q(status=Status.COMPLETED)
    for run in unread.filter(followed & _jobs_have_ended()).iterator(chunk_size=200):
        with _unless_gone(turn, run):
            _read_run(turn, run, Priority.NORMAL)
    left = unread.exclude(followed).count()
    for run in unread.exclude(followed).iterator(chunk_size=200):
        if turn.out_of_time:
            turn.behind = f"jobs of {left} workflow runs"
            return
        _read_jobs(turn, run, Priority.NORMAL)
        left -= 1


def _jobs_have_ended() -> Q:
    """Workflow runs that have jobs, none of them pending: the run itself may have ended too, or be about to go on."""
    jobs = Run.objects.filter(
        commit_id=OuterRef("commit_id"), workflow_run_id=OuterRef("pk"), attempt=OuterRef("attempt")
    )
    return Q(Exists(jobs)) & ~Q(Exists(jobs.filter(status__lt=Status.COMPLETED)))


def _read_jobs(turn: _Poll, run: WorkflowRun, priority: Priority) -> None:
    """Read all attempts that are not yet read for good, then the run itself if its jobs have all ended."""
    with _unless_gone(turn, run):
        for attempt in range(run.jobs_fetched_attempt + 1, run.attempt + 1):
            over = run.status == Status.COMPLETED or attempt < run.attempt
            for page in turn.client.attempt_jobs(turn.ref, run.pk, attempt, priority=priority):
                turn.store(page, jobs=page.items)
            if over:
                ingest.store(turn.repository.pk, Batch(asked_at=turn.now, jobs_complete=[(run.pk, attempt)]))
        if run.status != Status.COMPLETED and WorkflowRun.objects.filter(_jobs_have_ended(), pk=run.pk).exists():
            _read_run(turn, run, priority)


def _read_run(turn: _Poll, run: WorkflowRun, priority: Priority) -> None:
    page = turn.client.workflow_run(turn.ref, run.pk, priority=priority)
    turn.store(page, workflow_runs=page.items)


@contextmanager
def _unless_gone(turn: _Poll, run: WorkflowRun) -> Iterator[None]:
    """A run that was deleted on GitHub, or whose jobs have expired, stays as it is known and is not asked for again."""
    try:
        yield
    except (errors.NotFound, errors.Gone):
        ingest.store(turn.repository.pk, Batch(asked_at=turn.now, jobs_complete=[(run.pk, run.attempt)]))


def _poll_checks(turn: _Poll) -> None:
    """Check runs and statuses of the newest commits: jobs as they go, and what other apps say.

    Commits that are young, or have a workflow run that has not ended, are asked at every poll; those of the last two
    days now and then, for other apps may take their time.
    """
    running = WorkflowRun.objects.filter(commit=OuterRef("pk"), attempt=1, status__lt=Status.COMPLETED)
    running = running.exclude(event__in=FOREIGN_EVENTS)
    newest = Commit.objects.filter(pk__in=_newest_commits(turn, SWEEP_COMMITS), committed_at__gt=turn.now - QUIET)
    sweep = turn.state.cursor == "" or datetime.fromisoformat(turn.state.cursor) < turn.now - SWEEP_EVERY
    followed = set(newest.filter(Exists(running)).values_list("pk", flat=True))
    for commit in newest.order_by("-committed_at"):
        if turn.out_of_time:
            turn.behind = "checks of older commits"
            return
        if commit.pk in followed or (commit.committed_at and commit.committed_at > turn.now - YOUNG):
            for page in turn.client.commit_check_runs(turn.ref, commit.sha):
                turn.store(page, check_runs=page.items)
            _read_statuses(turn, commit.sha, Priority.NORMAL)
        elif sweep:
            _read_other_checks(turn, commit.sha, Priority.NORMAL)
            _read_statuses(turn, commit.sha, Priority.NORMAL)
    if sweep:
        turn.state.cursor = turn.now.isoformat()


def _read_statuses(turn: _Poll, sha: str, priority: Priority) -> None:
    for page in turn.client.statuses(turn.ref, sha, priority=priority):
        turn.store(page, statuses=page.items)


def _read_other_checks(turn: _Poll, sha: str, priority: Priority) -> None:
    """Check runs of all apps but Actions, by way of the suites: cheap where Actions has hundreds."""
    for suites in turn.client.check_suites(turn.ref, sha, priority=priority):
        for suite in suites.items:
            if suite.app_slug == ACTIONS_APP:
                continue
            for page in turn.client.suite_check_runs(turn.ref, suite.id, priority=priority):
                turn.store(page, check_runs=page.items)
        turn.store(suites)  # its validator, once what it led to is stored


def _poll_backfill(turn: _Poll) -> None:
    """The history of commits that were never asked for their runs, newest first. Progress stands on the state."""
    on_branches = BranchCommit.objects.filter(branch__repository=turn.repository, branch__watched=True)
    todo = Commit.objects.filter(pk__in=on_branches.values("commit_id"), runs_listed_at=None)
    total = min(turn.repository.backfill_commits, on_branches.values("commit_id").distinct().count())
    for commit in todo.order_by("-committed_at").iterator(chunk_size=100):
        _tell_progress(turn, total, todo.count())
        if turn.out_of_time:
            turn.behind = f"{todo.count()} commits of the history"
            return
        for page in turn.client.workflow_runs(turn.ref, head_sha=commit.sha, priority=Priority.LOW):
            turn.store(page, workflow_runs=page.items)
        unread = WorkflowRun.objects.filter(commit=commit, jobs_fetched_attempt__lt=F("attempt"))
        for run in unread.exclude(event__in=FOREIGN_EVENTS):
            _read_jobs(turn, run, Priority.LOW)
        _read_other_checks(turn, commit.sha, Priority.LOW)
        _read_statuses(turn, commit.sha, Priority.LOW)
        Commit.objects.filter(pk=commit.pk).update(runs_listed_at=turn.now)
    _tell_progress(turn, total, 0)


def _poll_pulls(turn: _Poll) -> None:
    """The list of pull requests, down to what is known: what events told, and what they did not. Their runs are read
    when somebody looks."""
    from hud import pulls  # it reads commits by way of this module

    since = datetime.fromisoformat(turn.state.cursor) if turn.state.cursor else None
    newest = pulls.read_open(turn.repository, client=turn.client, since=since)
    turn.state.cursor = newest.isoformat() if newest else ""


def _tell_progress(turn: _Poll, total: int, left: int) -> None:
    turn.state.total, turn.state.done = total, max(total - left, 0)
    turn.state.save(update_fields=["total", "done"])


_POLLS: dict[SyncKind, Callable[[_Poll], None]] = {
    SyncKind.REPOSITORY: _poll_repository,
    SyncKind.BRANCHES: _poll_branches,
    SyncKind.COMMITS: _poll_commits,
    SyncKind.WORKFLOW_RUNS: _poll_workflow_runs,
    SyncKind.JOBS: _poll_jobs,
    SyncKind.CHECKS: _poll_checks,
    SyncKind.BACKFILL: _poll_backfill,
    SyncKind.PULLS: _poll_pulls,
}
