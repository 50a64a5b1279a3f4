"""The search language, against the worked examples, the sentences of the rules one by one, and properties that must
hold of any text. What searches find is asked of `triage.reasons`, which answers for one item without a database."""

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage.bounds import Count, Span
from triage.reasons import Asked, Facts, holds, selects, why
from triage.search import And, Code, Either, Or, Query, QueryError, Sort, Term, parse
from triage.terms import QUALIFIERS, Choice, Names, Person, Words

WORLD = json.loads((Path(__file__).parent / "examples" / "search.json").read_text())
ASKED = Asked(WORLD["viewer"], WORLD["teams"])
EXAMPLES = int(os.environ.get("TRIAGE_EXAMPLES", "100"))


def instant(text: str | None) -> Any:
    return text and datetime.fromisoformat(text)


def facts(written: dict[str, Any]) -> Facts:
    item = {**WORLD["item_defaults"], **written}
    comments, reviews = item.pop("comments"), item.pop("reviews")
    times = {name: instant(item.pop(name)) for name in ("created", "updated", "closed", "merged")}
    return Facts(
        **times,
        archived=WORLD["repos"][item["repo"]]["archived"],
        comments=[comment["text"] for comment in comments],
        commenters=[comment["by"] for comment in comments],
        reviewers=[review["by"] for review in reviews],
        commits=item.pop("shas"),
        **item,
    )


ITEMS = [facts(item) for item in WORLD["items"]]


def found(text: str | Query, asked: Asked = ASKED) -> list[int]:
    query = parse(text) if isinstance(text, str) else text
    keys: dict[str, Callable[[Facts], Any]] = {
        "created": lambda item: item.created,
        "updated": lambda item: item.updated,
        "comments": lambda item: item.comments_count,
        "reactions": lambda item: item.reactions,
        "interactions": lambda item: item.comments_count + item.reactions,
    }
    items = [item for item in ITEMS if selects(query, item, asked)]
    items.sort(key=lambda item: item.created, reverse=True)
    return [item.number for item in sorted(items, key=keys[query.sort.by], reverse=query.sort.descending)]


def error(text: str) -> tuple[str, int]:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert caught.value.message
    return caught.value.code, caught.value.position


def value(text: str) -> Any:
    (term,) = parse(text).terms
    return term.value


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# The worked examples


@pytest.mark.parametrize("case", WORLD["cases"], ids=lambda case: case["id"])
def test_worked_example(case: dict[str, Any]) -> None:
    assert found(case["q"]) == case["expect"]
    assert found(str(parse(case["q"]))) == case["expect"]


@pytest.mark.parametrize("case", WORLD["errors"], ids=lambda case: case["id"])
def test_worked_error(case: dict[str, Any]) -> None:
    assert error(case["q"])[0] == case["error"]


def test_pytorchs_query_is_read_word_by_word() -> None:
    query = parse(WORLD["cases"][0]["q"])
    assert len(query.terms) == 14
    assert query.sort == Sort("updated", descending=True)
    assert [name for _, name in query.labels][:4] == ["fx", "jit", "oncall: jit", "caffe2"]
    assert [query.text[term.at : term.end] for term in query.floors] == ["updated:>=2019-04-02"]
    assert str(query) == query.text.strip()


