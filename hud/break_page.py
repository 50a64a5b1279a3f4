"""A break as its page shows it: who broke it and how sure that is, why not yet, the evidence, and what came of it.

The number of queries is the same for one signal and for a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import F

from hud import attention, break_list, failing_lines, layout
from hud.cells import Outcome
from hud.failing_lines import FailingLine
from hud.layout import Group, Layout, Member
from hud.models import Break, BreakSignal, BreakState, Commit, Configuration, Run, Signal
from hud.places import Place
from project.github.outcomes import Conclusion

OLDER, NEWER, WIDEST = 5, 3, 36  # commits of the strip: below what may be to blame, above the newest failure, in all
STRIPS = 20
IN_RANGE = 10
SUREST = ("revert", "wait", "restart", "none")
OVER = (BreakState.FIXED, BreakState.NOT_A_BREAK)


class Step(NamedTuple):
    """A moment in a break's life. `at` is empty while it has not come; `took` is how long after the one before."""

    name: str
    at: datetime | None
    took: timedelta | None
    by: str = ""


class Seen(NamedTuple):
    """A commit of the evidence strip."""

    position: int
    sha: str
    title: str
    cells: bytes


@dataclass(frozen=True, slots=True)
class Dot:
    """A square of the evidence strip. `side`: failing, gap, green, or empty outside of them."""

    sha: str
    outcome: Outcome
    side: str
    suspect: bool
    rerun: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """A signal and its commits, oldest first."""

    group: Group
    member: Member
    test: str
    decision: str
    words: str
    left: bool
    green: bool
    dots: Sequence[Dot]

    @property
    def name(self) -> str:
        """“CUDA 12.8 sm86 / default 2/5”, and the test if it is one."""
        return f"{self.group.name} / {self.member.label}"


@dataclass(frozen=True, slots=True)
class Lack:
    """A piece of evidence that is missing, of how many signals, and which commits would be run to get it."""

    what: str
    settled_by: str
    restart: Sequence[str]
    signals: int


@dataclass
class BreakPage:
    """A break with all that its page shows. Fields that `hud.attention` words need have the names they have there."""

    row: Break
    strips: Sequence[Strip]
    commits: Sequence[Seen]
    lacks: Sequence[Lack]
    missing: Sequence[Mapping[str, Any]]
    failures: int
    successes: int
    words: str
    restart: int
    range: Sequence[Commit] = ()
    range_more: int = 0
    groups: Sequence[tuple[Group, Sequence[Member]]] = ()
    unstable: Sequence[Member] = ()
    line: FailingLine | None = None
    steps: Sequence[Step] = field(default=())

    @property
    def number(self) -> int:
        """Its number, as in the address."""
        return self.row.number

    @property
    def version(self) -> int:
        """What a decision must name, so that of two people at once one is told."""
        return self.row.version

    @property
    def state(self) -> str:
        """The state of its life."""
        return self.row.state

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return not self.row.open

    @property
    def decision(self) -> str:
        """Of the surest signal."""
        return self.row.decision

    @property
    def code(self) -> str:
        """Of the surest signal."""
        return self.row.code

    @property
    def suspect(self) -> Commit | None:
        """The commit that is thought to be to blame."""
        return self.row.suspect

    @property
    def suspects(self) -> int:
        """How many commits can't be told apart yet."""
        return break_list.suspects_of(self.row)

    @property
    def sure(self) -> bool:
        """Whether there is enough to revert."""
        return self.row.culprit_id is not None or self.row.decision == "revert"

    @property
    def reverted_at(self) -> datetime | None:
        """When the revert was on trunk."""
        return self.row.reverted_at

    @property
    def sureness(self) -> str:
        """How sure it is who broke it."""
        return attention.sureness(self)

    @property
    def why_not(self) -> str:
        """Why it can't be reverted now."""
        return "This break is over." if self.over else attention.why_not_revert(self)

    @property
    def why_no_rerun(self) -> str:
        """Why nothing can be run again."""
        return "This break is over." if self.over else ""

    @property
    def why_no_opinion(self) -> str:
        """Why no opinion can be given."""
        if self.over:
            return "This break is over."
        return "" if self.row.suspect_id else "No suspect is known."

    @property
    def glyph(self) -> str:
        """The letter of a status square that stands for the state."""
        return state_glyph(self.row)


def state_glyph(one: Break) -> str:
    """X broken, P a revert on its way, O fixed, S not a break."""
    return {BreakState.FIXED: "O", BreakState.NOT_A_BREAK: "S", BreakState.REVERTING: "P"}.get(
        BreakState(one.state), "S" if one.merged_into_id else "X"
    )


