"""POST /graphql and /api/graphql: the little of GraphQL that the product uses.

    query    repository(owner, name) { id nameWithOwner pullRequest(number) { … } }, viewer { login }, rateLimit { … }
    mutation revertPullRequest(input: {pullRequestId, title, body, draft}) { pullRequest { … } revertPullRequest { … } }

Of a pull request: id number title body url state isDraft merged mergedAt closed closedAt createdAt headRefName
headRefOid baseRefName baseRefOid mergeCommit { oid } author { login } labels { nodes { name } }. Anything else is an
error, as at GitHub with status 200. Points are counted apart from REST's requests.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from project.simulator.clock import iso
from project.simulator.gate import ApiError, Call, Gate
from project.simulator.git_data import revert_pull
from project.simulator.graphql_language import Field, NotGraphQLError, parse
from project.simulator.payloads import Json, node_id
from project.simulator.pull_payloads import pull_node
from project.simulator.pull_routes import tell_pull
from project.simulator.pull_state import Item, item


class _FieldError(Exception):
    """An error of one field; the rest of the answer stands."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


Resolver = Callable[[Field], Any]


def _choose(what: str, fields: list[Field], known: dict[str, Any]) -> Json:
    """The asked fields of an object. A function in `known` is called with its field."""
    told: Json = {"__typename": what}
    chosen: Json = {}
    for field in fields:
        value = (told | known).get(field.name, _choose)
        if value is _choose:
            raise _FieldError("undefinedField", f"Field '{field.name}' doesn't exist on type '{what}'")
        chosen[field.alias] = value(field) if callable(value) else value
    return chosen


def _pull(call: Call, found: Item, fields: list[Field]) -> Json:
    merged = found.merged_at is not None

    def moment(at: int | None) -> str | None:
        return None if at is None else iso(at)

    def inner(what: str, known: Json) -> Resolver:
        return lambda field: _choose(what, field.inner, known)

    labels = [{"name": name} for name in found.labels]
    return _choose("PullRequest", fields, {
        "id": pull_node(found.number), "number": found.number, "title": found.title, "body": found.body,
        "url": f"{call.base}/{call.world.full_name}/pull/{found.number}",
        "state": "MERGED" if merged else found.state.upper(), "isDraft": found.draft, "merged": merged,
        "mergedAt": moment(found.merged_at), "closed": found.state == "closed", "closedAt": moment(found.closed_at),
        "createdAt": iso(found.created), "updatedAt": iso(found.updated), "headRefName": found.branch,
        "headRefOid": found.head.sha, "baseRefName": found.base, "baseRefOid": found.stands_on.sha,
        "mergeable": "MERGEABLE" if found.state == "open" else "UNKNOWN",
        "mergeCommit": inner("Commit", {"oid": found.landed.sha}) if merged and found.landed else None,
        "author": inner("User", {"login": found.author}),
        "labels": lambda field: _choose("LabelConnection", field.inner, {
            "totalCount": len(labels),
            "nodes": lambda nodes: [_choose("Label", nodes.inner, label) for label in labels]}),
    })  # fmt: skip


def _repository(call: Call, field: Field) -> Json:
    world = call.world
    asked = f"{field.arguments.get('owner')}/{field.arguments.get('name')}"
    if asked.lower() != world.full_name.lower() or world.overlay.gone:
        raise _FieldError("NOT_FOUND", f"Could not resolve to a Repository with the name '{asked}'.")

    def pull(inner: Field) -> Json:
        number = inner.arguments.get("number")
        found = item(world, number, call.now) if isinstance(number, int) else None
        if found is None or not found.is_pull:
            raise _FieldError("NOT_FOUND", f"Could not resolve to a PullRequest with the number of {number}.")
        return _pull(call, found, inner.inner)

    return _choose("Repository", field.inner, {
        "id": node_id("R", world.id), "name": world.repo, "nameWithOwner": world.full_name, "pullRequest": pull,
    })  # fmt: skip