# Each qualifier


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("is:merged", [17]),
        ("is:unmerged", [18]),
        ("is:draft", [14]),
        ("is:locked", [20]),
        ("is:unlocked label:question", []),
        ("type:Bug is:open", [4, 25, 1, 3]),
        ("type:feature", [13]),
        ("type:ISSUE is:closed", [12, 13]),
        ("label:WON'T fix", []),  # without quotes the label is “WON'T”, and “fix” a word
        ('label:"WON\'T fix"', [23, 13]),
        ('label:"oncall: quantization"', [19]),
        ("label:oncall", []),  # whole names only
        ("no:label is:issue is:open", [2, 26]),
        ("no:assignee label:triaged is:issue", [21, 22, 23]),
        ("no:milestone is:merged", [17]),
        ("no:project is:open is:pr", [24, 15, 14, 16]),
        ("author:newbie1", [2, 16]),
        ("author:@me", [27]),
        ("author:app/dependabot", [17]),
        ("author:dependabot[bot]", [17]),
        ("author:dependabot", []),  # would be a person
        ("-author:app/dependabot is:closed", [12, 13, 18]),
        ("assignee:BOB", [1]),
        ("-assignee:* is:open type:Bug", [4, 25]),
        ("mentions:dave", [1]),
        ("commenter:tri", [11]),
        ("involves:bob", [4, 25, 21, 1, 12, 10]),
        ("team:acme/quant", [16]),
        ("milestone:2.9", [15, 1, 12]),
        ("project:acme/7", [27, 1]),
        ("comments:>=12", [16, 1, 13]),
        ("comments:10..12", [19, 1]),
        ("comments:*..0 is:issue", [25, 2]),
        ("reactions:>5", [4, 13]),
        ("interactions:16..17", [4, 16, 1]),
        ("interactions:55", [13]),
        ("draft:true", [14]),
        ("draft:false is:open", [27, 24, 15, 16]),
        ("review:none", [14, 18]),
        ("review:changes_requested", [16]),
        ("reviewed-by:@me", [17]),
        ("review-requested:rev1", [16]),
        ("user-review-requested:tri", [24, 15]),
        ("team-review-requested:acme/Reviewers", [16]),
        ("base:release/2.8", [17]),
        ("base:release", []),
        ("head:Change", [27]),
        ("status:pending", [27, 14]),
        ("linked:pr", [1, 12]),
        ("linked:issue", [14, 17]),
        ("reason:completed", [12]),
        ('reason:"not planned"', [13]),
        ("archived:true", [26]),
        ("repo:acme/vision", [25]),
        ("org:acme archived:true", [26]),
        ("closed:2026-02-20", [12]),
        ("closed:<2026-01-01", [18]),
        ("merged:>=2026-03-02 merged:<2026-03-03", [17]),
        ("-closed:*..2030-01-01 is:pr", [27, 24, 15, 14, 16]),
        # words
        ("SEGFAULT", [11, 1]),
        ("seg", []),
        ('"empty batch"', [14, 1]),
        ('"batch empty"', []),
        ("batch empty", [14, 1]),
        ("reproduce", [1]),
        ("reproduce in:title,body", []),
        ("reproduce in:title in:comments", [1]),
        ("f-string", [5]),
        ("conv2d -segfault", [14]),
        ("NOT segfault AND conv2d", [14]),
        ('-"empty batch" conv2d', []),
        ("0eff326d6213c", [15]),
        ("0EFF326", [15]),
        ("0eff32", []),
        ('"0eff326"', []),
        ("0eff326 in:title", []),
        ("NOT 0eff326d6213c is:pr label:triaged", [24]),
    ],
)
def test_found(text: str, numbers: list[int]) -> None:
    assert found(text) == numbers


def test_empty_text_finds_everything() -> None:
    assert len(found("")) == len(found(" ")) == len(ITEMS)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("-review:approved is:open", [24, 15, 14, 16]),
        ("-status:success -base:main", []),
        ("-is:merged is:closed", [18]),
        ("-is:unmerged is:closed", [17]),
        ("-draft:true is:open", [27, 24, 15, 16]),
        ("-linked:issue is:closed", [18]),
        ("-linked:pr is:closed", [13]),
        ("NOT (review:approved OR label:bug) is:closed", [18]),
        ("-is:draft comments:<2", found("comments:<2")),  # a draft is not one: this one is of both kinds
    ],
)
def test_what_only_one_kind_has_selects_only_that_kind(text: str, numbers: list[int]) -> None:
    assert found(text) == numbers


def test_several_involves_and_places_are_alternatives() -> None:
    both = found("involves:erin involves:dave")
    assert found("is:issue involves:erin comments:>=2 involves:dave") == both
    assert found("involves:erin AND involves:dave") == []
    assert found("-involves:erin -involves:dave") == [n for n in found("") if n not in both]
    assert found("NOT (involves:erin involves:dave)") == [n for n in found("") if n not in both]
    assert found("repo:acme/vision repo:acme/legacy") == [25, 26]
    assert found("repo:acme/vision AND repo:acme/legacy") == []
    assert found("user:acme repo:acme/vision") == found("org:acme") == found("")


