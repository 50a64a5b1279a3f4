"""Which red signals belong to one break: pure, a function of the signals and of the breaks there are.

Signals belong together if one commit may be to blame for all of them and they failed alike. So the possible commits of
a break (`range_from` to `suspect_at`, places on trunk) are what the ranges of its signals have in common, and never
empty; the failure's key is the same, or not known yet. Once two are known to come from the same culprit, they are one
whatever they say.

A single failure is no break: of four hundred jobs on a commit, one in a hundred fails for no reason, and nobody should
be called for each. Signals make a break when one of them has failed twice, or two fail alike in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# Verdicts on signals that fail at trunk's head, but for which no commit is to blame.
BLAMELESS = frozenset({"flaky", "adviser_says_not_related", "adviser_says_infra", "adviser_says_garbage"})
# Verdicts without a suspect: its green side is out of the window, or there never was one.
UNPLACED = frozenset({"no_success_seen", "no_clean_baseline"})


class SignalId(NamedTuple):
    """Which signal: its configuration, and its test if it is one test's."""

    configuration_id: int
    test: str = ""


@dataclass(frozen=True, slots=True)
class Red:
    """A signal that fails now."""

    id: SignalId
    code: str
    suspect_at: int | None
    range_from: int | None
    failing_to: int | None = None
    failures: int = 1
    key: str = ""
    culprit: bool = False
    """Whether the suspect is confirmed."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A break that has signals: its members now. `decided`: a person has put a word or a name on it."""

    number: int
    members: frozenset[SignalId]
    decided: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """Signals that belong together, and the places where all their ranges meet."""

    members: tuple[Red, ...]
    range_from: int | None
    suspect_at: int | None
    key: str


@dataclass(slots=True)
class Plan:
    """What is to be done: who is in which break (by its number), which clusters are new, which breaks went into
    another."""

    standing: dict[int, Cluster] = field(default_factory=dict)
    new: list[Cluster] = field(default_factory=list)
    merged: dict[int, int] = field(default_factory=dict)


def gather(reds: Collection[Red], standing: Sequence[Standing]) -> Plan:
    """Put the red signals into the breaks that there are, and into new ones. Order never matters."""
    blamed = [red for red in reds if red.code not in BLAMELESS and red.suspect_at is not None]
    holds = {member: one.number for one in standing for member in one.members}
    kept = {member for one in standing if one.decided for member in one.members}
    found = [
        cluster for cluster in clusters(blamed) if worth_telling(cluster) or any(r.id in kept for r in cluster.members)
    ]
    # What has lost its suspect to the end of the window stays where it is.
    unplaced = [red for red in reds if red.suspect_at is None and red.code in UNPLACED and red.id in holds]
    return _match(found, unplaced, standing, holds)


def worth_telling(cluster: Cluster) -> bool:
    """Whether these signals are a break, and not single failures that happen to be red."""
    if any(red.failures >= 2 or red.culprit for red in cluster.members):
        return True
    return any(number >= 2 for key, number in Counter(red.key for red in cluster.members).items() if key)


def clusters(reds: Collection[Red]) -> list[Cluster]:
    """The signals that belong together, oldest suspect first."""
    known: dict[str, list[Red]] = {}
    for red in reds:
        known.setdefault(red.key, []).append(red)
    unread = known.pop("", [])
    found = [cluster for key in sorted(known) for cluster in _meeting(known[key])]
    found = _joined_by_culprit(found)
    alone = []
    for red in sorted(unread, key=_order):
        best = max((c for c in found if _meets(c, red)), key=lambda c: _nearness(c, red), default=None)
        if best is None:
            alone.append(red)
        else:
            found[found.index(best)] = _cluster([*best.members, red])
    found += _meeting(alone)
    return sorted(_joined_by_culprit(found), key=lambda c: (c.suspect_at or 0, c.members[0].id))


def _order(red: Red) -> tuple[int, int, SignalId]:
    return red.suspect_at or 0, red.range_from or 0, red.id


