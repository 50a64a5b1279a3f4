"""Webhook deliveries: taken in at once, understood afterwards, and then stored by the same road as what was polled.

`take_in` writes what came down and nothing else. `process` reads what waits of one repository, some hundred
deliveries at a time, parses each, and hands all of them to one `ingest.store`. The deliveries are marked as done in
that same transaction: a worker that is killed has then either stored a batch or not touched it. A delivery that
cannot be stored is put aside with its reason, and costs the others nothing.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from hud import freshness, ingest, live
from hud.cells import RunKind
from hud.ingest import ACTIONS_APP, FOREIGN_EVENTS, Batch
from hud.models import (
    Commit,
    Delivery,
    DeliveryState,
    MissedEvent,
    Repository,
    Run,
    SyncKind,
    SyncState,
    WorkflowRun,
)
from project.github import webhooks
from project.github.payloads import Conclusion, PayloadError, Status
from project.github.webhooks import Told

log = logging.getLogger(__name__)

HOOKS = freshness.WEBHOOKS
FLOWING = timedelta(minutes=5)  # a repository whose last delivery is younger is told of by webhooks
BATCH = 300
GATHER = 0.03  # seconds that a batch waits for more
PACE = 0.2  # seconds from one batch of a repository to its next, at least: open pages are not told more often either
LONGEST = timedelta(seconds=60)  # a task's share; what is left gets a task of its own
KEEP = timedelta(days=7)
FORGET_AT_ONCE = 5_000
COUNTED = timedelta(hours=24)
ON_ITS_WAY = timedelta(minutes=2)  # a webhook may take as long
_RUN_KINDS = (("job", RunKind.JOB), ("check run", RunKind.CHECK_RUN))
_LOCK = 77  # apart from the locks of the polls
_SENT = "arborist:webhooks:sent:"
_SENT_MS = 3_000

_TAKE_IN = """
    INSERT INTO hud_delivery (hook_id, guid, event, action, repository_github_id, full_name, received_at, state, reason,
                              tries, body)
    SELECT hook_id, guid, event, action, repository, full_name, %s, 0, '', 1, body
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::bytea[])
         AS given (hook_id, guid, event, action, repository, full_name, body)
    ORDER BY hook_id, guid
    ON CONFLICT (hook_id, guid) DO UPDATE
    SET state = 0, reason = '', tries = hud_delivery.tries + 1, received_at = excluded.received_at, body = excluded.body
    WHERE hud_delivery.state = 3
    RETURNING hook_id, guid
"""


def take_in(deliveries: Sequence[webhooks.Delivery], *, at: datetime | None = None) -> set[tuple[int, str]]:
    """Store deliveries to be processed; returns (hook id, GUID) of those that are new, or had failed before.

    One statement: when it returns they are safe. Call `send_for` afterwards.
    """
    once = {(one.hook_id, one.guid): one for one in deliveries}
    columns = zip(
        *(
            (
                one.hook_id, one.guid, one.event, one.action, one.repository_id, one.full_name,
                zlib.compress(one.body, 1),
            )
            for one in once.values()
        ),
        strict=True,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_IN, [at or timezone.now(), *map(list, columns)])
        return set(cursor.fetchall())


def send_for(repository_ids: Iterable[int | None]) -> None:
    """Have a worker process what waits of these repositories, unless one has been sent for that has not begun."""
    from hud.live_tasks import process  # it imports this module

    for github_id in set(repository_ids):
        try:
            if live.client().set(f"{_SENT}{github_id or 0}", 1, nx=True, px=_SENT_MS):
                process.apply_async((github_id,), retry=False, expires=60)
        except (redis.RedisError, OSError, process.OperationalError) as error:
            # They wait in the table; beat sends for them again.
            log.warning("no worker could be sent for: %s", type(error).__name__)
            return


def waiting() -> list[int | None]:
    """GitHub's ids of the repositories of which deliveries wait."""
    found = Delivery.objects.filter(state=DeliveryState.WAITING).order_by()
    return list(found.values_list("repository_github_id", flat=True).distinct())