def test_nobody_is_signed_in() -> None:
    assert parse("is:open (author:@ME OR label:x)").asks_for_viewer
    assert not parse("author:me").asks_for_viewer
    assert found("author:@me", Asked()) == []


# Dates and numbers


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-03-02", "2026-03-02", "2026-03-03"),
        (">2026-03-02", "2026-03-03", None),
        (">=2026-03-02", "2026-03-02", None),
        ("<2026-03-02", None, "2026-03-02"),
        ("<=2026-03-02", None, "2026-03-03"),
        ("2026-03-02..2026-03-04", "2026-03-02", "2026-03-05"),
        ("2026-03-02..2026-03-02", "2026-03-02", "2026-03-03"),
        ("2026-03-02..*", "2026-03-02", None),
        ("*..2026-02-28", None, "2026-03-01"),
        ('"2026-03-02..*"', "2026-03-02", None),
        (">=2026-03-03T05:00:00+09:00", "2026-03-02T20:00", None),
        (">2026-03-03t05:00:00z", "2026-03-03T05:00:01", None),
        ("<=2026-03-03T05:00-0330", None, "2026-03-03T08:30:01"),
        ("2026-03-03T05:00:00", "2026-03-03T05:00", "2026-03-03T05:00:01"),
        ("2026-03-03T05:00:00.5Z", "2026-03-03T05:00:00.500000", "2026-03-03T05:00:00.500001"),
        ("2026-03-02T23:00:00Z..2026-03-03", "2026-03-02T23:00", "2026-03-04"),
        ("<=9999-12-31", None, None),
        ("9999-12-31", "9999-12-31", None),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
    ],
)
def test_dates(text: str, start: str | None, end: str | None) -> None:
    expected = Span(start and day(start), end and day(end))  # type: ignore[arg-type]
    for qualifier in ("created", "updated", "closed", "merged"):
        assert value(f"{qualifier}:{text}") == expected


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("5", 5, 5), (">5", 6, None), (">=5", 5, None), ("<5", None, 4), ("<=5", None, 5), ("5..7", 5, 7),
        ("5..5", 5, 5), ("5..*", 5, None), ("*..7", None, 7), ("007", 7, 7), ("<0", None, -1),
        ("999999999999999999", 10**18 - 1, 10**18 - 1),
    ],
)  # fmt: skip
def test_numbers(text: str, low: int | None, high: int | None) -> None:
    for qualifier in ("comments", "reactions", "interactions"):
        assert value(f"{qualifier}:{text}") == Count(low, high)


# What can't be read


