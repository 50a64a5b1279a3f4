"""The truth about a span of time: which commit broke what, and what failed for no fault of a commit.

Only tests and benchmarks may look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from project.simulator.clock import iso
from project.simulator.history import DAY
from project.simulator.plans import Job

if TYPE_CHECKING:
    from project.simulator.world import World


def tell_truth(world: World, since: float | None = None, until: float | None = None) -> dict[str, Any]:
    """Who broke what and what was flaky, for commits that landed in a span (the last day by default)."""
    now = world.now()
    until = now if until is None else until
    since = until - DAY if since is None else since
    flaky: list[dict[str, Any]] = []
    lost: list[dict[str, Any]] = []
    for commit in world.trunk(until):
        if commit.time < since:
            break
        for run in world.runs_on(commit, now):
            for attempt in world.attempts(run, now):
                if attempt.conclusion in ("startup_failure", "cancelled") and attempt.completed <= now:
                    lost.append({"run_id": run.id, "attempt": attempt.number, "head_sha": commit.sha,
                                 "workflow": run.workflow.name, "conclusion": attempt.conclusion})  # fmt: skip
                flaky += [
                    {"job_id": job.id, "run_id": run.id, "attempt": job.attempt, "head_sha": commit.sha,
                     "workflow": run.workflow.name, "name": job.name, "conclusion": job.conclusion,
                     "kind": job.failure.kind if job.failure else job.conclusion}
                    for job in world.jobs(attempt, now)
                    if job.clone_of is None and not job.broken_by and job.completed <= now
                    and job.conclusion in ("failure", "timed_out", "cancelled")
                ]  # fmt: skip
    return {
        "now": iso(now),
        "breaks": [
            {"key": b.key, "culprit": b.culprit.sha, "pull": b.culprit.number, "landed_at": iso(b.culprit.time),
             "fixed_by": b.fix.sha if b.fix.time <= now else None, "reverted": b.reverted,
             "fixed_at": iso(b.fix.time) if b.fix.time <= now else None, "kind": b.failure.kind,
             "failure": list(b.failure.lines), "configurations": sorted(map(list, b.configurations))}
            for b in world.breaks(since, until)
        ],
        "flaky": flaky,
        "pull_failures": _pulls(world, since, until),
        "lost_runs": lost,
    }  # fmt: skip


def _pulls(world: World, since: float, until: float) -> list[dict[str, Any]]:
    """Why jobs on pull requests failed: new | broken_trunk | flaky | unstable | infra."""
    now, told = world.now(), []
    for run in world.runs(until):
        if run.created < since:
            break
        if run.event != "pull_request":
            continue
        for attempt in world.attempts(run, now):
            told += [
                {"job_id": job.id, "run_id": run.id, "attempt": job.attempt, "head_sha": run.commit.sha,
                 "pull": run.commit.number, "workflow": run.workflow.name, "name": job.name, "why": _why(job),
                 "broken_by": job.broken_by}
                for job in world.jobs(attempt, now)
                if job.clone_of is None and job.completed <= now
                and job.conclusion in ("failure", "timed_out", "cancelled")
            ]  # fmt: skip
    return told


def _why(job: Job) -> str:
    if job.broken_by is not None:
        return "new" if job.broken_by.startswith("pull-") else "broken_trunk"
    if job.unstable:
        return "unstable"
    infra = job.failure is None or job.failure.kind in ("network", "runner_lost", "timeout")
    return "infra" if infra else "flaky"
