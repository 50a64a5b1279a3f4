"""One write taken to GitHub, and its fate recorded. A worker killed anywhere in here neither loses nor doubles it.

The row says `sending` before GitHub is called, and is taken again if nobody shows signs of life in it for `LEASE`.
Then, and after every call that may have taken effect without an answer (`unsure`), the kind's `find` is asked before
its `send`. An advisory lock of PostgreSQL's keeps two workers from one row; it goes when its worker does.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from project.github import factory
from project.github.client import RepoRef
from project.github.errors import GitHubError, RateLimited
from project.github.fields import clean
from project.outbox import fates, kinds
from project.outbox.kinds import Kind, Refused, Result, Turn
from project.outbox.models import PROBLEM_LENGTH, State, Write
from project.outbox.words import problem_of

log = logging.getLogger(__name__)

#: Longer than any one request takes (see `project.github.transport`, `pacing` and `budget`); each step renews it.
LEASE = timedelta(seconds=120)
BACKOFF = 4.0  # seconds after the first failure, doubled with each
BACKOFF_MAX = 300.0
AT_ONCE = 100  # rows that one sweep starts
TELL_AGAIN = timedelta(seconds=30)  # after a listener to a fate has raised
TELL_TRIES = 20


@dataclass(slots=True)
class Outcome:
    """How a try ended. State `queued`: to be tried again at ``due_at``."""

    state: State
    result: Result = field(default_factory=dict)
    problem: str = ""
    status: int | None = None
    unsure: bool = False
    due_at: datetime | None = None


def due() -> list[int]:
    """The writes that a worker should look at now, the oldest first."""
    found = Write.objects.filter(_takeable(timezone.now())).order_by("due_at", "pk")
    return list(found.values_list("pk", flat=True)[:AT_ONCE])


def deliver(write_id: int) -> str:
    """Try one write once, if it is due and nobody else has it. How it went, in a word, for the log."""
    with _only_one(write_id) as mine:
        if not mine:
            return "busy"
        write = _take(write_id)
        if write is None:
            return "not due"
        outcome = _known(write) or _try(write)
        return _record(write, outcome)


def _takeable(now: datetime) -> Q:
    waiting = Q(state=State.QUEUED, due_at__lte=now)
    left_alone = Q(state=State.SENDING, sending_since__lt=now - LEASE)
    return waiting | left_alone


@contextmanager
def _only_one(write_id: int) -> Iterator[bool]:
    key = int.from_bytes(blake2b(f"arborist outbox {write_id}".encode(), digest_size=8).digest(), signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


@transaction.atomic
def _take(write_id: int) -> Write | None:
    now = timezone.now()
    rows = Write.objects.select_for_update(skip_locked=True)
    write = rows.filter(_takeable(now), pk=write_id).first()
    if write is None:
        return None
    # Whoever had it before was killed, or has lost us: GitHub may have been called.
    write.unsure = write.unsure or write.state == State.SENDING
    write.state, write.sending_since, write.tries = State.SENDING, now, write.tries + 1
    write.save(update_fields=["state", "sending_since", "tries", "unsure"])
    return write


def _try(write: Write) -> Outcome:
    try:
        kind = kinds.get(write.kind)
        turn = _turn(write, kind)
        found = kind.find(turn) if write.unsure else None
        result = found if found is not None else kind.send(turn)
        return Outcome(State.DONE, result)
    except RateLimited as error:
        # Refused at the door, by GitHub or by our own budget: only what was unsure before still is.
        return _later(write, problem_of(error), None, error.retry_at, unsure=write.unsure or bool(write.steps))
    except SoftTimeLimitExceeded:
        return _later(write, "It took too long.", None, None, unsure=True)
    except GitHubError as error:
        if error.passing:
            return _later(write, problem_of(error), error.status or None, None, unsure=True)
        return Outcome(State.FAILED, {}, problem_of(error), error.status or None, write.unsure)
    except Refused as error:
        return Outcome(State.FAILED, error.result, error.words, None, write.unsure)
    except Exception as error:
        log.exception("a write failed", extra={"write": write.pk, "kind": write.kind})
        words = f"A fault of Arborist's own: {type(error).__name__}. The log says more."
        return Outcome(State.FAILED, {}, words, None, True)


def _turn(write: Write, kind: Kind[Any]) -> Turn[Any]:
    owner, _, name = write.repository.partition("/")

    def save_steps() -> None:
        write.sending_since = timezone.now()
        Write.objects.filter(pk=write.pk, tries=write.tries).update(
            steps=write.steps, sending_since=write.sending_since
        )

    return Turn(
        github=factory.writer(),
        repo=RepoRef(owner, name),
        payload=kinds.read(kind.name, write.payload),
        marker=write.marker,
        by_login=write.by_login,
        created_at=write.created_at,
        steps=write.steps,
        save_steps=save_steps,
    )


def _later(write: Write, problem: str, status: int | None, not_before: datetime | None, *, unsure: bool) -> Outcome:
    """Try again, unless that has gone on for too long."""
    now = timezone.now()
    seconds = min(BACKOFF * 2 ** min(write.tries - 1, 10), BACKOFF_MAX)
    pause = timedelta(seconds=random.uniform(seconds / 2, seconds))
    due_at = max(now + pause, not_before + timedelta(seconds=random.uniform(0, 1))) if not_before else now + pause
    if due_at <= write.give_up_at:
        return Outcome(State.QUEUED, {}, problem, status, unsure, due_at)
    doubt = " It may have been done all the same: look at GitHub before you try again." if unsure else ""
    return Outcome(State.FAILED, {}, f"Given up after {write.tries} tries. {problem}{doubt}", status, unsure)


# -- what became of it ----------------------------------------------------------------------------------------------


def _record(write: Write, outcome: Outcome) -> str:
    try:
        return _record_and_tell(write, outcome)
    except Exception:
        if outcome.state == State.QUEUED:
            raise  # nobody is told of that, so it is the database that fails
        log.exception("a listener to the fate of a write failed", extra={"write": write.pk, "kind": write.kind})
        _remember(write, outcome)
        return "untold"


@transaction.atomic
def _record_and_tell(write: Write, outcome: Outcome, *, tell: bool = True) -> str:
    locked = Write.objects.select_for_update().get(pk=write.pk)
    mine = locked.state == State.SENDING and locked.tries == write.tries
    # Somebody has taken it from us, thinking us dead. That it is done is true nevertheless.
    if not mine and (outcome.state != State.DONE or locked.state == State.DONE):
        return "overtaken"
    locked.state, locked.result, locked.http_status = outcome.state, outcome.result, outcome.status
    locked.problem = clean(outcome.problem, PROBLEM_LENGTH)
    locked.unsure, locked.sending_since = outcome.unsure, None
    locked.steps.pop("fate", None)
    if outcome.state == State.QUEUED:
        assert outcome.due_at is not None
        locked.due_at = outcome.due_at
    else:
        locked.done_at = timezone.now()
    locked.save()
    if tell and locked.final:
        fates.tell(locked)
    return str(outcome.state.value)


def _remember(write: Write, outcome: Outcome) -> None:
    """Keep the fate in the row, so that telling it again needs no GitHub; after many tries, tell nobody."""
    before = write.steps.get("fate", {}).get("tries", 0)
    if before >= TELL_TRIES:
        _record_and_tell(write, outcome, tell=False)
        return
    fate = {
        "tries": before + 1,
        "state": outcome.state.value,
        "result": outcome.result,
        "problem": outcome.problem,
        "status": outcome.status,
        "unsure": outcome.unsure,
    }
    write.steps["fate"] = fate
    Write.objects.filter(pk=write.pk, tries=write.tries).update(
        steps=write.steps, sending_since=timezone.now() - LEASE + TELL_AGAIN
    )


def _known(write: Write) -> Outcome | None:
    """The fate that could not be told the last time."""
    fate = write.steps.get("fate")
    if not fate:
        return None
    return Outcome(State(fate["state"]), fate["result"], fate["problem"], fate["status"], fate["unsure"])