@pytest.mark.parametrize(
    ("text", "code", "under"),
    [
        ("updated:>2019-04-02..", "bad_range", ">"),
        ("updated:>=2019-04-02..2020-01-01", "bad_range", ">"),
        ("comments:>5..7", "bad_range", ">"),
        ("comments:5..", "bad_range", "5"),
        ("comments:..5", "bad_range", "."),
        ("comments:..", "bad_range", "."),
        ("comments:*..*", "bad_range", "*"),
        ("comments:1..2..3", "bad_range", "1"),
        ("comments:7..5", "bad_range", "7"),
        ("created:2026-03-02..2026-03-01", "bad_range", "2"),
        ("is:open -no:label", "negated_no", "-"),
        ("NOT no:label", "negated_no", "n"),
        ("is:open NOT (is:pr no:label)", "negated_no", "n"),
        ("-(no:label)", "negated_no", "n"),
        ("is:open foo:bar", "unknown_qualifier", "f"),
        ("-foo:bar", "unknown_qualifier", "-"),
        ("is:open language:c", "unknown_qualifier", "l"),
        ("std::vector", "unknown_qualifier", "s"),
        (":bug", "unknown_qualifier", ":"),
        ("--label:bug", "unknown_qualifier", "-"),
        ('label:bug "oncall', "unterminated_quote", '"'),
        ('label:"oncall: jit', "unterminated_quote", '"'),
        ('label:bug,"oncall: jit', "unterminated_quote", '"'),
        ('-"', "unterminated_quote", '"'),
        ('label:"a\\"', "unterminated_quote", '"'),
        ("(label:bug", "unbalanced_paren", "("),
        ("((a) b", "unbalanced_paren", "("),
        ("label:bug)", "unbalanced_paren", ")"),
        ("a OR )", "unbalanced_paren", ")"),
        ("((((((a))))))", "too_deep", "("),
        ("created:2026-13-40", "bad_date", "2"),
        ("created:2026-02-30", "bad_date", "2"),
        ("created:2026-3-1", "bad_date", "2"),
        ("created:20260301", "bad_date", "2"),
        ("created:yesterday", "bad_date", "y"),
        ("created:*", "bad_date", "*"),
        ("created:=2026-03-01", "bad_date", "="),
        ("created:0000-01-01", "bad_date", "0"),
        ("created:>9999-12-31", "bad_date", ">"),
        ("created:2026-03-01T25:00:00Z", "bad_date", "2"),
        ("created:2026-03-01T05:00:00+25:00", "bad_date", "2"),
        ("created:0001-01-01T00:00:00+01:00", "bad_date", "0"),
        ("created:٢٠٢٦-٠٣-٠١", "bad_date", "٢"),
        ("created:2026-01-01..nonsense", "bad_date", "n"),
        ("comments:many", "bad_number", "m"),
        ("comments:-5", "bad_number", "-"),
        ("comments:1.5", "bad_number", "1"),
        ("comments:>=x", "bad_number", "x"),
        ("comments:" + "9" * 5_000, "bad_number", "9"),
        ("is:sleeping", "bad_value", "s"),
        ("is:open,closed", "bad_value", "o"),
        ("state:merged", "bad_value", "m"),
        ("no:type", "bad_value", "t"),
        ("draft:yes", "bad_value", "y"),
        ("in:title,labels", "bad_value", "l"),
        ("-in:title", "bad_value", "-"),
        ("author:a,b", "bad_value", "a"),
        ("author:@alice", "bad_value", "@"),
        ("author:*", "bad_value", "*"),
        ("involves:app/x", "bad_value", "a"),
        ("team:quant", "bad_value", "q"),
        ("repo:vision", "bad_value", "v"),
        ("project:acme/x", "bad_value", "a"),
        ("label:a(b)", "bad_value", "("),
        ('label:"a"b', "bad_value", "b"),
        ("label:a\0b", "bad_value", "a"),
        ("label:", "empty_value", ":"),
        ("label: bug", "empty_value", ":"),
        ('label:""', "empty_value", '"'),
        ('label:" "', "empty_value", '"'),
        ("label:a,", "empty_value", ","),
        ("label:a,,b", "empty_value", ","),
        ("label:,a", "empty_value", ","),
        ("created:>", "empty_value", ">"),
        ("created:> 2026-03-01", "empty_value", ">"),
        ('""', "empty_value", '"'),
        ("a - b", "empty_value", "-"),
        ("()", "empty_value", "("),
        ("a OR", "empty_value", "O"),
        ("OR a", "empty_value", "O"),
        ("a AND OR b", "empty_value", "A"),
        ("(a AND)", "empty_value", "A"),
        ("a NOT", "empty_value", "N"),
        ("sort:", "empty_value", ":"),
        ("sort:relevance", "bad_sort", "r"),
        ("sort:updated-down", "bad_sort", "u"),
        ("sort:-updated", "bad_sort", "-"),
        ("sort:updated-", "bad_sort", "u"),
        ("sort:updated,created", "bad_sort", "u"),
        ("-sort:updated", "bad_sort", "-"),
        ("NOT sort:updated", "bad_sort", "s"),
        ("a OR sort:updated", "bad_sort", "s"),
        ("sort:updated sort:created", "bad_sort", "s"),
    ],
)
def test_errors(text: str, code: str, under: str) -> None:
    got, position = error(text)
    assert (got, text[position]) == (code, under)


def test_the_place_is_exact() -> None:
    assert error('is:open label:bug,"" x') == ("empty_value", 18)
    assert error("(is:open (label:bug)") == ("unbalanced_paren", 0)
    assert error("is:open created:2026-01-01..2026-99-01") == ("bad_date", 28)
    assert error("foo:bar )") == ("unknown_qualifier", 0)
    assert error("(a ((((((b") == ("too_deep", 7)


