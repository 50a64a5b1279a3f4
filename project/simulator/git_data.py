"""What the git data API makes: blobs, trees, commits, branches; and pull requests from branches.

The same content gives the same sha, as in git, so that a request repeated makes nothing twice.
"""

import base64
import hashlib
from dataclasses import replace
from typing import Any

from project.simulator.history import BESIDE, DAY, TRUNK, Commit
from project.simulator.landing import expect_maintainer, revert_title, taken_back, unland
from project.simulator.pull_state import Item, item
from project.simulator.world import World
from project.simulator.writes import Head, MadePull


def blob_sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def make_blob(world: World, content: bytes) -> str:
    sha = blob_sha(content)
    world.writes.blobs[sha] = base64.b64encode(content).decode()
    return sha


def make_tree(world: World, files: dict[str, str]) -> str:
    listed = "\n".join(f"{name} {blob}" for name, blob in sorted(files.items()))
    sha = hashlib.sha1(f"tree {listed}".encode()).hexdigest()
    world.writes.trees[sha] = dict(files)
    return sha


def make_commit(
    world: World, *, tree: str, parents: list[str], message: str, author: str, at: int, identity: Any, now: float
) -> Commit:
    """`identity`: author and committer as sent; the sha depends on them too."""
    known = world.trees.by_sha(tree, now)
    assert known is not None
    writes = world.writes
    sha = hashlib.sha1(f"commit {tree} {parents} {message!r} {identity!r}".encode()).hexdigest()
    if sha not in writes.commits:
        title, _, body = message.partition("\n")
        writes.trees.setdefault(tree, known)
        writes.tree_of[sha] = tree
        writes.commits[sha] = Commit(BESIDE, at // DAY, 0, writes.next_serial, sha, at, author, title.strip(),
                                     body.strip(), 0, None, parents[0] if parents else None, "")  # fmt: skip
    return writes.commits[sha]


def set_ref(world: World, name: str, sha: str, now: float) -> None:
    """Point a branch at a commit. Pull requests from that branch get a new head."""
    writes = world.writes
    before = writes.refs.get(name)
    writes.refs[name] = sha
    if name in writes.gone_refs:
        writes.gone_refs.remove(name)
    commit = writes.commits.get(sha)
    if commit is not None and commit.line == BESIDE and not commit.branch:
        writes.commits[sha] = replace(commit, branch=name)
    for pull in writes.pulls.values():
        found = item(world, pull.number, now)
        if pull.branch != name or before == sha or found is None or found.state != "open" or commit is None:
            continue
        forced = before is not None and not is_ancestor(world, before, sha)
        pull.heads.append(Head(int(now), sha, forced))
        pull.reverts = taken_back(world, commit, now)
        unland(world, pull.number, now)
        world.written()
        expect_maintainer(world, pull.number, now)


def drop_ref(world: World, name: str) -> None:
    world.writes.refs.pop(name, None)
    if name not in world.writes.gone_refs:
        world.writes.gone_refs.append(name)


def is_ancestor(world: World, old: str, new: str, *, deep: int = 2000) -> bool:
    head = world.find(new)
    for number, commit in enumerate(world.ancestors(head) if head is not None else ()):
        if commit.sha == old:
            return True
        if number > deep:
            break
    return False


def open_pull(
    world: World, *, title: str, body: str, author: str, branch: str, head: Commit, base: str, draft: bool, now: float
) -> Item:
    """Open a pull request. If it takes back a commit of trunk, a maintainer is going to merge it."""
    writes = world.writes
    number = writes.next_number
    writes.pulls[number] = MadePull(number, title, body, author, branch, base, int(now), draft,
                                    [Head(int(now), head.sha)], taken_back(world, head, now))  # fmt: skip
    if not head.branch and head.sha in writes.commits:
        writes.commits[head.sha] = replace(head, branch=branch)
    world.written()
    expect_maintainer(world, number, now)
    found = item(world, number, now)
    assert found is not None
    return found


def revert_pull(
    world: World, found: Item, *, title: str, body: str, draft: bool, author: str, now: float
) -> tuple[str, Commit, Item]:
    """What GitHub's own revert button does: a branch with a commit that takes a merge back, and a pull request."""
    landed = found.landed
    assert landed is not None
    trunk = world.resolve(TRUNK, now)
    before = world.parent(landed)
    assert trunk is not None
    old = world.trees.of(before) if before is not None else {}
    files = dict(world.trees.of(trunk))
    for touch in world.trees.touches(landed):
        files.pop(touch.name, None)
        if touch.name in old:
            files[touch.name] = old[touch.name]
    branch, number = f"revert-{found.number}-{found.branch}", 0
    while branch in world.writes.refs:
        number += 1
        branch = f"revert-{found.number}-{found.branch}-{number}"
    tree = make_tree(world, files)
    title = title or revert_title(landed)
    commit = make_commit(world, tree=tree, parents=[trunk.sha], author=author, at=int(now), now=now,
                         identity=(author, int(now), branch),
                         message=f"{title}\n\nThis reverts commit {landed.sha}.")  # fmt: skip
    world.writes.refs[branch] = commit.sha
    made = open_pull(world, title=title, body=body or f"Reverts {world.full_name}#{found.number}", author=author,
                     branch=branch, head=commit, base=found.base, draft=draft, now=now)  # fmt: skip
    return branch, commit, made