_began: dict[int | None, float] = {}  # when this worker's newest batch of a repository was begun


def process(github_id: int | None, *, gather: float = GATHER) -> int:
    """Process what waits of this repository, batch by batch; returns how many deliveries that were.

    What comes alone is processed `gather` seconds after it came, 0 for at once. In a storm batches are `PACE` apart:
    whatever it tells, each costs a look at verdicts, breaks and pages.
    """
    until = time.monotonic() + LONGEST.total_seconds()
    total = 0
    with _only_one(github_id or 0):
        while time.monotonic() < until:
            late = total > 0  # the batch before was full, and still there is more
            due = _began.get(github_id, -PACE) + PACE - time.monotonic()
            time.sleep(max(gather, due) if gather and not late else gather)
            _began[github_id] = time.monotonic()
            # From here on others may send for a worker again: what they stored before, the batch below sees.
            _forget_sent(github_id)
            done = _batch(github_id)
            total += done
            if done < BATCH:
                return total
    send_for([github_id])
    return total


def _forget_sent(github_id: int | None) -> None:
    try:
        live.client().delete(f"{_SENT}{github_id or 0}")
    except redis.RedisError:
        return  # it ends by itself


@contextmanager
def _only_one(key: int) -> Iterator[None]:
    """Wait until nobody else processes deliveries of this repository: two batches would only wait for each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [_LOCK, key % 2**31])
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, key % 2**31])


@dataclass
class _Read:
    """A delivery on its way: what it tells, or why it is not stored."""

    row: Delivery
    told: Told = field(default_factory=Told)
    state: DeliveryState = DeliveryState.DONE
    reason: str = ""

    def leave(self, reason: str, state: DeliveryState = DeliveryState.IGNORED) -> None:
        self.state, self.reason = state, reason.replace("\0", "")[:500]


@transaction.atomic
def _batch(github_id: int | None) -> int:
    rows = Delivery.objects.filter(state=DeliveryState.WAITING, repository_github_id=github_id).order_by("id")
    read = [_Read(row) for row in rows.select_for_update(skip_locked=True)[:BATCH]]
    if not read:
        return 0
    repository = _repository(github_id, read[-1].row.full_name)
    for one in read:
        _parse(one, repository)
    good = [one for one in read if one.state == DeliveryState.DONE]
    if repository is not None and good:
        good = _of_interest(repository, good)
    if repository is not None and good:
        try:
            with transaction.atomic():
                _store(repository, good)
        except (OperationalError, InterfaceError):
            raise  # the database's trouble and not the deliveries': all of them go on waiting
        except Exception:
            log.exception("a batch of deliveries could not be stored; each is tried alone")
            _store_singly(repository, good)
    if repository is not None:
        _tell_flowing(repository, max(one.row.received_at for one in read))
    _mark(read)
    return len(read)


def _repository(github_id: int | None, full_name: str) -> Repository | None:
    """By GitHub's id, or by name while nothing has been read of it yet."""
    owner, _, name = full_name.partition("/")
    named = Q(owner__iexact=owner, name__iexact=name, github_id=None)
    found = Repository.objects.filter(active=True).filter(Q(github_id=github_id) | named) if github_id else None
    return found.first() if found is not None else None


def _parse(one: _Read, repository: Repository | None) -> None:
    if repository is None:
        return one.leave(f"{one.row.full_name or 'what it is about'} is not watched")
    try:
        one.told = webhooks.tell(one.row.event, zlib.decompress(bytes(one.row.body)))
    except (PayloadError, zlib.error) as error:
        return one.leave(str(error), DeliveryState.FAILED)
    if one.told.ignored:
        one.leave(one.told.ignored)
    return None


