"""The world at one moment: history and plans looked up by the clock, with what a test changed laid over them."""

import heapq
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from project.simulator.catalogue import CATALOGUES, Catalogue, Workflow
from project.simulator.clock import Clock
from project.simulator.history import BESIDE, DAY, MADE_SERIAL, PULL_SERIAL, TRUNK, Break, Commit, History
from project.simulator.other_checks import OtherCheck, Status, other_checks, statuses
from project.simulator.plans import AGAIN_ID, JOB_ID, JOBS_A_RUN, RUN_ID, Again, Attempt, Job, Plans, Run, Trouble
from project.simulator.pulls import PLACES, Pulls
from project.simulator.trees import Trees
from project.simulator.truth import tell_truth
from project.simulator.writes import MadePull, Writes

RETENTION_DAYS = 90  # workflow runs and logs older than this are gone
_RUNS_BEGIN_WITHIN = 10  # seconds after a push
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
        self.pulls = Pulls(self.history)
        self.plans = Plans(self.history)
        self.plans.suffers, self.plans.checked = self.suffers, self._checked
        self.history.elsewhere = self._by_high_serial
        self.trees = Trees(self)
        self.overlay = Overlay()
        self.writes = Writes()
        self.lock = threading.RLock()  # held while a request is answered; whoever else asks the world should hold it
        self.landed: list[Commit] = []  # made commits of trunk, oldest first, those ahead included
        self._superseded: set[str] = set()  # trunk commits whose pull request was merged before its time
        self.ended_pulls: dict[int, int] = {}  # when requests ended the lives of drawn pull requests
        self._course = ""  # what of `writes` the drawn world was last worked out with
        self._agains: dict[int, list[Again]] = {}
        self._again_attempts: dict[int, tuple[Attempt, ...]] = {}
        self._made_runs: list[Run] | None = None  # newest first
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
        if commit.line == BESIDE or commit.made:
            return "\n\n".join(part for part in (commit.title, commit.body) if part)
        link = f"Pull Request resolved: #{commit.number}"
        return "\n\n".join(part for part in (commit.title, commit.body, link) if part)

    # -- what requests wrote ----------------------------------------------------------------------------------

    def written(self) -> None:
        """Work out anew what follows from `writes`. To be called after each change of it."""
        writes = self.writes
        self._agains, self._again_attempts = {}, {}
        for again in writes.agains:
            self._agains.setdefault(again.run_id, []).append(again)
        course = repr((writes.landings, writes.states, list(writes.commits.values()), writes.pulls))
        if course == self._course:
            return  # words, labels and re-runs change nothing of the rest, which is dear to draw again
        self._course = course
        self.landed = sorted(
            (writes.commits[landing.sha] for landing in writes.landings), key=lambda c: (c.time, c.serial)
        )
        self.history.ended, self.history.moved = {}, {}
        self._clear()
        self._supersede()
        self._clear()
        self.history.ended = self._ended_breaks()
        self._clear()

    def _clear(self) -> None:
        self.history.clear()
        self.pulls.clear()
        self.trees.clear()
        self.plans.clear()
        self._runs_of_day.cache_clear()
        self.other_checks.cache_clear()
        self.statuses.cache_clear()
        self._made_runs = None

    def _supersede(self) -> None:
        """What was drawn to land later does not, if a request merged it before, or closed it."""
        self._superseded, self.ended_pulls = set(), {}
        for landing in self.writes.landings:
            pull = self.pulls.pull(landing.number) if landing.number else None
            if pull is not None and pull.lands is not None:
                self.ended_pulls[landing.number] = landing.at
                self._superseded.add(pull.lands.sha)
                self.history.moved[pull.lands.sha] = self.writes.commits[landing.sha]
        for edit in self.writes.states:
            pull = self.pulls.pull(edit.number) if edit.state == "closed" else None
            if pull is not None and pull.lands is not None and edit.at < pull.lands.time:
                self._superseded.add(pull.lands.sha)
                self.ended_pulls.setdefault(edit.number, edit.at)

    def _ended_breaks(self) -> dict[str, Commit]:
        """The commits that end breaks before their time, by the sha of the drawn culprit."""
        history, ended = self.history, dict[str, Commit]()
        drawn = {made.sha: sha for sha, made in history.moved.items()}
        for landing in sorted(self.writes.landings, key=lambda landing: landing.at):
            sha = drawn.get(landing.reverts or "", landing.reverts)
            culprit = history.find(sha) if sha else None
            for found in history.breaks_of_day(culprit.day) if culprit is not None and culprit.line == 0 else ():
                if found.culprit.sha == landing.reverts and landing.at < found.fix.time:
                    ended.setdefault(str(sha), self.writes.commits[landing.sha])
        return ended

    def _by_high_serial(self, serial: int) -> Commit | None:
        if serial < MADE_SERIAL:
            return self.pulls.commit(serial)
        return next((commit for commit in self.writes.commits.values() if commit.serial == serial), None)

    def made_pull_at(self, sha: str) -> tuple[MadePull, int] | None:
        """The pull request opened by a request that has, or had, this head, and when it got it."""
        for pull in self.writes.pulls.values():
            for head in pull.heads:
                if head.sha == sha:
                    return pull, head.at
        return None

    def _checked(self, commit: Commit) -> tuple[int, Iterable[Workflow]]:
        if not commit.made:
            return self.pulls.checked(commit)
        found = self.made_pull_at(commit.sha)
        if found is None:
            return 0, ()
        return found[1], [workflow for workflow in self.catalogue.workflows if workflow.name in ("pull", "lint")]

    def suffers(self, commit: Commit) -> list[Break | Trouble]:
        """What is broken on a commit."""
        if commit.line != BESIDE:
            return list(self.history.active_breaks(commit))
        base = self.base(commit)
        breaks: list[Break | Trouble] = list(self.history.active_breaks(base)) if base is not None else []
        if commit.made:
            found = self.made_pull_at(commit.sha)
            reverts = found[0].reverts if found is not None else None
            return [b for b in breaks if not isinstance(b, Break) or b.culprit.sha != reverts]
        own = self.pulls.trouble(commit)
        return [*breaks, own] if own is not None else breaks

    # -- branches and commits ---------------------------------------------------------------------------------

    def branches(self, now: float) -> list[tuple[str, Commit]]:
        """(name, head) of every branch, by name. Pull requests come from forks, so theirs are not among them."""
        day = int(self.landed_until(now) // DAY)
        found = {TRUNK: next(self._walk(0, now))}
        for line, name in self.history.releases(day):
            found[name] = next(self._walk(line, now))
        found["viable/strict"] = self._viable(now)
        if self.catalogue.nightly:
            seven = (now - 7 * 3600) // DAY * DAY + 7 * 3600
            found["nightly"] = next(self._walk(0, seven))
        for name in self.writes.gone_refs:
            found.pop(name, None)
        for name, sha in self.writes.refs.items():
            commit = self.find(sha)
            if commit is not None:
                found[name] = commit
        return sorted((name, head) for name, head in found.items() if name not in self.overlay.deleted_branches)

    def _viable(self, now: float) -> Commit:
        newest = None
        for commit in self._walk(0, min(self.landed_until(now), now) - _LANDED_LONG_AGO):
            newest = newest or commit
            if not self.history.active_breaks(commit):
                return commit
            if newest.day - commit.day > 4:
                break
        assert newest is not None
        return newest

    def trunk(self, now: float) -> Iterator[Commit]:
        """Trunk at a moment, newest first."""
        return self._walk(0, now)

    def _walk(self, line: int, now: float) -> Iterator[Commit]:
        """What stands on a line at a moment, newest first."""
        for commit in self._line(line, self.landed_until(now), now):
            if commit.sha not in self.overlay.dropped:
                yield commit

    def _line(self, line: int, drawn_until: float, made_until: float) -> Iterator[Commit]:
        drawn = self.history.backwards(line, drawn_until)
        if not self.landed and not self._superseded:
            return drawn
        kept = (commit for commit in drawn if commit.sha not in self._superseded)
        if line:
            cut = self.history.release_cut(line, int(drawn_until // DAY))
            made_until = min(made_until, cut * DAY) if cut is not None else 0
        made = (commit for commit in reversed(self.landed) if commit.time <= made_until)
        return heapq.merge(kept, made, key=lambda c: (-c.time, -c.serial))

    def _before(self, commit: Commit) -> Iterator[Commit]:
        """A line's commits below one of it, newest first, dropped ones included."""
        for other in self._line(commit.line, commit.time, commit.time):
            if other.time < commit.time or (other.line == commit.line and other.serial < commit.serial):
                yield other

    def exists(self, commit: Commit, now: float) -> bool:
        if commit.made:
            return commit.line == BESIDE or commit.time <= now
        return commit.time <= self.landed_until(now) and commit.sha not in self._superseded

    def find(self, sha: str) -> Commit | None:
        """The commit with this sha or an abbreviation of it, whenever it comes to be."""
        sha = sha.lower()
        if sha in self.writes.commits:
            return self.writes.commits[sha]
        if len(sha) >= 7:
            for other, commit in self.writes.commits.items():
                if other.startswith(sha):
                    return commit
        return self.history.find(sha)

    def commit(self, sha: str, now: float) -> Commit | None:
        found = self.find(sha)
        return found if found is not None and self.exists(found, now) else None

    def resolve(self, ref: str, now: float) -> Commit | None:
        """The commit that a branch name or a sha means."""
        name = ref.removeprefix("refs/").removeprefix("heads/")
        for branch, head in self.branches(now):
            if branch == name:
                return head
        return self.commit(ref, now)

    def parent(self, commit: Commit) -> Commit | None:
        if commit.line == BESIDE:
            return self.find(commit.parent) if commit.parent else None
        walk = self._before(commit)
        if commit.sha in self.overlay.dropped:
            return next(walk, None)
        return next((c for c in walk if c.sha not in self.overlay.dropped), None)

    def ancestors(self, head: Commit) -> Iterator[Commit]:
        """A commit and everything before it, newest first."""
        yield head
        if head.line == BESIDE:
            parent = self.parent(head)
            if parent is not None:
                yield from self.ancestors(parent)
            return
        for commit in self._before(head):
            if commit.sha not in self.overlay.dropped or head.sha in self.overlay.dropped:
                yield commit

    def base(self, commit: Commit) -> Commit | None:
        """The newest commit of a line that a commit stands on: itself, if it is on one."""
        return next((c for c in self.ancestors(commit) if c.line != BESIDE), None)

    def tree_sha(self, commit: Commit) -> str:
        return self.trees.sha(commit)

    # -- workflow runs ----------------------------------------------------------------------------------------

    def _list_runs_of_day(self, day: int) -> tuple[Run, ...]:
        """Runs created on a day, on all lines, newest first. Scheduled runs may sit on an earlier day's commit."""
        found = []
        for line in range(3):
            for d in range(day - 3, day + 1):
                for commit in self.history.day_commits(line, d):
                    found += [run for run in self.plans.runs(commit.serial) if run.created // DAY == day]
        for outline in self.pulls.alive_on(day):
            for push in outline.pushes:
                if push.at // DAY == day or (push.at + _RUNS_BEGIN_WITHIN) // DAY == day:
                    serial = PULL_SERIAL + outline.number * PLACES + push.places[-1]
                    found += [run for run in self.plans.runs(serial) if run.created // DAY == day]
        return tuple(sorted(found, key=lambda run: (run.created, run.id), reverse=True))

    def runs(self, now: float) -> Iterator[Run]:
        """All runs still kept, newest first."""
        made = [run for run in self.made_runs() if run.created <= now]
        if not made:
            return self._drawn_runs(now)
        return heapq.merge(self._drawn_runs(now), made, key=lambda run: (-run.created, -run.id))

    def made_runs(self) -> list[Run]:
        """The runs on commits that requests made, newest first, those ahead included."""
        if self._made_runs is None:
            runs = [run for commit in self.writes.commits.values() for run in self.plans.runs(commit.serial)]
            self._made_runs = sorted(runs, key=lambda run: (run.created, run.id), reverse=True)
        return self._made_runs

    def _hidden(self, run: Run) -> bool:
        """Whether a drawn run does not happen, because requests changed the course of things."""
        if run.commit.line == BESIDE:
            ended = self.ended_pulls.get(run.commit.number)
            return ended is not None and run.created > ended and not run.commit.made
        return run.commit.sha in self._superseded

    def _drawn_runs(self, now: float) -> Iterator[Run]:
        until = self.landed_until(now)
        today = int(until // DAY)
        for day in range(today, int(now // DAY) - RETENTION_DAYS, -1):
            for run in self._runs_of_day(day):
                if run.created <= until and not self._hidden(run):
                    yield run

    def _count_runs_of_day(self, day: int) -> int:
        """How many runs are created on a whole day, counted without drawing any."""
        workflows = self.catalogue.workflows
        pushed = sum(not workflow.every_hours for workflow in workflows)
        on_release = sum(workflow.on_release for workflow in workflows)
        scheduled = sum(24 // workflow.every_hours for workflow in workflows if workflow.every_hours)
        trunk, *releases = (len(self.history.times_of_day(line, day)) for line in range(3))
        pulls = sum(
            (push.at + 2 + workflow.index % 7) // DAY == day
            for outline in self.pulls.alive_on(day) for push in outline.pushes for workflow in outline.workflows
        )  # fmt: skip
        return trunk * pushed + sum(releases) * on_release + scheduled + pulls

    def count_runs(self, now: float) -> int:
        until = self.landed_until(now)
        today = int(until // DAY)
        whole = sum(self._count_of_day(d) for d in range(int(now // DAY) - RETENTION_DAYS + 1, today))
        drawn = whole + sum(run.created <= until for run in self._runs_of_day(today))
        return drawn - self._count_hidden(until) + sum(run.created <= now for run in self.made_runs())

    def _count_hidden(self, until: float) -> int:
        commits = [commit for sha in self._superseded if (commit := self.history.find(sha)) is not None]
        for number in self.ended_pulls:
            pull = self.pulls.pull(number)
            commits += pull.commits if pull is not None else ()
        runs = (run for commit in commits for run in self.plans.runs(commit.serial))
        return sum(run.created <= until and self._hidden(run) for run in runs)

    def runs_on(self, commit: Commit, now: float) -> list[Run]:
        """The runs on one commit, newest first."""
        return [run for run in reversed(self.plans.runs(commit.serial)) if self._begun(run, now)]

    def _begun(self, run: Run, now: float) -> bool:
        until = now if run.commit.made else self.landed_until(now)
        return run.created <= until and not self._hidden(run)

    def run(self, run_id: int, now: float) -> Run | None:
        found = self.plans.run(run_id)
        return found if found is not None and self._begun(found, now) else None

    def all_attempts(self, run: Run) -> tuple[Attempt, ...]:
        """The attempts of a run, those ahead included, oldest first."""
        if run.id not in self._agains:
            return self.plans.attempts(run)
        if run.id not in self._again_attempts:
            self._again_attempts[run.id] = self.plans.with_again(run, self._agains[run.id])
        return self._again_attempts[run.id]

    def attempts(self, run: Run, now: float) -> list[Attempt]:
        """The attempts begun by now, oldest first; never empty for a run that exists."""
        return [attempt for attempt in self.all_attempts(run) if attempt.started <= now]

    def jobs(self, attempt: Attempt, now: float) -> list[Job]:
        """Jobs of a begun attempt that exist by now. Tests appear once their build has passed."""
        return [job for job in attempt.jobs if job.created <= now]

    def job(self, job_id: int, now: float) -> tuple[Run, Job] | None:
        if job_id >= AGAIN_ID:
            place = (job_id - AGAIN_ID) // JOBS_A_RUN
            number = self.writes.agains[place].run_id if place < len(self.writes.agains) else 0
        else:
            number = (job_id - JOB_ID) // JOBS_A_RUN + RUN_ID if job_id >= JOB_ID else 0
        run = self.run(number, now) if number else None
        if run is None:
            return None
        for attempt in self.attempts(run, now):
            for job in self.jobs(attempt, now):
                if job.id == job_id:
                    return run, job
        return None

    # -- the truth, for tests and benchmarks only -------------------------------------------------------------

    def breaks(self, since: float, until: float) -> list[Break]:
        """Breaks whose culprit landed in this span, oldest first."""
        days = range(int(since // DAY), int(until // DAY) + 1)
        return [b for day in days for b in self.history.breaks_of_day(day) if since <= b.culprit.time <= until]

    def truth(self, since: float | None = None, until: float | None = None) -> dict[str, Any]:
        """Who broke what and what was flaky, for commits that landed in a span (the last day by default)."""
        return tell_truth(self, since, until)
