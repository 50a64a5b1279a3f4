"""Which histories of a job are judged, and what its failing lines add to the rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hud import tracks
from hud.tracks import CommitTold, Told
from hud.verdicts import SURE_ENOUGH, CommitEvents, Event, Opinion, Signal, judge

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def told(status: str, minute: int, *keys: str) -> Told:
    return Told(Event(status, T0 + timedelta(minutes=minute)), keys)  # type: ignore[arg-type]


def commit(n: int, *events: Told) -> CommitTold:
    return CommitTold(f"{n:040x}", events)


@st.composite
def events(draw: st.DrawFn, keys: bool = True) -> Told:
    status = draw(st.sampled_from("SSFFFP"))
    ways = draw(st.sampled_from([(), ("a",), ("b",), ("a", "b"), ("a",)])) if keys and status == "F" else ()
    return told(status, draw(st.integers(0, 200)), *ways)


def histories(keys: bool = True) -> st.SearchStrategy[list[CommitTold]]:
    return st.lists(st.lists(events(keys), max_size=3), min_size=1, max_size=9).map(
        lambda made: [commit(len(made) - n, *found) for n, found in enumerate(made)]
    )


# A break as it should be seen: two greens before, one of them again in between, three failures after.
def confirmed(*keys: str) -> list[CommitTold]:
    one, two, three = keys
    return [
        commit(4, told("F", 40, three)), commit(3, told("F", 30, one), told("F", 60, two)),
        commit(2, told("S", 20), told("S", 70)), commit(1, told("S", 10)),
    ]  # fmt: skip


def verdicts(found: list[tracks.Judged]) -> list[tracks.Judged]:
    """Without the single observations, which are sorted by what is told of them, and two may be alike."""
    return [
        one._replace(verdict=replace(one.verdict, evidence=replace(one.verdict.evidence, observations=())))
        for one in found
    ]


@given(histories(), st.randoms())
def test_the_order_of_events_never_matters(commits, random) -> None:
    before = tracks.judged(commits, infra={"b"})
    shuffled = [CommitTold(one.sha, random.sample(list(one.events), len(one.events))) for one in commits]
    assert verdicts(tracks.judged(shuffled, infra={"b"})) == verdicts(before)


@given(histories())
def test_a_success_at_the_head_is_the_end_of_it(commits) -> None:
    assert tracks.judged([commit(99, told("S", 500)), *commits]) == []


@given(histories(keys=False))
def test_with_no_log_read_the_verdict_is_that_of_the_rules(commits) -> None:
    rules = judge(Signal("job", [CommitEvents(one.sha, [each.event for each in one.events]) for one in commits]))
    found = tracks.judged(commits)
    assert [one.verdict for one in found] == ([] if rules.code == "recovered_at_head" else [rules])


@given(histories())
def test_the_culprit_lies_between_the_newest_clean_green_and_the_oldest_failure(commits) -> None:
    for one in tracks.judged(commits):
        culprit = one.verdict.culprit
        if culprit is None:
            continue
        shas = [each.sha for each in commits]
        said = [{each.event.status for each in each_commit.events} for each_commit in commits]
        green = next(n for n, statuses in enumerate(said) if "S" in statuses and "F" not in statuses)
        assert shas.index(culprit) < green
        assert "F" in said[shas.index(culprit)]
        failing = [
            n
            for n in range(green)
            if any(each.event.status == "F" and (not one.test or one.test in each.keys) for each in commits[n].events)
        ]
        assert shas.index(culprit) == max(failing)


@given(histories())
def test_nobody_is_accused_for_the_machines(commits) -> None:
    assert not any(one.verdict.culprit for one in tracks.judged(commits, infra={"a", "b"}) if one.key)


def test_three_alike_confirm_and_unlike_ones_do_not() -> None:
    (alike,) = tracks.judged(confirmed("a", "a", "a"))
    assert (alike.verdict.decision, alike.verdict.culprit) == ("revert", f"{3:040x}")
    unlike = tracks.judged(confirmed("a", "a", "b"))[0]
    assert (unlike.verdict.decision, unlike.verdict.code) == ("wait", "too_few_failures")
    (infra,) = tracks.judged(confirmed("a", "a", "a"), infra={"a"})
    assert (infra.verdict.decision, infra.verdict.code) == ("wait", "infra_not_ruled_out")
    assert "blames machines" in infra.verdict.evidence.words


def says(what: str, confidence: float = 1.0) -> tracks.Opinions:
    return lambda test, sha: Opinion(sha, what, confidence)  # type: ignore[arg-type]


@given(histories())
def test_a_sure_person_is_believed(commits) -> None:
    commits = [*commits, commit(0, told("S", 0))]
    for one in tracks.judged(commits, says("related"), infra={"a", "b"}):
        assert (one.verdict.decision, one.verdict.culprit) == ("revert", one.failing[-1])


@given(histories(), st.sampled_from(["related", "not_related", "infra", "garbage"]))
def test_an_unsure_person_changes_nothing(commits, what) -> None:
    unsure = says(what, SURE_ENOUGH - 0.01)
    assert tracks.judged(commits, unsure, infra={"b"}) == tracks.judged(commits, infra={"b"})


def test_an_unsure_person_does_not_silence_the_doubt_about_machines() -> None:
    (one,) = tracks.judged(confirmed("a", "a", "a"), says("related", 0.5), infra={"a"})
    assert one.verdict.culprit is None


def test_a_flake_beside_the_culprit_has_a_history_of_its_own() -> None:
    commits = [
        commit(4, told("F", 40, "true")), commit(3, told("F", 30, "true")),
        commit(2, told("F", 20, "flake")), commit(1, told("S", 10)),
    ]  # fmt: skip
    by_test = {one.test: one for one in tracks.judged(commits)}
    assert by_test[""].failing[-1] == f"{2:040x}"
    assert by_test["true"].failing[-1] == f"{3:040x}"


def test_while_a_log_is_unread_what_failed_before_still_stands() -> None:
    before = [commit(3, told("F", 30, "a")), commit(2, told("F", 20, "flake")), commit(1, told("S", 10))]
    assert tracks.keys_at_head(before) == ["a"]
    unread = [commit(4, told("F", 40)), *before]
    assert tracks.keys_at_head(unread) == ["a"]
    assert "a" in {one.test for one in tracks.judged(unread)}
    assert tracks.keys_at_head([commit(4, told("F", 40, "b")), *before]) == ["b"]
    assert tracks.keys_at_head([commit(4, told("P", 40)), *before]) == ["a"]
    assert tracks.keys_at_head([commit(4, told("S", 40)), *before]) == []


def test_of_a_test_an_attempt_that_does_not_tell_says_nothing() -> None:
    run = Event("F", T0, 7, 1)
    silent, running = Event("S", T0, 8, 1), Event("P", T0, 9, 1)
    commits = [CommitTold("c", [Told(running)]), CommitTold("b", [Told(run)]), CommitTold("a", [Told(silent)])]
    found = tracks.of_test(commits, {"b": {(7, 1): "S"}})
    assert [[one.status for one in each.events] for each in found.commits] == [["P"], ["S"], []]