def _meeting(reds: Sequence[Red]) -> list[Cluster]:
    """Split by places: from the oldest suspect on, all whose range reaches back to it are one."""
    found: list[Cluster] = []
    left = sorted(reds, key=_order)
    while left:
        at = left[0].suspect_at or 0
        found.append(_cluster([red for red in left if (red.range_from or 0) <= at]))
        left = [red for red in left if (red.range_from or 0) > at]
    return found


def _cluster(reds: Sequence[Red]) -> Cluster:
    members = tuple(sorted(reds, key=lambda red: red.id))
    placed = [red for red in members if red.suspect_at is not None]
    confirmed = [red for red in placed if red.culprit]
    keys = Counter(red.key for red in members if red.key)
    return Cluster(
        members,
        max((red.range_from or 0 for red in confirmed or placed), default=None),
        min((red.suspect_at or 0 for red in confirmed or placed), default=None),
        min(keys, key=lambda key: (-keys[key], key), default=""),
    )


def _meets(cluster: Cluster, red: Red) -> bool:
    low = max(cluster.range_from or 0, red.range_from or 0)
    return low <= min(cluster.suspect_at or 0, red.suspect_at or 0)


def _nearness(cluster: Cluster, red: Red) -> tuple[bool, int, int, str]:
    return cluster.suspect_at == red.suspect_at, len(cluster.members), -(cluster.suspect_at or 0), cluster.key


def _joined_by_culprit(found: Sequence[Cluster]) -> list[Cluster]:
    """Clusters whose culprit is known to be the same commit are one. So are those whose own suspect is that commit,
    since it is known to break things."""
    guilty = sorted({red.suspect_at or 0 for cluster in found for red in cluster.members if red.culprit})
    rest = list(found)
    for at in guilty:
        mine = [c for c in rest if c.suspect_at == at and (c.range_from == at or any(r.culprit for r in c.members))]
        if len(mine) > 1:
            rest = [c for c in rest if c not in mine]
            rest.append(_cluster([red for cluster in mine for red in cluster.members]))
    return rest


def _match(
    found: Sequence[Cluster], unplaced: Sequence[Red], standing: Sequence[Standing], holds: Mapping[SignalId, int]
) -> Plan:
    plan = Plan()
    decided = {one.number for one in standing if one.decided}
    # A signal counts double: where its job has another history of the same failure, that may go on in its place.
    of_job: dict[int, set[int]] = {}
    for member, number in holds.items():
        of_job.setdefault(member.configuration_id, set()).add(number)
    shared: dict[int, Counter[int]] = {}
    for index, cluster in enumerate(found):
        shared[index] = Counter(
            number for red in cluster.members for number in sorted(of_job.get(red.id.configuration_id, ()))
        )
        shared[index].update(holds[red.id] for red in cluster.members if red.id in holds)
    taken: dict[int, int] = {}  # break → cluster
    parts: dict[int, list[Red]] = {}  # clusters that two decided breaks share are divided between them
    # A break goes on in the cluster that has most of its members.
    for one in sorted(standing, key=lambda one: (one.number not in decided, one.number)):
        mine = [(counts[one.number], -index) for index, counts in shared.items() if counts[one.number]]
        if mine:
            taken[one.number] = -max(mine)[1]
    for index, cluster in enumerate(found):
        heirs = sorted(
            (number for number, at in taken.items() if at == index),
            key=lambda number: (number not in decided, -shared[index][number], number),
        )
        if not heirs:
            if worth_telling(cluster):
                plan.new.append(cluster)
            continue
        first = heirs[0]
        keeping = []
        for number in heirs[1:]:
            mine_of_it = [red for red in cluster.members if holds.get(red.id) == number]
            if number not in decided or not mine_of_it:
                continue
            keeping.append(number)
            parts[number] = mine_of_it
            plan.standing[number] = _cluster(parts[number])
        kept = {red.id for number in keeping for red in parts[number]}
        plan.standing[first] = _cluster([red for red in cluster.members if red.id not in kept])
        plan.merged |= {number: first for number in heirs[1:] if number not in keeping}
    for red in unplaced:
        number = plan.merged.get(holds[red.id], holds[red.id])
        before = plan.standing.get(number)
        plan.standing[number] = _cluster([*(before.members if before else ()), red])
    return plan
