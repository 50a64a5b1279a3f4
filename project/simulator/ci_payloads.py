"""GitHub's JSON for workflow runs, jobs, check suites, check runs and commit statuses."""

import uuid

from project.simulator.clock import iso
from project.simulator.draws import digest
from project.simulator.history import Commit
from project.simulator.names import BOT
from project.simulator.other_checks import ACTIONS, App, OtherCheck, Status
from project.simulator.payloads import Json, node_id, person, simple_commit, user
from project.simulator.plans import Attempt, Job, Run
from project.simulator.world import World
from project.simulator.writes import MadePull

# Stands for the minimal repository, 4 KB of constant text, which a page of 100 runs would otherwise write 200 times.
# Random, so that no commit title can contain it.
REPOSITORY_MARK = f"repository-{uuid.uuid4().hex}"
PULL_ID = 1_700_000_000  # of pull requests, whose numbers are added to it
_PAUSE = 2  # seconds that the steps around a job's work take


def run(world: World, base: str, found: Run, attempt: Attempt, now: float, *, past: bool = False) -> Json:
    """A workflow run as of one of its attempts. `past`: asked for by attempt number, not as the run itself."""
    url = f"{base}/repos/{world.full_name}/actions"
    status = attempt.status(now)
    here = f"{url}/runs/{found.id}" + (f"/attempts/{attempt.number}" if past else "")
    before = f"{url}/runs/{found.id}/attempts/{attempt.number - 1}" if attempt.number > 1 else None
    # Empty for those from forks, as it is at GitHub.
    made = world.made_pull_at(found.commit.sha) if found.commit.made and found.event == "pull_request" else None
    return {
        "id": found.id,
        "name": found.workflow.name,
        "node_id": node_id("WFR", found.id),
        "head_branch": world.history.branch_of(found.commit),
        "head_sha": found.commit.sha,
        "path": found.workflow.path,
        "display_title": found.workflow.name if found.event == "schedule" else world.title(found.commit),
        "run_number": found.number,
        "event": found.event,
        "status": status,
        "conclusion": attempt.conclusion if status == "completed" else None,
        "workflow_id": found.workflow.id,
        "check_suite_id": found.suite_id,
        "check_suite_node_id": node_id("CS", found.suite_id),
        "url": here,
        "html_url": f"{base}/{world.full_name}/actions/runs/{found.id}"
        + (f"/attempts/{attempt.number}" if past else ""),
        "pull_requests": [_short_pull(world, base, found.commit, made[0])] if made else [],
        "created_at": iso(found.created),
        "updated_at": iso(attempt.updated(now)),
        "actor": person(found.actor, base),
        "run_attempt": attempt.number,
        "referenced_workflows": [],
        "run_started_at": iso(attempt.started),
        "triggering_actor": person(attempt.actor, base),
        "jobs_url": f"{here}/jobs",
        "logs_url": f"{here}/logs",
        "check_suite_url": f"{base}/repos/{world.full_name}/check-suites/{found.suite_id}",
        "artifacts_url": f"{url}/runs/{found.id}/artifacts",
        "cancel_url": f"{url}/runs/{found.id}/cancel",
        "rerun_url": f"{url}/runs/{found.id}/rerun",
        "previous_attempt_url": before,
        "workflow_url": f"{url}/workflows/{found.workflow.id}",
        "head_commit": simple_commit(world, found.commit),
        "repository": REPOSITORY_MARK,
        "head_repository": REPOSITORY_MARK,
    }


def _short_pull(world: World, base: str, head: Commit, made: MadePull) -> Json:
    url = f"{base}/repos/{world.full_name}"
    repo = {"id": world.id, "url": url, "name": world.repo}
    stands_on = world.base(head) or head
    return {
        "id": PULL_ID + made.number, "number": made.number, "url": f"{url}/pulls/{made.number}",
        "head": {"ref": made.branch, "sha": head.sha, "repo": repo},
        "base": {"ref": made.base, "sha": stands_on.sha, "repo": repo},
    }  # fmt: skip