def test_an_error_speaks_for_itself() -> None:
    problem = QueryError("bad_date", 3, "No such day.")
    assert (problem.code, problem.position, problem.message, str(problem)) == (
        "bad_date",
        3,
        "No such day.",
        problem.message,
    )


# Writing and structure


def test_case_never_matters_but_operators_are_capitals() -> None:
    assert parse("IS:Open Author:@ME SORT:Updated-ASC IN:Title x") == parse(
        "is:open author:@me sort:updated-asc in:title X"
    )
    assert [term.value for term in parse("this or that").terms] == [Words((w,)) for w in ("this", "or", "that")]
    assert [term.value for term in parse('"AND" -OR').terms] == [Words(("and",)), Words(("or",))]


def test_quotes_hold_values_together() -> None:
    assert value('label:"a, b","c:d",e\'s') == Names(("a, b", "c:d", "e's"))
    assert value(r'label:"say \"hi\" \\ \n"') == Names((r'say "hi" \ \n',))
    assert value('is:"open"') == Choice("open")
    assert value('assignee:"*"') == Person(anyone=True)
    assert value('label:"(x)"') == Names(("(x)",))
    assert value("label:🔥") == Names(("🔥",))
    assert value('"label:bug"') == Words(("label", "bug"))
    assert [term.value for term in parse('a"b c"d').terms] == [Words(("a",)), Words(("b", "c")), Words(("d",))]


def test_precedence() -> None:
    a, b, c = (Term("words", Words((each,))) for each in "abc")
    assert parse("a OR b c").where == parse("a OR b AND c").where == Or((a, And((b, c))))
    assert parse("(a OR b) c").where == And((Or((a, b)), c))
    assert parse("NOT a b").where == And((~a, b))
    assert parse("NOT NOT a").where == parse("-(-a)").where == a
    assert parse("NOT (a OR b c)").where == And((~a, Or((~b, ~c))))
    assert parse("a NOT(b)AND(c)").where == And((a, ~b, c))
    assert parse("(((((a)))))").where == a
    assert parse(" \t\n").where is None
    assert [note.position for note in parse("a OR b c").notes] == [5]
    assert parse("a OR (b c)").notes == parse("a OR b sort:updated").notes == parse("a OR NOT (b OR c)").notes == ()


def test_in_and_sort_hold_everywhere() -> None:
    query = parse("(a sort:comments) OR b in:body,title")
    assert (query.sort, query.within) == (Sort("comments"), ("title", "body"))
    assert query == parse("a OR b in:title in:body sort:comments-desc")
    assert parse("in:title sort:created").where is None


def test_involves_are_one_condition() -> None:
    query = parse("involves:a is:open involves:b -involves:c")
    assert isinstance(query.where, And)
    assert [type(node) for node in query.where.nodes] == [Either, Term, Term]


def test_taking_terms_out() -> None:
    query = parse("is:open (label:a OR label:b) involves:x involves:y sort:updated")
    assert [str(query.without(term)) for term in query.terms] == [
        "(label:a OR label:b) involves:x involves:y sort:updated-desc",
        "is:open label:b involves:x involves:y sort:updated-desc",
        "is:open label:a involves:x involves:y sort:updated-desc",
        "is:open (label:a OR label:b) involves:y sort:updated-desc",
        "is:open (label:a OR label:b) involves:x sort:updated-desc",
    ]
    assert str(query.only(query.terms[0])) == "is:open sort:updated-desc"
    assert parse("is:open").without(parse("is:open").terms[0]).where is not None  # not one of its own
    (only,) = (lone := parse("a")).terms
    assert lone.without(only).where is None


# Why


def test_why_not() -> None:
    item = next(item for item in ITEMS if item.number == 4)
    query = parse(
        'is:issue -label:"triage review" assignee:* updated:<2026-03-08 (label:bug OR reactions:>8) draft:false'
    )
    said = {reason.text: (reason.holds, reason.because) for reason in why(query, item, ASKED)}
    assert said == {
        "is:issue": (True, "is an issue"),
        '-label:"triage review"': (False, "has triage review, high priority"),
        "assignee:*": (False, "has none"),
        "updated:<2026-03-08": (False, "updated 2026-03-08 11:00:00 UTC"),
        "label:bug OR reactions:>8": (True, "needs one of these; 1 of 2 hold"),
        "draft:false": (None, "only pull requests can have this"),
    }
    group = why(query, item, ASKED)[4]
    assert [(part.text, part.holds) for part in group.parts] == [("label:bug", False), ("reactions:>8", True)]
    assert why(parse(""), item) == ()
    assert [reason.text for reason in why(parse("a OR (b c)"), item)] == ["a OR (b c)"]


