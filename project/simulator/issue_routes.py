"""Endpoints for issues, comments and labels; pull requests are issues too. Below /repos/{owner}/{repo}.

GET  /issues ?state &labels=a,b &since &sort=created|updated|comments &direction    POST /issues {title, body, labels}
GET  /issues/{n}    PATCH /issues/{n} {title, body, state, state_reason, labels}
GET  /issues/{n}/comments ?since    POST /issues/{n}/comments {body}
GET  /issues/comments ?since &sort &direction
GET, PATCH {body}, DELETE /issues/comments/{id}
GET  /issues/{n}/labels   POST {labels}   PUT {labels}   DELETE /issues/{n}/labels/{name}
GET  /issues/{n}/timeline
"""

import re

from starlette.responses import Response
from starlette.routing import Route

from project.simulator import landing, pull_payloads
from project.simulator.clock import parse_iso
from project.simulator.gate import ApiError, Call, Gate
from project.simulator.payloads import Json
from project.simulator.payloads import commit as commit_json
from project.simulator.pull_routes import change_words, set_state, tell_pull
from project.simulator.pull_state import Item, commits_of, item, recent
from project.simulator.repository_routes import both
from project.simulator.writes import Comment, LabelEdit, MadeIssue
from project.simulator.writing import invalid, tell, text, writing

_LONGEST_BODY = 65_536


def _item(call: Call) -> Item:
    found = item(call.world, call.number("number"), call.now)
    if found is None:
        raise ApiError(404)
    return found


def _since(call: Call) -> float:
    try:
        return parse_iso(call.query("since").replace(" ", "+")) if call.query("since") else float("-inf")
    except ValueError:
        raise ApiError(422, "Validation Failed", errors=["since: not a date"]) from None


def list_issues(call: Call) -> list[Json]:
    state, since = call.query("state", "open"), _since(call)
    labels = {name for name in call.query("labels").split(",") if name}
    sort = call.query("sort", "created")
    found = [one for one in recent(call.world, call.now)
             if state in ("all", one.state) and one.updated >= since and labels <= set(one.labels)]  # fmt: skip

    def key(one: Item) -> tuple[int, int]:
        value = {"updated": one.updated, "comments": len(one.comments)}.get(sort, one.created)
        return value, one.number

    found.sort(key=key, reverse=call.query("direction", "desc") != "asc")
    return [pull_payloads.issue(call.world, call.base, one) for one in call.paged(found)]


def get_issue(call: Call) -> Json:
    return pull_payloads.issue(call.world, call.base, _item(call))


def _tell(call: Call, action: str, number: int) -> None:
    found = item(call.world, number, call.now)
    if found is None:
        return
    if found.is_pull:
        tell_pull(call, action, number)
    else:
        tell(call, "issues", action, lambda: {"issue": pull_payloads.issue(call.world, call.base, found)})


def create_issue(call: Call) -> Json:
    body, writes = call.json(), call.world.writes
    title = text(body, "title", "Issue")
    if not title.strip():
        raise invalid("Issue", "title", "missing_field")
    number = writes.next_number
    writes.issues[number] = MadeIssue(number, title, text(body, "body", "Issue", required=False), call.actor,
                                      int(call.now))  # fmt: skip
    for name in _names(body.get("labels") or []):
        writes.labels.append(LabelEdit(number, int(call.now), name, True, call.actor))
    call.simulator.written()
    _tell(call, "opened", number)
    found = item(call.world, number, call.now)
    assert found is not None
    return pull_payloads.issue(call.world, call.base, found)


def edit_issue(call: Call) -> Json:
    found, body = _item(call), call.json()
    change_words(call, found, body)
    if body.get("state") is not None:
        reason = body.get("state_reason") or ("completed" if body["state"] == "closed" else "reopened")
        set_state(call, found, str(body["state"]), None if found.is_pull else str(reason))
    if body.get("labels") is not None:
        _replace_labels(call, found, _names(body["labels"]))
    call.simulator.written()
    changed = _item(call)
    if changed.state != found.state:
        _tell(call, "closed" if changed.state == "closed" else "reopened", found.number)
    return pull_payloads.issue(call.world, call.base, changed)


# -- comments -------------------------------------------------------------------------------------------------


def list_comments(call: Call) -> list[Json]:
    since = _since(call)
    found = [comment for comment in _item(call).comments if comment.updated >= since]
    return [pull_payloads.comment(call.world, call.base, comment) for comment in call.paged(found)]


def list_all_comments(call: Call) -> list[Json]:
    since = _since(call)
    found = [c for one in recent(call.world, call.now) for c in one.comments if c.updated >= since]
    by = call.query("sort")
    down = bool(by) and call.query("direction") == "desc"  # GitHub ignores the direction without a sort
    found.sort(key=lambda c: (c.updated if by == "updated" else c.at, c.id), reverse=down)
    return [pull_payloads.comment(call.world, call.base, comment) for comment in call.paged(found)]


def _body(call: Call) -> str:
    body = text(call.json(), "body", "IssueComment")
    if not body.strip():
        raise invalid("IssueComment", "body", "missing_field")
    if len(body) > _LONGEST_BODY:
        raise invalid("IssueComment", "data", "unprocessable", "Body is too long (maximum is 65536 characters)")
    return body


