"""GitHub's JSON for pull requests, issues, comments, labels, reviews and files."""

from project.simulator import names
from project.simulator.ci_payloads import PULL_ID
from project.simulator.clock import iso
from project.simulator.draws import digest
from project.simulator.history import Commit
from project.simulator.payloads import Json, node_id, person, repository, user_id
from project.simulator.pull_state import Happening, Item, Moment, commits_of, touches_of
from project.simulator.world import World
from project.simulator.writes import Comment

_ISSUE_ID, _REVIEW_ID = 2_400_000_000, 1_900_000_000
_REACTIONS = {"total_count": 0, "+1": 0, "-1": 0, "laugh": 0, "hooray": 0, "confused": 0, "heart": 0, "rocket": 0,
              "eyes": 0}  # fmt: skip


def pull_node(number: int) -> str:
    return node_id("PR", number)


def label(world: World, base: str, name: str) -> Json:
    number = 4_000_000_000 + int.from_bytes(digest("label", name)[:3])
    return {
        "id": number,
        "node_id": node_id("LA", number),
        "url": f"{base}/repos/{world.full_name}/labels/{name.replace(' ', '%20')}",
        "name": name,
        "description": None,
        "color": digest("colour", name).hex()[:6],
        "default": False,
        "archived_at": None,
        "archived_by": None,
    }


def association(login: str) -> str:
    return "MEMBER" if login in names.AUTHORS[:12] else "CONTRIBUTOR"


def _fork(world: World, base: str, whole: Json, owner: str) -> Json:
    full_name = f"{owner}/{world.repo}"
    number = world.id + user_id(owner)
    return {**whole, "id": number, "node_id": node_id("R", number), "full_name": full_name, "fork": True,
            "owner": person(owner, base), "url": f"{base}/repos/{full_name}",
            "html_url": f"{base}/{full_name}"}  # fmt: skip


def _end(world: World, base: str, ref: str, sha: str, owner: str, repo: Json) -> Json:
    return {"label": f"{owner}:{ref}", "ref": ref, "sha": sha, "user": person(owner, base), "repo": repo}


def simple(world: World, base: str, found: Item, whole: Json) -> Json:
    """A pull request as lists have it. `whole`: the repository's JSON, made once for all."""
    url, html = f"{base}/repos/{world.full_name}", f"{base}/{world.full_name}/pull/{found.number}"
    here, issue = f"{url}/pulls/{found.number}", f"{url}/issues/{found.number}"
    head, own = found.head, found.made is not None
    owner = world.owner if own else found.author
    links = {
        "self": here, "html": html, "issue": issue, "comments": f"{issue}/comments",
        "review_comments": f"{here}/comments", "review_comment": f"{url}/pulls/comments{{/number}}",
        "commits": f"{here}/commits", "statuses": f"{url}/statuses/{head.sha}",
    }  # fmt: skip
    return {
        "url": here,
        "id": PULL_ID + found.number,
        "node_id": pull_node(found.number),
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": issue,
        "number": found.number,
        "state": found.state,
        "locked": False,
        "title": found.title,
        "user": person(found.author, base),
        "body": found.body or None,
        "created_at": iso(found.created),
        "updated_at": iso(found.updated),
        "closed_at": None if found.closed_at is None else iso(found.closed_at),
        "merged_at": None if found.merged_at is None else iso(found.merged_at),
        "merge_commit_sha": merge_commit(found),
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [label(world, base, name) for name in found.labels],
        "milestone": None,
        "draft": found.draft,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": links["statuses"],
        "head": _end(world, base, found.branch, head.sha, owner, whole if own else _fork(world, base, whole, owner)),
        "base": {**_end(world, base, found.base, found.stands_on.sha, world.owner, whole),
                 "user": whole["owner"]},
        "_links": {name: {"href": href} for name, href in links.items()},
        "author_association": association(found.author),
        "auto_merge": None,
        "active_lock_reason": None,
    }  # fmt: skip


def merge_commit(found: Item) -> str | None:
    """The commit on trunk once merged; before that, and where the bot pushed it, GitHub's own test merge."""
    if found.merged_at is not None and found.landed is not None:
        return found.landed.sha
    return digest("merge", found.head.sha).hex() + found.head.sha[:8]


def whole_pull(world: World, base: str, found: Item, now: float) -> Json:
    commits = commits_of(world, found)
    touches = touches_of(world, commits)
    merged = found.merged_at is not None
    opened = found.state == "open"
    return {
        **simple(world, base, found, repository(world, base, now)),
        "merged": merged,
        "mergeable": True if opened else None,
        "rebaseable": opened,
        "mergeable_state": ("draft" if found.draft else "clean") if opened else "unknown",
        "merged_by": person(found.closed_by, base) if merged else None,
        "comments": len(found.comments),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": len(commits),
        "additions": sum(touch.additions for touch in touches),
        "deletions": sum(touch.deletions for touch in touches),
        "changed_files": len(touches),
    }