def _of_interest(repository: Repository, read: list[_Read]) -> list[_Read]:
    """Those that tell of commits we know or of watched branches. Most runs of a busy repository are pull requests'."""
    watched = {repository.trunk, *repository.watched_branches} - {""}
    shas = set().union(*(one.told.shas for one in read))
    known = set(Commit.objects.filter(repository=repository, sha__in=shas).values_list("sha", flat=True))
    known |= {one.told.push.branch.head_sha for one in read if one.told.push and one.told.branches & watched}
    foreign = _foreign(repository, read)
    kept = []
    for one in read:
        if one.told.pull_request is None and not one.told.branches & watched and not one.told.shas & known:
            one.leave("it is not about a commit of a watched branch")
        elif one.told.jobs and one.told.jobs[0].run_id in foreign:
            one.leave("another workflow started it: it is no evidence about the commit")
        else:
            kept.append(one)
    return kept


def _foreign(repository: Repository, read: list[_Read]) -> set[int]:
    """Ids of workflow runs that carry a commit's sha but tell about something else (see `hud.ingest`)."""
    jobs_of = {job.run_id for one in read for job in one.told.jobs}
    found = WorkflowRun.objects.filter(pk__in=jobs_of, repository=repository, event__in=FOREIGN_EVENTS)
    here = {run.id for one in read for run in one.told.workflow_runs if run.event in FOREIGN_EVENTS}
    return here | set(found.values_list("pk", flat=True))


def _store(repository: Repository, read: list[_Read]) -> None:
    told = [one.told for one in read]
    batch = Batch(
        asked_at=max(one.row.received_at for one in read),
        jobs=[job for one in told for job in one.jobs],
        workflow_runs=[run for one in told for run in one.workflow_runs],
        check_runs=[check for one in told for check in one.check_runs],
        statuses=[status for one in told for status in one.statuses],
    )
    if batch.jobs or batch.workflow_runs or batch.check_runs or batch.statuses:
        ingest.store(repository.pk, batch)
    for one in read:
        if one.told.push is not None:
            _store_push(repository, one)
        if one.told.pull_request is not None:
            _store_pull_request(repository, one)


def _store_push(repository: Repository, one: _Read) -> None:
    """Move the branch, as of the moment that GitHub says; and have the poll of commits look at it at once.

    The poll brings what a push does not tell: parents of several commits, what a forced push took away. It also
    settles two pushes of the same second.
    """
    push = one.told.push
    assert push is not None
    at = push.pushed_at or one.row.received_at
    if push.branch.name not in {repository.trunk, *repository.watched_branches}:
        one.leave("it moves a branch that is not watched")
        return
    if push.deleted:
        ingest.store(repository.pk, Batch(asked_at=at, gone_branches=[push.branch.name]))
    elif push.commit is not None:
        ingest.store(repository.pk, Batch(asked_at=at, branches=[push.branch], commits=[push.commit]))
    poll_soon(repository, SyncKind.COMMITS, one.row.received_at)


def poll_soon(repository: Repository, kind: SyncKind, at: datetime) -> None:
    """Make a poll due now, unless it has been put off because GitHub refused."""
    states = SyncState.objects.filter(repository=repository, kind=kind, failures=0)
    if states.update(due_at=at):
        from hud.tasks import poll  # it imports this module by way of polling

        transaction.on_commit(
            lambda: poll.apply_async((repository.pk, kind.value), retry=False, expires=60), robust=True
        )


def _store_pull_request(repository: Repository, one: _Read) -> None:
    """The one place where pull requests leave for `hud.pulls`."""
    from hud import pulls  # it imports this module by way of polling

    assert one.told.pull_request is not None
    pulls.store_event(repository, one.told.pull_request)


def _store_singly(repository: Repository, read: list[_Read]) -> None:
    for one in read:
        try:
            with transaction.atomic():
                _store(repository, [one])
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.exception("a delivery could not be stored", extra={"guid": one.row.guid, "event": one.row.event})
            one.leave(f"it could not be stored: {type(error).__name__}. The log says more.", DeliveryState.FAILED)


