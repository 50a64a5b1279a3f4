"""Verdicts scored against the truth: are confirmed culprits guilty, are the guilty found, at what cost in re-runs?

A world of its own, drawn from a seed and small enough to be played thousands of commits long: commits land alone or in
batches of which only the last is tested; attempts flake; machines go down for an hour; one commit in 25 breaks one to
twelve configurations until it is reverted (half an hour after it was confirmed) or somebody mends it unasked, 6 to 18
hours later. Re-runs are what the verdicts ask for, for signals that `hud.gathering` calls a break, when `hud.reruns`
lets them.

Then what one arriving run costs, with the real tables.
"""

from __future__ import annotations

import heapq
import os
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from statistics import median

from hud import gathering
from hud.gathering import Red, SignalId, Standing
from hud.reruns import due
from hud.tracks import CommitTold, Told, judged
from hud.verdicts import WINDOW, Event

from .table import Row

SEEDS = (1, 2, 3)
FLAKE_RATES = (0.005, 0.01, 0.02, 0.05)
COMMITS = int(os.environ.get("BENCH_VERDICT_COMMITS", "2000"))
CONFIGURATIONS = 40
START = datetime(2026, 1, 1, tzinfo=UTC)
REVERT_MINUTES = 30


@dataclass
class Truth:
    """One commit that breaks something: from `at` until just before `fix`, both places on trunk."""

    at: int
    configurations: frozenset[int]
    fix: int
    failed_first: float | None = None
    confirmed: float | None = None


@dataclass
class Score:
    """What became of it, counted over commits, not signals."""

    guilty: int = 0
    innocent: int = 0
    missed: int = 0
    reruns: int = 0
    waits: list[float] = field(default_factory=list)  # minutes from the culprit's first failure to the verdict

    def __add__(self, other: Score) -> Score:
        return Score(
            self.guilty + other.guilty, self.innocent + other.innocent, self.missed + other.missed,
            self.reruns + other.reruns, [*self.waits, *other.waits],
        )  # fmt: skip


