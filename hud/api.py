"""`/api/v1`: what the pages show, as JSON, with an OpenAPI document at `/api/v1/openapi.json`.

Read-only, without sign-in. Errors are `{"detail": words}`. Names are found in any case of letters. What depends on the
repository's version alone carries an ETag, so that asking again costs one query while nothing has changed.
"""

from __future__ import annotations

from typing import Annotated, Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.http import parse_etags
from ninja import NinjaAPI, Query
from ninja.errors import HttpError, ValidationError

from hud import api_shapes as shapes
from hud import layout, links, listing, patterns, places, status
from hud.address import MAX_TEXT, Address
from hud.cells import Outcome, RunKind
from hud.edition import EDITION
from hud.layout import Group, Member
from hud.models import Branch, Commit, CommitCells, Configuration, Repository, Run
from project.github.payloads import Conclusion, Status

_TO_LETTER = bytes.maketrans(bytes(range(len(shapes.LETTERS))), shapes.LETTERS.encode())
_OUTCOMES = [outcome.name.lower() for outcome in Outcome]

Number = Annotated[int, Query(ge=1, le=listing.MAX_PAGE, description="Counts from 1.")]
PerPage = Annotated[int, Query(ge=1, le=100, description="At most 100.")]
JobFilter = Annotated[
    str,
    Query(
        max_length=MAX_TEXT,
        description="Only configurations whose name or group contains this, in any case of letters.",
    ),
]
AsRegex = Annotated[bool, Query(alias="re", description="Read `q` as a regular expression.")]


class _Api(NinjaAPI):
    """Anybody may read this without signing in, so a page of any origin may, too: no credentials are sent along."""

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        return _open(super().create_temporal_response(request))

    def create_response(self, request: HttpRequest, data: Any, **options: Any) -> HttpResponse:
        return _open(super().create_response(request, data, **options))


def _open(response: HttpResponse) -> HttpResponse:
    response["Access-Control-Allow-Origin"] = "*"
    response["Cache-Control"] = "no-cache"  # keep it, but ask whether it still holds
    return response


api = _Api(title="Arborist", version="1", description=__doc__ or "", urls_namespace="api-v1", docs_url="/docs")
ERRORS = {400: shapes.Problem, 404: shapes.Problem}


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return api.create_response(request, {"detail": str(error)}, status=404)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    words = "; ".join(f"{one['loc'][-1]}: {one['msg'][0].lower()}{one['msg'][1:]}" for one in error.errors)
    return api.create_response(request, {"detail": words}, status=400)


api.add_router("", "hud.health_api.router")  # last good, metrics
api.add_router("", "hud.break_api.router")


# -- repositories -----------------------------------------------------------------------------------------------------


@api.get("/repositories", response={200: list[shapes.RepositoryShape]}, tags=["repositories"])
def repositories(request: HttpRequest) -> Any:
    """All repositories that are watched, or were."""
    return [_repository(one) for one in Repository.objects.order_by("owner", "name")]


@api.get("/repositories/{owner}/{name}", response={200: shapes.RepositoryShape, **ERRORS}, tags=["repositories"])
def repository(request: HttpRequest, owner: str, name: str) -> Any:
    """One repository."""
    return _repository(places.the_repository(owner, name))


@api.get("/repositories/{owner}/{name}/branches", response={200: shapes.BranchesShape, **ERRORS}, tags=["repositories"])
def branches(request: HttpRequest, owner: str, name: str, page: Number = 1, per_page: PerPage = 50) -> Any:
    """The repository's branches as GitHub last listed them: watched ones first, then by name."""
    found = Branch.objects.filter(repository=places.the_repository(owner, name)).order_by("-watched", "name")
    rows, more = _page(found, page, per_page)
    return {"page": page, "per_page": per_page, "more": more, "branches": rows}


@api.get(
    "/repositories/{owner}/{name}/configurations", response={200: shapes.ConfigurationsShape, **ERRORS}, tags=["grid"]
)
def configurations(
    request: HttpRequest, response: HttpResponse, owner: str, name: str, q: JobFilter = "", re: AsRegex = False
) -> Any:
    """The configurations, in the order of the grid's columns."""
    found = places.the_repository(owner, name)
    if (same := _unchanged(request, response, found)) is not None:
        return same
    return {"configurations": [_configuration(group, member) for group, member in _columns(found, q, re)]}


