"""Asking for a write, undoing it while that is possible, and trying again."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from project import audit
from project.accounts.models import User
from project.github.fields import clean
from project.outbox import fates
from project.outbox.kinds import BadPayload, checked
from project.outbox.models import KEY_LENGTH, State, Write

log = logging.getLogger(__name__)

GIVE_UP_AFTER = timedelta(hours=2)
LONGEST_COUNTDOWN = 300.0  # seconds that a broker keeps a task; longer waits are left to the sweep

IMPATIENT = {"max_retries": 1, "interval_start": 0.0, "connect_retries_timeout": 1.0}

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}\Z")


def queue(
    *,
    kind: str,
    key: str,
    repository: str,
    payload: dict[str, Any],
    by: User | None,
    wait: timedelta = timedelta(0),
    subject: str = "",
) -> Write:
    """A write that will be delivered once the caller's transaction has been committed, and after `wait`.

    The same key gives the same row, whoever asks: `is_new` is then false and `by_login` names who was first. One that
    has failed or was cancelled is taken up again with the new payload if a person asks; a machine gets it as it is, for
    it would ask for ever. Raises `BadPayload` (a ValueError) for a payload that its kind cannot use.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("queue() belongs into the transaction that decides the write")
    if not key or len(key) > KEY_LENGTH or "\0" in key:
        raise BadPayload(f"{kind}: the key must have 1 to {KEY_LENGTH} characters")
    if not _REPOSITORY.match(repository):
        raise BadPayload(f"{kind}: the repository is owner/name, not {repository[:100]!r}")
    payload = checked(kind, payload)
    now = timezone.now()
    fields = {
        "kind": kind,
        "repository": repository,
        "subject": clean(subject, 300),
        "payload": payload,
        "by": by,
        "by_login": by.get_username() if by else "",
    }
    times = {"due_at": now + wait, "give_up_at": now + wait + GIVE_UP_AFTER}
    # One that is asked for at the same time waits here until the other's transaction has ended.
    write, is_new = Write.objects.get_or_create(key=key, defaults={**fields, **times, "created_at": now})
    if not is_new and by is not None and write.state in (State.FAILED, State.CANCELLED):
        write = Write.objects.select_for_update().get(pk=write.pk)
        if write.state in (State.FAILED, State.CANCELLED):
            _again(write, **fields, **times, steps={"before": write.steps} if write.steps else {})
            is_new = True
    write.is_new = is_new
    if is_new:
        _wake(write.pk, wait)
    return write


@transaction.atomic
def cancel(write: Write, *, by: User | None) -> bool:
    """Undo a write that has not been sent. False if it is too late, or it was cancelled before."""
    locked = Write.objects.select_for_update().get(pk=write.pk)
    # What may already have reached GitHub cannot be taken back by not asking again.
    mine = locked.state == State.QUEUED and not locked.unsure
    if mine:
        locked.state, locked.done_at, locked.problem = State.CANCELLED, timezone.now(), ""
        locked.save(update_fields=["state", "done_at", "problem"])
        fates.tell(locked)
        _audit("write.cancel", locked, by)
    _copy(locked, write)
    return mine


@transaction.atomic
def retry(write: Write, *, by: User | None) -> bool:
    """Try one again that has failed or was cancelled. False if it has not, or somebody was faster."""
    locked = Write.objects.select_for_update().get(pk=write.pk)
    mine = locked.state in (State.FAILED, State.CANCELLED)
    if mine:
        now = timezone.now()
        _again(locked, due_at=now, give_up_at=now + GIVE_UP_AFTER)
        _audit("write.retry", locked, by)
        _wake(locked.pk, timedelta(0))
    _copy(locked, write)
    return mine


def _again(write: Write, **changes: Any) -> None:
    """Back to the queue. What is known about its earlier tries stays: it may have taken effect after all."""
    changes |= {"state": State.QUEUED, "done_at": None, "problem": "", "http_status": None, "result": {}}
    for name, value in changes.items():
        setattr(write, name, value)
    write.save(update_fields=list(changes))


def _audit(action: str, write: Write, by: User | None) -> None:
    if by is not None:
        audit.record(
            by=by,
            action=action,
            target=f"write {write.pk}",
            repository=write.repository,
            detail={"kind": write.kind, "subject": write.subject},
        )


def _copy(source: Write, target: Write) -> None:
    """What the caller holds shall not tell yesterday's news."""
    for field in Write._meta.concrete_fields:
        setattr(target, field.attname, getattr(source, field.attname))


def _wake(write_id: int, wait: timedelta) -> None:
    seconds = wait.total_seconds()
    if seconds <= LONGEST_COUNTDOWN:
        transaction.on_commit(partial(_send, write_id, seconds), robust=True)


def _send(write_id: int, seconds: float) -> None:
    from project.outbox.tasks import deliver  # tasks import delivery, and that imports this room's models and kinds

    countdown = seconds + 0.1 if seconds else None
    try:
        # A connection of its own, for Celery's tries for six seconds, and a person waits for this.
        with deliver.app.connection_for_write(transport_options=IMPATIENT) as connection:
            deliver.apply_async((write_id,), countdown=countdown, connection=connection, retry=False)
    except Exception as error:  # whatever a broker may raise; the sweep finds the row
        log.warning("the broker does not take a write", extra={"write": write_id, "error": type(error).__name__})
