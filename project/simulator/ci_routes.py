"""Endpoints for CI: workflow runs, jobs, logs, check suites, check runs, statuses."""

import itertools
import time
from collections.abc import Iterable, Iterator

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from project.simulator import ci_payloads
from project.simulator.clock import parse_iso
from project.simulator.failures import log_text
from project.simulator.gate import ApiError, Call, Gate
from project.simulator.history import Commit
from project.simulator.other_checks import ACTIONS, OTHER_APPS, OtherCheck
from project.simulator.payloads import Json
from project.simulator.plans import JOB_ID, RUN_ID, RUNS_A_COMMIT, SUITE_ID, Attempt, Job, Run
from project.simulator.repository_routes import both, found_commit
from project.simulator.world import RETENTION_DAYS

_SEARCH_CAP = 1000  # results of a filtered list of runs
_SEARCH_DEPTH = 2000  # runs that a filter by conclusion looks at, newest first: the index of such a search
_LONGEST_RUN = 2 * 86_400  # seconds; no run is unfinished for longer
_LINK_SECONDS = 60  # how long a link to a log works
_FILTERS = ("actor", "branch", "check_suite_id", "created", "event", "head_sha", "status")


# -- workflow runs --------------------------------------------------------------------------------------------


def _run(call: Call) -> Run:
    run = call.world.run(call.number("run_id"), call.now)
    if run is None:
        raise ApiError(404)
    return run


def _latest(call: Call, run: Run) -> Attempt:
    return call.world.attempts(run, call.now)[-1]