# -- commits ----------------------------------------------------------------------------------------------------------


@api.get("/repositories/{owner}/{name}/grid", response={200: shapes.GridShape, **ERRORS}, tags=["grid"])
def grid(
    request: HttpRequest,
    response: HttpResponse,
    owner: str,
    name: str,
    branch: Annotated[
        str, Query(max_length=250, description="A branch or a commit's sha. The trunk, if left out.")
    ] = "",
    page: Number = 1,
    per_page: PerPage = 50,
    q: JobFilter = "",
    re: AsRegex = False,
    author: Annotated[
        str, Query(max_length=MAX_TEXT, description="Only commits of this login, or of an author so named.")
    ] = "",
) -> Any:
    """A page of commits, newest first, with the outcome of every configuration, one letter each."""
    found = places.the_repository(owner, name)
    if (same := _unchanged(request, response, found)) is not None:
        return same
    columns = _columns(found, q, re)
    rows, more = listing.page(found, _text(branch) or found.trunk, page=page, per_page=per_page, author=_text(author))
    slots = [member.slot for _, member in columns]
    size = max(slots, default=-1) + 1
    return {
        "page": page,
        "per_page": per_page,
        "more": more,
        "version": found.version,
        "configurations": [_configuration(group, member) for group, member in columns],
        "commits": [_commit(row) | {"outcomes": _letters(row.cells, slots, size)} for row in rows],
    }


@api.get(
    "/repositories/{owner}/{name}/commits/{sha}", response={200: shapes.CommitDetailShape, **ERRORS}, tags=["commits"]
)
def commit(request: HttpRequest, response: HttpResponse, owner: str, name: str, sha: str) -> Any:
    """A commit, by its sha or the beginning of it, with the outcome of every configuration."""
    found = places.the_repository(owner, name)
    if (same := _unchanged(request, response, found)) is not None:
        return same
    one = places.the_commit(found, _text(sha))
    cells = bytes(CommitCells.objects.filter(commit=one).values_list("cells", flat=True).first() or b"")
    return _commit(one) | {
        "html_url": f"{_github(found)}/commit/{one.sha}",
        "message": one.message,
        "parent_sha": one.parent_sha,
        "squares": [
            {
                "slot": member.slot,
                "name": member.full_name,
                "group": group.name,
                "outcome": _OUTCOMES[cells[member.slot] if member.slot < len(cells) else 0],
            }
            for group, member in _columns(found)
        ],
    }


@api.get(
    "/repositories/{owner}/{name}/commits/{sha}/runs", response={200: shapes.RunsShape, **ERRORS}, tags=["commits"]
)
def runs(
    request: HttpRequest,
    owner: str,
    name: str,
    sha: str,
    configuration: Annotated[
        int | None, Query(ge=0, le=2**31 - 1, description="Only this configuration's, by its slot.")
    ] = None,
    page: Number = 1,
    per_page: PerPage = 100,
) -> Any:
    """Everything that ran on a commit: all attempts and all shards."""
    found = places.the_repository(owner, name)
    one = places.the_commit(found, _text(sha))
    rows = Run.objects.filter(commit=one).select_related("configuration", "job_name")
    if configuration is not None:
        if not Configuration.objects.filter(repository=found, slot=configuration).exists():
            raise Http404(f"{found} has no configuration with slot {configuration}.")
        rows = rows.filter(configuration__slot=configuration)
    shown, more = _page(rows.order_by("configuration_id", "id"), page, per_page)
    github = _github(found)
    return {
        "page": page,
        "per_page": per_page,
        "more": more,
        "sha": one.sha,
        "runs": [_run(github, run) for run in shown],
    }


# -- status -----------------------------------------------------------------------------------------------------------


@api.get("/status", response={200: shapes.StatusShape}, tags=["status"], summary="Status")
def how_it_goes(request: HttpRequest) -> Any:
    """How reading from GitHub is going, for every repository and kind of poll."""
    overview = status.read()
    return {
        "now": overview.now,
        "worker": overview.worker._asdict(),
        "budget": overview.budget,
        "repositories": [_status(one, overview) for one in overview.repositories],
        "set_aside": [
            {
                "repository": str(row.repository or ""), "kind": row.kind, "reason": row.reason, "times": row.times,
                "first_seen": row.first_seen, "last_seen": row.last_seen,
            }
            for row in status.set_aside()
        ],
    }  # fmt: skip


