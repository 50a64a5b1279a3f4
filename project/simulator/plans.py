"""What CI does for a commit, from beginning to end: workflow runs, attempts, jobs, other apps' checks, statuses.

The whole plan is drawn at once from the commit's key; the present moment only decides how much of it has happened.
All times are whole seconds since the epoch.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from project.simulator.catalogue import QUEUE_MINUTES, Platform, Workflow
from project.simulator.draws import Draws
from project.simulator.failures import TIMED_OUT, Failure, draw_flake, draw_known_flake
from project.simulator.history import A_DAY, BESIDE, EPOCH_DAY, PULL_SERIAL, Break, Commit, History

RUN_ID, JOB_ID, SUITE_ID, STATUS_ID = 15_000_000_000, 100_000_000_000, 35_000_000_000, 42_000_000_000
RUNS_A_COMMIT, JOBS_A_RUN = 64, 1024  # room in the numbers
AGAIN_ID = 1_000_000_000_000_000  # jobs of attempts that a request began
_HOUR = 3600
# What failing for no fault of the commit costs, per job.
_FLAKE, _CANCELLED, _TIMED_OUT, _UNSTABLE_FAILS = 0.003, 0.0006, 0.0003, 0.25
_RUN_CANCELLED, _STARTUP_FAILURE, _SKIPPED = 0.004, 0.002, 0.01


@dataclass(frozen=True, slots=True)
class Job:
    id: int
    run_id: int
    attempt: int
    name: str
    base: str  # the configuration: its name without shard and runner
    label: str  # the runner that it asks for
    created: int
    started: int
    completed: int
    conclusion: str
    failure: Failure | None = None
    broken_by: str | None = None  # key of the break; None with a failure means a flake or infrastructure
    clone_of: int | None = None  # the job of the earlier attempt that this one repeats unchanged

    def status(self, now: float) -> str:
        if now >= self.completed:
            return "completed"
        return "in_progress" if now >= self.started else "queued"

    @property
    def unstable(self) -> bool:
        return self.name.endswith(", unstable)")


@dataclass(frozen=True, slots=True)
class Attempt:
    number: int
    started: int  # GitHub's run_started_at
    first_job: int  # when the run turns in_progress
    completed: int
    conclusion: str
    jobs: tuple[Job, ...]
    actor: str

    def status(self, now: float) -> str:
        if now >= self.completed:
            return "completed"
        return "in_progress" if now >= self.first_job else "queued"

    def updated(self, now: float) -> int:
        """The moment of the last change of the run's own status."""
        if now >= self.completed:
            return self.completed
        return self.first_job if now >= self.first_job else self.started


@dataclass(frozen=True, slots=True)
class Run:
    """A workflow run's head; its attempts are planned separately, when someone asks."""

    id: int
    suite_id: int
    workflow: Workflow
    commit: Commit
    slot: int
    number: int
    event: str
    created: int
    actor: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is broken on a commit: a break of trunk that it suffers from, or something of a pull request's own."""

    key: str
    configurations: frozenset[tuple[str, str]]  # (workflow, base name)
    failure: Failure


@dataclass(frozen=True, slots=True)
class Again:
    """An attempt that a request began."""

    place: int  # among all of them
    run_id: int
    number: int  # the attempt
    started: int
    actor: str
    what: str  # all | failed | the name of a job