def _mark(read: list[_Read]) -> None:
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE hud_delivery SET state = given.state, reason = given.reason, processed_at = %s,"
            " body = CASE WHEN given.state = 3 THEN body ELSE '' END"
            " FROM unnest(%s::bigint[], %s::smallint[], %s::text[]) AS given (id, state, reason)"
            " WHERE hud_delivery.id = given.id",
            [now, [one.row.pk for one in read], [int(one.state) for one in read], [one.reason for one in read]],
        )


def _tell_flowing(repository: Repository, at: datetime) -> None:
    """Beside the polls stands since when webhooks tell of it (`cursor`), and when they last did."""
    state, new = SyncState.objects.get_or_create(
        repository=repository,
        kind=HOOKS,
        defaults={"succeeded_at": at, "started_at": at, "cursor": at.isoformat()},
    )
    if not new and (state.succeeded_at is None or state.succeeded_at < at):
        SyncState.objects.filter(pk=state.pk).update(succeeded_at=at, started_at=at)


def is_flowing(state: SyncState, now: datetime) -> bool:
    """Whether webhooks tell of the repository now, by its `SyncState`: then polling only looks for what they lost."""
    return bool(settings.WEBHOOK_SECRETS and state.succeeded_at and state.succeeded_at > now - FLOWING)


def told_since(repository_id: int, now: datetime) -> datetime | None:
    """Since when webhooks tell of the repository; None if they do not now."""
    state = SyncState.objects.filter(repository_id=repository_id, kind=HOOKS).first()
    return datetime.fromisoformat(state.cursor) if state and state.cursor and is_flowing(state, now) else None


def count_missed(repository_id: int, batch: Batch, *, since: datetime, now: datetime) -> int:
    """Note what a poll brings that ended minutes ago, and that no webhook has told. Call it before the batch is stored.

    Not counted: what GitHub sends no webhook for (workflows that could not start, jobs that are only shown again).
    """
    after, until = max(since, now - COUNTED), now - ON_ITS_WAY
    ended: dict[tuple[str, int], datetime] = {}
    for run in batch.workflow_runs:
        if run.status == Status.COMPLETED and run.conclusion != Conclusion.STARTUP_FAILURE:
            ended["workflow run", run.id] = run.updated_at
    for job in batch.jobs:
        if job.completed_at and job.created_at <= job.completed_at:
            ended["job", job.id] = job.completed_at
    for check in batch.check_runs:
        if check.completed_at:
            ended["job" if check.app_slug == ACTIONS_APP else "check run", check.id] = check.completed_at
    ended = {key: at for key, at in ended.items() if after < at < until}
    if not ended:
        return 0
    runs = {kind.run_id(id): (name, id) for name, kind in _RUN_KINDS for what, id in ended if what == name}
    known = {runs[pk] for pk in Run.objects.filter(pk__in=runs, status=Status.COMPLETED).values_list("pk", flat=True)}
    ids = [id for what, id in ended if what == "workflow run"]
    over = WorkflowRun.objects.filter(pk__in=ids, status=Status.COMPLETED)
    known |= {("workflow run", pk) for pk in over.values_list("pk", flat=True)}
    missed = [
        MissedEvent(repository_id=repository_id, kind=kind, github_id=id, ended_at=at, found_at=now)
        for (kind, id), at in ended.items()
        if (kind, id) not in known
    ]
    MissedEvent.objects.bulk_create(missed, ignore_conflicts=True)
    return len(missed)


def forget_old(now: datetime) -> int:
    """Delete deliveries that were processed long ago, some thousands at a time."""
    MissedEvent.objects.filter(found_at__lt=now - KEEP).delete()
    old = Delivery.objects.filter(received_at__lt=now - KEEP).exclude(state=DeliveryState.WAITING)
    return Delivery.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:FORGET_AT_ONCE])).delete()[0]