def _status(one: status.RepositoryStatus, overview: status.Overview) -> dict[str, Any]:
    return {
        "owner": one.repository.owner,
        "name": one.repository.name,
        "active": one.repository.active,
        "state": one.fresh.kind,
        "checked_at": one.fresh.checked,
        "polls": [
            {
                "kind": poll.kind.value, "started_at": poll.started_at, "succeeded_at": poll.succeeded_at,
                "age_seconds": int((overview.now - poll.succeeded_at).total_seconds()) if poll.succeeded_at else None,
                "due_at": poll.due_at, "failures": poll.failures, "problem": poll.problem, "behind": poll.behind,
                "done": poll.done, "total": poll.total,
            }
            for poll in one.polls
        ],
        "branches": one.branches,
        "waiting_jobs": one.waiting,
        "set_aside": one.set_aside,
    }  # fmt: skip


# -- what the above share ---------------------------------------------------------------------------------------------


def _unchanged(request: HttpRequest, response: HttpResponse, found: Repository) -> HttpResponse | None:
    """The 304 answer, if the asker has this version already. The address names the rest of what would be sent."""
    etag = f'W/"{EDITION}-{found.pk}-{found.version}-{found.layout_version}"'
    response["ETag"] = etag
    if etag not in parse_etags(request.headers.get("If-None-Match", "")):
        return None
    same = _open(HttpResponseNotModified())
    same["ETag"] = etag
    return same


def _columns(found: Repository, q: str = "", regex: bool = False) -> list[tuple[Group, Member]]:
    """The configurations that the filter leaves, in the order of the grid's columns. Kept from request to request."""
    pattern = patterns.of(Address(q=_text(q), regex=regex), found.pk, found.layout_version)
    if pattern.problem is not None:
        where = "" if pattern.problem.at is None else f", at character {pattern.problem.at + 1}"
        raise HttpError(400, f"q: this regular expression can't be used: {pattern.problem.words}{where}")
    groups = layout.load(found.pk, found.layout_version).groups
    return [(group, member) for group in groups for member in group.members if pattern.matches(group, member)]


def _letters(cells: bytes, slots: list[int], size: int) -> str:
    letters = cells.ljust(size, b"\0").translate(_TO_LETTER).decode()
    return "".join(map(letters.__getitem__, slots))


def _page(rows: Any, page: int, per_page: int) -> tuple[list[Any], bool]:
    start = (page - 1) * per_page
    found = list(rows[start : start + per_page + 1])
    return found[:per_page], len(found) > per_page


def _text(value: str) -> str:
    return value.replace("\0", "").strip()  # PostgreSQL takes no NUL, and no name has one


def _github(found: Repository) -> str:
    return places.Place(found, None, "", "").github


def _repository(found: Repository) -> dict[str, Any]:
    return {
        "owner": found.owner,
        "name": found.name,
        "html_url": _github(found),
        "trunk": found.trunk,
        "active": found.active,
        "version": found.version,
    }


def _configuration(group: Group, member: Member) -> dict[str, Any]:
    return {"slot": member.slot, "name": member.full_name, "group": group.name, "unstable": member.unstable}


def _commit(row: Commit | listing.Listed) -> dict[str, Any]:
    return {
        "sha": row.sha,
        "title": row.title,
        "author_login": row.author_login,
        "author_name": row.author_name,
        "committed_at": row.committed_at,
        "pr_number": row.pr_number,
    }


def _run(github: str, run: Run) -> dict[str, Any]:
    return {
        "id": run.pk >> 2,
        "kind": RunKind(run.pk & 3).name.lower(),
        "configuration": run.configuration.slot,
        "name": f"{run.configuration.workflow} / {run.job_name.name}",
        "attempt": run.attempt,
        "workflow_run_id": run.workflow_run_id,
        "status": Status(run.status).name.lower(),
        "conclusion": Conclusion(run.conclusion).name.lower() if run.conclusion else "",
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "runner": run.runner,
        "html_url": links.run_url(github, run.pk, run.workflow_run_id, run.url),
    }
