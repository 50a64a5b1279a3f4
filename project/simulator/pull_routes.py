"""Endpoints for pull requests, below /repos/{owner}/{repo} (and /repositories/{id}).

GET  /pulls ?state=open|closed|all &head=owner:branch &base &sort=created|updated|popularity &direction
POST /pulls {title, head, base, body, draft}
GET  /pulls/{n}    PATCH /pulls/{n} {title, body, state, base}
GET  /pulls/{n}/commits   /files   /reviews   /merge (204 or 404)
PUT  /pulls/{n}/merge {sha, merge_method, commit_title, commit_message}
GET  /commits/{sha}/pulls
"""

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from project.simulator import pull_payloads
from project.simulator.gate import ApiError, Call, Gate
from project.simulator.git_data import open_pull
from project.simulator.history import BESIDE, TRUNK, Commit
from project.simulator.landing import land, unland
from project.simulator.payloads import Json, file, repository
from project.simulator.payloads import commit as commit_json
from project.simulator.pull_state import Item, commits_of, item, recent, touches_of
from project.simulator.repository_routes import both, found_commit
from project.simulator.writes import StateEdit, WordsEdit
from project.simulator.writing import invalid, tell, text, writing

_MOST_COMMITS, _MOST_FILES = 250, 3000


def found_pull(call: Call) -> Item:
    found = item(call.world, call.number("number"), call.now)
    if found is None or not found.is_pull:
        raise ApiError(404)
    return found


def _simple(call: Call, items: list[Item]) -> list[Json]:
    whole = repository(call.world, call.base, call.now)
    return [pull_payloads.simple(call.world, call.base, found, whole) for found in items]


def list_pulls(call: Call) -> list[Json]:
    state, base, head = call.query("state", "open"), call.query("base"), call.query("head")
    sort = call.query("sort", "created")
    found = [
        one for one in recent(call.world, call.now)
        if one.is_pull and state in ("all", one.state) and base in ("", one.base)
        and head in ("", f"{call.world.owner if one.made else one.author}:{one.branch}")
    ]  # fmt: skip
    down = call.query("direction", "asc" if call.query("sort") and sort != "created" else "desc") != "asc"
    found.sort(key=lambda one: (one.updated if sort == "updated" else one.created, one.number), reverse=down)
    return _simple(call, call.paged(found))


def get_pull(call: Call) -> Json:
    return pull_payloads.whole_pull(call.world, call.base, found_pull(call), call.now)


def tell_pull(call: Call, action: str, number: int, **more: Any) -> None:
    def payload() -> Json:
        found = item(call.world, number, call.now)
        assert found is not None
        whole = pull_payloads.whole_pull(call.world, call.base, found, call.now)
        return {"number": number, "pull_request": whole, **more}

    tell(call, "pull_request", action, payload)


def create_pull(call: Call) -> Json:
    body, world = call.json(), call.world
    title, head, base = (text(body, name, "PullRequest") for name in ("title", "head", "base"))
    if not title.strip():
        raise invalid("PullRequest", "title", "missing_field")
    branch = head.removeprefix(f"{world.owner}:")
    branches = dict(world.branches(call.now))
    if branch not in branches:
        raise invalid("PullRequest", "head", "invalid")
    if base not in branches:
        raise invalid("PullRequest", "base", "invalid")
    if any(one.branch == branch and one.base == base and (found := item(world, number, call.now)) is not None
           and found.state == "open" for number, one in world.writes.pulls.items()):  # fmt: skip
        said = f"A pull request already exists for {world.owner}:{branch}."
        raise ApiError(422, "Validation Failed",
                       errors=[{"resource": "PullRequest", "code": "custom", "message": said}])  # fmt: skip
    commit = branches[branch]
    if commit.line != BESIDE or commit.sha == branches[base].sha:
        said = f"No commits between {base} and {branch}"
        raise ApiError(422, "Validation Failed",
                       errors=[{"resource": "PullRequest", "code": "custom", "message": said}])  # fmt: skip
    made = open_pull(world, title=title, body=text(body, "body", "PullRequest", required=False), author=call.actor,
                     branch=branch, head=commit, base=base, draft=body.get("draft") is True,
                     now=call.now)  # fmt: skip
    call.simulator.written()
    tell_pull(call, "opened", made.number)
    return pull_payloads.whole_pull(world, call.base, made, call.now)


