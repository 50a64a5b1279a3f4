"""Is trunk broken, and by which commit: the one engine that decides, for every page, list, alert and button.

A signal is the history of one configuration, or of one test in it, over trunk's commits, newest first.
`judge` says what that history allows: nothing to do, run some commits again, wait for what is running, or
revert the culprit. It is pure: no Django, no clock, no I/O. Its rules, numbered as in the comments here, are
design/rules/verdicts.md; the caller cuts the window, passes only opinions on this very signal, and passes
them only while they count (`still_counts`).

Every verdict carries its `Evidence`, because people must see *why* and *why not yet*.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

Status = Literal["S", "F", "P"]
Track = Literal["test", "job"]
Says = Literal["related", "not_related", "infra", "garbage"]
Decision = Literal["none", "restart", "wait", "revert"]
Side = Literal["failing", "gap", "green", "older", "unsplit"]

WINDOW: Final = timedelta(hours=16)
"""How far back a signal reaches, unless the repository says otherwise."""

GARBAGE_COUNTS_FOR: Final = timedelta(hours=2)
SURE_ENOUGH: Final = 0.89
FAILURES_NEEDED: Final = 3
SUCCESSES_NEEDED: Final = 2
SUSPECT_FAILURES_NEEDED: Final = 2


# What goes in


@dataclass(frozen=True, slots=True)
class Event:
    """What one attempt of one workflow run said of the signal on a commit: passed, failed or still
    pending."""

    status: Status
    at: datetime  # when it started
    run: int | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class CommitEvents:
    sha: str
    events: Sequence[Event] = ()


@dataclass(frozen=True, slots=True)
class Signal:
    track: Track
    commits: Sequence[CommitEvents]  # newest first, by their place on trunk


@dataclass(frozen=True, slots=True)
class Opinion:
    """A person's word on the suspect of this signal, and how sure they are (0 to 1)."""

    sha: str
    says: Says
    confidence: float


# What comes out


@dataclass(frozen=True, slots=True)
class Observation:
    """One event and the side on which it counts: `older` is history that no longer matters, `unsplit` where the rules
    stop before there are sides."""

    sha: str
    side: Side
    event: Event


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that keeps the machine from naming a culprit, in words. `restart` are the commits to run
    again for it; empty while the answer is already on its way, or has to wait its turn."""

    code: str
    what: str
    settled_by: str
    restart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why, and why not yet. Commits are newest first; the sides are empty where the rules stop before the
    split."""

    words: str
    failing: tuple[str, ...] = ()
    gap: tuple[str, ...] = ()
    green: tuple[str, ...] = ()
    failures: int = 0  # F on the failing side
    successes: int = 0  # S on the green side
    missing: tuple[Missing, ...] = ()
    observations: tuple[Observation, ...] = field(default=(), repr=False)

    @property
    def suspect(self) -> str | None:
        """The oldest commit of the failing side. While a gap remains, the true culprit may still lie in the
        gap."""
        return self.failing[-1] if self.failing else None

    @property
    def also_failing(self) -> tuple[str, ...]:
        return self.failing[:-1]

    @property
    def last_good(self) -> str | None:
        """The newest green commit: the newest that has a success and no failure."""
        return self.green[0] if self.green else None


@dataclass(frozen=True, slots=True)
class Verdict:
    decision: Decision
    code: str
    culprit: str | None
    restart: tuple[str, ...]  # commits to run again, newest first
    evidence: Evidence


# From shards to an event

_FAILED: Final = frozenset({"failure", "timed_out", "startup_failure"})
_PENDING: Final = frozenset({"pending", "queued", "in_progress", "waiting", "requested"})
_PASSED: Final = frozenset({"success", "neutral"})


def attempt_event(outcomes: Iterable[str]) -> Status | None:
    """What one attempt says, given the outcome of each of its shards: a conclusion of GitHub's, or "pending".

    One failed shard is a failure whatever the others do. Cancelled and skipped shards are evidence of
    nothing: a cancelled one leaves the attempt without an answer, while a skipped one is left out, unless all
    were skipped. An outcome that isn't known here can't be counted as passed, and so is treated as cancelled.
    """
    seen = set(outcomes)
    if seen & _FAILED:
        return "F"
    if seen & _PENDING:
        return "P"
    ran = seen - {"skipped"}
    return "S" if ran and ran <= _PASSED else None


