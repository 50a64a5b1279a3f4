"""The verdicts, against the worked examples, the sentences of the rules one by one, an independent transcription of
the rules, and properties that must hold on any history."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hud.verdicts import (
    CommitEvents,
    Event,
    Opinion,
    Signal,
    Verdict,
    attempt_event,
    judge,
    still_counts,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
CASES = json.loads((Path(__file__).parent / "examples" / "verdicts.json").read_text())["cases"]


def minute(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


def history(*commits: str, track: str = "test") -> Signal:
    """Commits newest first, each like "c2: F4 S7 P9": a sha, then statuses with the minute that they started."""
    parsed = []
    for commit in commits:
        sha, _, events = commit.partition(":")
        parsed.append(CommitEvents(sha, [Event(word[0], minute(int(word[1:]))) for word in events.split()]))  # type: ignore[arg-type]
    return Signal(track, parsed)  # type: ignore[arg-type]


def said(verdict: Verdict) -> tuple[str, str]:
    return verdict.decision, verdict.code


# The worked examples


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_worked_example(case: dict[str, Any]) -> None:
    commits = [
        CommitEvents(
            commit["sha"],
            [Event(e["status"], minute(e["t"]), e.get("run"), e.get("attempt")) for e in commit["events"]],
        )
        for commit in case["commits"]
    ]
    advice = case.get("advice")
    opinion = None
    if advice and advice["same_signal"]:
        opinion = Opinion(advice["commit"], advice["verdict"], advice["confidence"])
    expect = case["expect"]

    verdict = judge(Signal(case["track"], commits), opinion=opinion, gap_limit=case.get("gap_limit"))

    assert said(verdict) == (expect["verdict"], expect["code"])
    assert verdict.culprit == expect.get("culprit")
    assert list(verdict.restart) == expect.get("restart", [])
    if "last_good" in expect:
        assert verdict.evidence.last_good == expect["last_good"]
    if "also_failing" in expect:
        assert list(verdict.evidence.also_failing) == expect["also_failing"]


# Rules 1 to 3: what stops before there is a suspect

PROVEN = ("c4: F7", "c3: F5", "c2: F4", "c1: S3 S6")


@pytest.mark.parametrize(
    ("commits", "code"),
    [
        ((), "no_success_seen"),
        (("c1:",), "no_success_seen"),
        (("c1: P1",), "no_success_seen"),
        (("c1: F1", "c0:"), "no_success_seen"),
        (("c1: S1",), "recovered_at_head"),
        (("c1: S1 F2", "c0: S0"), "recovered_at_head"),  # an S among its finished events is enough
        (("c3: P1", "c2:", "c1: F1 S2", "c0: F1"), "recovered_at_head"),
        (("c2: F1", "c1: F1 S2"), "no_clean_baseline"),
        (("c2: F1", "c1: F1 S2", "c0: S0"), "flaky"),
        (("c2: F1", "c1: S2", "c0: F1 S2"), "flaky"),  # also beyond the green side
    ],
)
def test_nothing_to_do(commits: tuple[str, ...], code: str) -> None:
    assert said(judge(history(*commits))) == ("none", code)


def test_split_sides() -> None:
    evidence = judge(
        history("f: P9", "e: F8", "d: P7", "c: F6", "g2: P5", "g1:", "b: S3", "a:", "z: P1", "y: F0")
    ).evidence
    assert evidence.failing == ("f", "e", "d", "c")
    assert evidence.gap == ("g2", "g1")
    assert evidence.green == ("b", "a", "z")
    assert (evidence.suspect, evidence.last_good) == ("c", "b")
    assert {seen.sha: seen.side for seen in evidence.observations} == {
        "f": "failing", "e": "failing", "d": "failing", "c": "failing",
        "g2": "gap", "b": "green", "z": "green", "y": "older",
    }  # fmt: skip


# Rule 4: opinions


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("related", ("revert", "confirmed")),
        ("not_related", ("none", "adviser_says_not_related")),
        ("infra", ("none", "adviser_says_infra")),
        ("garbage", ("none", "adviser_says_garbage")),
        ("unsure", ("restart", "need_more_evidence")),
    ],
)
def test_opinion_on_the_suspect(says: Any, expected: tuple[str, str]) -> None:
    verdict = judge(history("c2: F4", "c1: S3"), opinion=Opinion("c2", says, 0.89))
    assert said(verdict) == expected
    assert verdict.culprit == ("c2" if says == "related" else None)


@pytest.mark.parametrize(
    "opinion", [Opinion("c2", "infra", 0.88), Opinion("c3", "infra", 1), Opinion("c1", "infra", 1)]
)
def test_opinion_that_does_not_count(opinion: Opinion) -> None:
    assert said(judge(history(*PROVEN), opinion=opinion)) == ("revert", "confirmed")


def test_opinion_comes_before_flaky_and_after_the_split() -> None:
    flaky = history("c2: F1", "c1: S2", "c0: F1 S2")
    assert said(judge(flaky, opinion=Opinion("c2", "related", 1))) == ("revert", "confirmed")
    recovered = history("c3: S9", "c2: F4", "c1: S3")
    assert said(judge(recovered, opinion=Opinion("c2", "related", 1))) == ("none", "recovered_at_head")
    born_red = history("c2: F1", "c1:")
    assert said(judge(born_red, opinion=Opinion("c2", "related", 1))) == ("none", "no_success_seen")


def test_garbage_counts_for_two_hours() -> None:
    garbage, infra = Opinion("c", "garbage", 1), Opinion("c", "infra", 1)
    assert still_counts(garbage, given=NOON, now=minute(119))
    assert not still_counts(garbage, given=NOON, now=minute(120))
    assert still_counts(infra, given=NOON, now=minute(10_000))


# Rule 6: what to run again


@pytest.mark.parametrize(
    ("commits", "restart"),
    [
        # fewer than 3 F in all on the failing side, wherever they are
        (("c3: F4", "c2: F5", "c1: S3 S6"), ("c2",)),
        (("c3: F4 F5", "c2: F5", "c1: S3 S6"), None),
        # something pending on the suspect; pending elsewhere on its side is not "there"
        (("c3: F4", "c2: F5 P9", "c1: S3 S6"), None),
        (("c3: P9", "c2: F5", "c1: S3 S6"), ("c2",)),
        # fewer than 2 S on the green side, wherever they are
        (("c4: F7", "c3: F5", "c2: F4", "c1: S3", "c0: S9"), None),
        (("c4: F7", "c3: F5", "c2: F4", "c1: S9", "c0:"), ("c2", "c1")),
        (("c4: F7", "c3: F5", "c2: F4", "c1: S3", "c0: P9"), ("c1",)),
        (("c4: F7", "c3: F5", "c2: F4", "c1: S3 P9", "c0:"), None),
        # nothing green later than the first red; the same minute is not later
        (("c4: F7", "c3: F5", "c2: F4", "c1: S3 S4"), ("c1",)),
        (("c4: F7", "c3: F5", "c2: F4", "c1: S3 S4 P2"), None),
        (("c4: F7", "c3: F5", "c2: F4", "c1: S3", "c0: S1 P4"), ("c1",)),
        (("c4: F7", "c3: F5", "c2: F4", "c1: S3", "c0: S1 P5"), None),
        # nothing red later than the first green
        (("c4: F2", "c3: F1", "c2: F3", "c1: S3 S4"), ("c2",)),
        (("c4: F2 P9", "c3: F1", "c2: F3", "c1: S3 S4"), None),
        (("c4: F2", "c3: F1", "c2: F3 P1", "c1: S3 S4"), None),
        # all at once: neither side is later
        (("c4: F3", "c3: F3", "c2: F3", "c1: S3 S3"), ("c2", "c1")),
        # a pending gap commit is not started again
        (("c4: F7", "c3: F5", "c2: F4", "g2: P5", "g1:", "c1: S3 S6"), ("g1",)),
    ],
)
def test_restart(commits: tuple[str, ...], restart: tuple[str, ...] | None) -> None:
    verdict = judge(history(*commits))
    if restart is None:
        assert verdict.decision != "restart"
        assert verdict.restart == ()
    else:
        assert said(verdict) == ("restart", "need_more_evidence")
        assert verdict.restart == restart
        assert {sha for lack in verdict.evidence.missing for sha in lack.restart} == set(restart)


@pytest.mark.parametrize(
    ("suspect", "expected"),
    [
        ("F4", ("restart", "need_more_evidence")),
        ("F4 P8", ("wait", "too_few_failures")),
        ("F4 F8", ("revert", "confirmed")),
    ],
)
def test_job_suspect_must_fail_twice(suspect: str, expected: tuple[str, str]) -> None:
    commits = ("c4: F7 F8", "c3: F5", f"c2: {suspect}", "c1: S3 S6")
    assert said(judge(history(*commits, track="job"))) == expected


def test_job_with_a_gap_is_bisected_first() -> None:
    commits = ("c4: F7", "c3: F5", "c2: F4", "g: P5", "c1: S3 S6")
    assert said(judge(history(*commits, track="job"))) == ("wait", "gap_unresolved")


@pytest.mark.parametrize(
    ("gap", "limit", "chosen"),
    [
        ("....", None, "0123"),
        (".P.P", None, "02"),
        ("....", 0, ""),
        ("....", -3, ""),
        ("....", 1, "1"),
        ("....", 2, "12"),
        ("....", 3, "012"),
        ("....", 9, "0123"),
        (".....", 1, "2"),
        (".....", 2, "02"),
        (".....", 3, "023"),
        ("..P..", 1, ""),  # the pending one counts against the limit
        ("..P..", 2, "0"),  # a tie: the newer stretch
        ("..P..", 3, "03"),
        ("..P...", 2, "4"),  # the longer stretch, though older
        ("..P...", 3, "04"),
        (".P.P.", 2, ""),
        (".P.P.", 3, "0"),
        (".", 1, "0"),
    ],
)
def test_gap_limit(gap: str, limit: int | None, chosen: str) -> None:
    middle = [f"{index}: {'P5' if state == 'P' else ''}" for index, state in enumerate(gap)]
    verdict = judge(history("c4: F7", "c3: F5", "c2: F4", *middle, "c1: S3 S6"), gap_limit=limit)
    assert verdict.restart == tuple(chosen)
    assert said(verdict) == (("restart", "need_more_evidence") if chosen else ("wait", "gap_unresolved"))


# Rule 7: waiting, in its order


@pytest.mark.parametrize(
    ("commits", "code"),
    [
        (("c4: F7", "c3: F5", "c2: F4", "c1: S3 P8"), "infra_not_ruled_out"),
        (("c4: F6", "c3: F6", "c2: F3", "c1: S3 S6"), "infra_not_ruled_out"),  # strictly between
        (("c2: F4 P5", "c1: S3 P8"), "infra_not_ruled_out"),  # before too few failures
        (("c2: F4 P5", "c1: S3 S6"), "too_few_failures"),
        (("c2: F4 P5", "g: P7", "c1: S3 S6"), "too_few_failures"),  # before the gap
    ],
)
def test_wait(commits: tuple[str, ...], code: str) -> None:
    verdict = judge(history(*commits))
    assert said(verdict) == ("wait", code)
    assert verdict.evidence.missing


def test_proven_by_events_spread_over_commits() -> None:
    verdict = judge(history("c4: P9", "c3: F5 F7", "c2: F4", "c1: S3", "c0: P1", "b: S6"))
    assert said(verdict) == ("revert", "confirmed")
    assert (verdict.culprit, verdict.evidence.last_good) == ("c2", "c1")
    assert (verdict.evidence.failures, verdict.evidence.successes) == (3, 2)


def test_repeated_report_is_no_new_evidence() -> None:
    failure = Event("F", minute(4), run=7, attempt=1)
    commits = [CommitEvents("c2", [failure] * 3), CommitEvents("c1", [Event("S", minute(3)), Event("S", minute(6))])]
    assert judge(Signal("test", commits)).evidence.failures == 1


# From shards to an event


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ("success success", "S"),
        ("success neutral skipped", "S"),
        ("neutral", "S"),
        ("success failure", "F"),
        ("timed_out cancelled", "F"),
        ("startup_failure pending", "F"),
        ("failure skipped", "F"),
        ("success pending", "P"),
        ("pending cancelled", "P"),
        ("skipped in_progress", "P"),
        ("success cancelled", None),
        ("cancelled", None),
        ("skipped skipped", None),
        ("skipped cancelled", None),
        ("success never_heard_of", None),
        ("", None),
    ],
)
def test_attempt_event(outcomes: str, status: str | None) -> None:
    words = outcomes.split()
    assert attempt_event(words) == attempt_event(reversed(words)) == status


# Properties

EXAMPLES = int(os.environ.get("VERDICT_EXAMPLES", "200"))

# A commit as the statuses of its events. Drawn from a list, because random mixtures nearly always flake.
KINDS = ["", "", "P", "PP", "F", "F", "FF", "FP", "FFF", "S", "S", "SS", "SP", "SSP", "SF"]


@st.composite
def signals(draw: st.DrawFn) -> Signal:
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=9))
    minutes = iter(draw(st.lists(st.integers(0, 12), min_size=sum(map(len, kinds)), max_size=sum(map(len, kinds)))))
    commits = [
        CommitEvents(f"c{len(kinds) - index}", [Event(status, minute(next(minutes))) for status in kind])  # type: ignore[arg-type]
        for index, kind in enumerate(kinds)
    ]
    return Signal(draw(st.sampled_from(["test", "job"])), commits)


opinions = st.none() | st.builds(
    Opinion,
    st.sampled_from(["c1", "c2", "c3", "c4"]),
    st.sampled_from(["related", "not_related", "infra", "garbage"]),
    st.sampled_from([0.5, 0.89, 1.0]),
)
limits = st.none() | st.integers(0, 5)


@given(signals(), opinions, limits)
@settings(max_examples=EXAMPLES * 5, deadline=None)
def test_agrees_with_an_independent_transcription(signal: Signal, opinion: Opinion | None, limit: int | None) -> None:
    verdict = judge(signal, opinion=opinion, gap_limit=limit)
    assert (verdict.decision, verdict.code, verdict.culprit, list(verdict.restart)) == transcribed(
        signal, opinion, limit
    )


@given(signals(), opinions, limits, st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_order_of_events_never_matters(signal: Signal, opinion: Opinion | None, limit: int | None, random: Any) -> None:
    shuffled = [
        CommitEvents(commit.sha, tuple(random.sample(list(commit.events), len(commit.events))))
        for commit in signal.commits
    ]
    assert judge(Signal(signal.track, tuple(shuffled)), opinion=opinion, gap_limit=limit) == judge(
        signal, opinion=opinion, gap_limit=limit
    )


@given(signals(), opinions, st.integers(0, 12))
@settings(max_examples=EXAMPLES, deadline=None)
def test_success_at_the_head_never_yields_revert(signal: Signal, opinion: Opinion | None, at: int) -> None:
    success = Event("S", minute(at))
    on_top = Signal(signal.track, [CommitEvents("new", [success]), *signal.commits])
    assert judge(on_top, opinion=opinion).decision == "none"
    if signal.commits:
        head, *rest = signal.commits
        on_head = Signal(signal.track, [CommitEvents(head.sha, [*head.events, success]), *rest])
        assert said(judge(on_head, opinion=opinion)) == ("none", "recovered_at_head")


@given(signals(), opinions, limits)
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_where_culprit_and_restarts_lie(signal: Signal, opinion: Opinion | None, limit: int | None) -> None:
    verdict = judge(signal, opinion=opinion, gap_limit=limit)
    place = {commit.sha: index for index, commit in enumerate(signal.commits)}
    said_at = [{event.status for event in commit.events} for commit in signal.commits]
    clean = [index for index, seen in enumerate(said_at) if "S" in seen and "F" not in seen]

    assert (verdict.decision == "revert") == (verdict.culprit is not None)
    if verdict.culprit is not None:
        newest_clean, culprit = clean[0], place[verdict.culprit]
        oldest_failure = max(index for index in range(newest_clean) if "F" in said_at[index])
        assert oldest_failure <= culprit < newest_clean
    assert (verdict.decision == "restart") == bool(verdict.restart)
    places = [place[sha] for sha in verdict.restart]
    assert places == sorted(set(places))
    assert (verdict.decision in ("restart", "wait")) == bool(verdict.evidence.missing)
    assert verdict.evidence.words
    assert all(lack.what and lack.settled_by for lack in verdict.evidence.missing)


@given(
    st.lists(
        st.tuples(
            st.text(max_size=2),
            st.lists(
                st.builds(
                    Event,
                    st.sampled_from(["S", "F", "P", "X", ""]),
                    st.datetimes(timezones=st.sampled_from([None, UTC])),
                    st.none() | st.integers(),
                    st.none() | st.integers(),
                ),
                max_size=5,
            ),
        ),
        max_size=8,
    ),
    st.text(max_size=4),
    st.builds(Opinion, st.text(max_size=2), st.text(max_size=9), st.floats()),
    st.none() | st.integers(),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_input_gets_a_verdict(commits: Any, track: Any, opinion: Opinion, limit: int | None) -> None:
    signal = Signal(track, tuple(CommitEvents(sha, tuple(events)) for sha, events in commits))
    verdict = judge(signal, opinion=opinion, gap_limit=limit)
    assert verdict.decision in ("none", "restart", "wait", "revert")
    assert len(set(verdict.restart)) == len(verdict.restart)


def transcribed(
    signal: Signal, opinion: Opinion | None, limit: int | None
) -> tuple[str, str, str | None, Sequence[str]]:
    """The rules once more, sentence by sentence, without a thought to speed, sharing no code with the engine."""

    def has(commit: CommitEvents, status: str) -> bool:
        return any(event.status == status for event in commit.events)

    def number(side: list[CommitEvents], status: str) -> int:
        return sum(event.status == status for commit in side for event in commit.events)

    def starts(side: list[CommitEvents], allowed: str) -> list[datetime]:
        return [event.at for commit in side for event in commit.events if event.status in allowed]

    commits = list(signal.commits)
    finished = [commit for commit in commits if has(commit, "S") or has(commit, "F")]
    if finished and has(finished[0], "S"):
        return "none", "recovered_at_head", None, []
    if not number(commits, "S"):
        return "none", "no_success_seen", None, []

    failing: list[CommitEvents] = []
    rest = list(commits)
    while rest and not (has(rest[0], "S") and not has(rest[0], "F")):
        failing.append(rest.pop(0))
    if not rest:
        return "none", "no_clean_baseline", None, []
    gap: list[CommitEvents] = []
    while not has(failing[-1], "F"):
        gap.insert(0, failing.pop())
    green: list[CommitEvents] = []
    while rest and not has(rest[0], "F"):
        green.append(rest.pop(0))
    suspect, newest_green = failing[-1], green[0]

    if opinion and opinion.sha == suspect.sha and opinion.confidence >= 0.89:
        if opinion.says == "related":
            return "revert", "confirmed", suspect.sha, []
        return "none", f"adviser_says_{opinion.says}", None, []
    if any(has(commit, "S") and has(commit, "F") for commit in commits):
        return "none", "flaky", None, []

    again: set[str] = set()
    unknown = [not commit.events for commit in gap]
    room = len(gap) if limit is None else limit - unknown.count(False)
    while room > 0 and any(unknown):
        stretches = [
            (first, last)
            for first in range(len(gap))
            for last in range(first, len(gap))
            if all(unknown[first : last + 1])
        ]
        longest = max(last - first for first, last in stretches)
        first, last = next(each for each in stretches if each[1] - each[0] == longest)
        middle = first + (last - first) // 2
        unknown[middle] = False
        again.add(gap[middle].sha)
        room -= 1
    if number(failing, "F") < 3 and not has(suspect, "P"):
        again.add(suspect.sha)
    if number(green, "S") < 2 and not has(newest_green, "P"):
        again.add(newest_green.sha)
    first_red, first_green = min(starts(failing, "FP")), min(starts(green, "SP"))
    if not any(at > first_red for at in starts(green, "SP")) and not has(newest_green, "P"):
        again.add(newest_green.sha)
    if not any(at > first_green for at in starts(failing, "FP")) and not has(suspect, "P"):
        again.add(suspect.sha)
    if signal.track == "job" and not gap and len(suspect.events) < 2 and not has(suspect, "P"):
        again.add(suspect.sha)
    if again:
        return "restart", "need_more_evidence", None, [commit.sha for commit in commits if commit.sha in again]

    successes = starts(green, "S")
    if not any(min(successes) < at < max(successes) for at in starts(failing, "F")):
        return "wait", "infra_not_ruled_out", None, []
    if number(failing, "F") < 3 or (signal.track == "job" and not gap and number([suspect], "F") < 2):
        return "wait", "too_few_failures", None, []
    if gap:
        return "wait", "gap_unresolved", None, []
    return "revert", "confirmed", suspect.sha, []
