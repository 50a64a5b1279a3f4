"""The world at one moment: history and plans looked up by the clock, with what a test changed laid over them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from project.simulator.catalogue import CATALOGUES, Catalogue
from project.simulator.clock import Clock, iso
from project.simulator.history import DAY, TRUNK, Break, Commit, History
from project.simulator.other_checks import OtherCheck, Status, other_checks, statuses
from project.simulator.plans import Attempt, Job, Plans, Run

RETENTION_DAYS = 90  # workflow runs and logs older than this are gone
_LANDED_LONG_AGO = 3 * 3600  # `viable/strict` follows trunk at this distance, in seconds


@dataclass
class Overlay:
    """What control requests changed. Nothing of it survives a restart."""

    dropped: set[str] = field(default_factory=set)  # shas force-pushed away from trunk
    deleted_branches: set[str] = field(default_factory=set)
    titles: dict[str, str] = field(default_factory=dict)  # sha → message in place of the drawn one
    renamed_to: tuple[str, str] | None = None  # owner, repo
    gone: int | None = None  # every request for the repository gets this HTTP status
    quiet_from: float | None = None  # from this moment on nothing lands and nothing new starts


class World:
    def __init__(self, *, seed: int = 1, scale: str = "default", clock: Clock | None = None) -> None:
        self.catalogue: Catalogue = CATALOGUES[scale]
        self.seed = seed
        self.clock = clock or Clock()
        self.history = History(seed, self.catalogue)
        self.plans = Plans(self.history)
        self.overlay = Overlay()
        self.id = 610_000_000 + sum(self.catalogue.full_name.encode()) * 1009
        self._count_of_day = lru_cache(maxsize=1000)(self._count_runs_of_day)
        self._runs_of_day = lru_cache(maxsize=40)(self._list_runs_of_day)
        self.other_checks = lru_cache(maxsize=2000)(self._other_checks)
        self.statuses = lru_cache(maxsize=2000)(self._statuses)

    def now(self) -> float:
        return self.clock.now()

    def _other_checks(self, commit: Commit) -> tuple[OtherCheck, ...]:
        return other_checks(self.history, commit)

    def _statuses(self, commit: Commit) -> tuple[Status, ...]:
        return statuses(self.history, commit)

    def landed_until(self, now: float) -> float:
        quiet = self.overlay.quiet_from
        return now if quiet is None else min(now, quiet)

    # -- names ------------------------------------------------------------------------------------------------

    @property
    def owner(self) -> str:
        return self.overlay.renamed_to[0] if self.overlay.renamed_to else self.catalogue.owner

    @property
    def repo(self) -> str:
        return self.overlay.renamed_to[1] if self.overlay.renamed_to else self.catalogue.repo

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.repo}"

    def title(self, commit: Commit) -> str:
        return self.overlay.titles.get(commit.sha, commit.title)

    def message(self, commit: Commit) -> str:
        if commit.sha in self.overlay.titles:
            return self.overlay.titles[commit.sha]
        link = f"Pull Request resolved: #{commit.number}"
        return "\n\n".join(part for part in (commit.title, commit.body, link) if part)

    # -- branches and commits ---------------------------------------------------------------------------------

    def branches(self, now: float) -> list[tuple[str, Commit]]:
        """(name, head) of every branch, by name."""
        day = int(self.landed_until(now) // DAY)
        found = {TRUNK: next(self._walk(0, now))}
        for line, name in self.history.releases(day):
            found[name] = next(self._walk(line, now))
        found["viable/strict"] = self._viable(now)
        if self.catalogue.nightly:
            seven = (now - 7 * 3600) // DAY * DAY + 7 * 3600
            found["nightly"] = next(self._walk(0, seven))
        return sorted((name, head) for name, head in found.items() if name not in self.overlay.deleted_branches)

    def _viable(self, now: float) -> Commit:
        newest = None
        for commit in self._walk(0, self.landed_until(now) - _LANDED_LONG_AGO):
            newest = newest or commit
            if not self.history.active_breaks(commit):
                return commit
            if newest.day - commit.day > 4:
                break
        assert newest is not None
        return newest

    def _walk(self, line: int, now: float) -> Iterator[Commit]:
        for commit in self.history.backwards(line, self.landed_until(now)):
            if commit.sha not in self.overlay.dropped:
                yield commit

    def exists(self, commit: Commit, now: float) -> bool:
        return commit.time <= self.landed_until(now)

    def commit(self, sha: str, now: float) -> Commit | None:
        found = self.history.find(sha)
        return found if found is not None and self.exists(found, now) else None

    def resolve(self, ref: str, now: float) -> Commit | None:
        """The commit that a branch name or a sha means."""
        name = ref.removeprefix("refs/").removeprefix("heads/")
        for branch, head in self.branches(now):
            if branch == name:
                return head
        return self.commit(ref, now)

    def parent(self, commit: Commit) -> Commit | None:
        walk = self.history.backwards(commit.line, commit.time - 1)
        if commit.sha in self.overlay.dropped:
            return next(walk, None)
        return next((c for c in walk if c.sha not in self.overlay.dropped), None)

    def ancestors(self, head: Commit) -> Iterator[Commit]:
        """A commit and everything before it, newest first."""
        yield head
        for commit in self.history.backwards(head.line, head.time - 1):
            if commit.sha not in self.overlay.dropped or head.sha in self.overlay.dropped:
                yield commit

    # -- workflow runs ----------------------------------------------------------------------------------------

    def _list_runs_of_day(self, day: int) -> tuple[Run, ...]:
        """Runs created on a day, on all lines, newest first. Scheduled runs may sit on an earlier day's commit."""
        found = []
        for line in range(3):
            for d in range(day - 3, day + 1):
                for commit in self.history.day_commits(line, d):
                    found += [run for run in self.plans.runs(commit.serial) if run.created // DAY == day]
        return tuple(sorted(found, key=lambda run: (run.created, run.id), reverse=True))

    def runs(self, now: float) -> Iterator[Run]:
        """All runs still kept, newest first."""
        until = self.landed_until(now)
        today = int(until // DAY)
        for day in range(today, int(now // DAY) - RETENTION_DAYS, -1):
            for run in self._runs_of_day(day):
                if run.created <= until:
                    yield run

    def _count_runs_of_day(self, day: int) -> int:
        """How many runs are created on a whole day, counted without drawing any."""
        workflows = self.catalogue.workflows
        pushed = sum(not workflow.every_hours for workflow in workflows)
        on_release = sum(workflow.on_release for workflow in workflows)
        scheduled = sum(24 // workflow.every_hours for workflow in workflows if workflow.every_hours)
        trunk, *releases = (len(self.history.times_of_day(line, day)) for line in range(3))
        return trunk * pushed + sum(releases) * on_release + scheduled

    def count_runs(self, now: float) -> int:
        until = self.landed_until(now)
        today = int(until // DAY)
        whole = sum(self._count_of_day(d) for d in range(int(now // DAY) - RETENTION_DAYS + 1, today))
        return whole + sum(run.created <= until for run in self._runs_of_day(today))

    def runs_on(self, commit: Commit, now: float) -> list[Run]:
        """The runs on one commit, newest first."""
        until = self.landed_until(now)
        return [run for run in reversed(self.plans.runs(commit.serial)) if run.created <= until]

    def run(self, run_id: int, now: float) -> Run | None:
        found = self.plans.run(run_id)
        return found if found is not None and found.created <= self.landed_until(now) else None

    def attempts(self, run: Run, now: float) -> list[Attempt]:
        """The attempts begun by now, oldest first; never empty for a run that exists."""
        return [attempt for attempt in self.plans.attempts(run) if attempt.started <= now]

    def jobs(self, attempt: Attempt, now: float) -> list[Job]:
        """Jobs of a begun attempt that exist by now. Tests appear once their build has passed."""
        return [job for job in attempt.jobs if job.created <= now]

    def job(self, job_id: int, now: float) -> tuple[Run, Job] | None:
        found = self.plans.job(job_id)
        if found is None:
            return None
        run, job = found
        begun = any(attempt.number == job.attempt for attempt in self.attempts(run, now))
        return found if begun and job.created <= now and self.run(run.id, now) is not None else None

    # -- the truth, for tests and benchmarks only -------------------------------------------------------------

    def breaks(self, since: float, until: float) -> list[Break]:
        """Breaks whose culprit landed in this span, oldest first."""
        days = range(int(since // DAY), int(until // DAY) + 1)
        return [b for day in days for b in self.history.breaks_of_day(day) if since <= b.culprit.time <= until]

    def truth(self, since: float | None = None, until: float | None = None) -> dict[str, Any]:
        """Who broke what and what was flaky, for commits that landed in a span (the last day by default)."""
        now = self.now()
        until = now if until is None else until
        since = until - DAY if since is None else since
        flaky: list[dict[str, Any]] = []
        lost: list[dict[str, Any]] = []
        for commit in self._walk(0, until):
            if commit.time < since:
                break
            for run in self.runs_on(commit, now):
                for attempt in self.attempts(run, now):
                    if attempt.conclusion in ("startup_failure", "cancelled") and attempt.completed <= now:
                        lost.append({"run_id": run.id, "attempt": attempt.number, "head_sha": commit.sha,
                                     "workflow": run.workflow.name, "conclusion": attempt.conclusion})  # fmt: skip
                    flaky += [
                        {"job_id": job.id, "run_id": run.id, "attempt": job.attempt, "head_sha": commit.sha,
                         "workflow": run.workflow.name, "name": job.name, "conclusion": job.conclusion,
                         "kind": job.failure.kind if job.failure else job.conclusion}
                        for job in self.jobs(attempt, now)
                        if job.clone_of is None and not job.broken_by and job.completed <= now
                        and job.conclusion in ("failure", "timed_out", "cancelled")
                    ]  # fmt: skip
        return {
            "now": iso(now),
            "breaks": [
                {"key": b.key, "culprit": b.culprit.sha, "landed_at": iso(b.culprit.time),
                 "fixed_by": b.fix.sha if b.fix.time <= now else None, "reverted": b.reverted,
                 "kind": b.failure.kind, "configurations": sorted(map(list, b.configurations))}
                for b in self.breaks(since, until)
            ],
            "flaky": flaky,
            "lost_runs": lost,
        }  # fmt: skip
