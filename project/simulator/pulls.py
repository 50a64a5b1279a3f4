"""Pull requests, computed from the seed: where each trunk commit came from, and those that never land.

A pull request is open until its commit lands, so those that are open now are the ones that land in the next days.
Numbers lead back to pull requests, and serial numbers of their commits to both. Nothing here knows the present moment.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from project.simulator import names
from project.simulator.catalogue import Workflow
from project.simulator.draws import Draws
from project.simulator.failures import draw_compile_failure, draw_lint_failure, draw_test_failure
from project.simulator.history import A_DAY, BESIDE, DAY, EPOCH_DAY, PULL_SERIAL, TRUNK, Commit, History
from project.simulator.plans import Trouble

PLACES = 16  # room in a serial number for the commits of one pull request
FIRST_NUMBER = 1000
_LONGEST = 3  # days from opening to landing
_NEVER_FIRST, _NEVER_A_DAY = 64, 2  # places among the odd numbers of those that never land
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Push:
    """One push to a pull request's branch."""

    at: int
    forced: bool  # replaced what was there before
    places: tuple[int, ...]  # its commits, oldest first, those of earlier pushes that it keeps included


@dataclass(frozen=True, slots=True)
class Outline:
    """When a pull request lives, drawn without its words, so that runs can be counted cheaply."""

    number: int
    created: int
    ends: int  # lands or is closed
    pushes: tuple[Push, ...]
    workflows: tuple[Workflow, ...]


@dataclass(frozen=True)
class Pull:
    outline: Outline
    title: str
    body: str
    author: str
    branch: str
    base: str  # the branch that it is for
    draft: bool
    labels: tuple[str, ...]
    lands: Commit | None  # None: it is closed unmerged
    reviewer: str
    commits: tuple[Commit, ...]  # by place
    bases: tuple[Commit, ...]  # for each push, the commit of the base branch that it stands on
    trouble: Trouble | None  # what it breaks by itself
    troubled: tuple[int, int]  # from which push until before which

    @property
    def number(self) -> int:
        return self.outline.number

    @property
    def pushes(self) -> tuple[Push, ...]:
        return self.outline.pushes

    @cached_property
    def push_of(self) -> dict[int, int]:
        """The push of which a commit is the head, by the commit's place."""
        return {push.places[-1]: number for number, push in enumerate(self.pushes)}