def create_comment(call: Call) -> Json:
    found, body, writes = _item(call), _body(call), call.world.writes
    moment = int(call.now)
    comment = Comment(writes.next_comment, found.number, call.actor, body, moment, moment)
    writes.comments.append(comment)
    told = pull_payloads.comment(call.world, call.base, comment)
    landing.hear(call.world, found, comment, str(told["html_url"]), call.now)
    call.simulator.written()
    tell(call, "issue_comment", "created",
         lambda: {"issue": pull_payloads.issue(call.world, call.base, _item(call)), "comment": told})  # fmt: skip
    return told


def _comment(call: Call) -> Comment:
    number = call.number("comment_id")
    for comment in call.world.writes.comments:
        if comment.id == number and not comment.deleted and comment.at <= call.now:
            return comment
    found = item(call.world, (number - 2_000_000_000) // 8, call.now)
    for comment in found.comments if found is not None else ():
        if comment.id == number:
            return comment
    raise ApiError(404)


def get_comment(call: Call) -> Json:
    return pull_payloads.comment(call.world, call.base, _comment(call))


def edit_comment(call: Call) -> Json:
    comment = _comment(call)
    comment.body, comment.updated = _body(call), int(call.now)
    call.simulator.written()
    return pull_payloads.comment(call.world, call.base, comment)


def delete_comment(call: Call) -> Response:
    _comment(call).deleted = True
    call.simulator.written()
    return Response(status_code=204)


# -- labels ---------------------------------------------------------------------------------------------------


def _names(labels: object) -> list[str]:
    if not isinstance(labels, list):
        raise invalid("Label", "name", "invalid")
    names = [label.get("name") if isinstance(label, dict) else label for label in labels]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise invalid("Label", "name", "missing_field")
    return [re.sub(r"\s+", " ", str(name)) for name in names]


def _labels(call: Call) -> list[Json]:
    found = _item(call)
    return [pull_payloads.label(call.world, call.base, name) for name in found.labels]


def list_labels(call: Call) -> list[Json]:
    return call.paged(_labels(call))


def _label(call: Call, found: Item, name: str, *, added: bool) -> None:
    call.world.writes.labels.append(LabelEdit(found.number, int(call.now), name, added, call.actor))


def _replace_labels(call: Call, found: Item, names: list[str]) -> None:
    for name in [name for name in found.labels if name not in names]:
        _label(call, found, name, added=False)
    for name in dict.fromkeys(name for name in names if name not in found.labels):
        _label(call, found, name, added=True)


def add_labels(call: Call) -> list[Json]:
    found = _item(call)
    names = [n for n in dict.fromkeys(_names(call.json().get("labels") or [])) if n not in found.labels]
    for name in names:
        _label(call, found, name, added=True)
    call.simulator.written()
    for _ in names:
        _tell(call, "labeled", found.number)
    call.status = 200
    return _labels(call)


def set_labels(call: Call) -> list[Json]:
    _replace_labels(call, _item(call), _names(call.json().get("labels") or []))
    call.simulator.written()
    return _labels(call)


def remove_label(call: Call) -> list[Json]:
    found, name = _item(call), call.path("name")
    if name not in found.labels:
        raise ApiError(404, "Label does not exist")
    _label(call, found, name, added=False)
    call.simulator.written()
    _tell(call, "unlabeled", found.number)
    return _labels(call)


def list_timeline(call: Call) -> list[Json]:
    """Commits that are still there, comments, and what happened, oldest first."""
    found, world, base = _item(call), call.world, call.base
    commits = commits_of(world, found) if found.is_pull else []
    told = [(c.time, pull_payloads.committed(world, base, c, commit_json(world, base, c))) for c in commits]
    for comment in found.comments:
        shown = pull_payloads.comment(world, base, comment)
        told.append((comment.at, {"event": "commented", "actor": shown["user"], **shown}))
    for place, what in enumerate(found.happenings):
        told.append((what.at, pull_payloads.happening(world, base, found, what, place)))
    told.sort(key=lambda pair: pair[0])
    return [entry for _, entry in call.paged(told)]


def routes(gate: Gate) -> list[Route]:
    return [
        *both(gate, "/issues", list_issues),
        *both(gate, "/issues", writing(create_issue, creates=True), ["POST"]),
        *both(gate, "/issues/comments", list_all_comments),
        *both(gate, "/issues/comments/{comment_id}", get_comment),
        *both(gate, "/issues/comments/{comment_id}", writing(edit_comment), ["PATCH"]),
        *both(gate, "/issues/comments/{comment_id}", writing(delete_comment), ["DELETE"]),
        *both(gate, "/issues/{number}", get_issue),
        *both(gate, "/issues/{number}", writing(edit_issue), ["PATCH"]),
        *both(gate, "/issues/{number}/comments", list_comments),
        *both(gate, "/issues/{number}/comments", writing(create_comment, creates=True), ["POST"]),
        *both(gate, "/issues/{number}/labels", list_labels),
        *both(gate, "/issues/{number}/labels", writing(add_labels), ["POST"]),
        *both(gate, "/issues/{number}/labels", writing(set_labels), ["PUT"]),
        *both(gate, "/issues/{number}/labels/{name:path}", writing(remove_label), ["DELETE"]),
        *both(gate, "/issues/{number}/timeline", list_timeline),
    ]