def _steps(job: Job, now: float) -> list[Json]:
    """The steps of a job. Work takes all its time but for a few seconds before and after."""
    if job.conclusion == "skipped" or now < job.started:
        return []
    begin, end = job.started + _PAUSE, max(job.completed - 3 * _PAUSE, job.started + _PAUSE)
    work = "Build" if job.name.endswith("/ build") else "Test" if "test" in job.name else "Run"
    spans = [
        ("Set up job", job.started, begin),
        ("Checkout", begin, min(begin + 40, end)),
        (work, min(begin + 40, end), end),
        ("Upload artifacts", end, end + 2 * _PAUSE),
        ("Complete job", end + 2 * _PAUSE, job.completed),
    ]
    steps = []
    for number, (name, started, completed) in enumerate(spans, 1):
        done, begun = now >= completed, now >= started
        conclusion = "success"
        if name == work and job.conclusion != "success":
            conclusion = "cancelled" if job.conclusion == "cancelled" else "failure"
        elif name == "Upload artifacts" and job.conclusion == "cancelled":
            conclusion = "skipped"
        steps.append({
            "name": name,
            "status": "completed" if done else "in_progress" if begun else "queued",
            "conclusion": conclusion if done else None,
            "number": number,
            "started_at": iso(started) if begun else None,
            "completed_at": iso(completed) if done else None,
        })  # fmt: skip
    return steps


def job(world: World, base: str, of: Run, found: Job, now: float) -> Json:
    url = f"{base}/repos/{world.full_name}"
    status = found.status(now)
    running = status != "queued" and found.conclusion != "skipped"
    machine = digest("runner", found.clone_of or found.id).hex()
    return {
        "id": found.id,
        "run_id": found.run_id,
        "workflow_name": of.workflow.name,
        "head_branch": world.history.branch_of(of.commit),
        "run_url": f"{url}/actions/runs/{found.run_id}",
        "run_attempt": found.attempt,
        "node_id": node_id("CR", found.id),
        "head_sha": of.commit.sha,
        "url": f"{url}/actions/jobs/{found.id}",
        "html_url": f"{base}/{world.full_name}/actions/runs/{found.run_id}/job/{found.id}",
        "status": status,
        "conclusion": found.conclusion if status == "completed" else None,
        "created_at": iso(found.created),
        # A queued job already has one on GitHub, equal to its creation; it is rewritten when a runner takes the job.
        "started_at": iso(found.started if running else found.created),
        "completed_at": iso(found.completed) if status == "completed" else None,
        "name": found.name,
        "steps": _steps(found, now),
        "check_run_url": f"{url}/check-runs/{found.id}",
        "labels": [found.label],
        "runner_id": int(machine[:6], 16) % 900_000 + 1 if running else None,
        "runner_name": f"i-{machine[:17]}" if running else None,
        "runner_group_id": 1 if running else None,
        "runner_group_name": "Default" if running else None,
    }


def app(which: App, base: str) -> Json:
    return {
        "id": which.id,
        "slug": which.slug,
        "client_id": f"Iv1.{digest('app', which.id).hex()[:16]}",
        "node_id": node_id("A", which.id),
        "owner": user("github" if which is ACTIONS else f"{which.slug}-makers", base, "Organization"),
        "name": which.name,
        "description": f"{which.name}, as simulated",
        "external_url": f"{base}/apps/{which.slug}",
        "html_url": f"{base}/apps/{which.slug}",
        "created_at": "2018-07-30T09:30:17Z",
        "updated_at": "2024-01-10T12:00:00Z",
        "permissions": {"checks": "write", "contents": "read", "metadata": "read", "statuses": "write"},
        "events": ["check_run", "check_suite", "push"],
    }


def _output(title: str | None, summary: str | None, url: str, annotations: int = 0) -> Json:
    return {
        "title": title, "summary": summary, "text": None, "annotations_count": annotations,
        "annotations_url": f"{url}/annotations",
    }  # fmt: skip


