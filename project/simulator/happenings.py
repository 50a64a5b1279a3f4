"""What happened in the world between two moments, as the webhook events that GitHub would send about it.

Asked of the world as it is, like every request: whatever a request has changed is in it.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from project.simulator import ci_payloads, payloads, pull_events
from project.simulator.clock import iso
from project.simulator.history import DAY, Commit
from project.simulator.names import BOT
from project.simulator.plans import Attempt, Run
from project.simulator.world import World

Json = dict[str, Any]
LONGEST = DAY  # seconds; hardly a run goes on for longer, unless a request begins it again
_MOST_COMMITS = 2048  # in one push
_NAMESPACE = uuid.UUID("6f1d9a34-58f0-4b34-9d0c-5f4e6b1b0c55")


@dataclass(frozen=True, slots=True)
class Happening:
    """One event. `guid` names it, the same for every hook and whenever it is asked for."""

    at: float
    event: str
    action: str
    key: tuple[object, ...]
    payload: Json

    @property
    def guid(self) -> str:
        return str(uuid.uuid5(_NAMESPACE, repr((self.event, self.action, *self.key))))


class Happenings:
    """Remembers which runs are over, so as not to look at them each time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._ends: dict[int, float] = {}

    def between(self, since: float, until: float, base: str) -> list[Happening]:
        """What happened after `since` and not after `until`, in the order of time."""
        found = [*self._pushes(since, until, base), *self._on_commits(since, until, base)]
        found += self._runs(since, until, base)
        found += self._pulls(since, until, base)
        return sorted(found, key=lambda one: one.at)

    def _wrapped(self, base: str, sender: str, **content: Any) -> Json:
        world = self.world
        return {
            **content,
            "repository": ci_payloads.REPOSITORY_MARK,
            "organization": payloads.user(world.owner, base, "Organization"),
            "sender": payloads.person(sender, base),
        }

    def _pulls(self, since: float, until: float, base: str) -> Iterator[Happening]:
        for one in pull_events.between(self.world, since, until, base):
            content = self._wrapped(base, one.sender, **one.payload)
            yield Happening(one.at, "pull_request", one.action, (one.number, one.at), content)

    # -- runs and jobs ------------------------------------------------------------------------------------------

    def _runs(self, since: float, until: float, base: str) -> Iterator[Happening]:
        world = self.world
        again = {one.run_id for one in world.writes.agains}
        recent = []
        for run in world.runs(until):
            if run.created < since - LONGEST:
                break
            recent.append(run)
        known = {run.id for run in recent}
        older = [world.run(run_id, until) for run_id in again - known]
        recent += [run for run in older if run is not None]
        for run in recent:
            if run.id not in again and self._ends.get(run.id, until) < since:
                continue
            attempts = world.attempts(run, until)
            if attempts[-1].completed <= since and run.id not in again:
                # It may yet be run again by itself; the plan knows.
                self._ends[run.id] = world.plans.attempts(run)[-1].completed
            for attempt in attempts:
                if attempt.completed > since or attempt.started > since:
                    yield from self._attempt(run, attempt, since, until, base)

    def _attempt(self, run: Run, attempt: Attempt, since: float, until: float, base: str) -> Iterator[Happening]:
        if attempt.conclusion == "startup_failure":
            return  # GitHub tells of none of these
        world = self.world
        for moment, action in (
            (attempt.started, "requested"),
            (attempt.first_job, "in_progress"),
            (attempt.completed, "completed"),
        ):
            if since < moment <= until:
                told = ci_payloads.run(world, base, run, attempt, moment)
                if action == "requested":
                    told |= {"status": "queued", "conclusion": None}
                content = self._wrapped(base, run.actor, action=action, workflow_run=told)
                yield Happening(moment, "workflow_run", action, (run.id, attempt.number), content)
        for job in attempt.jobs:
            moments = [(job.created, "queued"), (job.started, "in_progress"), (job.completed, "completed")]
            if job.conclusion == "skipped":
                moments = moments[2:]
            if job.clone_of is not None:
                # GitHub tells of the end of a job that it only shows again, when the attempt begins.
                moments = [(attempt.started, "completed")]
            for moment, action in moments:
                if since < moment <= until:
                    told = ci_payloads.job(
                        world, base, run, job, max(moment, job.completed) if job.clone_of else moment
                    )
                    if action == "queued":
                        told |= {"status": "queued", "conclusion": None, "completed_at": None}
                    content = self._wrapped(base, run.actor, action=action, workflow_job=told)
                    yield Happening(moment, "workflow_job", action, (job.id,), content)

    # -- commits ------------------------------------------------------------------------------------------------

    def _commits(self, since: float, until: float) -> Iterator[Commit]:
        """Commits of all lines that landed lately: other services may still have to say something about them."""
        seen = set()
        for _, head in self.world.branches(until):
            for commit in self.world.ancestors(head):
                if commit.time < since:
                    break
                if commit.sha not in seen:
                    seen.add(commit.sha)
                    yield commit

    def _on_commits(self, since: float, until: float, base: str) -> Iterator[Happening]:
        world = self.world
        for commit in self._commits(since - 3 * 3600, until):
            branch = world.history.branch_of(commit)
            for check in world.other_checks(commit):
                for moment, action in ((check.created, "created"), (check.completed, "completed")):
                    if since < moment <= until:
                        told = ci_payloads.other_check_run(world, base, commit, check, moment)
                        told["check_suite"] = {**told["check_suite"], "head_branch": branch, "head_sha": commit.sha}
                        content = self._wrapped(base, commit.author, action=action, check_run=told)
                        yield Happening(moment, "check_run", action, (check.id,), content)
            for entry in world.statuses(commit):
                if since < entry.time <= until:
                    told = ci_payloads.status(world, base, commit, entry)
                    content = self._wrapped(
                        base,
                        BOT,
                        **{name: told[name] for name in ("id", "state", "description", "target_url", "context")},
                        sha=commit.sha,
                        name=world.full_name,
                        commit=payloads.commit(world, base, commit),
                        branches=[payloads.short_branch(world, base, branch, commit)],
                        created_at=told["created_at"],
                        updated_at=told["updated_at"],
                    )
                    yield Happening(entry.time, "status", "", (entry.id,), content)

    def _pushes(self, since: float, until: float, base: str) -> Iterator[Happening]:
        world = self.world
        before = dict(world.branches(since))
        for name, head in world.branches(until):
            old = before.get(name)
            if old is None or old.sha == head.sha:
                continue
            landed: list[Commit] = []
            forced = True
            for commit in world.ancestors(head):
                if commit.sha == old.sha:
                    forced = False
                    break
                if len(landed) >= _MOST_COMMITS or commit.time < old.time:
                    break
                landed.append(commit)
            landed.reverse()
            if forced:
                yield self._push(name, old.sha, head, landed, until, base, forced=True)
            elif world.history.branch_of(head) == name:
                # What lands on a line lands commit by commit.
                below = old.sha
                for commit in landed:
                    yield self._push(name, below, commit, [commit], max(commit.time, since), base)
                    below = commit.sha
            else:
                yield self._push(name, old.sha, head, landed, until, base)

    def _push(
        self, name: str, before: str, head: Commit, commits: list[Commit], at: float, base: str, *, forced: bool = False
    ) -> Happening:
        world = self.world
        content = self._wrapped(
            base,
            BOT,
            ref=f"refs/heads/{name}",
            before=before,
            after=head.sha,
            created=False,
            deleted=False,
            forced=forced,
            base_ref=None,
            compare=f"{base}/{world.full_name}/compare/{before[:12]}...{head.sha[:12]}",
            commits=[_pushed(world, base, commit) for commit in commits],
            head_commit=_pushed(world, base, head),
            pusher={"name": BOT, "email": f"{BOT}@users.example.org"},
        )
        content["repository"] = {
            **payloads.minimal_repository(world, base),
            "pushed_at": int(at),
            "default_branch": "main",
        }
        return Happening(at, "push", "", (name, before, head.sha), content)


def _pushed(world: World, base: str, commit: Commit) -> Json:
    """A commit inside a push."""
    author = payloads.git_person(commit.author, commit.time)
    person = {"name": author["name"], "email": author["email"], "username": commit.author}
    return {
        "id": commit.sha,
        "tree_id": world.tree_sha(commit),
        "distinct": True,
        "message": world.message(commit),
        "timestamp": iso(commit.time),
        "url": f"{base}/{world.full_name}/commit/{commit.sha}",
        "author": person,
        "committer": {**person, "username": BOT},
        "added": [],
        "removed": [],
        "modified": [],
    }
