"""`/api/hud/<owner>/<repo>/<branch>/<page>`: the grid in the shape of hud.pytorch.org, for the clients of its API.

The shape, as its clients read it: `jobNames` are the full names as given, shard and runner included, sorted; `shaGrid`
has a row for each commit, newest first, whose `jobs` stand in the order of `jobNames`, an empty object where nothing
ran. Ids are text. Of several runs under one name the page shows one; `cellRuns` then lists them all.

What Arborist does not know is left out (failure lines) or said to be false (forced merges). Differences: check runs of
other apps and commit statuses are columns too, and a page holds at most 100 commits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import conditional_page, require_safe
from pydantic_core import to_json

from hud import links, listing, places
from hud.listing import Listed
from hud.models import Repository
from project.github.payloads import Conclusion, Status

PER_PAGE = 50
MOST_PER_PAGE = 100

_DIFF = re.compile(r"Differential Revision: \[?(D[0-9]+)")

# Of several runs under one name, the class that stands for all: the lowest. Index: conclusion.
_SUCCESS, _FAILURE, _PENDING, _NEUTRAL, _SKIPPED, _OTHER, _CANCELLED = range(7)
_CLASS = {
    Conclusion.SUCCESS: _SUCCESS,
    Conclusion.FAILURE: _FAILURE,
    Conclusion.TIMED_OUT: _FAILURE,
    Conclusion.STARTUP_FAILURE: _FAILURE,
    Conclusion.NONE: _PENDING,
    Conclusion.NEUTRAL: _NEUTRAL,
    Conclusion.SKIPPED: _SKIPPED,
    Conclusion.CANCELLED: _CANCELLED,
}
_RANK = [_CLASS.get(number, _OTHER) for number in range(max(Conclusion) + 1)]  # type: ignore[call-overload]
_CONCLUSIONS = {conclusion.value: conclusion.name.lower() for conclusion in Conclusion}
_STATUSES = {status.value: status.name.lower() for status in Status}


# (job name id, id, workflow run id, status, conclusion, seconds, runner, url, commit id). A bare tuple, for there are
# 50,000: the garbage collector comes back to named ones again and again, which took longer than all the rest.
_Run = tuple[int, int, int | None, int, int, int | None, str, str, int]

_RUNS = """
    SELECT job_name_id, id, workflow_run_id, status, conclusion,
           greatest(extract(epoch FROM completed_at - started_at), 0)::int, runner, url, commit_id
    FROM hud_run WHERE commit_id = ANY(%s)
"""
_NAMES = """
    SELECT n.id, c.workflow || ' / ' || n.name FROM hud_jobname n JOIN hud_configuration c ON c.id = n.configuration_id
    WHERE n.id = ANY(%s)
"""


@require_safe
@conditional_page
def page(request: HttpRequest, owner: str, repo: str, branch: str, page: int) -> HttpResponse:
    """A page of the branch, or of the history of a commit. Pages count from 1; 0 means the first one too."""
    try:
        per_page = _number(request, "per_page", PER_PAGE)
        repository = places.the_repository(owner, repo)
        rows, _ = listing.page(
            repository,
            branch.replace("\0", ""),
            page=min(max(page, 1), listing.MAX_PAGE),
            per_page=min(max(per_page, 1), MOST_PER_PAGE),
        )
    except Http404 as error:
        return _answer(JsonResponse({"detail": str(error)}, status=404))
    except ValueError as error:
        return _answer(JsonResponse({"detail": str(error)}, status=400))
    content = grid(repository, rows, _name_filter(request))
    return _answer(HttpResponse(content, content_type="application/json"))


def grid(
    repository: Repository, commits: Sequence[Listed], name_filter: Callable[[str], str | None] = lambda name: name
) -> bytes:
    """The page's JSON. `name_filter` says under which name a job is shown; None leaves it out. Two queries."""
    runs: dict[int, list[_Run]] = {commit.pk: [] for commit in commits}
    with connection.cursor() as cursor:
        cursor.execute(_RUNS, [list(runs)])
        for run in cursor:
            runs[run[-1]].append(run)
        used = {run[0] for rows in runs.values() for run in rows}
        cursor.execute(_NAMES, [list(used)])
        names = {pk: shown for pk, name in cursor.fetchall() if (shown := name_filter(name)) is not None}
    job_names = sorted(set(names.values()))
    github = places.Place(repository, None, "", "").github
    # Commit by commit, so that what one of them was made of is forgotten before the next.
    rows = [to_json(_row(github, commit, _by_name(runs[commit.pk], names), job_names)) for commit in commits]
    return b'{"shaGrid":[' + b",".join(rows) + b'],"jobNames":' + to_json(job_names) + b"}"


