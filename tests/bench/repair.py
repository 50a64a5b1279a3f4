"""The hour of `polling`, with webhooks: how many counted requests are left when polling only repairs.

Storing all that a PyTorch-sized hour tells takes minutes, so BENCH_REPAIR_MINUTES of it are played (20: every kind of
poll comes twice at least) after some that are not counted, and the requests are scaled up to an hour.

One delivery in fifty is lost on its way and never seen again; at the end nothing may be missing from the tables.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib import import_module

from django.conf import settings

from hud import ingest, webhooks
from hud.models import Commit, Delivery, MissedEvent, Repository, Run, SyncKind, SyncState
from project.github.webhooks import Delivery as Envelope
from project.simulator.gate import to_json
from project.simulator.happenings import Happenings
from project.simulator.running import Running, running_simulator

from .polling import START, TICK, _client, _turn
from .table import Row

LOST = 0.02
MINUTES = int(os.environ.get("BENCH_REPAIR_MINUTES", "20"))
BEFORE = 3  # minutes until polling has seen that webhooks flow: an hour that begins with silence is another one
A_MINUTE = int(timedelta(minutes=1) / TICK)


class _Hook:
    """Everything that happens, as GitHub would tell it, except for what is lost on its way."""

    def __init__(self, simulator: Running) -> None:
        self.simulator = simulator
        self.world = simulator.world
        self.happenings = Happenings(self.world)
        self.chance = random.Random(5)
        self.until = self.world.now()
        self.told: Counter[str] = Counter()

    def deliver(self, now: datetime) -> None:
        since, self.until = self.until, self.world.now()
        found = []
        for one in self.happenings.between(since, self.until, self.simulator.url):
            self.told[one.event] += 1
            if self.chance.random() < LOST:
                self.told["lost"] += 1
                continue
            body = to_json(one.payload, self.world, self.simulator.url)
            name = self.world.full_name
            found.append(Envelope(1, one.guid, one.event, one.action, self.world.id, name, body))
        if found:
            webhooks.take_in(found, at=now)
            webhooks.process(self.world.id, gather=0)


def _ready(simulator: Running, repository: Repository, start: datetime) -> None:
    """Read the history first; that is not counted."""
    client = _client(simulator)
    while Commit.objects.filter(branchcommit__isnull=False, runs_listed_at=None).exists() or not Run.objects.exists():
        SyncState.objects.filter(repository=repository).exclude(kind=webhooks.HOOKS).update(due_at=None)
        _turn(repository, start, client)


def measure(*, backfill: int = 30, scale: str = "pytorch") -> list[Row]:
    """The table's rows about polling beside webhooks."""
    import_module("project.celery")  # pushes send for a poll
    settings.WEBHOOK_SECRETS = ["only-for-benchmarks"]
    Repository.objects.all().delete()
    Delivery.objects.all().delete()
    try:
        with running_simulator(scale=scale, seed=5, start=START, speed=0, hourly_limit=1_000_000) as simulator:
            owner, name = simulator.full_name.split("/")
            repository, _ = ingest.add_repository(owner, name)
            Repository.objects.filter(pk=repository.pk).update(backfill_commits=backfill)
            start = datetime.fromisoformat(START.replace("Z", "+00:00")).astimezone(UTC)
            _ready(simulator, repository, start)
            return _hour(simulator, repository, start)
    finally:
        settings.WEBHOOK_SECRETS = []


def _hour(simulator: Running, repository: Repository, start: datetime) -> list[Row]:
    client, hook = _client(simulator), _Hook(simulator)
    oldest = 0.0
    for tick in range((BEFORE + MINUTES) * A_MINUTE):
        if tick == BEFORE * A_MINUTE:
            simulator.control("counts", reset=True)
        now = start + TICK * (tick + 1)
        simulator.control("clock", advance=TICK.total_seconds())
        hook.deliver(now)
        stamps = SyncState.objects.filter(
            repository=repository, kind__in=(SyncKind.COMMITS, SyncKind.WORKFLOW_RUNS)
        ).values_list("succeeded_at", flat=True)
        oldest = max(oldest, *((now - at).total_seconds() for at in stamps if at))
        _turn(repository, now, client)
    counts = simulator.counts()
    made_of = ", ".join(f"{count} {route}" for route, count in Counter(counts["counted_by_route"]).most_common())
    told = ", ".join(f"{count} {event}" for event, count in hook.told.most_common())
    missed = MissedEvent.objects.filter(repository=repository).count()
    return [
        Row("polling beside webhooks: requests in an hour", counts["counted"] * 60 / MINUTES, "requests", 900, "<=", 1,
            f"{counts['counted']} in {MINUTES} minutes: {made_of}"),
        Row("polling beside webhooks: oldest that trunk ever was", oldest, "s", 120, "<=", 1),
        Row("polling beside webhooks: told late, by polling only", missed, "events", max(hook.told["lost"], 1), "<=", 1,
            told),
    ]  # fmt: skip
