"""The git data API, below /repos/{owner}/{repo}.

    GET  /git/commits/{sha}    POST /git/commits {message, tree, parents, author, committer}
    GET  /git/trees/{tree sha, commit or branch} ?recursive=1
    POST /git/trees {base_tree, tree: [{path, sha | content}]}
    GET  /git/blobs/{sha}      POST /git/blobs {content, encoding}
    GET  /git/ref/heads/{branch}   /git/refs/heads/{branch}   /git/matching-refs/heads/{start}
    POST /git/refs {ref, sha}      PATCH, DELETE /git/refs/heads/{branch}   (PATCH {sha, force})

A tree may name any blob: whether it exists is not checked. Trunk is protected: no branch request changes it.
"""

import base64
import binascii
import re
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from project.simulator import git_data, payloads
from project.simulator.clock import parse_iso
from project.simulator.draws import digest
from project.simulator.gate import ApiError, Call, Gate
from project.simulator.history import TRUNK, Commit
from project.simulator.payloads import Json, node_id
from project.simulator.repository_routes import both
from project.simulator.writing import tell, text, writing

_SHA = re.compile(r"[0-9a-f]{40}")
_BAD_REF = re.compile(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|/$|\.lock$|^/|\.$")


def _url(call: Call, path: str) -> str:
    return f"{call.base}/repos/{call.world.full_name}/git/{path}"


def _commit_json(call: Call, commit: Commit) -> Json:
    whole = payloads.commit(call.world, call.base, commit)
    inner = whole["commit"]
    return {
        "sha": commit.sha,
        "node_id": whole["node_id"],
        "url": _url(call, f"commits/{commit.sha}"),
        "html_url": whole["html_url"],
        **{name: inner[name] for name in ("author", "committer", "tree", "message", "verification")},
        "parents": [{**p, "url": _url(call, f"commits/{p['sha']}")} for p in whole["parents"]],
    }


def get_commit(call: Call) -> Json:
    commit = call.world.commit(call.path("sha"), call.now) if len(call.path("sha")) == 40 else None
    if commit is None:
        raise ApiError(404)
    return _commit_json(call, commit)


def _moment(value: object, now: float) -> int:
    if not isinstance(value, dict) or not value.get("date"):
        return int(now)
    try:
        return int(parse_iso(str(value["date"])))
    except ValueError:
        raise ApiError(422, "Invalid request.\n\nInvalid date") from None


def create_commit(call: Call) -> Json:
    body, world = call.json(), call.world
    message, tree = text(body, "message", "Commit"), text(body, "tree", "Commit")
    parents = body.get("parents") or []
    if world.trees.by_sha(tree, call.now) is None or not _SHA.fullmatch(tree):
        raise ApiError(422, f"Tree SHA does not exist: {tree}")
    for parent in parents:
        if not isinstance(parent, str) or world.commit(parent, call.now) is None:
            raise ApiError(422, "Parent SHA does not exist or is not a commit object")
    committer = body.get("committer") or body.get("author")
    at = _moment(committer, call.now)
    identity = [body.get("author") or call.actor, committer or call.actor, at, _moment(body.get("author"), call.now)]
    commit = git_data.make_commit(world, tree=tree, parents=parents, message=message, author=call.actor, at=at,
                                  identity=identity, now=call.now)  # fmt: skip
    call.simulator.written()
    return _commit_json(call, commit)


# -- trees and blobs ------------------------------------------------------------------------------------------


def _tree_json(call: Call, sha: str, files: dict[str, str], *, recursive: bool) -> Json:
    entries = []
    folders: dict[str, dict[str, str]] = {}
    for path, blob in sorted(files.items()):
        parts = path.split("/")
        for depth in range(1, len(parts) if recursive else min(2, len(parts))):
            inside = folders.setdefault("/".join(parts[:depth]), {})
            inside["/".join(parts[depth:])] = blob
        if recursive or len(parts) == 1:
            entries.append({"path": path, "mode": "100644", "type": "blob", "sha": blob, "size": 1 + len(path) * 97,
                            "url": _url(call, f"blobs/{blob}")})  # fmt: skip
    for path, inside in folders.items():
        folder = digest("folder", *(f"{n}={b}" for n, b in inside.items())).hex() + "0" * 8
        if not recursive:
            call.world.trees.folders[folder] = inside
        entries.append({"path": path, "mode": "040000", "type": "tree", "sha": folder,
                        "url": _url(call, f"trees/{folder}")})  # fmt: skip
    entries.sort(key=lambda entry: str(entry["path"]))
    return {"sha": sha, "url": _url(call, f"trees/{sha}"), "tree": entries, "truncated": False}


def get_tree(call: Call) -> Json:
    asked = call.path("sha")
    files = call.world.trees.folders.get(asked) or call.world.trees.by_sha(asked, call.now)
    if files is None:
        raise ApiError(404)
    commit = None if _SHA.fullmatch(asked) and call.world.commit(asked, call.now) is None else (
        call.world.resolve(asked, call.now))  # fmt: skip
    sha = asked if commit is None else call.world.trees.sha(commit)
    return _tree_json(call, sha, files, recursive=call.query("recursive") not in ("", "0", "false"))


def create_tree(call: Call) -> Json:
    body, world = call.json(), call.world
    entries = body.get("tree")
    if not isinstance(entries, list):
        raise ApiError(422, 'Invalid request.\n\n"tree" wasn\'t supplied.')
    files: dict[str, str] = {}
    if base := body.get("base_tree"):
        known = world.trees.by_sha(str(base), call.now)
        if known is None:
            raise ApiError(422, "base_tree is not a valid tree oid")
        files = dict(known)
    for entry in entries:
        _enter(call, files, entry)
    sha = git_data.make_tree(world, files)
    call.simulator.written()
    return _tree_json(call, sha, files, recursive=False)


def _enter(call: Call, files: dict[str, str], entry: Any) -> None:
    """Put one entry into a tree; a null sha takes a file out."""
    path = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(path, str) or not path or path.startswith("/"):
        raise ApiError(422, "tree.path contains a malformed path component")
    if entry.get("mode") not in ("100644", "100755", "120000", None) or entry.get("type") not in ("blob", None):
        raise ApiError(422, "Must supply a valid tree.mode")
    if "content" in entry:
        files[path] = git_data.make_blob(call.world, str(entry["content"]).encode())
    elif "sha" not in entry:
        raise ApiError(422, "Must supply either tree.sha or tree.content")
    elif entry["sha"] is None:
        if files.pop(path, None) is None:
            raise ApiError(422, "GitRPC::BadObjectState")
    elif not isinstance(entry["sha"], str) or not _SHA.fullmatch(entry["sha"]):
        raise ApiError(422, f"tree.sha {entry['sha']} is not a valid blob")
    else:
        files[path] = entry["sha"]


def create_blob(call: Call) -> Json:
    body = call.json()
    content = text(body, "content", "Blob")
    try:
        raw = base64.b64decode(content, validate=False) if body.get("encoding") == "base64" else content.encode()
    except binascii.Error:
        raise ApiError(422, "content is not valid Base64") from None
    sha = git_data.make_blob(call.world, raw)
    call.simulator.written()
    return {"sha": sha, "url": _url(call, f"blobs/{sha}")}


def get_blob(call: Call) -> Json:
    sha = call.path("sha")
    if not _SHA.fullmatch(sha):
        raise ApiError(404)
    content = call.world.writes.blobs.get(sha) or base64.b64encode(f"// {sha}\n".encode()).decode()
    return {"sha": sha, "node_id": node_id("B", sha), "size": len(base64.b64decode(content)), "content": content,
            "encoding": "base64", "url": _url(call, f"blobs/{sha}")}  # fmt: skip


# -- branches -------------------------------------------------------------------------------------------------


def _ref_json(call: Call, branch: str, sha: str) -> Json:
    return {
        "ref": f"refs/heads/{branch}",
        "node_id": node_id("REF", branch),
        "url": _url(call, f"refs/heads/{branch}"),
        "object": {"sha": sha, "type": "commit", "url": _url(call, f"commits/{sha}")},
    }


def get_ref(call: Call) -> Json:
    head = dict(call.world.branches(call.now)).get(call.path("branch"))
    if head is None:
        raise ApiError(404)
    return _ref_json(call, call.path("branch"), head.sha)


def matching_refs(call: Call) -> list[Json]:
    start = call.path("start")
    return [_ref_json(call, name, head.sha) for name, head in call.world.branches(call.now) if name.startswith(start)]


def _target(call: Call, body: Json) -> Commit:
    sha = text(body, "sha", "Reference")
    commit = call.world.commit(sha, call.now) if _SHA.fullmatch(sha) else None
    if commit is None:
        raise ApiError(422, "Object does not exist")
    return commit


def _tell_push(call: Call, branch: str, before: str, after: str, *, forced: bool = False) -> None:
    """In the shape of `push` events, whose repository tells moments as numbers."""

    def payload() -> Json:
        head = call.world.find(after)
        author = payloads.git_person(call.actor, int(call.now))
        told = payloads.simple_commit(call.world, head) | {"url": "", "distinct": True, "added": [], "removed": [],
                                                           "modified": []} if head else None  # fmt: skip
        return {
            "ref": f"refs/heads/{branch}", "before": before, "after": after, "created": before == "0" * 40,
            "deleted": after == "0" * 40, "forced": forced, "base_ref": None, "compare": "",
            "commits": [told] if told else [], "head_commit": told,
            "pusher": {"name": call.actor, "email": author["email"]},
        }  # fmt: skip

    tell(call, "push", None, payload)


def create_ref(call: Call) -> Json:
    body = call.json()
    ref = text(body, "ref", "Reference")
    branch = ref.removeprefix("refs/heads/")
    if not ref.startswith("refs/") or ref.count("/") < 2:
        raise ApiError(422, "Reference name must start with 'refs/' and have at least two slashes.")
    if not ref.startswith("refs/heads/") or not branch or _BAD_REF.search(branch):
        raise ApiError(422, f"{ref} is not a valid ref name.")
    commit = _target(call, body)
    if branch in dict(call.world.branches(call.now)):
        raise ApiError(422, "Reference already exists")
    git_data.set_ref(call.world, branch, commit.sha, call.now)
    call.simulator.written()
    _tell_push(call, branch, "0" * 40, commit.sha)
    return _ref_json(call, branch, commit.sha)


def update_ref(call: Call) -> Json:
    body, world, branch = call.json(), call.world, call.path("branch")
    head = dict(world.branches(call.now)).get(branch)
    if head is None:
        raise ApiError(422, "Reference does not exist")
    commit = _target(call, body)
    if branch == TRUNK:
        raise ApiError(422, "Repository rule violations found\n\nCannot update this protected ref.\n\n")
    ahead = git_data.is_ancestor(world, head.sha, commit.sha)
    if not ahead and body.get("force") is not True:
        raise ApiError(422, "Update is not a fast forward")
    git_data.set_ref(world, branch, commit.sha, call.now)
    call.simulator.written()
    _tell_push(call, branch, head.sha, commit.sha, forced=not ahead)
    return _ref_json(call, branch, commit.sha)


def delete_ref(call: Call) -> Response:
    branch = call.path("branch")
    head = dict(call.world.branches(call.now)).get(branch)
    if head is None:
        raise ApiError(422, "Reference does not exist")
    if branch == TRUNK:
        raise ApiError(422, "Cannot delete the default branch")
    git_data.drop_ref(call.world, branch)
    call.simulator.written()
    _tell_push(call, branch, head.sha, "0" * 40)
    return Response(status_code=204)


def routes(gate: Gate) -> list[Route]:
    return [
        *both(gate, "/git/commits", writing(create_commit, creates=True), ["POST"]),
        *both(gate, "/git/commits/{sha}", get_commit),
        *both(gate, "/git/trees", writing(create_tree, creates=True), ["POST"]),
        *both(gate, "/git/trees/{sha:path}", get_tree),
        *both(gate, "/git/blobs", writing(create_blob, creates=True), ["POST"]),
        *both(gate, "/git/blobs/{sha}", get_blob),
        *both(gate, "/git/ref/heads/{branch:path}", get_ref),
        *both(gate, "/git/matching-refs/heads/{start:path}", matching_refs),
        *both(gate, "/git/refs", writing(create_ref, creates=True), ["POST"]),
        *both(gate, "/git/refs/heads/{branch:path}", get_ref),
        *both(gate, "/git/refs/heads/{branch:path}", writing(update_ref), ["PATCH"]),
        *both(gate, "/git/refs/heads/{branch:path}", writing(delete_ref), ["DELETE"]),
    ]
