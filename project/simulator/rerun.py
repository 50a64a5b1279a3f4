"""Running workflow runs and jobs again, below /repos/{owner}/{repo}.

    POST /actions/runs/{run_id}/rerun   /actions/runs/{run_id}/rerun-failed-jobs   /actions/jobs/{job_id}/rerun

Each answers 201 and begins a new attempt now; what comes of it is decided by the truth about the commit.
Webhook events of it come by the clock, as those of every other attempt do.
"""

from starlette.routing import Route

from project.simulator.gate import ApiError, Call, Gate
from project.simulator.payloads import Json
from project.simulator.plans import Again, Run
from project.simulator.repository_routes import both
from project.simulator.writing import writing

MOST_ATTEMPTS, MOST_DAYS = 50, 30


def _again(call: Call, run: Run, what: str) -> Json:
    world = call.world
    attempts = world.attempts(run, call.now)
    last = attempts[-1]
    if last.status(call.now) != "completed":
        raise ApiError(403, "This workflow is already running")
    if run.created < call.now - MOST_DAYS * 86_400:
        raise ApiError(403, "Unable to retry this workflow run because it was created over a month ago")
    if last.number > MOST_ATTEMPTS:
        raise ApiError(403, "This workflow run cannot be retried more than 50 times")
    bad = any(job.conclusion in ("failure", "timed_out", "cancelled") for job in last.jobs)
    if what == "failed" and not bad and last.jobs:
        raise ApiError(403, "This workflow run has no failed jobs to retry")
    writes = world.writes
    writes.agains.append(
        Again(len(writes.agains), run.id, last.number + 1, max(int(call.now), last.completed), call.actor, what)
    )
    call.simulator.written()
    return {}


def _run(call: Call) -> Run:
    run = call.world.run(call.number("run_id"), call.now)
    if run is None:
        raise ApiError(404)
    return run


def rerun_run(call: Call) -> Json:
    return _again(call, _run(call), "all")


def rerun_failed(call: Call) -> Json:
    return _again(call, _run(call), "failed")


def rerun_job(call: Call) -> Json:
    found = call.world.job(call.number("job_id"), call.now)
    if found is None:
        raise ApiError(404)
    run, job = found
    newest = call.world.attempts(run, call.now)[-1]
    if all(other.name != job.name for other in newest.jobs):
        raise ApiError(403, "This job cannot be retried: it is not part of the latest attempt")
    return _again(call, run, job.name)


def routes(gate: Gate) -> list[Route]:
    return [
        *both(gate, "/actions/runs/{run_id}/rerun", writing(rerun_run), ["POST"]),
        *both(gate, "/actions/runs/{run_id}/rerun-failed-jobs", writing(rerun_failed), ["POST"]),
        *both(gate, "/actions/jobs/{job_id}/rerun", writing(rerun_job), ["POST"]),
    ]
