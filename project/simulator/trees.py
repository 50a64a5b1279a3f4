"""What commits do to files and which files they leave, drawn and made ones alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from project.simulator.draws import digest
from project.simulator.files import Files, State, Touch, take_back
from project.simulator.history import BESIDE, Commit

if TYPE_CHECKING:
    from project.simulator.world import World


class Trees:
    def __init__(self, world: World) -> None:
        self.world = world
        self.files = Files(world.history)
        self.folders: dict[str, dict[str, str]] = {}  # subtrees that were told to somebody, by their shas

    def clear(self) -> None:
        self.files.clear()

    def touches(self, commit: Commit) -> tuple[Touch, ...]:
        """What a commit does to files."""
        if commit.line == BESIDE:
            if commit.made:
                parent = self.world.parent(commit)
                return _difference(self.of(parent) if parent else {}, self.of(commit), commit)
            pull = self.world.pulls.pull(commit.number)
            assert pull is not None
            return tuple(
                Touch(t.name, t.status, digest("blob", t.name, commit.sha).hex() + commit.sha[:8], t.additions,
                      t.deletions)
                for t in self.files.touches(pull.lands or pull.commits[0])
            )  # fmt: skip
        if not commit.made:
            return self.files.touches(commit)
        landing = next(landing for landing in self.world.writes.landings if landing.sha == commit.sha)
        reverted = self.world.find(landing.reverts) if landing.reverts else None
        if reverted is not None:
            before = self.world.parent(reverted)
            return take_back(self.touches(reverted), self._state(before) if before else {})
        pull = self.world.pulls.pull(landing.number)
        if pull is not None:
            return self.files.touches(pull.lands or pull.commits[0])
        made = self.world.writes.pulls[landing.number]
        head = self.world.writes.commits[made.heads[-1].sha]
        base = self.world.base(head)
        return _difference(self.of(base) if base else {}, self.of(head), commit)

    def _state(self, commit: Commit) -> State:
        """All files as a commit of a line leaves them, and when each was last touched."""
        made = [c for c in self.world.landed if (c.time, c.serial) <= (commit.time, commit.serial)]
        drawn = next(self.world.history.backwards(0, commit.time)) if commit.made else commit
        if not made:
            return self.files.state(drawn)
        state = dict(self.files.state(drawn))
        for other in made:
            for touch in self.touches(other):
                if state.get(touch.name, (None, 0))[1] <= other.time:
                    state[touch.name] = (touch.blob, other.time)
        return state

    def of(self, commit: Commit) -> dict[str, str]:
        """The blobs of all files after a commit."""
        if commit.sha in self.world.writes.tree_of:
            return self.world.writes.trees[self.world.writes.tree_of[commit.sha]]
        if commit.line != BESIDE:
            return {name: blob for name, (blob, _) in self._state(commit).items() if blob is not None}
        base = self.world.base(commit)
        tree = self.of(base) if base is not None else {}
        return tree | {touch.name: touch.blob for touch in self.touches(commit) if touch.blob is not None}

    def sha(self, commit: Commit) -> str:
        """It ends in the commit's first digits, and so leads back to it."""
        return self.world.writes.tree_of.get(commit.sha) or digest("tree", commit.sha).hex() + commit.sha[:8]

    def by_sha(self, sha: str, now: float) -> dict[str, str] | None:
        """The files of a tree, named by its own sha, or by a commit's or a branch."""
        if sha in self.world.writes.trees:
            return self.world.writes.trees[sha]
        if len(sha) == 40:
            commit = self.world.commit(sha[32:], now)
            if commit is not None and self.sha(commit) == sha:
                return self.of(commit)
        commit = self.world.resolve(sha, now)
        return self.of(commit) if commit is not None else None


def _difference(before: dict[str, str], after: dict[str, str], commit: Commit) -> tuple[Touch, ...]:
    """What must be done to one tree to make another."""
    touches = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            status = "removed" if new is None else "added" if old is None else "modified"
            size = 1 + digest("size", name, commit.sha)[0] % 40
            touches.append(Touch(name, status, new, size if new else 0, size if old else 0))
    return tuple(touches)
