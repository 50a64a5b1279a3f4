"""Endpoints for the repository itself: its branches and commits."""

import itertools
from collections.abc import Iterator

from starlette.responses import JSONResponse
from starlette.routing import Route

from project.simulator import payloads
from project.simulator.clock import parse_iso
from project.simulator.gate import ApiError, Call, Gate, Handler
from project.simulator.history import TRUNK, Commit
from project.simulator.payloads import Json
from project.simulator.pull_state import touches_of

_COMPARED = 3000  # commits on either side of a comparison
_GONE = {
    403: "Repository access blocked",
    410: "Repository is gone",
    451: "Repository unavailable due to DMCA takedown.",
}


def checked(handler: Handler) -> Handler:
    """Answer only for the repository that exists, and send those who use its old name to the new one."""

    def inner(call: Call) -> object:
        world = call.world
        if world.overlay.gone:
            raise ApiError(world.overlay.gone, _GONE.get(world.overlay.gone, "Not Found"))
        params = call.request.path_params
        if "repository_id" in params:
            if params["repository_id"] != str(world.id):
                raise ApiError(404)
            return handler(call)
        asked = f"{params['owner']}/{params['repo']}".lower()
        if asked == world.full_name.lower():
            return handler(call)
        if asked == world.catalogue.full_name.lower():
            rest = call.request.url.path.split("/", 4)[4:]
            location = f"{call.base}/repositories/{world.id}" + "".join(f"/{part}" for part in rest)
            if call.request.url.query:
                location += f"?{call.request.url.query}"
            body = {
                "message": "Moved Permanently",
                "url": location,
                "documentation_url": "https://docs.github.com/rest",
            }
            return JSONResponse(body, 301, {"location": location})
        raise ApiError(404)

    return inner


def both(gate: Gate, path: str, handler: Handler, methods: list[str] | None = None) -> list[Route]:
    """The route by name and, as GitHub's redirects after a rename have it, by number."""
    endpoint = gate(checked(handler), path or "/")
    prefixes = ("/repos/{owner}/{repo}", "/repositories/{repository_id}")
    return [Route(prefix + path, endpoint, methods=methods or ["GET"]) for prefix in prefixes]


def found_commit(call: Call) -> Commit:
    ref = call.path("ref")
    commit = call.world.resolve(ref, call.now)
    if commit is None:
        raise ApiError(422, f"No commit found for SHA: {ref}")
    return commit


def get_repository(call: Call) -> Json:
    return payloads.repository(call.world, call.base, call.now)


def list_branches(call: Call) -> list[Json]:
    branches = call.paged(call.world.branches(call.now))
    return [payloads.short_branch(call.world, call.base, name, head) for name, head in branches]


def get_branch(call: Call) -> Json:
    name = call.path("branch")
    for branch, head in call.world.branches(call.now):
        if branch == name:
            return payloads.branch(call.world, call.base, name, head)
    raise ApiError(404, "Branch not found")


def list_commits(call: Call) -> list[Json]:
    world = call.world
    ref = call.query("sha") or TRUNK
    head = world.resolve(ref, call.now)
    if head is None:
        raise ApiError(404)
    commits: Iterator[Commit] = world.ancestors(head)
    # Both are about the committer date, and both include their own second.
    if until := call.query("until"):
        end = _time(until)
        commits = itertools.dropwhile(lambda c: c.time > end, commits)
    if since := call.query("since"):
        start = _time(since)
        commits = itertools.takewhile(lambda c: c.time >= start, commits)
    if author := call.query("author"):
        commits = (c for c in commits if c.author == author)
    page, size = call.page_size()
    shown = list(itertools.islice(commits, (page - 1) * size, page * size + 1))
    call.link(last=None, more=len(shown) > size)
    return [payloads.commit(world, call.base, c) for c in shown[:size]]


def _time(text: str) -> float:
    try:
        return parse_iso(text.replace(" ", "+"))
    except ValueError:
        raise ApiError(422, "Invalid request.\n\nInvalid time") from None


def get_commit(call: Call) -> Json:
    return payloads.commit_detail(call.world, call.base, found_commit(call))


def compare(call: Call) -> Json:
    left, dots, right = call.path("basehead").partition("...")
    world = call.world
    from_, to = world.resolve(left, call.now), world.resolve(right, call.now)
    if not dots or from_ is None or to is None:
        raise ApiError(404)
    common, ahead, behind = _apart(call, from_, to)
    if common is None:
        raise ApiError(404, f"No common ancestor between {left} and {right}.")
    touches = touches_of(world, ahead)
    return payloads.comparison(world, call.base, from_, to, common, ahead, len(behind), touches)


def _apart(call: Call, from_: Commit, to: Commit) -> tuple[Commit | None, list[Commit], list[Commit]]:
    """The merge base, and the commits since then towards `to` and towards `from_`, oldest first."""
    near = {commit.sha: commit for commit in itertools.islice(call.world.ancestors(from_), _COMPARED)}
    ahead: list[Commit] = []
    for commit in itertools.islice(call.world.ancestors(to), _COMPARED):
        if commit.sha in near:
            behind = list(itertools.takewhile(lambda c: c.sha != commit.sha, near.values()))  # noqa: B023
            return commit, ahead[::-1], behind[::-1]
        ahead.append(commit)
    return None, [], []


def routes(gate: Gate) -> list[Route]:
    return [
        *both(gate, "", get_repository),
        *both(gate, "/branches", list_branches),
        *both(gate, "/branches/{branch:path}", get_branch),
        *both(gate, "/commits", list_commits),
        *both(gate, "/compare/{basehead:path}", compare),
    ]


def commit_routes(gate: Gate) -> list[Route]:
    """Last of all under `/commits/`, because a ref may contain slashes."""
    return both(gate, "/commits/{ref:path}", get_commit)