class Plans:
    def __init__(self, history: History, *, cached_runs: int = 8000) -> None:
        self.history = history
        # Beside trunk, what runs and what is broken depends on pull requests and on what requests made.
        self.suffers: Callable[[Commit], Iterable[Break | Trouble]] = history.active_breaks
        self.checked: Callable[[Commit], tuple[int, Iterable[Workflow]]] = lambda commit: (0, ())
        self.runs = lru_cache(maxsize=6000)(self._runs)
        self._by_slot = lru_cache(maxsize=cached_runs)(self._attempts)

    def clear(self) -> None:
        """Forget all, because requests changed what commits there are and what is broken on them."""
        self.runs.cache_clear()
        self._by_slot.cache_clear()

    def attempts(self, run: Run) -> tuple[Attempt, ...]:
        """What happens without any request."""
        return self._by_slot(run.commit.serial, run.slot)

    def with_again(self, run: Run, requests: Iterable[Again]) -> tuple[Attempt, ...]:
        """What happens when requests begin further attempts: those not yet begun by themselves then never do."""
        attempts = list(self.attempts(run))
        for again in requests:
            attempts = [attempt for attempt in attempts if attempt.number < again.number]
            draws = Draws(self.history.seed, self.history.catalogue.scale, "again", run.id, again.number)
            planner = _Planner(run, draws, self._broken(run), first_id=AGAIN_ID + again.place * JOBS_A_RUN)
            attempts.append(planner.replay(attempts[-1], again))
        return tuple(attempts)

    def run(self, run_id: int) -> Run | None:
        serial, slot = divmod(run_id - RUN_ID, RUNS_A_COMMIT)
        commit = self.history.by_serial(serial) if serial >= 0 else None
        if commit is None:
            return None
        return next((run for run in self.runs(commit.serial) if run.slot == slot), None)

    def job(self, job_id: int) -> tuple[Run, Job] | None:
        run = self.run((job_id - JOB_ID) // JOBS_A_RUN + RUN_ID) if job_id >= JOB_ID else None
        if run is None:
            return None
        for attempt in self.attempts(run):
            for job in attempt.jobs:
                if job.id == job_id:
                    return run, job
        return None

    # -- runs -------------------------------------------------------------------------------------------------

    def _runs(self, serial: int) -> tuple[Run, ...]:
        """The runs on one commit, oldest first."""
        commit = self.history.by_serial(serial)
        assert commit is not None
        moments: list[tuple[int, Workflow, str]] = []
        if commit.line == BESIDE:
            begun, workflows = self.checked(commit)
            moments = [(begun + 2 + workflow.index % 7, workflow, "pull_request") for workflow in workflows]
            return self._numbered(commit, moments)
        end = 0 if commit.made else self.history.next_time(commit) if commit.line == 0 else 0
        for workflow in self.history.catalogue.workflows:
            if commit.line:
                if workflow.on_release:
                    moments.append((commit.time + 2 + workflow.index % 7, workflow, "push"))
            elif not workflow.every_hours:
                moments.append((commit.time + 2 + workflow.index % 7, workflow, "push"))
            else:
                # GitHub starts scheduled runs some minutes late.
                period, offset = workflow.every_hours * _HOUR, 420 + 97 * workflow.index
                first = -(-(commit.time - offset) // period) * period + offset
                moments += [(moment, workflow, "schedule") for moment in range(first, end, period)]
        return self._numbered(commit, moments)

    def _numbered(self, commit: Commit, moments: list[tuple[int, Workflow, str]]) -> tuple[Run, ...]:
        moments.sort(key=lambda found: (found[0], found[1].index))
        runs = []
        for slot, (created, workflow, event) in enumerate(moments[:RUNS_A_COMMIT]):
            index = commit.serial * RUNS_A_COMMIT + slot
            actor = commit.author
            runs.append(
                Run(
                    RUN_ID + index,
                    SUITE_ID + index * 2,
                    workflow,
                    commit,
                    slot,
                    _number(commit, workflow, created),
                    event,
                    created,
                    actor,
                )
            )
        return tuple(runs)

    # -- attempts ---------------------------------------------------------------------------------------------

    def _attempts(self, serial: int, slot: int) -> tuple[Attempt, ...]:
        run = self.runs(serial)[slot]
        history = self.history
        draws = Draws(history.seed, history.catalogue.scale, "run", run.id)
        if draws.chance(_STARTUP_FAILURE):
            ended = run.created + 2
            return (Attempt(1, run.created, run.created, ended, "startup_failure", (), run.actor),)
        planner = _Planner(run, draws, self._broken(run))
        attempts = [planner.first()]
        while (again := planner.again(attempts[-1])) is not None:
            attempts.append(again)
        return tuple(attempts)

    def _broken(self, run: Run) -> dict[str, tuple[str, Failure]]:
        """The key of what is broken and how it fails, by configuration."""
        return {
            base: (found.key, found.failure)
            for found in self.suffers(run.commit)
            for workflow, base in found.configurations
            if workflow == run.workflow.name
        }


def _number(commit: Commit, workflow: Workflow, created: int) -> int:
    """GitHub's run_number: unique within a workflow and growing, though not without gaps."""
    if commit.serial >= PULL_SERIAL:
        return commit.serial
    if workflow.every_hours:
        return created // (workflow.every_hours * _HOUR) - EPOCH_DAY * 24 // workflow.every_hours
    # Release branches count down from the end of the day's room, so as not to meet trunk.
    return (commit.day - EPOCH_DAY) * A_DAY + (A_DAY - 1 - commit.index if commit.line else commit.index)


class _Planner:
    """Draws the attempts of one run, one after the other."""

    def __init__(
        self, run: Run, draws: Draws, broken: dict[str, tuple[str, Failure]], *, first_id: int | None = None
    ) -> None:
        self.run, self.draws, self.broken = run, draws, broken
        self._next_id = JOB_ID + (run.id - RUN_ID) * JOBS_A_RUN if first_id is None else first_id
        # A job that runs again fails more easily than others: its cause may still be there. None means all of them.
        self._doubtful: set[str] | None = None

    def _id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def first(self) -> Attempt:
        jobs: list[Job] = []
        for platform in self.run.workflow.platforms:
            jobs += self._platform(platform, self.run.created, 1)
        if self.draws.chance(_RUN_CANCELLED):
            jobs = self._cancel(jobs)
        return self._close(1, self.run.created, jobs, self.run.actor)

    def again(self, last: Attempt) -> Attempt | None:
        """ "Re-run failed jobs", if somebody does it."""
        failed = [job for job in last.jobs if job.conclusion in ("failure", "timed_out", "cancelled")]
        bad = [job for job in failed if not job.unstable]
        if not bad or last.number >= 3:
            return None
        hopeless = all(job.broken_by for job in bad)
        if not self.draws.chance(0.2 if hopeless else 0.7 if last.number == 1 else 0.4):
            return None
        started = last.completed + int(self.draws.between(90, 1800))
        return self._repeat(last, last.number + 1, started, {job.name for job in failed}, None)

    def replay(self, last: Attempt, again: Again) -> Attempt:
        """A further attempt because a request asked for it."""
        bad = {job.name for job in last.jobs if job.conclusion in ("failure", "timed_out", "cancelled")}
        self._doubtful = bad
        if again.what == "all" or not last.jobs:
            jobs = [j for platform in self.run.workflow.platforms for j in self._platform(platform, again.started,
                                                                                          again.number)]  # fmt: skip
            return self._close(again.number, again.started, jobs, again.actor)
        names = bad if again.what == "failed" else {again.what}
        return self._repeat(last, again.number, again.started, names, again.actor)

    def _repeat(self, last: Attempt, number: int, started: int, names: set[str], actor: str | None) -> Attempt:
        """Some jobs run again, with all that needs them; the others are shown again as they were."""
        jobs: list[Job] = []
        done: set[str] = set()
        for platform in self.run.workflow.platforms:
            if platform.builds and platform.build_name in names:
                # Everything that needs the build runs with it.
                jobs += self._platform(platform, started, number)
                done |= {job.name for job in last.jobs if job.name.startswith(f"{platform.name} / ")}
        for job in last.jobs:
            if job.name in done:
                continue
            if job.name in names:
                jobs.append(self._job(job.name, job.base, job.label, started, number, self._minutes(job)))
            else:
                # GitHub shows an untouched job again under a new id, with its old times.
                source = job.clone_of or job.id
                jobs.append(replace(job, id=self._id(), attempt=number, clone_of=source))
        if actor is None:
            actor = self.draws.pick((self.run.actor, "mossy-stone", "rowan-ash"))
        return self._close(number, started, jobs, actor)

    def _minutes(self, job: Job) -> tuple[float, float]:
        """How long a job may take when it runs again: about as long as it may have taken before."""
        for platform in self.run.workflow.platforms:
            if job.base in platform.lone or job.base == platform.build_name:
                return platform.build_minutes
            if job.base.startswith(f"{platform.name} / test"):
                return platform.test_minutes
        return (10, 60)

    def _platform(self, platform: Platform, created: int, number: int) -> list[Job]:
        jobs = [
            self._job(name, name, platform.runner, created, number, platform.build_minutes) for name in platform.lone
        ]
        if not platform.builds:
            return jobs
        build_label = platform.runner if "win" in platform.runner or "mac" in platform.runner else "linux.4xlarge"
        build = self._job(
            platform.build_name, platform.build_name, build_label, created, number, platform.build_minutes
        )
        jobs.append(build)
        if not platform.tests:
            return jobs
        ready = build.completed + 3
        if build.conclusion != "success":
            # The matrix comes from the build; without it GitHub shows one skipped job with the short name.
            name, run_id = f"{platform.name} / test", self.run.id
            skipped = Job(self._id(), run_id, number, name, name, platform.runner, ready, ready, ready, "skipped")
            return [build, skipped]
        for config, shards in platform.tests:
            base = f"{platform.name} / test ({config})"
            jobs += [
                self._job(name, base, platform.runner, ready, number, platform.test_minutes)
                for name in platform.test_names(config, shards)
            ]
        return jobs

    def _job(self, name: str, base: str, label: str, created: int, number: int, minutes: tuple[float, float]) -> Job:
        draws = self.draws
        usual, worst = QUEUE_MINUTES.get(label, (0.5, 5))
        wait = -math.log(1 - draws.random()) * usual
        started = created + 2 + int(60 * min(wait, worst))
        # A job takes about as long every time; what differs between jobs is fixed by the name.
        own = Draws("minutes", self.run.workflow.name, name).random()
        low, high = minutes
        took = int(60 * (low + (high - low) * own) * draws.between(0.85, 1.15))
        conclusion, failure, broken_by = self._outcome(name, base, number)
        if failure is TIMED_OUT:
            took = 180 * 60
        elif conclusion != "success":
            took = int(took * draws.between(0.2, 1.0))
        elif draws.chance(_SKIPPED) and "/ test (" not in name and not name.endswith("/ build"):
            conclusion, started, took = "skipped", created, 0
        return Job(
            self._id(), self.run.id, number, name, base, label, created, started, started + took, conclusion,
            failure, broken_by,
        )  # fmt: skip

    def _outcome(self, name: str, base: str, number: int) -> tuple[str, Failure | None, str | None]:
        draws = self.draws
        roll = draws.random()
        found = self.broken.get(base)
        if found is not None and self._hits(name, base):
            return "failure", found[1], found[0]
        if name.endswith(", unstable)"):
            return ("failure", self._flake(name, number), None) if roll < _UNSTABLE_FAILS else ("success", None, None)
        if number > 1 and (self._doubtful is None or name in self._doubtful):
            roll /= 30
        elif self.run.event == "pull_request":
            roll /= 4  # a branch meets more trouble than trunk
        if roll < _FLAKE:
            return "failure", self._flake(name, number), None
        if roll < _FLAKE + _CANCELLED:
            return "cancelled", None, None
        if roll < _FLAKE + _CANCELLED + _TIMED_OUT:
            return "timed_out", TIMED_OUT, None
        return "success", None, None

    def _flake(self, name: str, number: int) -> Failure:
        """A failure that has nothing to do with the commit: often a test that is known to fail now and then."""
        failure = draw_flake(self.draws)
        if failure.kind != "pytest":
            return failure
        return draw_known_flake(Draws("flaky-test", self.run.id, name, number), self.run.workflow.name) or failure

    def _hits(self, name: str, base: str) -> bool:
        """A broken test lives in one shard, the same for all commits; builds and single jobs fail whole."""
        key, _ = self.broken[base]
        if "/ test (" not in name:
            return True
        shard, _, rest = name.rpartition(" / test (")[2].partition(", ")[2].partition(", ")
        total = int(rest.partition(",")[0])
        return int(shard) == 1 + int(Draws("shard", key).random() * total)

    def _cancel(self, jobs: list[Job]) -> list[Job]:
        """Somebody cancels the whole run on its way."""
        end = max(job.completed for job in jobs)
        at = self.run.created + int((end - self.run.created) * self.draws.between(0.1, 0.7))
        kept = []
        for job in jobs:
            if job.completed <= at:
                kept.append(job)
            elif job.created <= at:
                kept.append(
                    replace(job, started=min(job.started, at), completed=at, conclusion="cancelled", failure=None,
                            broken_by=None)
                )  # fmt: skip
        return kept

    def _close(self, number: int, started: int, jobs: list[Job], actor: str) -> Attempt:
        conclusions = {job.conclusion for job in jobs if not job.unstable}
        if conclusions & {"failure", "timed_out"}:
            conclusion = "failure"
        elif "cancelled" in conclusions:
            conclusion = "cancelled"
        else:
            conclusion = "success" if conclusions - {"skipped"} or not conclusions else "skipped"
        fresh = [job for job in jobs if job.clone_of is None]
        completed = max(job.completed for job in fresh) + 4
        first_job = min(job.started for job in fresh)
        return Attempt(number, started, first_job, completed, conclusion, tuple(jobs), actor)