def issue(world: World, base: str, found: Item) -> Json:
    url = f"{base}/repos/{world.full_name}"
    here = f"{url}/issues/{found.number}"
    kind = "pull" if found.is_pull else "issues"
    told: Json = {
        "url": here,
        "repository_url": url,
        "labels_url": f"{here}/labels{{/name}}",
        "comments_url": f"{here}/comments",
        "events_url": f"{here}/events",
        "html_url": f"{base}/{world.full_name}/{kind}/{found.number}",
        "id": _ISSUE_ID + found.number,
        "node_id": pull_node(found.number) if found.is_pull else node_id("I", found.number),
        "number": found.number,
        "title": found.title,
        "user": person(found.author, base),
        "labels": [label(world, base, name) for name in found.labels],
        "state": found.state,
        "state_reason": found.reason,
        "locked": False,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": len(found.comments),
        "created_at": iso(found.created),
        "updated_at": iso(found.updated),
        "closed_at": None if found.closed_at is None else iso(found.closed_at),
        "author_association": association(found.author),
        "active_lock_reason": None,
        "body": found.body or None,
        "closed_by": person(found.closed_by, base) if found.closed_by else None,
        "reactions": {"url": f"{here}/reactions", **_REACTIONS},
        "timeline_url": f"{here}/timeline",
        "performed_via_github_app": None,
    }
    if found.is_pull:
        html = f"{base}/{world.full_name}/pull/{found.number}"
        told["draft"] = found.draft
        told["pull_request"] = {
            "url": f"{url}/pulls/{found.number}", "html_url": html, "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "merged_at": None if found.merged_at is None else iso(found.merged_at),
        }  # fmt: skip
    return told


def comment(world: World, base: str, found: Comment) -> Json:
    url = f"{base}/repos/{world.full_name}"
    kind = "issues" if found.number in world.writes.issues else "pull"
    return {
        "url": f"{url}/issues/comments/{found.id}",
        "html_url": f"{base}/{world.full_name}/{kind}/{found.number}#issuecomment-{found.id}",
        "issue_url": f"{url}/issues/{found.number}",
        "id": found.id,
        "node_id": node_id("IC", found.id),
        "user": person(found.author, base),
        "created_at": iso(found.at),
        "updated_at": iso(found.updated),
        "author_association": association(found.author),
        "body": found.body,
        "reactions": {"url": f"{url}/issues/comments/{found.id}/reactions", **_REACTIONS},
        "performed_via_github_app": None,
    }


def reviews(world: World, base: str, found: Item, now: float) -> list[Json]:
    """One approval of what stood there then, once a pull request is half an hour old."""
    at = found.created + 1800
    if at > now or found.author == names.BOT:
        return []
    seen: Moment = [push for push in found.pushes if push.at <= at][-1]
    number = _REVIEW_ID + found.number
    html = f"{base}/{world.full_name}/pull/{found.number}"
    url = f"{base}/repos/{world.full_name}/pulls/{found.number}"
    return [{
        "id": number,
        "node_id": node_id("PRR", number),
        "user": person(found.reviewer, base),
        "body": "",
        "state": "APPROVED",
        "html_url": f"{html}#pullrequestreview-{number}",
        "pull_request_url": url,
        "_links": {"html": {"href": f"{html}#pullrequestreview-{number}"}, "pull_request": {"href": url}},
        "submitted_at": iso(at),
        "commit_id": seen.head.sha,
        "author_association": "MEMBER",
    }]  # fmt: skip


def happening(world: World, base: str, found: Item, what: Happening, place: int) -> Json:
    number = 12_000_000_000 + found.number * 64 + place
    told: Json = {
        "id": number,
        "node_id": node_id("EV", number),
        "url": f"{base}/repos/{world.full_name}/issues/events/{number}",
        "actor": person(what.actor, base),
        "event": what.event,
        "commit_id": what.commit,
        "commit_url": f"{base}/repos/{world.full_name}/commits/{what.commit}" if what.commit else None,
        "created_at": iso(what.at),
        "performed_via_github_app": None,
    }
    if what.label:
        told["label"] = {"name": what.label, "color": digest("colour", what.label).hex()[:6]}
    if what.before:
        # GitHub names only the new head here; GraphQL also tells `beforeCommit`.
        told["before_commit"] = {"oid": what.before}
    if what.event == "renamed":
        told["rename"] = {"from": "", "to": found.title}
    return told


def committed(world: World, base: str, found: Commit, whole: Json) -> Json:
    """A commit on a timeline."""
    inner = whole["commit"]
    return {
        "event": "committed", "sha": found.sha, "node_id": whole["node_id"],
        "url": inner["url"], "html_url": whole["html_url"], "author": inner["author"],
        "committer": inner["committer"], "tree": inner["tree"], "message": inner["message"],
        "parents": whole["parents"], "verification": inner["verification"],
    }  # fmt: skip
