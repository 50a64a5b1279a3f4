"""How reading from GitHub is going: what `/status`, its JSON and the readiness check are made of.

Works without Redis: what only Redis knows is then said to be unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.paginator import Page, Paginator
from django.db.models import Count, Min, Q
from django.utils import timezone

from hud import freshness, webhooks
from hud.freshness import Freshness
from hud.models import (
    Branch,
    Delivery,
    DeliveryState,
    MissedEvent,
    Redelivery,
    Repository,
    SetAside,
    SyncKind,
    SyncState,
    WaitingJob,
)
from project import health, outbox
from project.github import factory
from project.github.budget import BudgetState

SET_ASIDE_PER_PAGE = 25
_DAY = timedelta(days=1)

log = logging.getLogger(__name__)


class Worker(NamedTuple):
    """Whether background work goes on, in words."""

    ok: bool
    says: str


@dataclass(frozen=True, slots=True)
class Poll:
    """How the polling of one kind is going for one repository. All times are None before the first poll.

    `age` says how long ago it last succeeded, `due` when its next turn is.
    """

    kind: SyncKind
    age: str = "never"
    due: str = "now"
    started_at: datetime | None = None
    succeeded_at: datetime | None = None
    due_at: datetime | None = None
    failures: int = 0
    problem: str = ""
    behind: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How webhooks tell of one repository. `age` says how long ago the last delivery was processed.

    `received` is of the last hour, `waiting` of now, the others of the last day. `missed` is what polling found.
    """

    age: str = ""
    flowing: bool = False
    received: int = 0
    waiting: int = 0
    failed: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True)