def still_counts(opinion: Opinion, *, given: datetime, now: datetime) -> bool:
    """Whether an opinion given at that time still counts. "Garbage" silences a signal for two hours only, so
    that it can't be silenced for good by a click; the other opinions are about a commit, which doesn't
    change."""
    return opinion.says != "garbage" or now - given < GARBAGE_COUNTS_FOR


# The verdict


def judge(signal: Signal, *, opinion: Opinion | None = None, gap_limit: int | None = None) -> Verdict:
    """The verdict on a signal. `gap_limit`: how many commits of the gap may be running at once; None is no
    limit."""
    # 1. Whatever happened before, the head is green again. (Or flaky there: no reason to act either.) Nearly all
    # signals end here, so the rest of the window is not even read.
    window: list[_Commit] = []
    unread = map(_Commit, signal.commits)
    for commit in unread:
        window.append(commit)
        if commit.passed:
            words = f"Passed on {commit}, the newest commit with a result."
            return _unsplit("recovered_at_head", words, window)
        if commit.failed:
            break
    window.extend(unread)

    # 2. Nothing to compare with: never passed, or a new test that was born red.
    if not any(commit.passed for commit in window):
        words = "Never passed in this window, so no commit can be blamed."
        return _unsplit("no_success_seen", words, window)

    # 3.
    split = _Split.of(window)
    if split is None:
        words = "Every commit that passed also failed, so there is no clean commit to compare with."
        return _unsplit("no_clean_baseline", words, window)

    # 4. Before the machine's own doubts: a sure person outranks flakiness and thin evidence alike.
    if opinion is not None and opinion.sha == split.suspect.sha and opinion.confidence >= SURE_ENOUGH:
        sure = f"({opinion.confidence:.0%} sure)"
        if opinion.says == "related":
            words = f"A person says that {split.suspect} broke it {sure}."
            return Verdict("revert", "confirmed", split.suspect.sha, (), split.evidence(words))
        if opinion.says in _DISMISSALS:
            words = f"A person says of {split.suspect}: {_DISMISSALS[opinion.says]} {sure}."
            return Verdict("none", f"adviser_says_{opinion.says}", None, (), split.evidence(words))

    # 5. Anywhere in the window, also on the sides or before them: what flakes once proves nothing by failing.
    flake = next((commit for commit in window if commit.passed and commit.failed), None)
    if flake is not None:
        words = f"Passed and failed on the same commit, {flake}, so a failure proves nothing."
        return Verdict("none", "flaky", None, (), split.evidence(words))

    # 6.
    missing = _missing(split, signal.track, gap_limit)
    wanted = {sha for lack in missing for sha in lack.restart}
    if wanted:
        restart = tuple(dict.fromkeys(commit.sha for commit in window if commit.sha in wanted))
        words = f"Not enough evidence against {split.suspect} yet: run again {_listed(restart)}."
        return Verdict("restart", "need_more_evidence", None, restart, split.evidence(words, missing))

    # 7. Nothing to start, but something to wait for.
    lacking = {lack.code for lack in missing}
    for code, lacks, words in _WAITS:
        if lacking & lacks:
            return Verdict("wait", code, None, (), split.evidence(words.format(split.suspect), missing))

    # 8.
    words = (
        f"{split.suspect} broke it: {_count(split.failures, 'failure')} since, "
        f"{_count(split.successes, 'success')} before, and the machines worked before and after a failure."
    )
    return Verdict("revert", "confirmed", split.suspect.sha, (), split.evidence(words))


_DISMISSALS: Final[dict[str, str]] = {
    "not_related": "not related to the failure",
    "infra": "the infrastructure is at fault",
    "garbage": "this signal says nothing",
}