def job_check_run(world: World, base: str, of: Run, found: Job, now: float) -> Json:
    """The check run that GitHub Actions makes for a job. It has the job's id."""
    url = f"{base}/repos/{world.full_name}/check-runs/{found.id}"
    page = f"{base}/{world.full_name}/actions/runs/{found.run_id}/job/{found.id}"
    status = found.status(now)
    running = status != "queued"
    failed = status == "completed" and found.failure is not None
    return {
        "id": found.id,
        "name": found.name,
        "node_id": node_id("CR", found.id),
        "head_sha": of.commit.sha,
        "external_id": str(uuid.UUID(bytes=digest("check", found.id))),
        "url": url,
        "html_url": page,
        "details_url": page,
        "status": status,
        "conclusion": found.conclusion if status == "completed" else None,
        "started_at": iso(found.started if running else found.created),
        "completed_at": iso(found.completed) if status == "completed" else None,
        "output": _output(None, None, url, 1 if failed else 0),
        "check_suite": {"id": of.suite_id},
        "app": app(ACTIONS, base),
        "pull_requests": [],
    }


def other_check_run(world: World, base: str, commit: Commit, found: OtherCheck, now: float) -> Json:
    url = f"{base}/repos/{world.full_name}/check-runs/{found.id}"
    status = found.status(now)
    done = status == "completed"
    return {
        "id": found.id,
        "name": found.name,
        "node_id": node_id("CR", found.id),
        "head_sha": commit.sha,
        "external_id": f"{found.app.slug}-{found.id}",
        "url": url,
        "html_url": f"{base}/{world.full_name}/runs/{found.id}",
        "details_url": f"{base}/{world.full_name}/runs/{found.id}",
        "status": status,
        "conclusion": found.conclusion if done else None,
        "started_at": iso(found.started if now >= found.started else found.created),
        "completed_at": iso(found.completed) if done else None,
        "output": _output(found.name if done else None, found.summary if done else None, url),
        "check_suite": {"id": found.suite_id},
        "app": app(found.app, base),
        "pull_requests": [],
    }


def suite(
    world: World, base: str, commit: Commit, *, number: int, of: App, status: str, conclusion: str | None,
    created: int, updated: int, check_runs: int,
) -> Json:  # fmt: skip
    url = f"{base}/repos/{world.full_name}/check-suites/{number}"
    parent = world.parent(commit)
    return {
        "id": number,
        "node_id": node_id("CS", number),
        "head_branch": world.history.branch_of(commit),
        "head_sha": commit.sha,
        "status": status,
        "conclusion": conclusion,
        "url": url,
        "before": parent.sha if parent else "0" * 40,
        "after": commit.sha,
        "pull_requests": [],
        "app": app(of, base),
        "created_at": iso(created),
        "updated_at": iso(updated),
        "rerequestable": True,
        "runs_rerequestable": of is not ACTIONS,
        "latest_check_runs_count": check_runs,
        "check_runs_url": f"{url}/check-runs",
        "head_commit": simple_commit(world, commit),
        "repository": REPOSITORY_MARK,
    }


def simple_status(world: World, base: str, commit: Commit, entry: Status) -> Json:
    return {
        "url": f"{base}/repos/{world.full_name}/statuses/{commit.sha}",
        "avatar_url": f"{base}/avatars/u/{entry.id % 1000}",
        "id": entry.id,
        "node_id": node_id("SC", entry.id),
        "state": entry.state,
        "description": entry.description,
        "target_url": f"{base}/{world.full_name}/commit/{commit.sha}",
        "context": entry.context,
        "created_at": iso(entry.time),
        "updated_at": iso(entry.time),
    }


def status(world: World, base: str, commit: Commit, entry: Status) -> Json:
    return {**simple_status(world, base, commit, entry), "creator": person(BOT, base)}


def combined_status(world: World, base: str, commit: Commit, latest: list[Status], shown: list[Status]) -> Json:
    """`latest` decides the state; `shown` is the page of it."""
    states = {entry.state for entry in latest}
    state = "pending" if "pending" in states or not states else "success"
    if states & {"failure", "error"}:
        state = "failure"
    url = f"{base}/repos/{world.full_name}/commits/{commit.sha}"
    return {
        "state": state,
        "statuses": [simple_status(world, base, commit, entry) for entry in shown],
        "sha": commit.sha,
        "total_count": len(latest),
        "repository": REPOSITORY_MARK,
        "commit_url": url,
        "url": f"{url}/status",
    }
