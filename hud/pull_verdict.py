"""“Did I break it?”: what each failure on a pull request's head is, with the evidence. Pure: no Django, no clock.

The first rule that fits a failure names it:

1. *Unstable*: the configuration is marked so, or named so. Its failures are expected of nobody.
2. *Infra*: the failing line is one of the runner's, the network's or a registry's (category `infra`), or GitHub has no
   log of the job at all, which is what a runner that died leaves behind. A full disk, no memory and a timeout are not
   infra by themselves: a change can bring them about.
3. *Flaky*: the same head passed when it was run again.
4. *Broken trunk*: on the merge base the configuration failed alike, and did not also pass. If the base has no result of
   it, the newest trunk commit below that has one stands in. Where a log says little or nothing on either side, that the
   configuration was red there must do, and the evidence says so.
5. *Flaky*: the same failure on an unrelated commit: a trunk commit that neither is below the merge base nor contains
   this change, or another pull request's head. Lines that say little (an exit code) never count here.
6. *Not told yet*: the rules above needed a log, its own or the base's, that has not been read.
7. *New*: otherwise.

Broken trunk comes before the search elsewhere, because a trunk that is broken is red on many unrelated commits too. A
configuration of several failures is as bad as its worst one. Which sightings are offered (how old, whose) is decided by
`hud.pulls`; here only what they say counts, never their order. Successes elsewhere say nothing: most commits pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hud.failure_rules import alike, says_little

SHOWN = 3  # sightings that are named as evidence
INFRA = "infra"


class Label(StrEnum):
    """What a failure is."""

    NEW = "new"
    NOT_TOLD = "not told yet"
    BROKEN_TRUNK = "broken trunk"
    FLAKY = "flaky"
    INFRA = "infra"
    UNSTABLE = "unstable"


# Which label stands for a configuration of several failures.
_WORST = tuple(Label)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a job failed, as its log says it. Without `rule` the log said nothing, or there is none."""

    key: str = ""
    rule: str = ""
    line: str = ""
    category: str = ""
    waiting: bool = False  # the log has not been read
    missing: bool = False  # GitHub has none, and never had
    expired: bool = False  # it can't be read any more

    @property
    def says_little(self) -> bool:
        """Whether nothing can be compared with it."""
        return not self.key or says_little(self.rule)


@dataclass(frozen=True, slots=True)
class Base:
    """The configuration on the merge base, or on the trunk commit that stands in for it."""

    sha: str
    failed: bool
    passed: bool
    causes: tuple[Cause, ...] = ()
    exact: bool = True  # the merge base itself


@dataclass(frozen=True, slots=True)
class Sighting:
    """The same failure on an unrelated commit."""

    key: str
    sha: str
    slot: int
    pull: int | None = None  # whose head it is; None: trunk


@dataclass(frozen=True, slots=True)
class Failure:
    """A configuration that failed on the head."""

    slot: int
    name: str
    unstable: bool = False
    passed_again: bool = False
    causes: tuple[Cause, ...] = ()  # one for each failed job whose log was looked at
    base: Base | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A reason, and what it can be seen on."""

    words: str
    sha: str = ""
    slot: int | None = None
    pull: int | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A failure with its label and why."""

    failure: Failure
    label: Label
    evidence: tuple[Evidence, ...]


def judge(failures: Iterable[Failure], sightings: Iterable[Sighting] = ()) -> list[Judged]:
    """Every failure with its label, the worst first."""
    seen: dict[str, list[Sighting]] = {}
    for one in sorted(set(sightings), key=lambda one: (one.pull is not None, one.pull or 0, one.sha, one.slot)):
        seen.setdefault(one.key, []).append(one)
    judged = [_judge(failure, seen) for failure in failures]
    return sorted(judged, key=lambda one: (_WORST.index(one.label), one.failure.name, one.failure.slot))


def _judge(failure: Failure, seen: dict[str, list[Sighting]]) -> Judged:
    if failure.unstable:
        return Judged(failure, Label.UNSTABLE, (Evidence("Marked or named unstable: nobody waits for it."),))
    # A job that nobody has looked at yet is one whose log waits.
    causes = sorted(failure.causes or (Cause(waiting=True),), key=lambda one: (one.rule, one.key, one.line))
    found = [_cause(failure, cause, seen) for cause in causes]
    label = min((label for label, _ in found), key=_WORST.index)
    evidence = dict.fromkeys(one for its, reasons in found if its == label for one in reasons)
    return Judged(failure, label, tuple(evidence))


