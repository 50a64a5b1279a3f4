"""A stretch of trunk around one commit: since when something fails there, and what came of it after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Subquery

from hud.cells import Outcome
from hud.models import Commit
from hud.places import Place
from hud.runs import at_slot

OLDER, NEWER = 60, 20  # commits that are looked at on either side

_GOOD = (Outcome.PASSED, Outcome.FLAKY, Outcome.NEUTRAL)


class Step(NamedTuple):
    """A commit of the stretch."""

    position: int
    sha: str
    title: str
    committed_at: datetime | None
    cells: bytes

    @property
    def outcome(self) -> Outcome:
        """The worst of all its squares."""
        return Outcome(min(max(self.cells, default=0), len(Outcome) - 1))


@dataclass(frozen=True, slots=True)
class Since:
    """How long a configuration has been failing at a commit.

    `first` is the oldest commit of the failures that end here, `before` how many commits failed before this one, `good`
    the newest older commit on which it passed, `gap` how many commits between the two have no result. `after` counts
    the newer commits that failed too; `healed` is the first newer one on which it passed.
    """

    first: Step | None
    before: int
    good: Step | None
    gap: int
    after: int
    healed: Step | None
    looked_at: int

    @property
    def new(self) -> bool:
        """Whether it passed before and failed here first."""
        return self.before == 0 and self.good is not None

    @property
    def words(self) -> str:
        """“New here.”, “Failing since 88e2b4f, 3 commits before this one.” and the like; empty off trunk."""
        if self.first is None:
            return ""
        if self.new:
            unknown = f" It has no result on the {_commits(self.gap)} between, which may be to blame as well."
            return "New here." + (unknown if self.gap else "")
        if self.good is not None:
            return f"Failing since {self.first.sha[:7]}: on {_commits(self.before)} before this one, too."
        if self.before:
            return f"Failing for longer than the {_commits(self.looked_at)} looked at."
        return f"No result on the {_commits(self.looked_at)} before." if self.looked_at else "Nothing older is known."

    @property
    def outlook(self) -> str:
        """What came after: “It failed on 2 newer commits and passed again on 7c9f02d.”; empty if nothing did."""
        failed = f"failed on {_commits(self.after, 'newer')}" if self.after else ""
        passed = f"passed again on {self.healed.sha[:7]}" if self.healed else ""
        said = " and ".join(part for part in (failed, passed) if part)
        return f"It {said}." if said else ""


def _commits(number: int, kind: str = "") -> str:
    return f"{number} {kind + ' ' if kind else ''}commit{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Trail:
    """Commits newest first, with the one looked at among them; none if it isn't on trunk. `ahead`: how many newer
    commits trunk has, those not in `steps` included."""

    steps: Sequence[Step]
    here: int
    ahead: int | None

    @property
    def position(self) -> int | None:
        """The commit's place on trunk."""
        return self.steps[self.here].position if self.steps else None

    @property
    def older(self) -> Step | None:
        """The commit before."""
        return self.steps[self.here + 1] if self.here + 1 < len(self.steps) else None

    @property
    def newer(self) -> Step | None:
        """The commit after."""
        return self.steps[self.here - 1] if self.steps and self.here else None

    def since(self, slot: int) -> Since:
        """Since when the configuration at `slot` fails at this commit."""
        if not self.steps:
            return Since(None, 0, None, 0, 0, None, 0)
        first, good, before, gap = self.steps[self.here], None, 0, 0
        older = self.steps[self.here + 1 :]
        for step in older:
            outcome = at_slot(step.cells, slot)
            if outcome.failing:
                first, before, gap = step, before + 1, 0
            elif outcome in _GOOD:
                good = step
                break
            else:
                gap += 1
        after, healed = 0, None
        for step in reversed(self.steps[: self.here]):
            outcome = at_slot(step.cells, slot)
            if outcome in _GOOD:
                healed = step
                break
            after += outcome.failing
        return Since(first, before, good, gap if good else 0, after, healed, len(older))


def around(where: Place, commit: Commit) -> Trail:
    """The stretch of trunk around a commit. Two queries."""
    positions = where.commits.filter(commit=commit).values_list("position", flat=True)
    here = positions.first()
    if here is None:
        return Trail((), 0, None)
    top = where.commits.order_by("-position").values("position")[:1]
    rows = list(
        where.commits.filter(position__gte=here - OLDER, position__lte=here + NEWER)
        .order_by("-position")
        .values_list(
            "position",
            "commit__sha",
            "commit__title",
            "commit__committed_at",
            "commit__commitcells__cells",
            Subquery(top),
        )
    )
    steps = [Step(place, sha, title, at, bytes(cells or b"")) for place, sha, title, at, cells, _ in rows]
    index = next(index for index, step in enumerate(steps) if step.position == here)
    return Trail(steps, index, rows[0][5] - here)