def _by_name(runs: Iterable[_Run], names: dict[int, str]) -> dict[str, list[_Run]]:
    cells: dict[str, list[_Run]] = {}
    for run in runs:
        if run[0] in names:
            cells.setdefault(names[run[0]], []).append(run)
    return cells


def _row(github: str, commit: Listed, cells: dict[str, list[_Run]], job_names: Iterable[str]) -> dict[str, Any]:
    nothing: dict[str, Any] = {}
    diff = _DIFF.search(commit.message)
    origin = github.rsplit("/", 2)[0]
    return {
        "sha": commit.sha,
        "commitUrl": f"{github}/commit/{commit.sha}",
        "commitTitle": commit.title,
        "commitMessageBody": commit.message,
        "time": commit.committed_at.strftime("%Y-%m-%dT%H:%M:%SZ") if commit.committed_at else None,
        "author": commit.author_login or commit.author_name,
        "authorUrl": f"{origin}/{quote(commit.author_login)}" if commit.author_login else None,
        "prNum": commit.pr_number,
        "diffNum": diff[1] if diff else None,
        "jobs": [_cell(github, commit.sha, cells[name]) if name in cells else nothing for name in job_names],
        "isForcedMerge": False,
        "isForcedMergeWithFailures": False,
        "isAutoreverted": False,
    }


def _cell(github: str, sha: str, runs: list[_Run]) -> dict[str, Any]:
    """All runs under one name on one commit, merged: whoever started them and in whatever order they came.

    Success, else failure, else pending, else neutral, else skipped, cancelled only if there is nothing else; of the
    class shown the newest by number. A success beside a failure says so in `failedPreviousRun`.
    """
    if len(runs) == 1:
        return _job(github, sha, runs[0])
    # What is shown first, then what failed, then the rest, each newest first.
    shown = min(runs, key=lambda run: (_RANK[run[4]], -(run[1] >> 2)))
    runs.sort(key=lambda run: (run is not shown, _RANK[run[4]] != _FAILURE, -(run[1] >> 2)))
    job = _job(github, sha, shown)
    if shown[4] == Conclusion.SUCCESS and any(_RANK[run[4]] == _FAILURE for run in runs):
        job["failedPreviousRun"] = True
    job["cellRuns"] = [_job(github, sha, run) for run in runs]
    job["cellRuns"][0]["isRepresentative"] = True
    return job


def _job(github: str, sha: str, run: _Run) -> dict[str, Any]:
    _, run_id, workflow_run_id, status, conclusion, seconds, runner, url, _ = run
    job: dict[str, Any] = {
        "id": str(run_id >> 2),
        "conclusion": _CONCLUSIONS[conclusion] if conclusion else "queued" if status == Status.QUEUED else "pending",
        "status": _STATUSES[status],
        "htmlUrl": links.run_url(github, run_id, workflow_run_id, url),
    }
    if workflow_run_id is not None:
        job["workflowId"] = str(workflow_run_id)
    if seconds is not None:
        job["durationS"] = seconds
    if runner:
        job["runnerName"] = runner
    if conclusion and (log := links.log_url(github, sha, run_id)):
        job["logUrl"] = log
    return job


def _name_filter(request: HttpRequest) -> Callable[[str], str | None]:
    reruns, unstable, fleets = (
        request.GET.get(name, "").lower() in ("true", "1")
        for name in ("filter_reruns", "filter_unstable", "mergeEphemeralLF")
    )

    def shown(name: str) -> str | None:
        if (reruns and "rerun_disabled_tests" in name) or (unstable and "unstable" in name.casefold()):
            return None
        # Two fleets of machines run the same jobs; the second one's labels begin with `lf.`.
        return name.replace(", lf.", ", ") if fleets else name

    return shown


def _number(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{name}: should be a number, but is “{text[:50]}”")
    return int(text)


def _answer(response: HttpResponse) -> HttpResponse:
    # Anybody may read this without signing in, so a page of any origin may, too: no credentials go with the request.
    response["Access-Control-Allow-Origin"] = "*"
    response["Cache-Control"] = "no-cache"
    return response