@pytest.mark.parametrize("case", WORLD["cases"], ids=lambda case: case["id"])
def test_every_term_says_why(case: dict[str, Any]) -> None:
    query = parse(case["q"])
    for item in ITEMS:
        reasons = why(query, item, ASKED)
        assert all(reason.holds for reason in reasons) == (item.number in case["expect"])
        assert all(reason.because and reason.text in case["q"] for reason in reasons if reason.term)


# Properties

CHOICES = {
    "is": "issue pr open closed merged unmerged draft locked unlocked",
    "state": "open closed",
    "type": "issue pr Bug feature",
    "author": "tri @me app/dependabot",
    "assignee": "bob * @me",
    "project": "acme/7",
    "draft": "true false",
    "review": "none required approved changes_requested",
    "status": "pending success failure",
    "linked": "pr issue",
    "reason": "completed",
    "archived": "true false",
    "repo": "acme/vision acme/torchlet",
    "org": "acme",
    "user": "acme @me",
    "base": "main release/2.8",
    "head": "change",
    "team": "acme/quant",
    "team-review-requested": "acme/reviewers",
}
DATES = "2026-03-02 >2026-03-02 >=2026-03-02T05:00:00+09:00 <=2026-02-20 *..2026-03-01 2026-02-01..2026-03-01T10:00:00Z"
COUNTS = "0 >2 <=5 2..9 10..* *..1 <0"


def choices(qualifier: str) -> list[str]:
    if qualifier in ("created", "updated", "closed", "merged"):
        return DATES.split()
    if qualifier in ("comments", "reactions", "interactions"):
        return COUNTS.split()
    if qualifier == "label":
        return ["bug", "triaged", '"high priority"', "bug,triaged", '"won\'t fix",question', r'"a \"b\\"', "-x"]
    if qualifier == "milestone":
        return ["2.9", '"2.9 (old)"']
    return CHOICES.get(qualifier, "tri @me dave erin rev1").split()


QUALIFIED = [f"{name}:{each}" for name in QUALIFIERS if name != "no" for each in choices(name)]
WORDS = ["segfault", "conv2d", '"empty batch"', "f-string", "0eff326", '"0eff326"', "Timeout", "é", "İ", "ß"]
terms = st.sampled_from([*QUALIFIED, *WORDS]).flatmap(lambda text: st.sampled_from([text, f"-{text}", f"NOT {text}"]))
conditions = st.recursive(
    terms | st.sampled_from(["no:label", "no:assignee"]),
    lambda inner: st.tuples(st.lists(inner, min_size=1, max_size=4), st.sampled_from([" ", " AND ", " OR "])).map(
        lambda each: f"({each[1].join(each[0])})" if len(each[0]) > 1 else each[0][0]
    ),
    max_leaves=8,
).filter(lambda text: text.count("(") <= 4)
searches = st.tuples(
    st.lists(conditions, max_size=4),
    st.sampled_from([" ", " AND ", " OR "]),
    st.sampled_from(["", " sort:updated", " sort:comments-asc", " in:title", " in:body,comments sort:reactions"]),
).map(lambda each: each[1].join(each[0]) + (each[2] if each[0] else ""))
pieces = st.sampled_from(
    [
        *QUALIFIED, *WORDS, *QUALIFIERS, "AND", "OR", "NOT", "no:label", "in:title", "sort:updated", "x", "2026-03-01",
        " ", "  ", "\n", ":", ",", "-", '"', "\\", "(", ")", ">", "<=", "..", "*", "@", "'", "\0", "\ud800", "🔥", "و",
    ]
)  # fmt: skip
texts = st.lists(pieces | st.text(max_size=3), max_size=20).map("".join) | st.text()