def list_runs(call: Call) -> Json:
    world = call.world
    page, size = call.page_size()
    used = {name: call.query(name) for name in _FILTERS if call.query(name)}
    if not used:
        total = world.count_runs(call.now)
        call.link(last=-(-total // size))
        shown = list(itertools.islice(world.runs(call.now), (page - 1) * size, page * size))
    else:
        found = list(itertools.islice(_filtered(call, used), _SEARCH_CAP))
        total = len(found)
        shown = call.paged(found)
    return {
        "total_count": total,
        "workflow_runs": [ci_payloads.run(world, call.base, run, _latest(call, run), call.now) for run in shown],
    }


def _filtered(call: Call, used: dict[str, str]) -> Iterator[Run]:
    world = call.world
    runs: Iterable[Run]
    if "head_sha" in used:
        # An abbreviated sha finds nothing at GitHub.
        commit = world.commit(used["head_sha"], call.now) if len(used["head_sha"]) == 40 else None
        runs = world.runs_on(commit, call.now) if commit else ()
    elif "check_suite_id" in used:
        run = _run_of_suite(call, used["check_suite_id"])
        runs = [run] if run else ()
    else:
        runs = world.runs(call.now)
    if "status" in used:
        runs = itertools.islice(runs, _SEARCH_DEPTH)
    low, high = _span(used.get("created", ""))
    if used.get("status") in ("queued", "in_progress", "waiting", "requested", "pending"):
        low = max(low, call.now - _LONGEST_RUN)
    for run in runs:
        if run.created < low:
            break
        if run.created > high:
            continue
        if "branch" in used and world.history.branch_of(run.commit) != used["branch"]:
            continue
        if used.get("event", run.event) != run.event or used.get("actor", run.actor) != run.actor:
            continue
        if "status" in used:
            attempt = _latest(call, run)
            status = attempt.status(call.now)
            if used["status"] not in (status, attempt.conclusion if status == "completed" else status):
                continue
        yield run


def _span(text: str) -> tuple[float, float]:
    """The moments that a `created` filter lets through: `>=a`, `<b`, `a..b`, or a day or second alone."""
    if not text:
        return float("-inf"), float("inf")
    text = text.replace(" ", "+")
    try:
        if ".." in text:
            left, right = text.split("..", 1)
            low = float("-inf") if left in ("", "*") else parse_iso(left)
            return low, float("inf") if right in ("", "*") else _end(right)
        for sign, low_too, after in ((">=", True, True), ("<=", True, False), (">", False, True), ("<", False, False)):
            if text.startswith(sign):
                rest = text.removeprefix(sign)
                if after:
                    return (parse_iso(rest) if low_too else _end(rest) + 1), float("inf")
                return float("-inf"), (_end(rest) if low_too else parse_iso(rest) - 1)
        return parse_iso(text), _end(text)
    except ValueError:
        raise ApiError(422, "Validation Failed", errors=["created: not a date"]) from None


def _end(text: str) -> float:
    """The last second of a day, or the second itself."""
    return parse_iso(text) + (86_399 if len(text) == 10 else 0)


def get_run(call: Call) -> Json:
    run = _run(call)
    return ci_payloads.run(call.world, call.base, run, _latest(call, run), call.now)


def _attempt(call: Call, run: Run) -> Attempt:
    number = call.number("attempt")
    for attempt in call.world.attempts(run, call.now):
        if attempt.number == number:
            return attempt
    raise ApiError(404)


def get_attempt(call: Call) -> Json:
    run = _run(call)
    return ci_payloads.run(call.world, call.base, run, _attempt(call, run), call.now, past=True)


# -- jobs -----------------------------------------------------------------------------------------------------


def _jobs(call: Call, run: Run, jobs: list[Job]) -> Json:
    shown = call.paged(jobs)
    return {
        "total_count": len(jobs),
        "jobs": [ci_payloads.job(call.world, call.base, run, job, call.now) for job in shown],
    }


def list_jobs(call: Call) -> Json:
    run = _run(call)
    attempts = call.world.attempts(run, call.now)
    chosen = attempts if call.query("filter") == "all" else attempts[-1:]
    return _jobs(call, run, [job for attempt in chosen for job in call.world.jobs(attempt, call.now)])


def list_attempt_jobs(call: Call) -> Json:
    run = _run(call)
    return _jobs(call, run, call.world.jobs(_attempt(call, run), call.now))


def _job(call: Call) -> tuple[Run, Job]:
    found = call.world.job(call.number("job_id"), call.now)
    if found is None:
        raise ApiError(404)
    return found


def get_job(call: Call) -> Json:
    run, job = _job(call)
    return ci_payloads.job(call.world, call.base, run, job, call.now)


def get_job_log(call: Call) -> Response:
    _, job = _job(call)
    if job.created < call.now - RETENTION_DAYS * 86_400:
        raise ApiError(410, "Server Error")
    lost = job.failure is not None and job.failure.kind == "runner_lost"
    if job.status(call.now) != "completed" or job.conclusion == "skipped" or lost:
        raise ApiError(404)
    number = job.clone_of or job.id
    expires = int(time.time()) + _LINK_SECONDS
    signature = call.simulator.sign(f"log {number} {expires}")
    return RedirectResponse(f"{call.base}/_blobs/logs/{number}.txt?se={expires}&sig={signature}", 302)


def read_log(call: Call) -> Response:
    """Where the link leads. It asks for no token, only for its own signature."""
    expires, signature = call.query("se", "0"), call.query("sig")
    number = call.number("job_id")
    if signature != call.simulator.sign(f"log {number} {expires}") or int(expires) < time.time():
        return PlainTextResponse("This link has expired.", 403)
    found = call.world.job(number, call.now)
    if found is None:
        return PlainTextResponse("No such log.", 404)
    _, job = found
    return PlainTextResponse(
        log_text(
            job_name=job.name, started=job.started, completed=job.completed, conclusion=job.conclusion,
            failure=job.failure,
        )
    )  # fmt: skip


# -- check suites and check runs ------------------------------------------------------------------------------


def _run_of_suite(call: Call, text: str) -> Run | None:
    number = int(text) - SUITE_ID if text.isdigit() else -1
    return call.world.run(RUN_ID + number // 2, call.now) if number >= 0 and number % 2 == 0 else None


def _other(call: Call, commit: Commit) -> list[OtherCheck]:
    return [check for check in call.world.other_checks(commit) if check.created <= call.now]


def _suite_of_run(call: Call, run: Run) -> Json:
    attempt = _latest(call, run)
    status = attempt.status(call.now)
    return ci_payloads.suite(
        call.world, call.base, run.commit, number=run.suite_id, of=ACTIONS, status=status,
        conclusion=attempt.conclusion if status == "completed" else None, created=run.created,
        updated=attempt.updated(call.now), check_runs=len(call.world.jobs(attempt, call.now)),
    )  # fmt: skip


def _suite_of_app(call: Call, commit: Commit, checks: list[OtherCheck]) -> Json:
    states = [check.status(call.now) for check in checks]
    done = all(state == "completed" for state in states)
    failed = any(check.conclusion == "failure" for check in checks)
    moments = [m for check in checks for m in (check.created, check.started, check.completed) if m <= call.now]
    return ci_payloads.suite(
        call.world, call.base, commit, number=checks[0].suite_id, of=checks[0].app,
        status="completed" if done else "in_progress" if set(states) - {"queued"} else "queued",
        conclusion=("failure" if failed else "success") if done else None,
        created=min(check.created for check in checks), updated=max(moments), check_runs=len(checks),
    )  # fmt: skip


def list_suites(call: Call) -> Json:
    commit = found_commit(call)
    suites = [_suite_of_run(call, run) for run in reversed(call.world.runs_on(commit, call.now))]
    for app in OTHER_APPS:
        checks = [check for check in _other(call, commit) if check.app is app]
        if checks:
            suites.append(_suite_of_app(call, commit, checks))
    if app_id := call.query("app_id"):
        suites = [suite for suite in suites if str(suite["app"]["id"]) == app_id]
    shown = call.paged(suites)
    return {"total_count": len(suites), "check_suites": shown}


def _checks_of_suite(call: Call) -> tuple[Commit, list[tuple[Run, Job]], list[OtherCheck]]:
    number = call.number("suite_id")
    run = _run_of_suite(call, str(number))
    if run is not None:
        return run.commit, _job_checks(call, [run]), []
    serial = (number - SUITE_ID) // 2 // RUNS_A_COMMIT
    commit = call.world.history.by_serial(serial) if number > SUITE_ID else None
    if commit is None or not call.world.exists(commit, call.now):
        raise ApiError(404)
    checks = [check for check in _other(call, commit) if check.suite_id == number]
    if not checks:
        raise ApiError(404)
    return commit, [], checks


def get_suite(call: Call) -> Json:
    commit, jobs, checks = _checks_of_suite(call)
    if checks:
        return _suite_of_app(call, commit, checks)
    run = jobs[0][0] if jobs else _run_of_suite(call, call.path("suite_id"))
    assert run is not None
    return _suite_of_run(call, run)


def _job_checks(call: Call, runs: Iterable[Run]) -> list[tuple[Run, Job]]:
    """Check runs of GitHub Actions, newest first; `filter=latest` keeps the newest of each name in a suite."""
    found = []
    for run in runs:
        attempts = call.world.attempts(run, call.now)
        if call.query("filter") == "all":
            jobs = [job for attempt in attempts for job in call.world.jobs(attempt, call.now)]
        else:
            newest = {job.name: job for attempt in attempts for job in call.world.jobs(attempt, call.now)}
            jobs = sorted(newest.values(), key=lambda job: job.id)
        found += [(run, job) for job in reversed(jobs)]
    return found


def _check_runs(call: Call, commit: Commit, jobs: list[tuple[Run, Job]], checks: list[OtherCheck]) -> Json:
    items: list[tuple[Run, Job] | OtherCheck] = []
    app_id, name, status = call.query("app_id"), call.query("check_name"), call.query("status")
    if app_id in ("", str(ACTIONS.id)):
        items += [
            (run, job) for run, job in jobs
            if (not name or job.name == name) and (not status or job.status(call.now) == status)
        ]  # fmt: skip
    items += [
        check for check in checks
        if (not name or check.name == name) and (not status or check.status(call.now) == status)
        and app_id in ("", str(check.app.id))
    ]  # fmt: skip
    return {
        "total_count": len(items),
        "check_runs": [
            ci_payloads.other_check_run(call.world, call.base, commit, item, call.now)
            if isinstance(item, OtherCheck)
            else ci_payloads.job_check_run(call.world, call.base, item[0], item[1], call.now)
            for item in call.paged(items)
        ],
    }


def list_check_runs(call: Call) -> Json:
    commit = found_commit(call)
    wanted = call.query("app_id") in ("", str(ACTIONS.id))
    jobs = _job_checks(call, call.world.runs_on(commit, call.now)) if wanted else []
    return _check_runs(call, commit, jobs, _other(call, commit))


def list_suite_check_runs(call: Call) -> Json:
    return _check_runs(call, *_checks_of_suite(call))


def get_check_run(call: Call) -> Json:
    number = call.number("check_run_id")
    if number >= JOB_ID:
        found = call.world.job(number, call.now)
        if found is not None:
            return ci_payloads.job_check_run(call.world, call.base, *found, call.now)
    else:
        commit = call.world.history.by_serial((number - 90_000_000_000) // 8)
        for check in _other(call, commit) if commit else ():
            if check.id == number and commit is not None:
                return ci_payloads.other_check_run(call.world, call.base, commit, check, call.now)
    raise ApiError(404)


# -- statuses -------------------------------------------------------------------------------------------------


def list_statuses(call: Call) -> list[Json]:
    commit = found_commit(call)
    entries = [entry for entry in reversed(call.world.statuses(commit)) if entry.time <= call.now]
    return [ci_payloads.status(call.world, call.base, commit, entry) for entry in call.paged(entries)]


def get_combined_status(call: Call) -> Json:
    commit = found_commit(call)
    latest = {entry.context: entry for entry in call.world.statuses(commit) if entry.time <= call.now}
    entries = list(latest.values())
    return ci_payloads.combined_status(call.world, call.base, commit, entries, call.paged(entries))


def routes(gate: Gate) -> list[Route]:
    return [
        *both(gate, "/actions/runs", list_runs),
        *both(gate, "/actions/runs/{run_id}", get_run),
        *both(gate, "/actions/runs/{run_id}/attempts/{attempt}", get_attempt),
        *both(gate, "/actions/runs/{run_id}/jobs", list_jobs),
        *both(gate, "/actions/runs/{run_id}/attempts/{attempt}/jobs", list_attempt_jobs),
        *both(gate, "/actions/jobs/{job_id}", get_job),
        *both(gate, "/actions/jobs/{job_id}/logs", get_job_log),
        *both(gate, "/check-suites/{suite_id}", get_suite),
        *both(gate, "/check-suites/{suite_id}/check-runs", list_suite_check_runs),
        *both(gate, "/check-runs/{check_run_id}", get_check_run),
        *both(gate, "/commits/{ref:path}/check-suites", list_suites),
        *both(gate, "/commits/{ref:path}/check-runs", list_check_runs),
        *both(gate, "/commits/{ref:path}/statuses", list_statuses),
        *both(gate, "/commits/{ref:path}/status", get_combined_status),
        Route("/_blobs/logs/{job_id}.txt", gate(read_log, "/_blobs/logs", free=True)),
    ]
