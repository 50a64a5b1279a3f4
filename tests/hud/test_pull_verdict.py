"""“Did I break it?”: each rule by an example, and what must hold whatever comes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hud.pull_verdict import Base, Cause, Failure, Judged, Label, Sighting, answer, judge

ASSERT = Cause("k1", "pytest", "FAILED test_a.py::test_x - AssertionError: 1 != 2", "test")
OTHER = Cause("k2", "pytest", "FAILED test_b.py::test_y - KeyError: 'q'", "test")
ALIKE = Cause("k3", "pytest", "FAILED test_a.py::test_x - AssertionError: 5 != 7", "test")
EXIT = Cause("k4", "exit code", "##[error]Process completed with exit code 1.", "generic")
NETWORK = Cause("k5", "connection", "Connection reset by peer", "infra")
DISK = Cause("k6", "disk full", "No space left on device", "resource")
WAITING = Cause(waiting=True)
SILENT = Cause()


def one(*causes: Cause, base: Base | None = None, seen: tuple[Sighting, ...] = (), **fields: bool) -> Judged:
    (judged,) = judge([Failure(3, "pull / linux", causes=causes, base=base, **fields)], seen)  # type: ignore[arg-type]
    return judged


def red(*causes: Cause, exact: bool = True, passed: bool = False) -> Base:
    return Base("b" * 40, True, passed, causes, exact)


GREEN = Base("b" * 40, False, True)
TRUNK = Sighting("k1", "c" * 40, 3)
PULL = Sighting("k1", "d" * 40, 5, 77)


@pytest.mark.parametrize(
    ("causes", "base", "seen", "fields", "label"),
    [
        ((ASSERT,), GREEN, (), {}, Label.NEW),
        ((ASSERT,), None, (), {}, Label.NEW),
        ((ASSERT,), red(ASSERT), (), {"unstable": True}, Label.UNSTABLE),
        ((NETWORK,), red(NETWORK), (), {}, Label.INFRA),
        ((DISK,), GREEN, (), {}, Label.NEW),
        ((Cause(missing=True),), GREEN, (), {}, Label.INFRA),
        ((ASSERT,), red(ASSERT), (), {"passed_again": True}, Label.FLAKY),
        ((WAITING,), GREEN, (), {"passed_again": True}, Label.FLAKY),
        ((ASSERT,), red(ASSERT), (TRUNK,), {}, Label.BROKEN_TRUNK),
        ((ASSERT,), red(ALIKE), (), {}, Label.BROKEN_TRUNK),
        ((ASSERT,), red(OTHER), (), {}, Label.NEW),
        ((ASSERT,), red(ASSERT, passed=True), (), {}, Label.NEW),
        ((ASSERT,), red(OTHER), (TRUNK,), {}, Label.FLAKY),
        ((ASSERT,), GREEN, (PULL,), {}, Label.FLAKY),
        ((EXIT,), GREEN, (Sighting("k4", "c" * 40, 3),), {}, Label.NEW),
        ((EXIT,), red(EXIT), (), {}, Label.BROKEN_TRUNK),
        ((SILENT,), red(SILENT), (), {}, Label.BROKEN_TRUNK),
        ((SILENT,), GREEN, (), {}, Label.NEW),
        ((WAITING,), GREEN, (), {}, Label.NOT_TOLD),
        ((), GREEN, (), {}, Label.NOT_TOLD),
        ((WAITING,), red(ASSERT), (), {}, Label.NOT_TOLD),
        ((ASSERT,), red(WAITING), (), {}, Label.NOT_TOLD),
        ((ASSERT,), red(WAITING), (TRUNK,), {}, Label.FLAKY),
        # Of several failures the worst one counts.
        ((ASSERT, OTHER), red(ASSERT), (), {}, Label.NEW),
        ((ASSERT, NETWORK), red(ASSERT), (), {}, Label.BROKEN_TRUNK),
        ((ASSERT, WAITING), red(ASSERT), (), {}, Label.NOT_TOLD),
    ],
)
def test_rules(
    causes: tuple[Cause, ...], base: Base | None, seen: tuple[Sighting, ...], fields: dict[str, bool], label: Label
) -> None:
    assert one(*causes, base=base, seen=seen, **fields).label == label


def test_evidence_leads_somewhere() -> None:
    assert one(ASSERT, base=red(ASSERT)).evidence[0].sha == "b" * 40
    assert "nearest trunk commit below" in one(ASSERT, base=red(ASSERT, exact=False)).evidence[0].words
    found = one(ASSERT, base=GREEN, seen=(PULL, TRUNK)).evidence
    assert [(its.sha[0], its.pull, its.slot) for its in found] == [("c", None, 3), ("d", 77, 5)]
    many = tuple(Sighting("k1", f"{n:040x}", 3) for n in range(9))
    assert one(ASSERT, seen=many).evidence[-1].words == "And on 6 more."
    assert "It passed on the merge base" in one(ASSERT, base=GREEN).evidence[0].words
    assert "It failed differently" in one(ASSERT, base=red(OTHER)).evidence[0].words
    assert "no result of it" in one(ASSERT).evidence[0].words


@pytest.mark.parametrize(
    ("failures", "state", "kind", "words"),
    [
        ([], {}, "none", "Nothing has run on this commit."),
        ([], {"passed": 4}, "no", "No: everything that ran passed."),
        ([], {"unfinished": 4}, "wait", "Can’t say yet: 4 jobs still to finish."),
        ([], {"waiting_approval": 2}, "none", "Nothing has run yet: 2 workflows waiting for approval."),
        ([(NETWORK, None)], {"passed": 4}, "no", "No: 1 failure, 1 infra."),
        ([(ASSERT, red(ASSERT)), (NETWORK, None)], {}, "no", "No: 2 failures, 1 on trunk before you, 1 infra."),
        ([(ASSERT, GREEN)], {}, "yes", "Yes: 1 new failure (pull / 0)."),
        ([(ASSERT, GREEN)] * 4, {"unfinished": 1}, "yes",
         "Yes: 4 new failures (pull / 0, pull / 1 and 2 more). Still open: 1 job still to finish."),
        ([(WAITING, GREEN), (ASSERT, red(ASSERT))], {"unfinished": 12}, "wait",
         "Can’t say yet: 1 log still to be read, 12 jobs still to finish."),
    ],
)  # fmt: skip
def test_the_answer(failures: list[tuple[Cause, Base | None]], state: dict[str, int], kind: str, words: str) -> None:
    judged = judge([Failure(n, f"pull / {n}", causes=(cause,), base=base) for n, (cause, base) in enumerate(failures)])
    found = answer(judged, **state)
    assert (found.kind, found.words) == (kind, words)


causes = st.sampled_from([ASSERT, OTHER, ALIKE, EXIT, NETWORK, DISK, WAITING, SILENT, Cause(missing=True)])
bases = st.none() | st.builds(
    Base, st.just("b" * 40), st.booleans(), st.booleans(), st.lists(causes, max_size=3).map(tuple), st.booleans()
)
failures = st.builds(
    Failure, st.integers(0, 3), st.sampled_from(["a", "b"]), st.booleans(), st.booleans(),
    st.lists(causes, max_size=3).map(tuple), bases,
)  # fmt: skip
sightings = st.builds(
    Sighting, st.sampled_from(["k1", "k2", "k4"]), st.sampled_from(["c" * 40, "d" * 40, "e" * 40, "f" * 40]),
    st.integers(0, 3), st.none() | st.integers(1, 3),
)  # fmt: skip


@given(st.lists(failures, max_size=4), st.lists(sightings, max_size=5))
def test_every_failure_has_one_label_and_a_reason(found: list[Failure], seen: list[Sighting]) -> None:
    judged = judge(found, seen)
    assert sorted(map(repr, found)) == sorted(repr(one.failure) for one in judged)
    for one in judged:
        waiting = not one.failure.causes or any(cause.waiting for cause in one.failure.causes)
        waiting |= bool(one.failure.base and any(cause.waiting for cause in one.failure.base.causes))
        assert one.label in set(Label) - {Label.NOT_TOLD} or waiting
        assert one.evidence


@given(st.lists(failures, max_size=4), st.lists(sightings, max_size=4), st.randoms())
def test_order_never_matters(found: list[Failure], seen: list[Sighting], chance: object) -> None:
    expected = judge(found, seen)
    shuffled = [
        Failure(f.slot, f.name, f.unstable, f.passed_again, tuple(chance.sample(f.causes, len(f.causes))),  # type: ignore[attr-defined]
                f.base and Base(f.base.sha, f.base.failed, f.base.passed, f.base.causes[::-1], f.base.exact))
        for f in chance.sample(found, len(found))  # type: ignore[attr-defined]
    ]  # fmt: skip
    again = judge(shuffled, [*reversed(seen), *seen])

    def as_told(judged: list[Judged]) -> list[tuple[object, ...]]:
        return sorted((one.label, one.failure.name, one.failure.slot, repr(one.evidence)) for one in judged)

    assert as_told(again) == as_told(expected)
    assert answer(again).kind == answer(expected).kind


@given(failures, st.lists(sightings, max_size=4))
def test_a_success_on_trunk_never_makes_a_failure_trunks(failure: Failure, seen: list[Sighting]) -> None:
    """The base passing (too) takes “broken trunk” away, and gives it to nobody."""
    (before,) = judge([failure], seen)
    if failure.base is None:
        return
    base = failure.base
    passed = Failure(
        failure.slot, failure.name, failure.unstable, failure.passed_again, failure.causes,
        Base(base.sha, base.failed, True, base.causes, base.exact),
    )  # fmt: skip
    (after,) = judge([passed], seen)
    assert after.label != Label.BROKEN_TRUNK
    if before.label != Label.BROKEN_TRUNK:
        assert after.label in (before.label, Label.NEW)


@given(failures, st.lists(sightings, max_size=3), st.lists(sightings, max_size=3))
def test_more_sightings_never_blame(failure: Failure, seen: list[Sighting], more: list[Sighting]) -> None:
    order = list(Label)
    (before,), (after,) = judge([failure], seen), judge([failure], [*seen, *more])
    assert order.index(after.label) >= order.index(before.label)


def test_labels_are_ranked_by_what_they_ask_of_a_person() -> None:
    assert [label.value for label in Label] == [
        "new", "not told yet", "broken trunk", "flaky", "infra", "unstable"
    ]  # fmt: skip
    for a, b in itertools.combinations((ASSERT, OTHER, NETWORK, WAITING), 2):
        assert one(a, b).label == min((one(a).label, one(b).label), key=list(Label).index)