def find(place: Place, number: int) -> Break | None:
    """The break with this number, and the people and commits that it names. One query."""
    rows = Break.objects.filter(repository=place.repository, number=number)
    return rows.select_related(
        "suspect", "culprit", "owner", "acknowledged_by", "dismissed_by", "merged_into", "repository"
    ).first()


def of(place: Place, row: Break) -> BreakPage:
    """The page of a break."""
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    members = _members(row)
    signals = _signals(members) if row.open else {}
    configurations = Configuration.objects.in_bulk({member.configuration_id for member in members})
    commits = _commits(place, row, members)
    strips = _strips(row, columns, members, signals, configurations, commits)
    surest = min(
        signals.values(), key=lambda one: (one.code != row.code, SUREST.index(one.decision), -one.failures, one.pk),
        default=None,
    )  # fmt: skip
    lacks = _lacks(signals.values()) if row.open else []
    found = surest.evidence if surest is not None else {}
    page = BreakPage(
        row, strips, commits, lacks, found.get("missing", ()), surest.failures if surest else 0,
        int(found.get("successes") or 0), str(found.get("words", "")),
        len({sha for lack in lacks for sha in lack.restart}),
    )  # fmt: skip
    page.range, page.range_more = _range(place, row)
    page.groups, page.unstable = _hit(columns, strips, configurations)
    page.line = _line(place, row, members)
    page.steps = _steps(row)
    return page


def _members(row: Break) -> list[BreakSignal]:
    """Its signals; of one that left and came back the last time. Those that went elsewhere are not its any more."""
    newest: dict[tuple[int, str], BreakSignal] = {}
    for one in BreakSignal.objects.filter(broken=row).order_by("joined_at", "pk"):
        newest[one.configuration_id, one.test] = one
    return [one for one in newest.values() if one.left_at is None or one.green or not row.open]


def _signals(members: Iterable[BreakSignal]) -> dict[tuple[int, str], Signal]:
    wanted = {(one.configuration_id, one.test) for one in members if one.left_at is None}
    rows = Signal.objects.filter(configuration__in={pk for pk, _ in wanted})
    return {key: one for one in rows if (key := (one.configuration_id, one.test)) in wanted}


def _commits(place: Place, row: Break, members: Sequence[BreakSignal]) -> list[Seen]:
    """The stretch of trunk that the evidence is about, oldest first."""
    lows = [one.range_from if one.range_from is not None else one.suspect_at for one in members]
    low = min((at for at in [*lows, row.range_from, row.suspect_at] if at is not None), default=None)
    high = max((at for at in [row.failing_to, *(one.failing_to for one in members)] if at is not None), default=low)
    if high is None:
        return []
    low = high - WIDEST if low is None else low
    low -= OLDER
    high = min(high + NEWER, low + WIDEST - 1)  # what is cut off are more failures of the same kind
    rows = place.commits.filter(position__gte=low, position__lte=high).order_by("position")
    return [
        Seen(position, sha, title, bytes(cells or b""))
        for position, sha, title, cells in rows.values_list(
            "position", "commit__sha", "commit__title", "commit__commitcells__cells"
        )
    ]


def _strips(
    row: Break,
    columns: Layout,
    members: Sequence[BreakSignal],
    signals: Mapping[tuple[int, str], Signal],
    configurations: Mapping[int, Configuration],
    commits: Sequence[Seen],
) -> list[Strip]:
    strips: list[Strip] = []
    for one in members:
        found = columns.by_slot.get(configurations[one.configuration_id].slot)
        if found is None:
            continue
        signal = signals.get((one.configuration_id, one.test))
        decision = signal.decision if signal is not None else ""
        words = str(signal.evidence.get("words", "")) if signal is not None else ""
        dots = _dots(one, signal, found[1].slot, commits) if len(strips) < STRIPS * 4 else ()
        strips.append(Strip(*found, one.test, decision, words, one.left_at is not None, one.green, dots))
    order = {group.slug: at for at, group in enumerate(columns.groups)}
    sure = {decision: at for at, decision in enumerate(SUREST)}
    strips.sort(
        key=lambda strip: (
            not strip.dots, strip.left, sure.get(strip.decision, len(sure)), order[strip.group.slug], strip.name,
            strip.test,
        )
    )  # fmt: skip
    return strips


