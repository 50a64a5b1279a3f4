"""Which columns there are, and how packed bytes become rows."""

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from hud import layout
from hud.address import Address, parse
from hud.cells import Outcome

ROWS = [
    (0, "pull", "linux / test (default)", "Linux", 1, False),
    (1, "pull", "linux / test (distributed)", "Linux", 1, False),
    (2, "pull", "linux / build", "Linux", 1, False),
    (3, "lint", "quick-checks", "Lint", 0, False),
    (4, "unstable", "rocm / test", "", 9, False),
    (5, "trunk", "win / test", "Windows", 1, True),
]


def made(*open_: str) -> layout.Shape:
    return layout.shape(layout.arrange(ROWS), Address(open=open_), lambda group, member: True)


def test_groups_stand_in_the_order_of_the_rules_and_members_by_name() -> None:
    arranged = layout.arrange(ROWS)
    assert [group.name for group in arranged.groups] == ["Lint", "Linux", "Windows", "unstable"]
    assert [member.slot for member in arranged.groups[1].members] == [2, 0, 1]
    assert arranged.size == 6


def test_a_configuration_without_a_group_goes_by_its_workflow() -> None:
    assert layout.arrange([(0, "nightly", "a", "", 0, False)]).groups[0].name == "nightly"


def test_numbers_in_names_are_ordered_as_numbers() -> None:
    rows = [(n, "w", f"py3.{version}", "G", 0, False) for n, version in enumerate((12, 9, 10))]
    assert [member.full_name for member in layout.arrange(rows).groups[0].members] == [
        "w / py3.9",
        "w / py3.10",
        "w / py3.12",
    ]


def test_slugs_are_unique_and_readable() -> None:
    rows = [(n, "w", "j", name, n, False) for n, name in enumerate(("CUDA 12.8", "cuda/12.8", "日本", "!!"))]
    assert [group.slug for group in layout.arrange(rows).groups] == ["cuda-12.8", "cuda-12.8-2", "日本", "group"]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["linux / test (default)", "linux / test (distributed)"], ["default", "distributed"]),
        (["linux / build", "linux / test (default)"], ["build", "test (default)"]),
        (["a", "b"], ["a", "b"]),
        (["linux / test (default, gpu)", "linux / test (default, cpu)"], ["gpu", "cpu"]),
        (["same", "same"], ["same", "same"]),
        (["only one / name"], ["only one / name"]),
        (["x / a", "x / "], ["x / a", "x / "]),
    ],
)
def test_a_member_is_not_called_what_all_members_are_called(names: list[str], labels: list[str]) -> None:
    assert layout.short_labels(names) == labels


def test_unstable_is_what_says_so() -> None:
    arranged = layout.arrange(ROWS)
    assert [slot for slot, (_, member) in sorted(arranged.by_slot.items()) if member.unstable] == [4, 5]


def test_an_unfolded_group_is_followed_by_its_members() -> None:
    shape = made("linux")
    assert [column.name for column in shape.columns] == [
        "Lint", "Linux", "Linux / build", "Linux / test (default)", "Linux / test (distributed)", "Windows", "unstable",
    ]  # fmt: skip
    assert [column.key for column in shape.columns] == ["3", "group/linux", "2", "0", "1", "5", "4"]


def test_all_unfolded_but_one() -> None:
    assert Address(open=("*",)).toggled("linux") == ("*", "-linux")
    assert Address(open=("*", "-linux")).toggled("linux") == ("*",)
    assert not Address(open=("*", "-linux")).opens("linux")
    assert Address(open=("*", "-linux")).opens("lint")


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    data=st.data(),
)
def test_a_groups_square_is_its_worst_member(sizes: list[int], data: st.DataObject) -> None:
    rows = [(n, "w", f"job {n}", f"group {group}", group, False) for n, group in enumerate(
        group for group, size in enumerate(sizes) for _ in range(size)
    )]  # fmt: skip
    arranged = layout.arrange(rows)
    opened = data.draw(st.sets(st.sampled_from([group.slug for group in arranged.groups])))
    shape = layout.shape(arranged, Address(open=tuple(opened)), lambda group, member: True)
    cell = st.integers(0, len(Outcome) - 1)
    packed = data.draw(st.lists(st.lists(cell, min_size=len(rows), max_size=len(rows)).map(bytes), max_size=5))
    lines, groups = shape.rows(packed)
    assert len(lines) == len(groups) == len(packed)
    for cells, line, worst in zip(packed, lines, groups, strict=True):
        assert list(line) == [max(cells[member.slot] for member in column.members) for column in shape.columns]
        assert list(worst) == [max(cells[member.slot] for member in group.members) for group in arranged.groups]


def test_no_columns_at_all() -> None:
    shape = layout.shape(layout.arrange([]), Address(), lambda group, member: True)
    assert shape.rows([b"", b""]) == ([b"", b""], [b"", b""])


@given(st.text(max_size=300))
def test_any_query_string_is_a_view(text: str) -> None:
    query = QueryDict(mutable=True)
    for name in ("q", "re", "show", "unstable", "rare", "author", "open", "at", "page"):
        query[name] = text
    address = parse(query)
    assert parse(QueryDict(address.query().removeprefix("?"))) == address


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ("", Address()),
        ("unstable=0&unstable=1", Address()),
        ("unstable=0", Address(unstable=False)),
        ("page=-1&show=nonsense", Address()),
        ("page=²", Address()),
        ("author=@mkrv", Address(author="mkrv")),
        ("open=a,b&open=c", Address(open=("a", "b", "c"))),
        ("q=" + "x" * 500, Address(q="x" * 200)),
    ],
)
def test_views(query: str, view: Address) -> None:
    assert parse(QueryDict(query)) == view


def test_what_is_kept_longest_unused_is_forgotten_first() -> None:
    kept = layout.Kept(2)
    made = [kept.get(key, lambda key=key: key.upper()) for key in ("a", "b", "a", "c")]
    assert made == ["A", "B", "A", "C"]
    assert kept.get("a", lambda: "again") == "A"
    assert kept.get("b", lambda: "again") == "again"