class Pulls:
    def __init__(self, history: History) -> None:
        self.history = history
        self.pull = lru_cache(maxsize=8000)(self._pull)
        self._outlines_of_day = lru_cache(maxsize=512)(self._outline_day)

    def clear(self) -> None:
        self.pull.cache_clear()

    # -- outlines ---------------------------------------------------------------------------------------------

    def outlines_of_day(self, day: int) -> tuple[Outline, ...]:
        """Pull requests whose commit lands on a day, and those opened that day that never land."""
        return self._outlines_of_day(day)

    def alive_on(self, day: int) -> list[Outline]:
        """Pull requests that may have been pushed to on a day."""
        return [outline for d in range(day - _LONGEST - 1, day + _LONGEST + 2) for outline in self.outlines_of_day(d)
                if outline.created // DAY <= day <= outline.ends // DAY]  # fmt: skip

    def _outline_day(self, day: int) -> tuple[Outline, ...]:
        first = FIRST_NUMBER + (day - EPOCH_DAY) * A_DAY * 2
        found: list[Outline] = []
        for line in range(3):
            for index in range(len(self.history.times_of_day(line, day))):
                outline = self._outline(first + index * 2 + (line > 0), line, day, index)
                if not any(other.number == outline.number for other in found[-_NEVER_FIRST:] if line == 2):
                    found.append(outline)
        if day >= EPOCH_DAY:
            places = range(_NEVER_FIRST, _NEVER_FIRST + _NEVER_A_DAY)
            found += [self._outline(first + index * 2 + 1, -1, day, index) for index in places]
        return tuple(found)

    def _outline(self, number: int, line: int, day: int, index: int) -> Outline:
        history = self.history
        draws = Draws(history.seed, history.catalogue.scale, "pull", number)
        if line < 0:
            created = day * DAY + draws.whole(0, DAY - 1)
            ends = created + draws.whole(20 * _HOUR, _LONGEST * DAY)
            count = 1 + sum(draws.chance(0.5) for _ in range(3))
        else:
            ends = history.times_of_day(line, day)[index]
            if line == 0 and history.fixes(day, index):
                # A fix is in a hurry, and it cannot be older than what it fixes.
                before = history.times_of_day(0, day)[index - 1] if index else ends - 90
                created, count = max(ends - 15 * _MINUTE, before + 5), 1
            else:
                created = ends - draws.whole(3 * _HOUR, 24 * _HOUR if draws.chance(0.5) else _LONGEST * DAY)
                count = 1 + sum(draws.chance(0.5) for _ in range(3))
        pushes: list[Push] = []
        places: tuple[int, ...] = ()
        place = 0
        for push in range(count):
            share = push + draws.between(0.1, 0.6) if push else 0
            at = created + int((ends - created) * 0.9 * share / count)
            forced = push > 0 and draws.chance(0.5)
            fresh = 2 if not push and draws.chance(0.3) else 1
            places = (*(() if forced else places), *range(place, place + fresh))
            place += fresh
            pushes.append(Push(at, forced, places))
        return Outline(number, created, ends, tuple(pushes), self._workflows(draws))

    def _workflows(self, draws: Draws) -> tuple[Workflow, ...]:
        """What is checked: `pull` and `lint` always, others where somebody asked for them."""
        return tuple(
            workflow for workflow in self.history.catalogue.workflows
            if not workflow.every_hours
            and (workflow.name in ("pull", "lint") or draws.chance(0.3 if workflow.name == "unstable" else 0.05))
        )  # fmt: skip

    # -- whole pull requests ----------------------------------------------------------------------------------

    def _place(self, number: int) -> tuple[int, int, int] | None:
        """(line, day, index) of the commit with which a number lands; line -1 if it never does."""
        day, rest = divmod(number - FIRST_NUMBER, A_DAY * 2)
        index, beside = divmod(rest, 2)
        day += EPOCH_DAY
        if day < EPOCH_DAY or day > EPOCH_DAY + 40_000:
            return None
        if not beside:
            return (0, day, index) if index < len(self.history.times_of_day(0, day)) else None
        if _NEVER_FIRST <= index < _NEVER_FIRST + _NEVER_A_DAY:
            return -1, day, index
        for line in (1, 2):
            if index < len(self.history.times_of_day(line, day)):
                return line, day, index
        return None

    def _pull(self, number: int) -> Pull | None:
        history = self.history
        place = self._place(number)
        if place is None:
            return None
        line, day, index = place
        outline = next((o for o in self.outlines_of_day(day) if o.number == number), None)
        if outline is None:
            return None
        draws = Draws(history.seed, history.catalogue.scale, "pull-words", number)
        lands = history.day_commits(line, day)[index] if line >= 0 else None
        if lands is not None:
            title, body, author = lands.title.removesuffix(f" (#{number})"), lands.body, lands.author
            base = history.branch_of(lands)
        else:
            title, body, author, base = names.title(draws), names.body(draws), draws.pick(names.AUTHORS), TRUNK
        branch = f"{author}/{'-'.join(title.lower().split()[-3:])[:40]}-{number}"
        branch = "".join(c if c.isalnum() or c in "/-_." else "-" for c in branch)
        commits, bases = self._commits(outline, author, title, body, branch, max(line, 0), draws)
        trouble, troubled = self._trouble(outline, lands, draws)
        area = title.partition("]")[0].removeprefix("[") if title.startswith("[") else ""
        labels = [f"module: {area}"] if area in names.AREAS else []
        labels += [f"ciflow/{w.name}" for w in outline.workflows if w.name not in ("pull", "lint", "unstable")]
        labels.append(draws.pick(("topic: not user facing", "release notes: none", "topic: bug fixes")))
        reviewer = draws.pick([login for login in names.AUTHORS if login != author])
        return Pull(outline, title, body, author, branch, base, lands is None and draws.chance(0.3), tuple(labels),
                    lands, reviewer, commits, bases, trouble, troubled)  # fmt: skip

    def _commits(
        self, outline: Outline, author: str, title: str, body: str, branch: str, line: int, draws: Draws
    ) -> tuple[tuple[Commit, ...], tuple[Commit, ...]]:
        history = self.history
        commits: list[Commit] = []
        bases: list[Commit] = []
        for push in outline.pushes:
            if push.forced and bases and draws.chance(0.3):
                base = bases[-1]
            else:
                moment = push.at - draws.whole(60, 4 * _HOUR) if len(push.places) < 3 and not bases else push.at - 60
                base = next(history.backwards(line, moment if push.forced or not bases else push.at - 60))
            if bases and not push.forced:
                base = bases[-1]  # commits on top of what is there do not move its base
            bases.append(base)
            for order, place in enumerate(push.places):
                if place < len(commits):
                    continue
                serial = PULL_SERIAL + outline.number * PLACES + place
                time = max(base.time + 1, push.at - 40 * (len(push.places) - order))
                parent = commits[push.places[order - 1]].sha if order else base.sha
                words = title if not place else draws.pick(("Address review", "Fix lint", "Try again", title))
                commits.append(
                    Commit(BESIDE, time // DAY, place, serial, history.sha(serial), time, author, words,
                           body if not place else "", outline.number, None, parent, branch)
                )  # fmt: skip
        return tuple(commits), tuple(bases)

    def _trouble(self, outline: Outline, lands: Commit | None, draws: Draws) -> tuple[Trouble | None, tuple[int, int]]:
        """What the pull request itself breaks. Whatever lands has mended that first, unless it breaks trunk too."""
        count, key = len(outline.pushes), f"pull-{outline.number}"
        names_of = {workflow.name for workflow in outline.workflows}
        if lands is not None and not lands.line:
            for found in self.history.breaks_of_day(lands.day):
                seen = frozenset(c for c in found.configurations if c[0] in names_of)
                if found.culprit.number == outline.number and seen and draws.chance(0.5):
                    return Trouble(key, seen, found.failure), (count - 1, count)
        last = count if lands is None else count - 1
        if not last or not draws.chance(0.5):
            return None, (0, 0)
        candidates = [(w, p) for w in outline.workflows if w.name != "unstable" for p in w.platforms]
        workflow, platform = draws.pick(candidates)
        if platform.lone:
            failure = draw_lint_failure(draws) if workflow.name == "lint" else draw_test_failure(draws)
            hit = [(workflow.name, draws.pick(platform.lone))]
        elif not platform.tests or draws.chance(0.2):
            failure, hit = draw_compile_failure(draws), [(workflow.name, platform.build_name)]
        else:
            config = draws.pick(platform.tests)[0]
            failure = draw_test_failure(draws)
            hit = [(w.name, f"{p.name} / test ({config})") for w, p in candidates if config in dict(p.tests)]
        return Trouble(key, frozenset(hit), failure), (0, draws.whole(1, last))

    # -- commits ----------------------------------------------------------------------------------------------

    def commit(self, serial: int) -> Commit | None:
        number, place = divmod(serial - PULL_SERIAL, PLACES)
        pull = self.pull(number)
        return pull.commits[place] if pull is not None and place < len(pull.commits) else None

    def checked(self, commit: Commit) -> tuple[int, tuple[Workflow, ...]]:
        """When checks begin on a commit, and which; none on a commit that was never a head."""
        pull = self.pull(commit.number)
        push = pull.push_of.get(commit.index) if pull is not None else None
        return (0, ()) if pull is None or push is None else (pull.pushes[push].at, pull.outline.workflows)

    def base(self, commit: Commit) -> Commit | None:
        """The commit of the base branch that a commit of a pull request stands on."""
        pull = self.pull(commit.number)
        if pull is None:
            return None
        return next((base for base, push in zip(pull.bases, pull.pushes, strict=True) if commit.index in push.places),
                    None)  # fmt: skip

    def trouble(self, commit: Commit) -> Trouble | None:
        """What a pull request itself breaks on one of its heads."""
        pull = self.pull(commit.number)
        push = pull.push_of.get(commit.index) if pull is not None else None
        if pull is None or push is None or not pull.troubled[0] <= push < pull.troubled[1]:
            return None
        return pull.trouble