class RepositoryStatus:
    """One repository. `missing` are branches to be watched that GitHub does not list."""

    repository: Repository
    fresh: Freshness
    polls: tuple[Poll, ...]
    branches: tuple[Branch, ...]
    missing: tuple[str, ...]
    waiting: int
    waiting_since: datetime | None
    set_aside: int
    webhooks: Webhooks = Webhooks()

    @property
    def problems(self) -> list[Poll]:
        """The kinds whose last poll failed."""
        return [poll for poll in self.polls if poll.problem]

    @property
    def backfill(self) -> Poll | None:
        """The reading of the repository's history, while it goes on."""
        return next((poll for poll in self.polls if poll.kind == SyncKind.BACKFILL and poll.done < poll.total), None)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that the page refreshes by itself. `budget` is None if it could not be asked for."""

    now: datetime
    worker: Worker
    budget: BudgetState | None
    repositories: tuple[RepositoryStatus, ...]
    set_aside: int
    redelivered: int = 0
    strange: int = 0
    outbox: outbox.Summary | None = None


def read() -> Overview:
    """How everything is going now. Nine queries, however many repositories there are."""
    now = timezone.now()
    repositories = list(Repository.objects.order_by("owner", "name"))
    polls: dict[int, dict[str, Poll]] = {}
    told: dict[int, SyncState] = {}
    for state in SyncState.objects.filter(kind__in=[*SyncKind.values, freshness.WEBHOOKS]):
        if state.kind == freshness.WEBHOOKS:
            told[state.repository_id] = state
        else:
            polls.setdefault(state.repository_id, {})[state.kind] = _poll(state, now)
    hooks, strange = _webhooks(repositories, told, now)
    branches: dict[int, list[Branch]] = {}
    for branch in Branch.objects.filter(watched=True).order_by("name"):
        branches.setdefault(branch.repository_id, []).append(branch)
    counted = WaitingJob.objects.values("repository_id").annotate(number=Count("pk"), since=Min("seen_at"))
    waiting = {row["repository_id"]: (row["number"], row["since"]) for row in counted}
    set_aside = dict(SetAside.objects.values_list("repository_id").annotate(Count("pk")))
    return Overview(
        now,
        _worker(),
        _budget(),
        tuple(
            _of_repository(
                repository,
                polls.get(repository.pk, {}),
                branches.get(repository.pk, []),
                waiting.get(repository.pk, (0, None)),
                set_aside.get(repository.pk, 0),
                now,
                hooks[repository.pk],
                told.get(repository.pk),
            )
            for repository in repositories
        ),
        sum(set_aside.values()),
        Redelivery.objects.filter(asked_at__gt=now - _DAY).count(),
        strange,
        outbox.summary(),
    )


def _webhooks(
    repositories: list[Repository], told: dict[int, SyncState], now: datetime
) -> tuple[dict[int, Webhooks], int]:
    """Of each repository, and how many deliveries of the last hour were about none of them. Two queries."""
    recent = Q(received_at__gt=now - timedelta(hours=1))
    waiting, failed = Q(state=DeliveryState.WAITING), Q(state=DeliveryState.FAILED, received_at__gt=now - _DAY)
    counted = {
        row["repository_github_id"]: row
        for row in Delivery.objects.filter(recent | waiting | failed)
        .values("repository_github_id")
        .annotate(
            received=Count("pk", filter=recent), waits=Count("pk", filter=waiting), failed=Count("pk", filter=failed)
        )
    }
    missed = dict(
        MissedEvent.objects.filter(found_at__gt=now - _DAY).values_list("repository_id").annotate(Count("pk"))
    )
    found = {}
    for repository in repositories:
        row: Any = counted.pop(repository.github_id, {}) if repository.github_id else {}
        state = told.get(repository.pk)
        found[repository.pk] = Webhooks(
            f"{freshness.age(now - state.succeeded_at)} ago" if state and state.succeeded_at else "",
            state is not None and webhooks.is_flowing(state, now),
            row.get("received", 0), row.get("waits", 0), row.get("failed", 0), missed.get(repository.pk, 0),
        )  # fmt: skip
    return found, sum(row["received"] for row in counted.values())


def _poll(state: SyncState, now: datetime) -> Poll:
    return Poll(
        SyncKind(state.kind),
        f"{freshness.age(now - state.succeeded_at)} ago" if state.succeeded_at else "never",
        f"in {freshness.age(state.due_at - now)}" if state.due_at and state.due_at > now else "now",
        state.started_at, state.succeeded_at, state.due_at, state.failures, state.problem, state.behind,
        state.done, state.total,
    )  # fmt: skip


def _of_repository(
    repository: Repository,
    polls: dict[str, Poll],
    branches: list[Branch],
    waiting: tuple[int, datetime | None],
    set_aside: int,
    now: datetime,
    hooks: Webhooks,
    told: SyncState | None,
) -> RepositoryStatus:
    states: list[tuple[Any, ...]] = [
        (p.kind, p.succeeded_at, p.problem, p.behind, p.done, p.total) for p in polls.values()
    ]
    states += [(told.kind, told.succeeded_at)] if told else []
    known = {branch.name for branch in branches}
    wanted = dict.fromkeys(name for name in (repository.trunk, *repository.watched_branches) if name)
    return RepositoryStatus(
        repository,
        freshness.judge(states, now, repository.active),
        tuple(polls.get(kind, Poll(kind)) for kind in SyncKind),
        tuple(sorted(branches, key=lambda branch: branch.name != repository.trunk)),
        # Until the branches have been listed, nothing is known to be missing.
        tuple(name for name in wanted if name not in known) if repository.branches_listed_at else (),
        *waiting,
        set_aside,
        hooks,
    )


def set_aside(page: str | int = 1) -> Page[SetAside]:
    """What could not be stored, the latest first. A page out of range is the nearest one. Two queries."""
    rows = SetAside.objects.select_related("repository").order_by("-last_seen", "-pk")
    return Paginator(rows, SET_ASIDE_PER_PAGE).get_page(page)


def stale(repositories: Iterable[RepositoryStatus]) -> list[RepositoryStatus]:
    """Those that are watched, but whose data has stalled or was never read."""
    return [one for one in repositories if one.repository.active and one.fresh.kind in ("stalled", "unread")]


def _worker() -> Worker:
    try:
        return Worker(True, f"Working; last {health.worker()}.")
    except health.NotReadyError as error:
        words = str(error)
        return Worker(False, f"{words[0].upper()}{words[1:]}.")


def _budget() -> BudgetState | None:
    try:
        return factory.budget().snapshot()
    except Exception:  # a page about what is wrong must not fail because of what is wrong
        log.exception("the rate budget could not be read")
        return None