# Rule 7, in its order: the code, what must be missing for it, and how to say it. Too few successes is not
# among them: a failure strictly between two successes needs two.
_WAITS: Final[tuple[tuple[str, frozenset[str], str], ...]] = (
    (
        "infra_not_ruled_out",
        frozenset({"infra"}),
        "{} looks guilty, but it isn't known yet that the machines worked before and after the failure.",
    ),
    (
        "too_few_failures",
        frozenset({"failures", "suspect_again"}),
        "{} looks guilty, but has too few failures against it yet.",
    ),
    ("gap_unresolved", frozenset({"gap"}), "Broken at {} or at a commit just before it that has no result yet."),
)


class _Commit:
    """A commit's events by what they say, as times."""

    __slots__ = ("events", "failed", "passed", "pending", "sha")

    def __init__(self, commit: CommitEvents) -> None:
        self.sha = commit.sha
        self.events: list[Event] = []
        self.passed: list[datetime] = []
        self.failed: list[datetime] = []
        self.pending: list[datetime] = []
        seen: set[Event] = set()
        for event in commit.events:
            if event.run is not None and event.attempt is not None:
                if event in seen:  # an attempt is one event however often it was reported
                    continue
                seen.add(event)
            if event.status == "S":
                times = self.passed
            elif event.status == "F":
                times = self.failed
            elif event.status == "P":
                times = self.pending
            else:  # a status that isn't known says nothing
                continue
            times.append(_instant(event))
            self.events.append(event)

    def __str__(self) -> str:
        return _short(self.sha)


class _Split:
    """Rule 3: the failing side, the gap and the green side, each newest first. Neither side is ever empty:
    before the first clean green commit stands, by rule 1, a failure."""

    __slots__ = ("failing", "failures", "gap", "green", "older", "successes")

    def __init__(self, failing: list[_Commit], gap: list[_Commit], green: list[_Commit], older: list[_Commit]) -> None:
        self.failing, self.gap, self.green, self.older = failing, gap, green, older
        self.failures = sum(len(commit.failed) for commit in failing)
        self.successes = sum(len(commit.passed) for commit in green)

    @classmethod
    def of(cls, window: list[_Commit]) -> "_Split | None":
        first_green = next((i for i, c in enumerate(window) if c.passed and not c.failed), None)
        if first_green is None:
            return None
        red_again = next((i for i in range(first_green, len(window)) if window[i].failed), len(window))
        oldest_red = next(i for i in range(first_green - 1, -1, -1) if window[i].failed)
        return cls(
            window[: oldest_red + 1],
            window[oldest_red + 1 : first_green],
            window[first_green:red_again],
            window[red_again:],
        )

    @property
    def suspect(self) -> _Commit:
        return self.failing[-1]

    @property
    def newest_green(self) -> _Commit:
        return self.green[0]

    def evidence(self, words: str, missing: Sequence[Missing] = ()) -> Evidence:
        sides: tuple[tuple[Side, list[_Commit]], ...] = (
            ("failing", self.failing),
            ("gap", self.gap),
            ("green", self.green),
            ("older", self.older),
        )
        return Evidence(
            words=words,
            failing=tuple(commit.sha for commit in self.failing),
            gap=tuple(commit.sha for commit in self.gap),
            green=tuple(commit.sha for commit in self.green),
            failures=self.failures,
            successes=self.successes,
            missing=tuple(missing),
            observations=tuple(seen for side, commits in sides for seen in _observed(side, commits)),
        )


def _unsplit(code: str, words: str, window: list[_Commit]) -> Verdict:
    return Verdict("none", code, None, (), Evidence(words, observations=tuple(_observed("unsplit", window))))


def _observed(side: Side, commits: list[_Commit]) -> Iterator[Observation]:
    for commit in commits:
        for event in sorted(commit.events, key=_started):
            yield Observation(commit.sha, side, event)