def _dots(one: BreakSignal, signal: Signal | None, slot: int, commits: Sequence[Seen]) -> list[Dot]:
    evidence = signal.evidence if signal is not None else {}
    failing, gap, green = (set(evidence.get(side, ())) for side in ("failing", "gap", "green"))
    rerun = set(signal.restart) if signal is not None else set()
    dots = []
    for commit in commits:
        sides = (("failing", failing), ("gap", gap), ("green", green))
        side = next((name for name, shas in sides if commit.sha in shas), "")
        if not side and one.suspect_at is not None and one.failing_to is not None:
            low = one.suspect_at if one.range_from is None else one.range_from
            if one.suspect_at <= commit.position <= one.failing_to:
                side = "failing"
            elif low <= commit.position < one.suspect_at:
                side = "gap"
        outcome = _outcome(commit.cells, slot)
        if one.test and outcome.failing and side == "green":
            outcome = Outcome.PASSED  # the job failed there, but this test of it did not
        dots.append(Dot(commit.sha, outcome, side, commit.position == one.suspect_at, commit.sha in rerun))
    return dots


def _outcome(cells: bytes, slot: int) -> Outcome:
    code = cells[slot] if slot < len(cells) else 0
    return Outcome(code) if code < len(Outcome) else Outcome.NONE


def _lacks(signals: Iterable[Signal]) -> list[Lack]:
    """What is missing, each thing once: of most signals first."""
    found: dict[tuple[str, str], tuple[dict[str, None], list[int]]] = {}
    for one in signals:
        for lack in one.evidence.get("missing", ()):
            shas, count = found.setdefault((str(lack.get("what", "")), str(lack.get("settled_by", ""))), ({}, [0]))
            shas.update(dict.fromkeys(lack.get("restart", ())))
            count[0] += 1
    lacks = [Lack(what, by, tuple(shas), count[0]) for (what, by), (shas, count) in found.items() if what]
    return sorted(lacks, key=lambda lack: -lack.signals)


def _range(place: Place, row: Break) -> tuple[Sequence[Commit], int]:
    """The commits that can't be told apart, newest first, and how many more there are."""
    number = break_list.suspects_of(row)
    if number < 2:
        return (), 0
    rows = place.commits.filter(position__gte=row.range_from, position__lte=row.suspect_at).order_by("-position")
    return [one.commit for one in rows.select_related("commit")[:IN_RANGE]], max(0, number - IN_RANGE)


def _hit(
    columns: Layout, strips: Sequence[Strip], configurations: Mapping[int, Configuration]
) -> tuple[list[tuple[Group, Sequence[Member]]], list[Member]]:
    """The configurations by group, in the grid's order, those that are unstable apart."""
    marked = {one.slot for one in configurations.values() if one.unstable}
    slots = {strip.member.slot for strip in strips}
    groups: list[tuple[Group, Sequence[Member]]] = []
    unstable = []
    for group in columns.groups:
        members = [member for member in group.members if member.slot in slots]
        unstable += [member for member in members if member.unstable or member.slot in marked]
        stable = [member for member in members if not member.unstable and member.slot not in marked]
        if stable:
            groups.append((group, stable))
    return groups, unstable


def _line(place: Place, row: Break, members: Sequence[BreakSignal]) -> FailingLine | None:
    """The failing line on the suspect, from the newest failed run whose log says one."""
    if row.suspect_id is None:
        return None
    runs = Run.objects.filter(
        commit=row.suspect_id, configuration__in={one.configuration_id for one in members},
        conclusion__in=(Conclusion.FAILURE, Conclusion.TIMED_OUT),
    )  # fmt: skip
    newest = list(runs.order_by(F("completed_at").desc(nulls_last=True), "-pk").values_list("pk", flat=True)[:8])
    lines = failing_lines.of_runs(place, newest) if newest else {}
    said = [lines[pk] for pk in newest if pk in lines]
    return next((one for one in said if one.key and one.key == row.failure_key), said[0] if said else None)


def _steps(row: Break) -> list[Step]:
    """What has happened, in the order of time, then what has not happened yet."""
    moments = [
        ("Broke", row.broke_at, ""),
        ("Noticed", row.noticed_at, "Arborist"),
        ("Acknowledged", row.acknowledged_at, _name(row.acknowledged_by)),
        ("Culprit known", row.culprit_at, ""),
        ("Revert asked for", row.revert_asked_at, ""),
        ("Reverted", row.reverted_at, ""),
        ("Called not a break", row.dismissed_at, _name(row.dismissed_by)),
        ("Green", row.green_at, ""),
    ]
    optional = {"Revert asked for", "Called not a break"}
    known = sorted(((name, at, by) for name, at, by in moments if at is not None), key=lambda moment: moment[1])
    steps = []
    before = None
    for name, at, by in known:
        steps.append(Step(name, at, at - before if before is not None else None, by))
        before = at
    if row.open:
        steps += [Step(name, None, None) for name, at, _ in moments if at is None and name not in optional]
    return steps


def _name(user: Any) -> str:
    return user.get_username() if user is not None else ""