@given(texts)
@settings(max_examples=EXAMPLES * 5, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    query, problem = read(text)
    if problem is not None:
        assert problem.code in get_args(Code)
        assert 0 <= problem.position < len(text)
        assert problem.message
    if query is not None:
        assert parse(str(query)) == query
        assert str(parse(str(query))) == str(query)
        for term in query.terms:
            assert parse(text[term.at : term.end]).terms[0] in (term, ~term)


def read(text: str) -> tuple[Query | None, QueryError | None]:
    try:
        return parse(text), None
    except QueryError as problem:
        return None, problem


@given(searches)
@settings(max_examples=EXAMPLES * 2, deadline=None)
def test_writing_a_search_loses_nothing(text: str) -> None:
    query = parse(text)
    assert parse(str(query)) == query
    assert found(str(query)) == found(query)


@given(conditions.filter(lambda text: "no:" not in text), st.sampled_from(ITEMS))
@settings(max_examples=EXAMPLES, deadline=None)
def test_negation(text: str, item: Facts) -> None:
    node, negated = parse(f"({text})").where, parse(f"NOT ({text})").where
    assert node is not None
    assert negated is not None
    truth, untruth = holds(node, item, ASKED), holds(negated, item, ASKED)
    assert untruth is (None if truth is None else not truth)
    again = parse(f"NOT -({text})").where
    assert again is not None
    assert holds(again, item, ASKED) is truth


shallow = conditions.filter(lambda text: text.count("(") <= 3)


@given(shallow, shallow, shallow)
@settings(max_examples=EXAMPLES, deadline=None)
def test_and_or(a: str, b: str, c: str) -> None:
    def these(text: str) -> set[int]:
        return set(found(text))

    assert these(f"({a}) AND ({b})") == these(f"({a})") & these(f"({b})") == these(f"({b}) AND ({a})")
    assert these(f"({a}) OR ({b})") == these(f"({a})") | these(f"({b})") == these(f"({b}) OR ({a})")
    assert these(f"({a}) AND (({b}) OR ({c}))") == these(f"({a}) AND ({b}) OR ({a}) AND ({c})")
    assert these(f"({a}) OR ({b}) AND ({c})") == these(f"({a}) OR (({b}) AND ({c}))")


moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 4), timezones=st.just(UTC))


@given(st.dates(datetime(2026, 1, 1).date(), datetime(2026, 1, 4).date()) | moments, moments)
@settings(max_examples=EXAMPLES, deadline=None)
def test_comparisons_divide_time(when: Any, at: datetime) -> None:
    spans = {sign: value(f"created:{sign}{when.isoformat()}") for sign in ("<", "", ">", "<=", ">=")}

    def within(sign: str) -> bool:
        span = spans[sign]
        return (span.start is None or span.start <= at) and (span.end is None or at < span.end)

    assert [within("<"), within(""), within(">")].count(True) == 1
    assert within("<=") == (within("<") or within(""))
    assert within(">=") == (within(">") or within(""))
    if not isinstance(when, datetime):
        assert within("") == (at.date() == when)


@given(moments, st.timedeltas(timedelta(microseconds=1), timedelta(days=3)))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_span_can_be_written(start: datetime, length: timedelta) -> None:
    span = Span(start, start + length)
    assert value(str(Query(Term("created", span)))) == span


# Time


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10_000, "(" * 10_000, "NOT " * 2_500 + "a", "label:a " * 1_250, '"' * 10_000, '\\"' * 5_000,
        ":" * 10_000, "-" * 10_000, "a OR " * 2_000 + "b", "(a)" * 3_000, "label:a" + ",a" * 5_000,
        'label:"' + "\\" * 9_990, "(((((" + "a " * 4_000 + ")))))", " " * 10_000, "created:" + "1" * 9_000,
        '"a' * 5_000, "label:" + '""' * 5_000, "involves:a " * 900, "-(a) " * 2_000, "a" + "." * 9_990,
    ],
    ids=lambda text: repr(text[:8]),
)  # fmt: skip
def test_ten_thousand_characters(text: str) -> None:
    start = time.process_time()
    query, _ = read(text)
    if query is not None:
        assert parse(str(query)) == query
    assert time.process_time() - start < 2  # a tenth of it is usual; what is quadratic takes minutes