def _missing(split: _Split, track: Track, gap_limit: int | None) -> list[Missing]:
    """All that speaks against a revert now: rule 6 in its order, then what rule 7 adds."""
    missing: list[Missing] = []
    suspect, green = split.suspect, split.newest_green

    if split.gap:
        unknown = [commit.sha for commit in split.gap if not commit.events]
        running = len(split.gap) - len(unknown)
        what = f"{_count(len(split.gap), 'commit')} before {suspect} without a result"
        if running:
            what += f", {running} of them running"
        chosen = _bisect(split.gap, gap_limit)
        missing.append(Missing("gap", what, "a result on each, or on those that halve the gap", chosen))

    if split.failures < FAILURES_NEEDED:
        what = f"{split.failures} of {FAILURES_NEEDED} failures"
        missing.append(_rerun("failures", what, "another failure of", suspect))

    if split.successes < SUCCESSES_NEEDED:
        what = f"{split.successes} of {SUCCESSES_NEEDED} successes"
        missing.append(_rerun("successes", what, "another success of", green))

    # Rules on time. Pending counts as what its side expects: it is already the run that was missing.
    failing_times = [at for commit in split.failing for at in (*commit.failed, *commit.pending)]
    green_times = [at for commit in split.green for at in (*commit.passed, *commit.pending)]
    if max(green_times) <= min(failing_times):
        what = "nothing green was started after the first failure"
        missing.append(_rerun("green_after_red", what, "a success, now, of", green))
    if max(failing_times) <= min(green_times):
        what = "nothing red was started after the first success"
        missing.append(_rerun("red_after_green", what, "a failure, now, of", suspect))

    if track == "job" and not split.gap and len(suspect.failed) < SUSPECT_FAILURES_NEEDED:
        # A whole job fails for many reasons, so the suspect must fail twice by itself. With one failure and
        # something else besides, it was run again already, and the answer is awaited.
        what = f"{len(suspect.failed)} of {SUSPECT_FAILURES_NEEDED} failures of {suspect} itself"
        if len(suspect.events) < SUSPECT_FAILURES_NEEDED:
            missing.append(_rerun("suspect_again", what, "another failure of", suspect))
        else:
            missing.append(Missing("suspect_again", what, f"the run in progress of {suspect}"))

    passed = [at for commit in split.green for at in commit.passed]
    first, last = min(passed), max(passed)
    if not any(first < at < last for commit in split.failing for at in commit.failed):
        what = "no failure started between two successes, so the machines may be at fault"
        missing.append(Missing("infra", what, "a success of an older commit started after a failure"))
    return missing


def _rerun(code: str, what: str, wanted: str, commit: _Commit) -> Missing:
    # What is pending there is the answer that a restart would ask for.
    if commit.pending:
        return Missing(code, what, f"the run in progress of {commit}")
    return Missing(code, what, f"{wanted} {commit}", (commit.sha,))


def _bisect(gap: list[_Commit], limit: int | None) -> tuple[str, ...]:
    """Which commits of the gap to start: all that have no event, or as many as the limit leaves room for,
    each the middle of the longest stretch of still unknown ones."""
    unknown = [not commit.events for commit in gap]
    if limit is None:
        return tuple(commit.sha for commit in gap if not commit.events)
    room = limit - unknown.count(False)
    stretches: list[tuple[int, int, int]] = []  # (-length, first, last): longest first, then newest

    def push(first: int, last: int) -> None:
        if first <= last:
            heapq.heappush(stretches, (first - last - 1, first, last))

    first = 0
    for index in range(len(gap) + 1):
        if index == len(gap) or not unknown[index]:
            push(first, index - 1)
            first = index + 1
    chosen: list[int] = []
    while stretches and len(chosen) < room:
        _, first, last = heapq.heappop(stretches)
        middle = (first + last) // 2
        chosen.append(middle)
        push(first, middle - 1)
        push(middle + 1, last)
    return tuple(gap[index].sha for index in sorted(chosen))


def _started(event: Event) -> tuple[datetime, str, int, int]:
    # Complete, so that evidence reads the same whatever order the events came in.
    return _instant(event), event.status, event.run or 0, event.attempt or 0


def _instant(event: Event) -> datetime:
    # Times are aware by contract; a naive one is read as UTC, since no verdict at all would be worse.
    return event.at if event.at.tzinfo else event.at.replace(tzinfo=UTC)


def _short(sha: str) -> str:
    return sha[:7]


def _listed(shas: tuple[str, ...]) -> str:
    return ", ".join(map(_short, shas))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"
