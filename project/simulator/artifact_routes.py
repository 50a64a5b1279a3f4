"""Endpoints for artifacts: the test jobs of one workflow upload JUnit reports, which agree with their logs."""

import io
import re
import time
import zipfile
from xml.sax.saxutils import quoteattr

from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from project.simulator.clock import iso
from project.simulator.failures import log_text
from project.simulator.gate import ApiError, Call, Gate
from project.simulator.payloads import Json
from project.simulator.plans import Job, Run
from project.simulator.repository_routes import both
from project.simulator.world import RETENTION_DAYS

WORKFLOW = "pull"  # the one whose tests upload reports
_LINK_SECONDS = 60
_PASSED = re.compile(r"Z (\S+\.py)::(\w+)::(\S+) PASSED \[([0-9.]+)s\]")
_FAILED = re.compile(r"FAILED (?:\[([0-9.]+)s\] )?(\S+\.py)::(\w+)::(\S+) - (.*)")


def uploads(run: Run, job: Job, now: float) -> bool:
    """Whether a job has left a report by now."""
    if run.workflow.name != WORKFLOW or " / test (" not in job.name or job.clone_of is not None:
        return False
    lost = job.failure is not None and job.failure.kind == "runner_lost"
    return job.status(now) == "completed" and job.conclusion in ("success", "failure") and not lost


def artifact_name(job: Job) -> str:
    """As PyTorch names them: configuration, shard, runner and the job's id."""
    inside = job.name.partition(" / test (")[2].rstrip(")").replace(", ", "-")
    return f"test-reports-test-{inside}_{job.id}.zip"


def report(job: Job) -> bytes:
    """The zip with one JUnit file."""
    text = log_text(
        job_name=job.name, started=job.started, completed=job.completed, conclusion=job.conclusion,
        failure=job.failure,
    )  # fmt: skip
    failed = {match.groups()[1:4]: match for match in map(_FAILED.search, text.split("\n")) if match}
    passed = {match.groups()[:3]: match[4] for match in _PASSED.finditer(text) if match.groups()[:3] not in failed}
    cases = [_case(test, seconds) for test, seconds in passed.items()]
    for test, match in failed.items():
        inside = f"<failure message={quoteattr(match[5])}>{'Traceback (most recent call last)'}</failure>"
        cases.append(_case(test, match[1] or "0", inside))
    xml = (
        '<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" '
        f'tests="{len(cases)}" failures="{len(failed)}">{"".join(cases)}</testsuite></testsuites>'
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("test/test-reports/python-pytest/report.xml"), xml)
    return packed.getvalue()


def _case(test: tuple[str, ...], seconds: str, inside: str = "") -> str:
    file, owner, name = test
    classname = f"{file.removesuffix('.py').replace('/', '.')}.{owner}"
    attributes = (
        f"classname={quoteattr(classname)} name={quoteattr(name)} file={quoteattr(file)} time={quoteattr(seconds)}"
    )
    return f"<testcase {attributes}>{inside}</testcase>"


def _payload(call: Call, run: Run, job: Job) -> Json:
    world = call.world
    url = f"{call.base}/repos/{world.full_name}/actions/artifacts/{job.id}"
    return {
        "id": job.id,
        "node_id": f"MDg6QXJ0aWZhY3Q{job.id}",
        "name": artifact_name(job),
        "size_in_bytes": 4_000,
        "url": url,
        "archive_download_url": f"{url}/zip",
        "expired": job.completed < call.now - RETENTION_DAYS * 86_400,
        "created_at": iso(job.completed),
        "updated_at": iso(job.completed),
        "expires_at": iso(job.completed + RETENTION_DAYS * 86_400),
        "workflow_run": {
            "id": run.id,
            "repository_id": world.id,
            "head_repository_id": world.id,
            "head_branch": world.history.branch_of(run.commit),
            "head_sha": run.commit.sha,
        },
    }


def list_artifacts(call: Call) -> Json:
    run = call.world.run(call.number("run_id"), call.now)
    if run is None:
        raise ApiError(404)
    attempts = call.world.attempts(run, call.now)
    jobs = [job for attempt in attempts for job in call.world.jobs(attempt, call.now) if uploads(run, job, call.now)]
    return {"total_count": len(jobs), "artifacts": [_payload(call, run, job) for job in call.paged(jobs[::-1])]}


def get_zip(call: Call) -> Response:
    found = call.world.job(call.number("artifact_id"), call.now)
    if found is None or not uploads(*found, call.now):
        raise ApiError(404)
    job = found[1]
    if job.completed < call.now - RETENTION_DAYS * 86_400:
        raise ApiError(410, "Artifact has expired")
    expires = int(time.time()) + _LINK_SECONDS
    signature = call.simulator.sign(f"artifact {job.id} {expires}")
    return RedirectResponse(f"{call.base}/_blobs/artifacts/{job.id}.zip?se={expires}&sig={signature}", 302)


def read_zip(call: Call) -> Response:
    """Where the link leads. It asks for no token, only for its own signature."""
    expires, signature, number = call.query("se", "0"), call.query("sig"), call.number("artifact_id")
    if signature != call.simulator.sign(f"artifact {number} {expires}") or int(expires) < time.time():
        return PlainTextResponse("This link has expired.", 403)
    found = call.world.job(number, call.now)
    if found is None:
        return PlainTextResponse("No such artifact.", 404)
    return Response(report(found[1]), media_type="application/zip")


def routes(gate: Gate) -> list[Route]:
    return [
        *both(gate, "/actions/runs/{run_id}/artifacts", list_artifacts),
        *both(gate, "/actions/artifacts/{artifact_id}/zip", get_zip),
        Route("/_blobs/artifacts/{artifact_id}.zip", gate(read_zip, "/_blobs/artifacts", free=True)),
    ]
