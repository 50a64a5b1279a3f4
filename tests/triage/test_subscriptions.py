"""Subscriptions and the cc line, against the worked examples, the sentences of the rules one by one, and properties
that must hold of any body."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage.subscriptions import Rows, cc, merged, parse, rewritten

CASES = json.loads((Path(__file__).parent / "examples" / "subscriptions.json").read_text())
EXAMPLES = int(os.environ.get("TRIAGE_EXAMPLES", "100"))


# The worked examples


@pytest.mark.parametrize("case", CASES["parse"], ids=lambda case: case["id"])
def test_parse_example(case: dict[str, Any]) -> None:
    assert parse(case["body"]).rows == case["expect"]


@pytest.mark.parametrize("case", CASES["cc"], ids=lambda case: case["id"])
def test_cc_example(case: dict[str, Any]) -> None:
    body = cc(case["body"], labels=case["labels"], author=case["author"], rows=case["subscriptions"])
    assert body == case["expect"].get("body")


# Rows


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("*   ci   @ann", {"ci": ["ann"]}),
        ("* module: c++ @ann", {"module: c++": ["ann"]}),
        ("* 🔥 hot @ann", {"🔥 hot": ["ann"]}),
        ("* ci @ann_corp/@ben", {"ci": ["ann_corp", "ben"]}),
        ("* ci (@ann; @acme/ci-infra/@ben", {"ci (": ["ann", "acme/ci-infra", "ben"]}),
        ("* ci @ann@ben", {"ci": ["ann", "ben"]}),
        ("* ci @ann @ANN @Ann", {"ci": ["ann"]}),
        ("* ci @ann\r\n* docs @ben\r* nn @cat\n", {"ci": ["ann"], "docs": ["ben"], "nn": ["cat"]}),
        ("* ci @ann\u2028* docs @ben", {"ci": ["ann", "ben"]}),  # no end of line
        ("* ci", {}),
        ("* @ann", {}),
        ("*@ann", {}),
        ("*ci @ann", {}),
        ("*\tci @ann", {}),
        ("**ci** @ann", {}),
        (" * ci @ann", {}),
        ("    * ci @ann", {}),
        ("see * ci @ann", {}),
        ("* ci @ @- @/", {}),
        ("~~~\n* ci @ann\n~~~\n* docs @ben", {"docs": ["ben"]}),
        ("````\n```\n* ci @ann\n````\n* docs @ben", {"docs": ["ben"]}),
        ("```\n* ci @ann", {}),  # never closed
        ("``` not a fence ```\n* ci @ann", {"ci": ["ann"]}),
        ("<!--\n* ci @ann\n-->\n* docs @ben", {"docs": ["ben"]}),
        ("<!--\n\n* ci @ann\n\n-->\n* docs @ben", {"docs": ["ben"]}),
        ("<!-- * ci @ann -->\n* docs @ben", {"docs": ["ben"]}),
        ("<!-- never closed\n\n* ci @ann", {}),
        ("<!-->\n* ci @ann", {"ci": ["ann"]}),
        ("* ci <!-- @cat --> @ann <!-- @ben", {"ci": ["ann", "ben"]}),
        ("<details>\n<!--\n\n* ci @ann\n\n-->\n\n* docs @ben", {"docs": ["ben"]}),
        ("Hidden with `<!--`.\n\n* ci @ann", {"ci": ["ann"]}),
        ("* ci `@ann`", {"ci `": ["ann"]}),
    ],
)
def test_rows(body: str, rows: dict[str, list[str]]) -> None:
    assert parse(body).rows == rows


def test_no_body() -> None:
    assert parse(None).rows == {}


def warned(body: str, **known: Any) -> list[tuple[str, int, str]]:
    return [(each.code, each.line, each.text) for each in parse(body, **known).warnings]


def test_what_looks_like_a_mistake() -> None:
    assert warned("x\n* module: nn - @ann") == [("trailing_hyphen", 2, "module: nn -")]
    assert parse("* module: nn - @ann").rows == {"module: nn -": ["ann"]}
    assert warned("* ci @ann, ben@example.com") == [("email", 1, "ben@example.com")]
    assert parse("* ci @ann, ben@example.com @cat@example.com").rows == {"ci": ["ann", "cat"]}
    assert warned("* ci ben@example.com") == [("email", 1, "ben@example.com")]
    assert parse("* ci ben@example.com").rows == {}
    assert warned("* CI @Ann\n* docs @acme/docs\n* nn @ben", labels=["ci", "NN"], logins=["ann", "Ben"]) == [
        ("unknown_label", 2, "docs"),
        ("unknown_login", 2, "acme/docs"),
    ]
    assert warned("- ci - @ann ben@example.com\n```\n* x - @ann\n```") == []
    assert all(each.message for each in parse("* x - @ann a@b.c", labels=[], logins=[]).warnings)


# The cc line


def put(body: str | None, *names: str) -> str | None:
    return cc(body, labels=["bug"], author="author", rows={"bug": list(names)})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, "cc @ben"),
        ("", "cc @ben"),
        ("\r\n", "cc @ben"),
        # A blank line, and only one
        ("x\n", "x\n\ncc @ben"),
        ("x\n\n", "x\n\ncc @ben"),
        ("x\r\ny", "x\r\ny\r\n\r\ncc @ben"),
        ("x\r\n", "x\r\n\r\ncc @ben"),
        # A whole word, any case, an optional colon, then names
        ("cc: @cat", "cc: @ben @cat"),
        ("cc : @cat", "cc : @ben @cat"),
        ("Cc:@cat", "Cc:@ben @cat"),
        ("thanks! /cc @cat, @dan", "thanks! /cc @ben @cat, @dan"),
        ("(cc @acme/infra)", "(cc @ben @acme/infra)"),
        ("> cc @cat", "> cc @ben @cat"),
        ("cc @cat\r\nmore", "cc @ben @cat\r\nmore"),
        ("acc @cat", "acc @cat\n\ncc @ben"),
        ("@cc @cat", "@cc @cat\n\ncc @ben"),
        ("@my-cc @cat", "@my-cc @cat\n\ncc @ben"),
        ("@acme/cc @cat", "@acme/cc @cat\n\ncc @ben"),
        ("main.cc @cat", "main.cc @cat\n\ncc @ben"),
        ("cc_ @cat", "cc_ @cat\n\ncc @ben"),
        ("cc@cat", "cc@cat\n\ncc @ben"),
        ("cc the team, @cat", "cc the team, @cat\n\ncc @ben"),
        ("cc\n@cat", "cc\n@cat\n\ncc @ben"),
        ("cc", "cc\n\ncc @ben"),
        # The first such line
        ("cc @cat\ncc @dan", "cc @ben @cat\ncc @dan"),
        ("cc nobody\ncc @dan", "cc nobody\ncc @ben @dan"),
        # Outside code, and comments
        ("```\ncc @cat\n```\ncc @dan", "```\ncc @cat\n```\ncc @ben @dan"),
        ("x\n\n    cc @cat", "x\n\n    cc @cat\n\ncc @ben"),
        ("- x\n\n      cc @cat\n", "- x\n\n      cc @cat\n\ncc @ben"),
        ("run `cc @cat`", "run `cc @cat`\n\ncc @ben"),
        ("run `a\ncc @cat` b", "run `a\ncc @cat` b\n\ncc @ben"),
        ("`` ` cc @cat `` ` cc @dan", "`` ` cc @cat `` ` cc @ben @dan"),
        ("<!-- cc @cat -->", "<!-- cc @cat -->\n\ncc @ben"),
        # What is left open has to be closed before it
        ("```py\ncode", "```py\ncode\n```\n\ncc @ben"),
        ("~~~~\r\ncode\r\n", "~~~~\r\ncode\r\n~~~~\r\n\r\ncc @ben"),
        ("<!-- note", "<!-- note\n-->\n\ncc @ben"),
        ("> ```\n> code", "> ```\n> code\n\ncc @ben"),
        # Already there, on any cc line and anywhere on it
        ("cc @cat\n\nCC: @BEN", None),
        ("@ben asked, cc @cat", None),
        ("@ben asked\n\ncc @cat", "@ben asked\n\ncc @ben @cat"),
        ("cc @ben-two", "cc @ben @ben-two"),
    ],
)
def test_where_the_names_go(body: str | None, expected: str | None) -> None:
    assert put(body, "ben") == expected


def test_who_is_added() -> None:
    rows = {"Bug": ["ann", "acme/quant"], "ci": ["Ann", "dan", "no body"], "docs": ["eve"], "bug": ["zoe"]}
    body = cc("x", labels=["CI", "bug", "unknown"], author="DAN", rows=rows)
    assert body == "x\n\ncc @Ann @acme/quant @zoe"
    assert cc("x", labels=[], author="dan", rows=rows) is None
    assert cc("x", labels=["constructor", "__proto__"], author="dan", rows=rows) is None
    assert cc("x", labels=["ci"], author="", rows={"ci": ["ann"]}) == "x\n\ncc @ann"


# Keeping the issue in step


@pytest.mark.parametrize(
    ("body", "rows", "expected"),
    [
        ("", {"ci": ["ann", "ben"], "docs": ["cat"]}, "* ci @ann @ben\n* docs @cat\n"),
        ("Intro", {"ci": ["ann"]}, "Intro\n\n* ci @ann\n"),
        ("* ci @ann\r\n\r\nEnd.", {"ci": ["ann", "ben"]}, "* ci @ann @ben\r\n\r\nEnd."),
        ("* ci @ann\r\n\r\nEnd.", {"CI": ["ANN"], "nn": ["ben"]}, "* ci @ann\r\n* nn @ben\r\n\r\nEnd."),
        ("* ci @ann, @ben and @cat.\n", {"ci": ["ann", "cat"]}, "* ci @ann and @cat.\n"),
        ("* ci @ann, @ben and @cat.\n", {"ci": ["cat", "dan"]}, "* ci @cat @dan.\n"),
        ("* ci @ann\n* docs @ben\n", {"docs": ["ben"]}, "* docs @ben\n"),
        ("* ci @ann\n* ci @ben\n", {"ci": ["ben", "cat"]}, "* ci @ben @cat\n"),
        ("```\n* ci @ann\n```\n", {"ci": ["ann"]}, "```\n* ci @ann\n```\n\n* ci @ann\n"),
        ("* ci @ann\n", {"ci": ["ann"], "no @ label": ["ben"], "none": []}, "* ci @ann\n"),
    ],
)
def test_rewritten(body: str, rows: Rows, expected: str) -> None:
    assert rewritten(body, rows) == expected


def test_merged() -> None:
    base = {"ci": ["ann", "ben"], "docs": ["cat"], "nn": ["dan"]}
    ours = {"ci": ["ann", "ben", "eve"], "nn": ["dan"]}  # eve added, docs dropped
    theirs = {"CI": ["ben"], "docs": ["cat", "fay"], "nn": ["dan"]}  # ann dropped, fay added by hand
    assert merged(base, ours, theirs) == {"CI": ["ben", "eve"], "docs": ["fay"], "nn": ["dan"]}


# Properties

logins = st.sampled_from(["ann", "Ann", "ben", "b-n", "b_n", "acme/quant", "cc", "x"])
labels = st.sampled_from(["ci", "CI", "docs", "module: nn", "won't fix", "x -", "🔥"])
subscribed = st.dictionaries(labels, st.lists(logins, max_size=4), max_size=4)
bodies = st.lists(
    st.sampled_from(
        [
            "* ",
            "- ",
            "ci",
            "docs ",
            " @ann",
            "@ben",
            "@acme/quant",
            "x@y.z",
            "cc",
            "cc ",
            "CC: ",
            ", ",
            ".",
            "@",
            "\n",
            "\r\n",
            "\n\n",
            "```",
            "~~~",
            "`",
            "<!--",
            "-->",
            "    ",
            "\t",
            "> ",
            "<details>",
            "<pre>",
            "\\",
            "\0",
        ]
    )
    | st.text(max_size=3),
    max_size=25,
).map("".join)


@given(bodies, subscribed, st.lists(labels, max_size=4), logins)
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_cc_twice_changes_nothing(body: str, rows: Rows, carried: list[str], author: str) -> None:
    first = cc(body, labels=carried, author=author, rows=rows)
    if first is not None:
        assert cc(first, labels=carried, author=author, rows=rows) is None
        # Names are only put in, so all that was there is still there, in its order.
        rest = iter(first)
        assert all(character in rest for character in body.strip())


@given(bodies, subscribed, st.lists(labels, max_size=4), logins)
@settings(max_examples=EXAMPLES, deadline=None)
def test_cc_adds_each_subscriber_once_and_never_the_author(
    body: str, rows: Rows, carried: list[str], author: str
) -> None:
    after = cc(body, labels=carried, author=author, rows=rows)
    wanted = {
        name.lower()
        for label, names in rows.items()
        for name in names
        if label.casefold() in {each.casefold() for each in carried}
    } - {author.lower()}
    if after is None:
        assert not wanted or "cc" in body.lower()
    else:
        assert wanted
        assert after.lower().count(f"@{author.lower()} ") <= body.lower().count(f"@{author.lower()}") + 1


@given(subscribed, st.lists(labels, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_order_of_rows_never_matters(rows: dict[str, list[str]], carried: list[str], random: Any) -> None:
    shuffled = dict(random.sample(list(rows.items()), len(rows)))
    one, other = (cc("x", labels=carried, author="zoe", rows=each) for each in (rows, shuffled))
    assert set((one or "").lower().split()) == set((other or "").lower().split())


@given(bodies)
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_any_body_is_read(body: str) -> None:
    parsed = parse(body, labels=["ci"], logins=["ann"])
    folded = [label.casefold() for label in parsed.rows]
    assert len(set(folded)) == len(folded)
    for label, names in parsed.rows.items():
        assert label == label.strip() != ""
        assert len({name.casefold() for name in names}) == len(names) > 0
    assert all(0 < each.line <= body.count("\n") + body.count("\r") + 1 for each in parsed.warnings)


@given(st.lists(st.tuples(labels, st.lists(logins, min_size=1, max_size=3)), max_size=6), st.randoms())
@settings(max_examples=EXAMPLES, deadline=None)
def test_rows_in_any_order_subscribe_the_same(rows: list[tuple[str, list[str]]], random: Any) -> None:
    def listed(order: list[tuple[str, list[str]]]) -> dict[str, set[str]]:
        body = "\n".join(f"* {label} {' '.join('@' + name for name in names)}" for label, names in order)
        return folded(parse(body).rows)

    assert listed(rows) == listed(random.sample(rows, len(rows)))


def folded(rows: Rows) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for label, names in rows.items():
        if names:
            found.setdefault(label.casefold(), set()).update(name.casefold() for name in names)
    return found


@given(bodies, subscribed)
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_the_issue_says_what_was_written_into_it(body: str, rows: Rows) -> None:
    written = rewritten(body, rows)
    assert folded(parse(written).rows) == folded(rows)
    assert rewritten(written, rows) == written


@given(bodies)
@settings(max_examples=EXAMPLES, deadline=None)
def test_an_issue_that_is_right_is_left_alone(body: str) -> None:
    assert rewritten(body, parse(body).rows) == body


@given(subscribed, subscribed, subscribed)
@settings(max_examples=EXAMPLES, deadline=None)
def test_merging_takes_over_what_either_side_changed(base: Rows, ours: Rows, theirs: Rows) -> None:
    def pairs(rows: Rows) -> set[tuple[str, str]]:
        return {(label, name) for label, names in folded(rows).items() for name in names}

    before, here, there = pairs(base), pairs(ours), pairs(theirs)
    assert pairs(merged(base, ours, theirs)) == (here & there) | ((here | there) - before)


@pytest.mark.parametrize(
    "body",
    [
        "* " * 32_768, ">" * 65_536, "`" * 65_536, "<!--" * 16_384, "a <!--" * 10_000, "* a @b\n" * 9_000,
        "```\n" * 16_000, "* @" + "@" * 65_000, "* a" + "@a" * 32_000, "* @x " + "a." * 32_000, "* a" + "a.a@" * 16_000,
        "cc " * 20_000, "cc" + " " * 65_000, "<div><!--\n\n" * 6_000, "[a\n" * 20_000,
        "".join("`" * length + "a" for length in range(360)),
    ],
    ids=lambda body: repr(body[:8]),
)  # fmt: skip
def test_a_body_as_long_as_github_allows(body: str) -> None:
    start = time.process_time()
    parse(body)
    assert put(body, "ben") is not None
    assert time.process_time() - start < 5  # a tenth of it is usual; what is quadratic takes minutes
