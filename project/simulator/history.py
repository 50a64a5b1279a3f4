"""Commits, branches and breaks, computed from the seed. Nothing here knows the present moment.

A line is a sequence of commits: trunk (line 0), or a release branch, which leaves trunk on a certain day. The commits
of one day of one line are drawn together, so any commit is found without walking from the beginning.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from project.simulator import names
from project.simulator.catalogue import Catalogue
from project.simulator.draws import Draws, digest
from project.simulator.failures import Failure, draw_compile_failure, draw_lint_failure, draw_test_failure

DAY = 86_400
EPOCH_DAY = (date(2024, 1, 1) - date(1970, 1, 1)).days  # the first day of every world
TRUNK = "main"
RELEASE_DAYS = 90  # a release branch is cut this often
A_DAY, _LINES = 128, 4  # room in a serial number for the commits of a day, and for lines
BESIDE = 3  # the line of all commits that are on no line: those of pull requests and of branches made by requests
PULL_SERIAL, MADE_SERIAL = 100_000_000, 200_000_000  # first serial numbers of pull requests' commits, of requests'
_MIDNIGHT = math.sin(-0.65 * 2 * math.pi)  # keeps a day's commits within the day
_MASK = 0xFFFFFFFF
_ODD = 0x9E3779B1
_ODD_INVERSE = pow(_ODD, -1, 1 << 32)


@dataclass(frozen=True, slots=True)
class Commit:
    line: int
    day: int
    index: int  # place within its day, oldest first
    serial: int  # unique in the world; grows with the day
    sha: str
    time: int  # seconds since the epoch
    author: str
    title: str
    body: str
    number: int  # its pull request
    reverts: str | None = None  # sha of the commit that it takes back
    parent: str | None = None  # said only where the line does not tell
    branch: str = ""  # likewise

    @property
    def made(self) -> bool:
        """Whether a request made it."""
        return self.serial >= MADE_SERIAL


@dataclass(frozen=True, slots=True)
class Break:
    """The truth about one break of trunk: everything in `configurations` fails from culprit until just before fix."""

    key: str
    culprit: Commit
    fix: Commit
    reverted: bool  # fixed by a revert, otherwise by a fix forward
    configurations: frozenset[tuple[str, str]]  # (workflow, base name)
    failure: Failure


class History:
    def __init__(self, seed: int, catalogue: Catalogue) -> None:
        self.seed = seed
        self.catalogue = catalogue
        self._salt = int.from_bytes(digest(seed, catalogue.scale, "sha")[:4])
        self.elsewhere: Callable[[int], Commit | None] = lambda serial: None  # finds commits of high serial numbers
        # What requests changed about breaks, by the sha of the drawn culprit: the commit that ended it early, and
        # the commit that stands for the culprit because its pull request was merged before its time.
        self.ended: dict[str, Commit] = {}
        self.moved: dict[str, Commit] = {}
        # Caches per instance: a process may hold several worlds.
        self.times_of_day = lru_cache(maxsize=4096)(self._times_of_day)
        self.day_commits = lru_cache(maxsize=1024)(self._day_commits)
        self._raw_breaks = lru_cache(maxsize=1024)(self._draw_breaks)
        self.breaks_of_day = lru_cache(maxsize=1024)(self._breaks_of_day)

    def clear(self) -> None:
        """Forget what may have changed with `ended` and `moved`."""
        self.day_commits.cache_clear()
        self.breaks_of_day.cache_clear()

    # -- shas: the first eight digits hold the serial number, scrambled, so that a sha leads back to its commit ----

    def sha(self, serial: int) -> str:
        mixed = (serial * _ODD) & _MASK
        mixed ^= mixed >> 15
        mixed ^= self._salt
        return f"{mixed:08x}{digest(self.seed, self.catalogue.scale, 'commit', serial).hex()}"

    def find(self, sha: str) -> Commit | None:
        """The commit with this sha, or with this abbreviation of at least seven digits."""
        sha = sha.lower()
        if not 7 <= len(sha) <= 40 or set(sha) - set("0123456789abcdef"):
            return None
        heads = [sha[:8]] if len(sha) >= 8 else [sha + digit for digit in "0123456789abcdef"]
        for head in heads:
            mixed = int(head, 16) ^ self._salt
            mixed ^= (mixed >> 15) ^ (mixed >> 30)
            commit = self.by_serial((mixed * _ODD_INVERSE) & _MASK)
            if commit is not None and commit.sha.startswith(sha):
                return commit
        return None

    def by_serial(self, serial: int) -> Commit | None:
        if serial >= PULL_SERIAL:
            return self.elsewhere(serial)
        rest, line = divmod(serial, _LINES)
        day, index = divmod(rest, A_DAY)
        day += EPOCH_DAY
        if day > EPOCH_DAY + 40_000 or line > 2 or index >= len(self.times_of_day(line, day)):
            return None
        return self.day_commits(line, day)[index]

    # -- lines ------------------------------------------------------------------------------------------------

    def _times_of_day(self, line: int, day: int) -> tuple[int, ...]:
        """When the commits of one day land. Trunk lands some every day; a release branch need not."""
        if day < EPOCH_DAY or (line and not self._release_alive(line, day)):
            return ()
        draws = Draws(self.seed, self.catalogue.scale, "day", line, day)
        mean = self.catalogue.release_commits_a_day if line else self.catalogue.commits_a_day
        weekend = (day + 3) % 7 >= 5
        expected = mean * (0.8 if weekend else 1.08)
        count = round(expected + math.sqrt(expected) * draws.between(-1.2, 1.2))
        count = max(0 if line else 2, min(count, A_DAY - 1))
        times: list[int] = []
        for place in range(count):
            # A merge queue lands them rather evenly; people are on all continents, most awake in UTC's afternoon.
            share = (place + draws.random()) / count
            second = int((share - 0.06 * (math.sin((share - 0.65) * 2 * math.pi) - _MIDNIGHT)) * DAY)
            times.append(max(second, times[-1] + 30 if times else 30))
        return tuple(day * DAY + min(second, DAY - 30 * (count - place)) for place, second in enumerate(times))

    def release_number(self, line: int, day: int) -> int | None:
        """Which release a line carries on that day: N of `release/2.N`. Lines 1 and 2 take turns."""
        newest = (day - EPOCH_DAY) // RELEASE_DAYS
        number = newest if newest % 2 == line % 2 else newest - 1
        return number if number >= 1 and line <= 2 else None

    def _release_alive(self, line: int, day: int) -> bool:
        number, newest = self.release_number(line, day), (day - EPOCH_DAY) // RELEASE_DAYS
        return number is not None and newest - number < self.catalogue.releases

    def releases(self, day: int) -> list[tuple[int, str]]:
        """(line, branch name) of the release branches that exist on a day, newest first."""
        alive = [(self.release_number(line, day), line) for line in (1, 2) if self._release_alive(line, day)]
        return [(line, f"release/2.{number}") for number, line in sorted(alive, key=str, reverse=True)]

    def branch_of(self, commit: Commit) -> str:
        """The branch that a commit was pushed to."""
        if commit.branch:
            return commit.branch
        return f"release/2.{self.release_number(commit.line, commit.day)}" if commit.line else TRUNK

    def release_cut(self, line: int, day: int) -> int | None:
        """The day on which that release left trunk."""
        number = self.release_number(line, day)
        return None if number is None else EPOCH_DAY + number * RELEASE_DAYS

    def _day_commits(self, line: int, day: int) -> tuple[Commit, ...]:
        times = self.times_of_day(line, day)
        fixes = {} if line else {b.fix_at: b for d in range(day - 3, day + 1) for b in self._kept_breaks(d)}
        commits = []
        for index, moment in enumerate(times):
            serial = ((day - EPOCH_DAY) * A_DAY + index) * _LINES + line
            draws = Draws(self.seed, self.catalogue.scale, "commit", serial)
            author, title, body = draws.pick(names.AUTHORS), names.title(draws), names.body(draws)
            number = self._number(day, index, line)
            reverts = None
            fixed = fixes.get((day, index))
            culprit = self._plain(fixed.at) if fixed is not None else None
            if fixed is not None and culprit is not None and culprit.sha not in self.ended:
                if fixed.reverted:
                    author, title = names.BOT, f'Revert "{culprit.title}"'
                    body = f"This reverts commit {culprit.sha}.\n\nReverted because it broke trunk."
                    reverts = culprit.sha
                else:
                    title = f"Fix forward: {culprit.title.removesuffix(f' (#{culprit.number})')}"
            elif line:
                title = f"[cherry-pick] {title}"
            commits.append(
                Commit(line, day, index, serial, self.sha(serial), moment, author,
                       f"{title} (#{number})", body, number, reverts)
            )  # fmt: skip
        return tuple(commits)

    def _plain(self, at: tuple[int, int]) -> Commit:
        """A trunk commit that fixes nothing, without drawing the rest of its day (culprits never fix)."""
        day, index = at
        serial = ((day - EPOCH_DAY) * A_DAY + index) * _LINES
        draws = Draws(self.seed, self.catalogue.scale, "commit", serial)
        author, title, body = draws.pick(names.AUTHORS), names.title(draws), names.body(draws)
        number = self._number(day, index, 0)
        time = self.times_of_day(0, day)[index]
        return Commit(0, day, index, serial, self.sha(serial), time, author, f"{title} (#{number})", body, number)

    def _number(self, day: int, index: int, line: int) -> int:
        """Pull request numbers grow with time and leave room for issues and for those that never landed."""
        return 1000 + (day - EPOCH_DAY) * A_DAY * 2 + index * 2 + (1 if line else 0)

    def backwards(self, line: int, moment: float) -> Iterator[Commit]:
        """The commits of a line that had landed at a moment, newest first; a release goes on into trunk's past."""
        day = int(moment // DAY)
        oldest = EPOCH_DAY if line == 0 else self.release_cut(line, day)
        if oldest is None:
            return
        for d in range(day, oldest - 1, -1):
            times = self.times_of_day(line, d)
            known = bisect_right(times, moment)
            if known:
                yield from reversed(self.day_commits(line, d)[:known])
        if line:
            yield from self.backwards(0, oldest * DAY)

    def before(self, commit: Commit) -> Commit | None:
        """The first parent."""
        return next(self.backwards(commit.line, commit.time - 1), None)

    def after(self, commit: Commit) -> Commit:
        """The commit that lands next on trunk."""
        return self.step(commit, 1)

    def step(self, commit: Commit, forward: int) -> Commit:
        day, index = self._step((commit.day, commit.index), forward)
        return self.day_commits(0, day)[index]

    def _step(self, at: tuple[int, int], forward: int) -> tuple[int, int]:
        day, index = at
        index += forward
        while index >= (count := len(self.times_of_day(0, day))):
            day, index = day + 1, index - count
        return day, index

    def next_time(self, commit: Commit) -> int:
        """When trunk moves on from a commit."""
        day, index = self._step((commit.day, commit.index), 1)
        return self.times_of_day(0, day)[index]

    def count(self, moment: float) -> int:
        """How many trunk commits had landed at a moment."""
        day = int(moment // DAY)
        before = sum(len(self.times_of_day(0, d)) for d in range(EPOCH_DAY, day))
        return before + bisect_right(self.times_of_day(0, day), moment)

    # -- breaks -----------------------------------------------------------------------------------------------

    def _draw_breaks(self, day: int) -> tuple["_Drawn", ...]:
        """Breaks by culprits of a day, before those are dropped whose culprit is itself a fix."""
        total = len(self.times_of_day(0, day))
        if not total or day < EPOCH_DAY:
            return ()
        draws = Draws(self.seed, self.catalogue.scale, "breaks", day)
        wanted = self.catalogue.breaks_a_day
        count = int(wanted) + draws.chance(wanted - int(wanted)) + draws.chance(0.25) - draws.chance(0.25)
        drawn: dict[int, _Drawn] = {}
        for number in range(count):
            index = draws.whole(0, total - 1)
            # A revert usually comes within the day; some breaks go unnoticed for longer.
            after = draws.whole(2, 7) if draws.chance(0.7) else draws.whole(8, 16)
            fix = self._step((day, index), after)
            reverted = draws.chance(0.7)
            drawn.setdefault(index, _Drawn(day, index, number, fix, reverted))
        return tuple(drawn.values())

    def _kept_breaks(self, day: int) -> list["_Drawn"]:
        drawn = [b for d in range(day - 3, day + 1) for b in self._raw_breaks(d)]
        fixes = {b.fix_at for b in drawn}
        kept, taken = [], set()
        for b in drawn:
            # One commit fixes at most one break, and no fix breaks anything: the truth stays easy to state.
            if b.at not in fixes and b.fix_at not in taken and b.day == day:
                kept.append(b)
            taken.add(b.fix_at)
        return kept

    def fixes(self, day: int, index: int) -> bool:
        """Whether the trunk commit at this place ends a break, told without drawing it."""
        return any(b.fix_at == (day, index) for d in range(day - 3, day + 1) for b in self._kept_breaks(d))

    def _breaks_of_day(self, day: int) -> tuple[Break, ...]:
        made = []
        for b in self._kept_breaks(day):
            draws = Draws(self.seed, self.catalogue.scale, "break", b.day, b.index)
            configurations, failure = self._scope(draws)
            fix_day, fix_index = b.fix_at
            culprit = self.day_commits(0, day)[b.index]
            fix, early = self.day_commits(0, fix_day)[fix_index], self.ended.get(culprit.sha)
            made.append(
                Break(f"break-{culprit.sha[:10]}", self.moved.get(culprit.sha, culprit), early or fix,
                      b.reverted or early is not None, frozenset(configurations), failure)
            )  # fmt: skip
        return tuple(made)

    def _scope(self, draws: Draws) -> tuple[list[tuple[str, str]], Failure]:
        """What one break hits: a build, one test configuration on many platforms, a platform's tests, or lint."""
        candidates = [
            (w, p) for w in self.catalogue.workflows if w.name != "unstable" and not w.every_hours for p in w.platforms
        ]
        workflow, platform = draws.pick(candidates)
        roll = draws.random()
        if platform.lone:
            failure = draw_lint_failure(draws) if workflow.name == "lint" else draw_test_failure(draws)
            return [(workflow.name, draws.pick(platform.lone))], failure
        if roll < 0.2 or not platform.tests:
            return [(workflow.name, platform.build_name)], draw_compile_failure(draws)
        config = draws.pick(platform.tests)[0]
        if roll < 0.65:  # the same tests fail wherever they run
            hit = [(w.name, f"{p.name} / test ({config})") for w, p in candidates if config in dict(p.tests)]
            keep = max(1, min(len(hit), draws.whole(1, 12)))
            first = draws.whole(0, len(hit) - keep)
            return hit[first : first + keep], draw_test_failure(draws)
        names_of = [name for name in platform.configurations() if "/ test" in name]
        return [(workflow.name, name) for name in names_of], draw_test_failure(draws)

    def active_breaks(self, commit: Commit) -> list[Break]:
        """Breaks that a commit of trunk suffers from. Release branches stay clear of trunk's breaks."""
        if commit.line:
            return []
        ahead = 5 if self.moved else 1
        return [
            b
            for day in range(commit.day - 3, commit.day + ahead)
            for b in self.breaks_of_day(day)
            if b.culprit.time <= commit.time < b.fix.time
        ]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A break as first drawn: by places, not commits, so that titles of fixes can be drawn from it."""

    day: int
    index: int
    number: int
    fix_at: tuple[int, int]
    reverted: bool

    @property
    def at(self) -> tuple[int, int]:
        return self.day, self.index