def set_state(call: Call, found: Item, state: str, reason: str | None = None) -> None:
    """Close or reopen. What was about to land does not any more."""
    if state not in ("open", "closed"):
        raise invalid("Issue", "state", "invalid")
    if found.merged_at is not None and state == "open":
        raise ApiError(422, "Validation Failed", errors=[
            {"resource": "PullRequest", "code": "invalid", "field": "state",
             "message": "state cannot be changed. The pull request cannot be reopened."}])  # fmt: skip
    if found.state == state:
        return
    if state == "closed" and found.made is not None:
        unland(call.world, found.number, call.now)
    call.world.writes.states.append(StateEdit(found.number, int(call.now), state, call.actor, reason))


def edit_pull(call: Call) -> Json:
    found, body = found_pull(call), call.json()
    change_words(call, found, body)
    if body.get("state") is not None:
        set_state(call, found, str(body["state"]))
    call.simulator.written()
    changed = found_pull(call)
    if changed.state != found.state:
        tell_pull(call, "closed" if changed.state == "closed" else "reopened", found.number)
    elif changed.title != found.title or changed.body != found.body:
        tell_pull(call, "edited", found.number, changes={})
    return pull_payloads.whole_pull(call.world, call.base, changed, call.now)


def change_words(call: Call, found: Item, body: Json) -> None:
    title = text(body, "title", "Issue", required=False) or None
    told = text(body, "body", "Issue", required=False) if body.get("body") is not None else None
    if title is not None or told is not None:
        call.world.writes.words.append(WordsEdit(found.number, int(call.now), title, told))


def list_pull_commits(call: Call) -> list[Json]:
    commits = commits_of(call.world, found_pull(call))[:_MOST_COMMITS]
    return [commit_json(call.world, call.base, commit) for commit in call.paged(commits)]


def list_pull_files(call: Call) -> list[Json]:
    found = found_pull(call)
    touches = touches_of(call.world, commits_of(call.world, found))[:_MOST_FILES]
    return [file(call.world, call.base, touch, found.head.sha) for touch in call.paged(touches)]


def list_reviews(call: Call) -> list[Json]:
    return call.paged(pull_payloads.reviews(call.world, call.base, found_pull(call), call.now))


def is_merged(call: Call) -> Response:
    if found_pull(call).merged_at is None:
        raise ApiError(404)
    return Response(status_code=204)


def merge_pull(call: Call) -> Json:
    found, body = found_pull(call), call.json()
    if found.merged_at is not None or found.state != "open" or found.base != TRUNK:
        raise ApiError(405, "Pull Request is not mergeable")
    if found.draft:
        raise ApiError(405, "Pull Request is still a draft")
    if call.world.catalogue.bot_lands:
        raise ApiError(405, "Repository rule violations found\n\nCannot update this protected ref.\n\n")
    if body.get("sha") not in (None, found.head.sha):
        raise ApiError(409, "Head branch was modified. Review and try the merge again.")
    unland(call.world, found.number, call.now)
    landing = land(call.world, found, at=int(call.now), actor=call.actor,
                   title=text(body, "commit_title", "PullRequest", required=False),
                   body=text(body, "commit_message", "PullRequest", required=False))  # fmt: skip
    call.simulator.written()
    call.status = 200
    return {"sha": landing.sha, "merged": True, "message": "Pull Request successfully merged"}


def pulls_of_commit(call: Call) -> list[Json]:
    commit = found_commit(call)
    return _simple(call, call.paged(pulls_with(call, commit)))


def pulls_with(call: Call, commit: Commit) -> list[Item]:
    """The pull request that a commit came from, or of which it is a head."""
    world = call.world
    numbers = {commit.number} if commit.number else set()
    numbers |= {pull.number for pull in world.writes.pulls.values() if any(h.sha == commit.sha for h in pull.heads)}
    found = [one for number in sorted(numbers) if (one := item(world, number, call.now)) is not None and one.is_pull]
    return [
        one for one in found
        if (one.landed is not None and one.landed.sha == commit.sha)
        or any(push.head.sha == commit.sha for push in one.pushes)
        or (commit.line == BESIDE and any(part.sha == commit.sha for part in commits_of(world, one)))
    ]  # fmt: skip


def routes(gate: Gate) -> list[Route]:
    return [
        *both(gate, "/pulls", list_pulls),
        *both(gate, "/pulls", writing(create_pull, creates=True), ["POST"]),
        *both(gate, "/pulls/{number}", get_pull),
        *both(gate, "/pulls/{number}", writing(edit_pull), ["PATCH"]),
        *both(gate, "/pulls/{number}/commits", list_pull_commits),
        *both(gate, "/pulls/{number}/files", list_pull_files),
        *both(gate, "/pulls/{number}/reviews", list_reviews),
        *both(gate, "/pulls/{number}/merge", is_merged),
        *both(gate, "/pulls/{number}/merge", writing(merge_pull), ["PUT"]),
        *both(gate, "/commits/{ref:path}/pulls", pulls_of_commit),
    ]
