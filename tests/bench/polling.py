"""An hour of the PyTorch-scale world by polling alone: how many counted requests, and how old trunk ever was."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hud import ingest, polling
from hud.models import Commit, Repository, Run, SyncKind, SyncState
from project.github.budget import Budget
from project.github.client import Client
from project.github.tokens import PersonalToken
from project.simulator.running import Running, running_simulator

from .table import Row

START = "2026-03-04T15:00:00Z"
# Polls are asked what is due this often, as beat does.
TICK = timedelta(seconds=10)


def _client(simulator: Running) -> Client:
    return Client(
        token=PersonalToken("bench"),
        api_url=simulator.url,
        budget=Budget("bench", None),
        validators=polling._StoredValidators(),
        sleep=lambda seconds: None,
    )


def _turn(repository: Repository, now: datetime, client: Client) -> None:
    for _, kind in polling.due(now):
        polling.poll(repository.pk, kind, now=now, client=client)


def _hour(simulator: Running, repository: Repository, start: datetime) -> tuple[int, float, Counter[str]]:
    """Returns counted requests, the oldest that trunk ever was in seconds, and what was counted by route."""
    client = _client(simulator)
    oldest = 0.0
    simulator.control("counts", reset=True)
    for tick in range(int(timedelta(hours=1) / TICK)):
        now = start + TICK * (tick + 1)
        simulator.control("clock", advance=TICK.total_seconds())
        oldest = max(oldest, _age_of_trunk(repository, now))  # before the poll: the moment at which it is oldest
        _turn(repository, now, client)
    counts = simulator.counts()
    return counts["counted"], oldest, Counter(counts["counted_by_route"])


def _age_of_trunk(repository: Repository, now: datetime) -> float:
    """Seconds since the oldest of the polls that make up the trunk's state last succeeded."""
    kinds = (SyncKind.COMMITS, SyncKind.WORKFLOW_RUNS, SyncKind.JOBS, SyncKind.CHECKS)
    states = SyncState.objects.filter(repository=repository, kind__in=kinds).values_list("succeeded_at", flat=True)
    return max((now - at).total_seconds() if at else 0.0 for at in states)


def measure(*, backfill: int = 60, scale: str = "pytorch") -> list[Row]:
    """The table's rows about polling. Reads the newest `backfill` commits first, which is not counted here."""
    with running_simulator(scale=scale, seed=5, start=START, speed=0, hourly_limit=1_000_000) as simulator:
        owner, name = simulator.full_name.split("/")
        repository, _ = ingest.add_repository(owner, name)
        Repository.objects.filter(pk=repository.pk).update(backfill_commits=backfill)
        start = datetime.fromisoformat(START.replace("Z", "+00:00")).astimezone(UTC)
        client = _client(simulator)
        while (
            Commit.objects.filter(branchcommit__isnull=False, runs_listed_at=None).exists() or not Run.objects.exists()
        ):
            SyncState.objects.filter(repository=repository).update(due_at=None)
            _turn(repository, start, client)
        simulator.control("counts", reset=True)
        counted, oldest, routes = _hour(simulator, repository, start)
        simulator.control("overlay", quiet=True)
        simulator.control("clock", advance=12 * 3600)
        start += timedelta(hours=13)
        for _ in range(3):  # the last runs end; everything is read once more
            SyncState.objects.filter(repository=repository).update(due_at=None)
            _turn(repository, start, client)
            start += timedelta(minutes=15)
            simulator.control("clock", advance=900)
        idle, _, idle_routes = _hour(simulator, repository, start)
    made_of = ", ".join(f"{count} {route}" for route, count in routes.most_common())
    return [
        Row("polling: counted requests in a PyTorch-scale hour", counted, "requests", 3000, "<=", 1.0, made_of),
        Row("polling: oldest that trunk ever was", oldest, "s", 60, "<=", 1.0),
        Row("polling: counted requests in an idle hour", idle, "requests", 1, "<=", 0.0, str(dict(idle_routes))),
    ]