class World:
    """Minutes since the start; commits by their place."""

    def __init__(self, seed: int, flake: float, commits: int) -> None:
        self.random = Random(f"{seed} {flake}")
        self.flake = flake
        self.landed: list[float] = []
        self.tested: list[bool] = []
        self._land(commits)
        self.minutes = [self.random.uniform(20, 120) for _ in range(CONFIGURATIONS)]
        self.truths: dict[int, Truth] = {}
        for at in range(20, commits - 40):
            if self.random.random() < 1 / 25:
                size = self.random.choices((1, self.random.randint(2, 4), self.random.randint(5, 12)), (45, 35, 20))[0]
                hit = frozenset(self.random.sample(range(CONFIGURATIONS), size))
                mended = self.landed[at] + self.random.uniform(6, 18) * 60
                self.truths[at] = Truth(at, hit, bisect_left(self.landed, mended))
        self.outages: list[tuple[float, float, frozenset[int]]] = []
        begin = 0.0
        while (begin := begin + self.random.expovariate(1 / (3 * 1440))) < self.landed[-1]:
            hit = frozenset(self.random.sample(range(CONFIGURATIONS), CONFIGURATIONS * 3 // 10))
            self.outages.append((begin, begin + self.random.uniform(30, 90), hit))

    def _land(self, commits: int) -> None:
        now = 0.0
        while len(self.landed) < commits:
            now += self.random.expovariate(1 / 28)
            size = self.random.randint(2, 5) if self.random.random() < 0.12 else 1
            for n in range(min(size, commits - len(self.landed))):
                self.landed.append(now + n * 0.1)
                self.tested.append(n == size - 1)

    def broken(self, configuration: int, at: int) -> Truth | None:
        """What breaks it there, the newest culprit first."""
        for culprit in range(at, max(-1, at - 90), -1):
            truth = self.truths.get(culprit)
            if truth and configuration in truth.configurations and at < truth.fix:
                return truth
        return None

    def attempt(self, configuration: int, at: int, began: float) -> tuple[str, str]:
        """What an attempt says, and the key of its failure."""
        truth = self.broken(configuration, at)
        if truth is not None:
            return "F", f"break {truth.at}"
        for number, (begin, end, hit) in enumerate(self.outages):
            if begin <= began < end and configuration in hit and self.random.random() < 0.8:
                # One outage in four doesn't look like one in the logs.
                return "F", f"{'strange' if number % 4 == 0 else 'outage'} {number}"
        if self.random.random() < self.flake:
            return "F", f"flake {self.random.randint(0, 40)}"
        return "S", ""


class Play:
    """The world as it happens, with the product's rules deciding."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.order = count()
        self.queue: list[tuple[float, int, str, tuple[int, int, float]]] = []
        # configuration → place → [began, ended, says, key]
        self.attempts: list[dict[int, list[tuple[float, float, str, str]]]] = [{} for _ in range(CONFIGURATIONS)]
        self.reds: dict[SignalId, Red] = {}
        self.wanted: dict[SignalId, tuple[int, ...]] = {}
        self.standing: list[Standing] = []
        self.reruns: dict[tuple[int, int], list[datetime]] = {}
        self.accused: dict[int, float] = {}
        self.newest = -1
        self._infra = {f"outage {number}" for number in range(len(world.outages))}

    def run(self) -> Score:
        """Play all commits; return the score."""
        for at, landed in enumerate(self.world.landed):
            self._at(landed, "land", (at, 0, 0.0))
        while self.queue:
            now, _, what, (at, configuration, began) = heapq.heappop(self.queue)
            if what == "land":
                self.newest = at
                if self.world.tested[at]:
                    for one in range(CONFIGURATIONS):
                        self._start(one, at, now + self.world.random.uniform(1, 15))
            elif what == "end":
                self._ended(configuration, at, began, now)
        score = Score(reruns=sum(map(len, self.reruns.values())))
        for truth in self.world.truths.values():
            if truth.confirmed is None:
                score.missed += 1
            else:
                score.guilty += 1
                score.waits.append(truth.confirmed - (truth.failed_first or truth.confirmed))
        score.innocent = sum(at not in self.world.truths for at in self.accused)
        return score

    def _at(self, when: float, what: str, details: tuple[int, int, float]) -> None:
        heapq.heappush(self.queue, (when, next(self.order), what, details))

    def _start(self, configuration: int, at: int, began: float) -> None:
        says, key = self.world.attempt(configuration, at, began)
        ended = began + self.world.minutes[configuration] * self.world.random.uniform(0.9, 1.2)
        self.attempts[configuration].setdefault(at, []).append((began, ended, says, key))
        self._at(ended, "end", (at, configuration, began))

    def _ended(self, configuration: int, at: int, began: float, now: float) -> None:
        says = next(one[2] for one in self.attempts[configuration][at] if one[0] == began)
        truth = self.world.truths.get(at)
        if says == "F" and truth and truth.failed_first is None and configuration in truth.configurations:
            truth.failed_first = now
        if says == "S" and not any(one.configuration_id == configuration for one in self.reds):
            return
        self._judge(configuration, now)
        self._gather(now)

    def _judge(self, configuration: int, now: float) -> None:
        since = self.world.landed[self.newest] - WINDOW.total_seconds() / 60
        first = bisect_left(self.world.landed, since)
        mine = self.attempts[configuration]
        told = [
            CommitTold(
                str(at),
                [
                    Told(
                        Event(says if ended <= now else "P", START + timedelta(minutes=began)),  # type: ignore[arg-type]
                        (key,) if key and ended <= now else (),
                    )
                    for began, ended, says, key in mine.get(at, ())
                    if began <= now
                ],
            )
            for at in range(self.newest, first - 1, -1)
        ]
        for signal_id in [one for one in self.reds if one.configuration_id == configuration]:
            del self.reds[signal_id], self.wanted[signal_id]
        for test, key, verdict, _, failures, wanted in judged(told, infra=self._infra):
            evidence = verdict.evidence
            suspect = int(evidence.suspect) if evidence.suspect else None
            low = int(evidence.gap[-1]) if evidence.gap else suspect
            signal_id = SignalId(configuration, test)
            self.reds[signal_id] = Red(
                signal_id, verdict.code, suspect, low, None, failures, key, bool(verdict.culprit)
            )
            self.wanted[signal_id] = tuple(map(int, wanted))

    def _gather(self, now: float) -> None:
        plan = gathering.gather(list(self.reds.values()), self.standing)
        clusters = dict(plan.standing)
        top = max([0, *clusters, *(one.number for one in self.standing)])
        clusters |= {top + n: cluster for n, cluster in enumerate(plan.new, start=1)}
        self.standing = [Standing(n, frozenset(red.id for red in c.members)) for n, c in clusters.items()]
        for cluster in clusters.values():
            for red in cluster.members:
                configuration = red.id.configuration_id
                if red.culprit and red.suspect_at is not None:
                    self._confirmed(red.suspect_at, configuration, now)
                self._rerun(red, now)

    def _rerun(self, red: Red, now: float) -> None:
        configuration = red.id.configuration_id
        moment = START + timedelta(minutes=now)
        first = min((one[0] for one in self.attempts[configuration].get(red.suspect_at or 0, ())), default=now)
        for at in self.wanted.get(red.id, ()):
            asked = self.reruns.setdefault((configuration, at), [])
            pending = any(ended > now for _, ended, _, _ in self.attempts[configuration].get(at, ()))
            failed_at, infra = START + timedelta(minutes=first), red.key in self._infra
            if not pending and due(asked, now=moment, failed_at=failed_at, infra=infra):
                asked.append(moment)
                self._start(configuration, at, now + self.world.random.uniform(0.5, 3))

    def _confirmed(self, at: int, configuration: int, now: float) -> None:
        self.accused.setdefault(at, now)
        truth = self.world.truths.get(at)
        if truth is None or truth.confirmed is not None or configuration not in truth.configurations:
            return
        truth.confirmed = now
        fix = bisect_left(self.world.landed, now + REVERT_MINUTES)
        truth.fix = min(truth.fix, max(fix, self.newest + 1))


def measure() -> list[Row]:
    """The score, then the cost of one arriving run."""
    return [*score(), *_cost()]


def score() -> list[Row]:
    """Precision and recall for each flake rate over all seeds."""
    rows = []
    total = Score()
    for flake in FLAKE_RATES:
        score = Score()
        for seed in SEEDS:
            score += Play(World(seed, flake, COMMITS)).run()
        total += score
        rows += _rows(f"flake rate {flake:.1%}", score)
    return [*rows, *_rows("all", total)]


def _cost() -> list[Row]:
    """What one arriving run costs in CPU, on 400 configurations and 500 commits: of a signal that is green, and of one
    that is red, which is judged over all 500."""
    from hud import signals
    from hud.cells import Outcome
    from hud.models import Commit, CommitCells, Configuration, JobName, Run
    from project.celery import settle_memory
    from project.github.outcomes import Conclusion, Status

    from . import world

    settle_memory()  # as a worker does
    world.clear()
    repository = world.make(commits=500, configurations=400)
    repository.window_hours = 24 * 30
    repository.save()
    commits = list(Commit.objects.filter(repository=repository).order_by("-committed_at"))
    row = bytes([Outcome.PASSED]) * 400
    red = bytes([Outcome.FAILED]) + row[1:]
    CommitCells.objects.filter(commit__in=commits).delete()
    CommitCells.objects.bulk_create(
        CommitCells(commit=commit, cells=red if n < 3 else row) for n, commit in enumerate(commits)
    )
    column = Configuration.objects.get(repository=repository, slot=0)
    name = JobName.objects.get(configuration=column)
    Run.objects.bulk_create(
        Run(
            id=n << 2, workflow_run_id=n, commit=commit, configuration=column, job_name=name, status=Status.COMPLETED,
            conclusion=Conclusion.FAILURE if n < 3 else Conclusion.SUCCESS, started_at=commit.committed_at,
        )
        for n, commit in enumerate(commits)
    )  # fmt: skip
    signals.update(repository, (), everything=True)
    green = Configuration.objects.get(repository=repository, slot=7)
    rows = []
    for words, configuration in (("green", green), ("red, judged anew", column)):
        touched = {(commits[0].pk, configuration.pk)}
        times = []
        for _ in range(60):
            began = time.process_time()
            signals.update(repository, touched)
            times.append((time.process_time() - began) * 1000)
        rows.append(Row(f"verdict for one new run, 400x500, {words}: CPU", median(times), "ms", 2.0, "<=", 1.0))
    world.clear()
    return rows


def _rows(name: str, score: Score) -> list[Row]:
    accused, guilty = score.guilty + score.innocent, score.guilty + score.missed
    note = f"{score.reruns / max(guilty, 1):.1f} re-runs a break; {median(score.waits or [0]):.0f} min to the verdict"
    return [
        Row(f"verdicts, {name}: precision", score.guilty, "culprits", accused, ">=", 0.99, f"{accused} confirmed"),
        Row(f"verdicts, {name}: recall", score.guilty, "culprits", guilty, ">=", 0.95, note),
    ]


if __name__ == "__main__":  # needs no servers: python -m tests.bench.verdicts
    from .table import printed

    began = time.perf_counter()
    print(printed(score()))
    print(f"{time.perf_counter() - began:.0f} s")
