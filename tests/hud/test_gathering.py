"""Which red signals belong to one break."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hud.gathering import Red, SignalId, Standing, clusters, gather, worth_telling


def red(n: int, suspect: int | None = 5, low: int | None = None, key: str = "k", **more: object) -> Red:
    code = "need_more_evidence" if suspect is not None else "no_success_seen"
    return Red(SignalId(n), str(more.pop("code", code)), suspect, suspect if low is None else low, key=key, **more)  # type: ignore[arg-type]


def ids(cluster) -> set[int]:
    return {one.id.configuration_id for one in cluster.members}


def found(*reds: Red) -> list[set[int]]:
    return [ids(cluster) for cluster in clusters(reds)]


def test_same_suspect_and_same_failure_are_one() -> None:
    assert found(red(1), red(2)) == [{1, 2}]


def test_another_failure_at_the_same_suspect_is_another_break() -> None:
    assert found(red(1, key="a"), red(2, key="b")) == [{1}, {2}]


def test_until_the_suspect_is_confirmed() -> None:
    assert found(red(1, key="a", culprit=True), red(2, key="b")) == [{1, 2}]


def test_ranges_that_overlap_are_one_and_narrow_each_other() -> None:
    (cluster,) = clusters([red(1, suspect=9, low=5), red(2, suspect=7, low=3)])
    assert (cluster.range_from, cluster.suspect_at) == (5, 7)


def test_ranges_do_not_chain() -> None:
    assert found(red(1, suspect=3, low=1), red(2, suspect=6, low=3), red(3, suspect=9, low=6)) == [{1, 2}, {3}]


def test_an_unread_failure_joins_what_turned_red_with_it() -> None:
    assert found(red(1), red(2), red(3, key="")) == [{1, 2, 3}]
    assert found(red(1), red(3, suspect=9, key="")) == [{1}, {3}]


def test_a_single_failure_is_not_told() -> None:
    assert not worth_telling(clusters([red(1)])[0])
    assert worth_telling(clusters([red(1, failures=2)])[0])
    assert worth_telling(clusters([red(1), red(2)])[0])
    assert not worth_telling(clusters([red(1, key=""), red(2, key="")])[0])


def test_a_break_keeps_its_number() -> None:
    plan = gather([red(1), red(2)], [Standing(7, frozenset({SignalId(1)}))])
    assert not plan.new
    assert ids(plan.standing[7]) == {1, 2}


def test_a_break_keeps_a_signal_whose_suspect_left_the_window() -> None:
    plan = gather([red(1, None, key="")], [Standing(7, frozenset({SignalId(1)}))])
    assert ids(plan.standing[7]) == {1}
    assert not gather([red(1, None, key="")], []).new


def test_a_flaky_signal_leaves() -> None:
    plan = gather([red(1, code="flaky")], [Standing(7, frozenset({SignalId(1)}))])
    assert not plan.standing
    assert not plan.new


def test_a_break_splits_when_the_failures_turn_out_different() -> None:
    plan = gather(
        [red(1, key="a"), red(2, key="a"), red(3, key="b", failures=2)],
        [Standing(7, frozenset({SignalId(1), SignalId(2), SignalId(3)}))],
    )
    assert ids(plan.standing[7]) == {1, 2}
    assert [ids(cluster) for cluster in plan.new] == [{3}]


def test_two_breaks_become_one() -> None:
    plan = gather([red(1), red(2)], [Standing(7, frozenset({SignalId(1)})), Standing(8, frozenset({SignalId(2)}))])
    assert ids(plan.standing[7]) == {1, 2}
    assert plan.merged == {8: 7}


def test_the_one_that_a_person_has_touched_stays() -> None:
    plan = gather(
        [red(1), red(2)], [Standing(7, frozenset({SignalId(1)})), Standing(8, frozenset({SignalId(2)}), decided=True)]
    )
    assert plan.merged == {7: 8}


def test_two_that_people_have_touched_stay_apart() -> None:
    plan = gather(
        [red(1), red(2), red(3)],
        [Standing(7, frozenset({SignalId(1)}), True), Standing(8, frozenset({SignalId(2)}), True)],
    )
    assert not plan.merged
    assert ids(plan.standing[7]) == {1, 3}
    assert ids(plan.standing[8]) == {2}


reds = st.lists(
    st.builds(
        lambda n, suspect, width, key, failures, culprit, code: Red(
            SignalId(n), code, suspect, suspect - width, key=key, failures=failures, culprit=culprit and width == 0
        ),
        st.integers(0, 12), st.integers(3, 9), st.integers(0, 4), st.sampled_from(["", "a", "b"]), st.integers(1, 3),
        st.booleans(), st.sampled_from(["need_more_evidence", "confirmed", "flaky", "adviser_says_infra"]),
    ),
    unique_by=lambda one: one.id,
)  # fmt: skip
standings = st.lists(st.tuples(st.frozensets(st.integers(0, 12), min_size=1), st.booleans()), max_size=4)


def disjoint(drawn: list[tuple[frozenset[int], bool]]) -> list[Standing]:
    seen: set[int] = set()
    rows = []
    for number, (members, decided) in enumerate(drawn, start=1):
        rows.append(Standing(number, frozenset(SignalId(n) for n in members - seen), decided))
        seen |= members
    return [row for row in rows if row.members]


@given(reds, standings, st.randoms())
def test_order_never_matters(drawn, stands, random) -> None:
    standing = disjoint(stands)
    before = gather(drawn, standing)
    shuffled, others = list(drawn), list(standing)
    random.shuffle(shuffled)
    random.shuffle(others)
    assert gather(shuffled, others) == before


@given(reds, standings)
def test_every_signal_is_in_one_place_at_most_and_all_of_a_break_can_have_one_cause(drawn, stands) -> None:
    plan = gather(drawn, disjoint(stands))
    everywhere = [*plan.standing.values(), *plan.new]
    members = [one.id for cluster in everywhere for one in cluster.members]
    assert len(members) == len(set(members))
    assert not {one.id for one in drawn if one.code in ("flaky", "adviser_says_infra")} & set(members)
    for cluster in everywhere:
        assert cluster.range_from <= cluster.suspect_at
        keys = {one.key for one in cluster.members} - {""}
        assert len(keys) <= 1 or any(one.culprit for one in cluster.members)


@given(reds, standings)
def test_a_decided_break_is_never_merged_away(drawn, stands) -> None:
    standing = disjoint(stands)
    plan = gather(drawn, standing)
    assert not {one.number for one in standing if one.decided} & set(plan.merged)


@given(reds, standings)
def test_gathering_again_changes_nothing(drawn, stands) -> None:
    standing = disjoint(stands)
    plan = gather(drawn, standing)
    decided = {one.number: one.decided for one in standing}
    numbers = dict(plan.standing.items())
    top = max([0, *(one.number for one in standing)])
    numbers |= {top + n: cluster for n, cluster in enumerate(plan.new, start=1)}
    again = gather(
        drawn,
        [Standing(n, frozenset(r.id for r in c.members), decided.get(n, False)) for n, c in numbers.items()],
    )
    assert not again.merged
    assert not again.new
    assert {n: {r.id for r in c.members} for n, c in again.standing.items()} == {
        n: {r.id for r in c.members} for n, c in numbers.items()
    }