def _revert(call: Call, field: Field) -> Json:
    told = field.arguments.get("input")
    told = told if isinstance(told, dict) else {}
    asked = str(told.get("pullRequestId", ""))
    found = _by_node(call, asked)
    if found is None:
        raise _FieldError("NOT_FOUND", f"Could not resolve to a node with the global id of '{asked}'")
    if found.merged_at is None or found.landed is None:
        raise _FieldError("UNPROCESSABLE", "Pull request is not merged")
    if not call.simulator.limits.may_create(call.token):
        raise ApiError(403, "You have exceeded a secondary rate limit and have been temporarily blocked from content "
                       "creation. Please retry your request again later.", headers={"retry-after": "60"})  # fmt: skip
    _, _, made = revert_pull(call.world, found, title=str(told.get("title") or ""), body=str(told.get("body") or ""),
                             draft=told.get("draft") is True, author=call.actor, now=call.now)  # fmt: skip
    call.simulator.written()
    tell_pull(call, "opened", made.number)
    return _choose("RevertPullRequestPayload", field.inner, {
        "clientMutationId": told.get("clientMutationId"),
        "pullRequest": lambda inner: _pull(call, found, inner.inner),
        "revertPullRequest": lambda inner: _pull(call, made, inner.inner),
    })  # fmt: skip


def _by_node(call: Call, node: str) -> Item | None:
    """A pull request by its node id."""
    kind, _, rest = node.partition("_")
    try:
        number = int(base64.urlsafe_b64decode(rest + "=" * (-len(rest) % 4))) if kind == "PR" else 0
    except (ValueError, binascii.Error):
        return None
    found = item(call.world, number, call.now) if number else None
    return found if found is not None and found.is_pull else None


def graphql(call: Call) -> Response:
    if not call.token:
        raise ApiError(401, "This endpoint requires you to be authenticated.")
    window = call.simulator.limits.graphql(call.token)
    headers = window.headers()
    if window.remaining == 0:
        message = f"API rate limit already exceeded for user ID {call.actor}."
        return JSONResponse({"errors": [{"type": "RATE_LIMITED", "message": message}]}, headers=headers)
    body = call.json()
    variables = body.get("variables") or {}
    try:
        operation = parse(str(body.get("query", "")), variables if isinstance(variables, dict) else {})
    except NotGraphQLError as problem:
        return JSONResponse({"errors": [{"message": str(problem), "locations": []}]}, headers=headers)
    window.used += 1
    rate = {"limit": window.limit, "cost": 1, "remaining": window.remaining, "used": window.used, "nodeCount": 0,
            "resetAt": iso(window.reset)}  # fmt: skip
    roots: dict[str, dict[str, Resolver]] = {
        "query": {
            "repository": lambda field: _repository(call, field),
            "rateLimit": lambda field: _choose("RateLimit", field.inner, rate),
            "viewer": lambda field: _choose("User", field.inner, {"login": call.actor}),
        },
        "mutation": {"revertPullRequest": lambda field: _revert(call, field)},
    }
    known = roots[operation.kind]
    data: Json = {}
    errors: list[Json] = []
    for field in operation.fields:
        try:
            if field.name not in known:
                what = operation.kind.title()
                raise _FieldError("undefinedField", f"Field '{field.name}' doesn't exist on type '{what}'")
            data[field.alias] = known[field.name](field)
        except _FieldError as problem:
            data[field.alias] = None
            error = {"path": [field.alias], "locations": [{"line": 1, "column": 1}], "message": problem.message}
            error["type" if problem.kind.isupper() else "extensions"] = (
                problem.kind if problem.kind.isupper() else {"code": problem.kind}
            )
            errors.append(error)
    return JSONResponse({"data": data, **({"errors": errors} if errors else {})}, headers=window.headers())


def routes(gate: Gate) -> list[Route]:
    endpoint = gate(graphql, "/graphql", free=True)
    return [Route(path, endpoint, methods=["POST"]) for path in ("/graphql", "/api/graphql")]