def _cause(failure: Failure, cause: Cause, seen: dict[str, list[Sighting]]) -> tuple[Label, list[Evidence]]:
    if cause.category == INFRA:
        return Label.INFRA, [Evidence(f"The failing line is no test's and no compiler's: {cause.rule}.")]
    if cause.missing:
        return Label.INFRA, [Evidence("GitHub has no log of it: the runner probably died.")]
    if failure.passed_again:
        return Label.FLAKY, [Evidence("The same commit passed when it was run again.")]
    on_base = _on_base(failure.base, cause)
    if on_base:
        return Label.BROKEN_TRUNK, [on_base]
    elsewhere = [] if cause.says_little else seen.get(cause.key, [])
    if elsewhere:
        commits = list(dict.fromkeys((one.sha, one.pull) for one in elsewhere))
        first = [next(one for one in elsewhere if (one.sha, one.pull) == commit) for commit in commits[:SHOWN]]
        reasons = [Evidence(_where(one), one.sha, one.slot, one.pull) for one in first]
        if len(commits) > SHOWN:
            reasons.append(Evidence(f"And on {len(commits) - SHOWN} more."))
        return Label.FLAKY, reasons
    if cause.waiting:
        return Label.NOT_TOLD, [Evidence("Not told yet: its log has not been read.")]
    base = failure.base
    if base and base.failed and not base.passed and any(one.waiting for one in base.causes):
        words = "Not told yet: it was red on trunk, too, and that log has not been read."
        return Label.NOT_TOLD, [Evidence(words, base.sha)]
    return Label.NEW, [_why_new(failure.base, cause)]


def _on_base(base: Base | None, cause: Cause) -> Evidence | None:
    if base is None or not base.failed or base.passed:
        return None
    where = "the merge base" if base.exact else "the nearest trunk commit below the merge base that ran it"
    told = [one for one in base.causes if not one.says_little]
    if not cause.says_little and told:
        if any(one.key == cause.key for one in told):
            return Evidence(f"The same failure on {where}.", base.sha)
        if any(alike(one, cause) for one in told):
            return Evidence(f"A failure in alike words on {where}.", base.sha)
        return None
    if cause.waiting or any(one.waiting for one in base.causes):
        return None  # the logs may still tell them apart
    return Evidence(f"It was red on {where}, too; the logs say too little to compare.", base.sha)


def _where(one: Sighting) -> str:
    if one.pull is None:
        return "The same failure on trunk, where this change is not."
    return f"The same failure in pull request #{one.pull}, which has nothing to do with this one."


def _why_new(base: Base | None, cause: Cause) -> Evidence:
    if base is None:
        before = "Trunk has no result of it near the merge base"
    else:
        where = "the merge base" if base.exact else "the nearest trunk commit below the merge base"
        before = f"It passed on {where}" if base.passed or not base.failed else f"It failed differently on {where}"
    if cause.expired or not cause.rule:
        return Evidence(f"{before}, and no log tells what the failure was.", base.sha if base else "")
    known = "the same failure was seen nowhere else" if not cause.says_little else "its log says too little to compare"
    return Evidence(f"{before}, and {known}.", base.sha if base else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """The line on top: “Did I break it?” `kind` is yes, no, wait or none."""

    kind: str
    words: str


def answer(judged: Sequence[Judged], *, unfinished: int = 0, passed: int = 0, waiting_approval: int = 0) -> Answer:
    """The answer in one line. `unfinished` jobs still run or wait; `passed` counts those that passed.

    A workflow that waits for approval has run nothing, so it answers nothing.
    """
    by_label = {label: [one for one in judged if one.label == label] for label in Label}
    new, untold = by_label[Label.NEW], by_label[Label.NOT_TOLD]
    open_ends = [f"{unfinished} job{'s' if unfinished > 1 else ''} still to finish"] if unfinished else []
    if waiting_approval:
        open_ends.append(f"{waiting_approval} workflow{'s' if waiting_approval > 1 else ''} waiting for approval")
    if untold:
        open_ends.insert(0, f"{len(untold)} log{'s' if len(untold) > 1 else ''} still to be read")
    rest = f" Still open: {', '.join(open_ends)}." if open_ends else ""
    if new:
        names = ", ".join(one.failure.name for one in new[:2]) + (f" and {len(new) - 2} more" if len(new) > 2 else "")
        return Answer("yes", f"Yes: {len(new)} new failure{'s' if len(new) > 1 else ''} ({names}).{rest}")
    if open_ends and (judged or passed or unfinished):
        return Answer("wait", f"Can’t say yet: {', '.join(open_ends)}.")
    if open_ends:
        return Answer("none", f"Nothing has run yet: {', '.join(open_ends)}.")
    if judged:
        parts = [
            f"{len(of)} {words}"
            for label, words in (
                (Label.BROKEN_TRUNK, "on trunk before you"), (Label.FLAKY, "flaky"), (Label.INFRA, "infra"),
                (Label.UNSTABLE, "unstable"),
            )
            if (of := by_label[label])
        ]  # fmt: skip
        return Answer("no", f"No: {len(judged)} failure{'s' if len(judged) > 1 else ''}, {', '.join(parts)}.")
    if passed:
        return Answer("no", "No: everything that ran passed.")
    return Answer("none", "Nothing has run on this commit.")
