"""The grid without a database: what is in which cell, and what the page says of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hud import freshness, grid, layout
from hud.address import Address
from hud.cells import FINISHED, Outcome
from hud.patterns import Pattern

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CELLS = st.integers(0, len(Outcome) - 1)


def _page(size: int) -> st.SearchStrategy[list[bytes]]:
    commit = st.lists(CELLS, min_size=size, max_size=size).map(bytes)
    return st.lists(commit, min_size=1, max_size=8)


PAGES = st.integers(1, 12).flatmap(_page)


def row(sha: str, cells: bytes | None, **fields: object) -> grid.Row:
    known = {
        "title": "A title",
        "author_login": "mkrv", "author_name": "M", "committed_at": NOW.timestamp(), "pr_number": 7, "position": 1,
    }  # fmt: skip
    return grid.Row(sha=sha * 40, cells=cells, **{**known, **fields})  # type: ignore[arg-type]


def build(rows: list[grid.Row], address: Address | None = None, groups: str = "aabbc", **options: object) -> grid.Grid:
    arranged = layout.arrange(
        [(n, "w", f"job{n}", f"group {name}", ord(name), name == "c") for n, name in enumerate(groups)]
    )
    address = address or Address()
    pattern = Pattern(text=address.q)
    return grid.build(arranged, address, pattern, rows, key=("test", groups), path="/hud/o/r/main", **options)  # type: ignore[arg-type]


@given(PAGES)
def test_now_is_the_newest_finished_result_of_each_column(packed: list[bytes]) -> None:
    size = len(packed[0])
    now = grid.latest_finished(packed, size)
    for slot in range(size):
        finished = [cells[slot] for cells in packed if cells[slot] in FINISHED]
        assert now[slot] == (finished[0] if finished else 0)


@given(PAGES)
def test_columns_that_are_run_often(packed: list[bytes]) -> None:
    size = len(packed[0])
    often = grid.often(packed, size).to_bytes(size, "little")
    for slot in range(size):
        ran = sum(cells[slot] > 0 for cells in packed)
        assert bool(often[slot]) == (ran * grid.RARE >= len(packed) and ran > 0)


def test_only_columns_that_ran_are_shown() -> None:
    page = build([row("a", b"\4\0\0\0\0"), row("b", b"\0\0\0\5")])
    assert [column.group.name for column in page.shape.columns] == ["group a", "group b"]
    assert page.letters == {"a" * 40: "ON", "b" * 40: "NQ"}
    assert page.counts == {"all": 2, "failing": 0, "notgreen": 0, "ran": 2}


def test_cells_that_are_missing_or_unheard_of_are_empty() -> None:
    page = build([row("a", b"\4\xff"), row("b", None), row("c", b"\4" * 99)])
    assert page.letters == {"a" * 40: "ONN", "b" * 40: "NNN", "c" * 40: "OOO"}


FAILED, FLAKY, PASSED, RUNNING = bytes([Outcome.FAILED]), bytes([Outcome.FLAKY]), b"\4", bytes([Outcome.RUNNING])


def test_only_failing_means_failing_now() -> None:
    rows = [row("a", RUNNING + PASSED + PASSED), row("b", FAILED + PASSED + FAILED)]
    page = build(rows, Address(show="failing"), groups="abc")
    assert [column.group.name for column in page.shape.columns] == ["group a"]
    assert page.counts == {"all": 3, "failing": 1, "notgreen": 2, "ran": 3}


def test_hide_green_leaves_what_was_not_green_on_this_page() -> None:
    rows = [row("a", RUNNING + PASSED + FLAKY), row("b", PASSED + PASSED + PASSED)]
    page = build(rows, Address(show="notgreen"), groups="abd")
    assert [column.group.name for column in page.shape.columns] == ["group d"]


def test_unstable_columns_can_be_hidden() -> None:
    page = build([row("a", b"\4\4\4\4\4")], Address(unstable=False))
    assert [column.group.name for column in page.shape.columns] == ["group a", "group b"]


def test_a_group_counts_and_judges_only_the_members_that_the_filter_leaves() -> None:
    page = build([row("a", b"\4" + FAILED + b"\4\4\4")], Address(q="job0"))
    assert page.letters == {"a" * 40: "O"}
    page = build([row("a", b"\4" + FAILED + b"\4\4\4")], Address(q="group a"))
    assert page.letters == {"a" * 40: "X"}


def test_the_now_row_of_an_older_page_knows_newer_commits() -> None:
    page = build([row("a", b"\4")], groups="a", newest=[FAILED])
    assert grid.as_letters(page.now) == "X"


def test_what_needs_a_person_is_a_link_and_nothing_else_is() -> None:
    every = bytes(Outcome)
    page = build([row("a", every), row("b", b"\4" * 12)], groups="abdefghijklm")
    html = page.html("/hud/o/r", "https://github.com/o/r", NOW)[b"rows"].decode()
    cells = html.split("</time>")[1].split('<td class="m su">')[0]
    assert cells.count("<td") == len(every)
    assert cells.count("<a ") == len(grid.LOUD_OUTCOMES)
    named = 'data-g="group m" aria-label="group m, aaaaaaa: failed"'
    assert f'<td class=X><a href="/hud/o/r/cell/{"a" * 40}/11" {named}>X</a>' in html
    assert "<td>O" in cells
    assert "<td class=Q>Q" in cells


@given(st.text(max_size=50))
def test_text_is_text(text: str) -> None:
    page = build([row("a", b"\4\4\4\4\4", title=text, author_login=text)])
    html = page.html("/hud/o/r", "https://github.com/o/r", NOW)[b"rows"].decode()
    assert html.count("<td") == 4 + 3 + 1  # whatever the title, no cell more
    assert html.count("<script") == 0
    assert html.count("<bdi>") == 2


def test_a_title_of_control_characters_makes_no_cells() -> None:
    page = build([row("a", b"\4", title="a\tb\nc\x0bd", author_login="")], groups="a")
    html = page.html("/b", "https://github.com/o/r", NOW)[b"rows"].decode()
    assert "<bdi>a b c d</bdi>" in html
    assert "<bdi>M</bdi>" in html


def test_a_commit_of_which_only_the_sha_is_known() -> None:
    page = build([row("a", b"\4", title="", committed_at=None, pr_number=None)], groups="a")
    html = page.html("/b", "https://github.com/o/r", NOW)[b"rows"].decode()
    assert "(not read yet)" in html
    assert "<time></time>" in html
    assert "pull/" not in html


def test_a_row_is_made_again_when_it_changes_and_its_age_always() -> None:
    first = build([row("a", b"\4")], groups="a").html("/b", "g", NOW + timedelta(minutes=6))[b"rows"]
    later = build([row("a", b"\4")], groups="a").html("/b", "g", NOW + timedelta(minutes=7))[b"rows"]
    failed = build([row("a", FAILED)], groups="a").html("/b", "g", NOW + timedelta(minutes=7))[b"rows"]
    assert later == first.replace(b">6m", b">7m")
    assert b"class=X" in failed


def test_sums_say_what_a_phone_does_not_show() -> None:
    assert grid.sums(b"\4\4\3" + RUNNING + b"\5" + FAILED).decode() == "3 passed · 2 running or queued"
    assert grid.sums(FAILED) == b""


@pytest.mark.parametrize(
    ("age", "kind", "words"),
    [
        (9, "live", ""),
        (119, "live", ""),
        (240, "late", "Last event 4 min ago, checking GitHub."),
        (3600, "stalled", "No events since 11:00 UTC. Results below may be old."),
    ],
)
def test_freshness(age: int, kind: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness.timezone, "now", lambda: NOW)
    then = NOW - timedelta(seconds=age)
    judged = freshness.judge([("commits", then, "", "", 0, 0), ("workflow_runs", NOW, "", "", 0, 0)], NOW)
    assert (judged.kind, judged.words) == (kind, words)


def test_what_was_never_read_has_no_age() -> None:
    states = [
        ("commits", NOW, "", "", 0, 0),
        ("workflow_runs", None, "GitHub says 403.", "", 0, 0),
        ("backfill", NOW, "", "", 84, 200),
    ]
    judged = freshness.judge(states, NOW)
    assert (judged.kind, judged.words, judged.reading) == ("unread", "GitHub says 403.", True)


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "0m"), (360, "6m"), (9360, "2h 36m"), (273600, "3d 4h"), (9e6, "104d")]
)
def test_short_ages(seconds: float, text: str) -> None:
    assert freshness.short_age(seconds) == text
