"""The files of the simulated project, and which of them a commit touches. Pure.

A blob's sha tells nothing but who touched the file last, which is all that is needed to see whether a tree takes a
commit back.
"""

from dataclasses import dataclass
from functools import lru_cache

from project.simulator import names
from project.simulator.draws import Draws, digest
from project.simulator.history import EPOCH_DAY, Commit, History

_KEPT_DAYS = 32  # a file's past is forgotten this often, so that a tree is found without walking from the beginning
_FOLDERS = ("aten/src", "torch/_C", "torch", "test")
_STEMS = ("ops", "graph", "kernels")


@dataclass(frozen=True, slots=True)
class Touch:
    """What a commit does to one file."""

    name: str
    status: str  # added | modified | removed
    blob: str | None  # afterwards; None if removed
    additions: int
    deletions: int


def all_files() -> tuple[str, ...]:
    areas = sorted({area.lower() for area in names.AREAS})
    return tuple(f"{_folder(area)}/{area}/{stem}.{_suffix(area)}" for area in areas for stem in _STEMS)


def _folder(area: str) -> str:
    return _FOLDERS[digest("folder", area)[0] % len(_FOLDERS)]


def _suffix(area: str) -> str:
    return "cpp" if _folder(area) in _FOLDERS[:2] else "py"


ALL_FILES = all_files()


def draw_touches(commit: Commit) -> tuple[Touch, ...]:
    """A few files of the commit's own area, now and then one more elsewhere or a new one."""
    draws = Draws("files", commit.sha)
    title = commit.title.split("] ")[0]
    area = title.removeprefix("[").partition("]")[0].lower() if title.startswith("[") else ""
    own = [name for name in ALL_FILES if f"/{area}/" in name] or [draws.pick(ALL_FILES)]
    chosen = {draws.pick(own) for _ in range(draws.whole(1, 2))}
    if draws.chance(0.25):
        chosen.add(draws.pick(ALL_FILES))
    touches = [
        Touch(name, "modified", digest("blob", name, commit.sha).hex() + commit.sha[:8], draws.whole(1, 60),
              draws.whole(0, 25))
        for name in sorted(chosen)
    ]  # fmt: skip
    if draws.chance(0.15):
        name = f"test/{area or 'misc'}/test_{commit.sha[:8]}.py"
        touches.append(Touch(name, "added", digest("blob", name, commit.sha).hex() + commit.sha[:8],
                             draws.whole(10, 90), 0))  # fmt: skip
    return tuple(touches)


State = dict[str, tuple[str | None, int]]  # file → its blob, and when it was last touched


class Files:
    """The state of all files after each commit of the lines."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._touches = lru_cache(maxsize=8000)(draw_touches)
        self._after_day = lru_cache(maxsize=256)(self._end_of_day)

    def clear(self) -> None:
        self._touches.cache_clear()
        self._after_day.cache_clear()

    def touches(self, commit: Commit) -> tuple[Touch, ...]:
        """What a drawn commit does. The fix of a break by revert takes back exactly what the culprit did."""
        culprit = self.history.find(commit.reverts) if commit.reverts else None
        if culprit is None:
            return self._touches(commit)
        before = self.state(self.history.before(culprit)) if not culprit.line else {}
        return take_back(self._touches(culprit), before)

    def state(self, commit: Commit | None) -> State:
        """All files as a drawn commit of a line leaves them. Must not be changed: it is shared."""
        if commit is None:
            return self._origin(EPOCH_DAY)
        state = dict(self._start_of_day(commit.line, commit.day))
        for other in self.history.day_commits(commit.line, commit.day)[: commit.index + 1]:
            self._apply(state, other)
        return state

    def _start_of_day(self, line: int, day: int) -> State:
        if day % _KEPT_DAYS == 0 or day <= EPOCH_DAY:
            return self._origin(day)
        return self._after_day(line, day - 1)

    def _end_of_day(self, line: int, day: int) -> State:
        state = dict(self._start_of_day(line, day))
        for commit in self.history.day_commits(line, day):
            self._apply(state, commit)
        return state

    def _apply(self, state: State, commit: Commit) -> None:
        # A revert's own state would be asked for inside of itself; its blobs are those from before the culprit.
        for touch in self.touches(commit):
            state[touch.name] = (touch.blob, commit.time)

    @staticmethod
    def _origin(day: int) -> State:
        month = day // _KEPT_DAYS
        return {name: (digest("blob", name, month).hex() + f"{month:08x}", 0) for name in ALL_FILES}


def take_back(touches: tuple[Touch, ...], before: State) -> tuple[Touch, ...]:
    """What a commit does that takes another one back."""
    told = []
    for touch in touches:
        blob = before.get(touch.name, (None, 0))[0]
        status = "modified" if blob and touch.blob else "added" if blob else "removed"
        told.append(Touch(touch.name, status, blob, touch.deletions, touch.additions))
    return tuple(told)
