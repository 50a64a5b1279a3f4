"""Why an item is, or is not, in a queue: the search answered for that item alone, term by term.

A queue itself is never found this way (that is the database's work, `Query.items`); this answers one question about
one item, and says what the search language means without any database, so that the two can be held against each
other. Pure. The rules are design/rules/search.md.

A term is True or False of an item, or None where it is about the other kind of item (`Term.only_on`). None counts as
in SQL: its negation is None too, and only True selects.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from triage.bounds import Count, Span
from triage.search import FIELDS, And, Either, Field, Node, Or, Query
from triage.terms import Choice, Names, Person, Term, Words, fold, words_of, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """An item as the search language sees it. People are logins, teams are `org/name`, boards are `owner/N`."""

    repo: str
    number: int
    kind: Literal["issue", "pr"]
    title: str
    author: str
    created: datetime
    updated: datetime
    body: str = ""
    type: str | None = None
    author_is_app: bool = False
    state: Literal["open", "closed"] = "open"
    reason: str | None = None
    draft: bool = False
    locked: bool = False
    archived: bool = False
    labels: Collection[str] = ()
    assignees: Collection[str] = ()
    milestone: str | None = None
    projects: Collection[str] = ()
    closed: datetime | None = None
    merged: datetime | None = None
    comments_count: int = 0
    comments: Sequence[str] = ()  # their texts
    commenters: Collection[str] = ()
    reactions: int = 0
    mentions: Collection[str] = ()
    team_mentions: Collection[str] = ()
    review: str | None = None  # none, required, approved, changes_requested
    reviewers: Collection[str] = ()
    requested_users: Collection[str] = ()
    requested_teams: Collection[str] = ()
    base: str | None = None
    head: str | None = None
    commits: Collection[str] = ()
    status: str | None = None  # pending, success, failure
    linked_prs: Collection[int] = ()
    linked_issues: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """What one condition says of the item: a term, or a group of which all or any must hold."""

    text: str
    holds: bool | None  # None: not about this kind of item, and so not met
    because: str  # what the item has instead or as well, in words
    term: Term | None = None
    parts: "tuple[Reason, ...]" = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and which teams have whom: `org/name` to logins."""

    viewer: str | None = None
    teams: Mapping[str, Collection[str]] | None = None


def why(query: Query, item: Facts, asked: Asked = Asked()) -> tuple[Reason, ...]:
    """The conditions of which all must hold, each with what the item says to it. No condition holds of every item."""
    if query.where is None:
        return ()
    nodes = query.where.nodes if isinstance(query.where, And) else (query.where,)
    return tuple(_reason(node, query, item, asked) for node in nodes)


def selects(query: Query, item: Facts, asked: Asked = Asked()) -> bool:
    """Whether the search finds the item."""
    return all(reason.holds for reason in why(query, item, asked))


def holds(node: Node, item: Facts, asked: Asked = Asked(), *, within: Sequence[Field] = FIELDS) -> bool | None:
    """What a condition is of an item: True, False, or None where it is about the other kind of item."""
    match node:
        case Term():
            if node.only_on not in (None, item.kind):
                return None
            return _matches(node, item, asked, within) != node.negated
        case Either(terms):
            return _any(holds(term, item, asked, within=within) for term in terms)
        case Or(nodes):
            return _any(holds(each, item, asked, within=within) for each in nodes)
        case And(nodes):
            return _all(holds(each, item, asked, within=within) for each in nodes)


def _any(values: Iterable[bool | None]) -> bool | None:
    seen = set(values)
    return True if True in seen else None if None in seen else False


def _all(values: Iterable[bool | None]) -> bool | None:
    seen = set(values)
    return False if False in seen else None if None in seen else True


def _reason(node: Node, query: Query, item: Facts, asked: Asked) -> Reason:
    verdict = holds(node, item, asked, within=query.within)
    if isinstance(node, Term):
        text = query.text[node.at : node.end] or write(node)
        return Reason(text, verdict, _because(node, item, verdict), node)
    parts = tuple(
        _reason(part, query, item, asked) for part in (node.terms if isinstance(node, Either) else node.nodes)
    )
    needed = "all of these" if isinstance(node, And) else "one of these"
    met = sum(part.holds is True for part in parts)
    joint = " " if isinstance(node, And) else " OR "
    return Reason(
        joint.join(f"({part.text})" if part.parts else part.text for part in parts),
        verdict,
        f"needs {needed}; {met} of {len(parts)} hold",
        parts=parts,
    )


# One term of one item


def _matches(term: Term, item: Facts, asked: Asked, within: Sequence[Field]) -> bool:
    """Whether a term is true, its minus aside, of an item of its kind."""
    match term.value:
        case Choice(what):
            return _is(term.qualifier, what, item)
        case Names(names):
            return _named(term.qualifier, {fold(name) for name in names}, item)
        case Person() as person:
            return _concerns(term.qualifier, person, item, asked)
        case Span(start, end):
            at = _moments(item)[term.qualifier]
            return at is not None and (start is None or start <= at) and (end is None or at < end)
        case Count(low, high):
            number = _numbers(item)[term.qualifier]
            return (low is None or low <= number) and (high is None or number <= high)
        case Words() as words:
            return _says(words, item, within)


def _is(qualifier: str, what: str, item: Facts) -> bool:
    match qualifier, what:
        case (("is" | "state" | "type"), ("issue" | "pr")):
            return item.kind == what
        case (("is" | "state"), ("open" | "closed")):
            return item.state == what
        case "is", "merged":
            return item.merged is not None
        case "is", "unmerged":
            return item.state == "closed" and item.merged is None
        case "is", "draft":
            return item.kind == "pr" and item.draft
        case "is", ("locked" | "unlocked"):
            return item.locked == (what == "locked")
        case "no", _:
            return not {
                "label": item.labels,
                "assignee": item.assignees,
                "milestone": item.milestone,
                "project": item.projects,
            }[what]
        case "draft", _:
            return item.draft == (what == "true")
        case "archived", _:
            return item.archived == (what == "true")
        case "linked", "pr":
            return bool(item.linked_prs)
        case "linked", "issue":
            return bool(item.linked_issues)
        case (("review" | "status" | "reason"), _):
            has = {"review": item.review, "status": item.status, "reason": item.reason}[qualifier]
            return fold(has or "").replace("_", " ") == what.replace("_", " ")
    raise ValueError(f"{qualifier}:{what}")


def _named(qualifier: str, names: set[str], item: Facts) -> bool:
    match qualifier:
        case "head":
            return any(fold(item.head or "").startswith(name) for name in names)
        case "org":
            return fold(item.repo.partition("/")[0]) in names
        case _:
            has: dict[str, Iterable[str | None]] = {
                "label": item.labels,
                "type": [item.type],
                "milestone": [item.milestone],
                "project": item.projects,
                "team": item.team_mentions,
                "team-review-requested": item.requested_teams,
                "base": [item.base],
                "repo": [item.repo],
            }
            return any(name is not None and fold(name) in names for name in has[qualifier])


def _concerns(qualifier: str, person: Person, item: Facts, asked: Asked) -> bool:
    if person.anyone:
        return bool(item.assignees)
    login = fold(asked.viewer or "" if person.me else person.login)
    if not login:
        return False  # nobody is signed in
    match qualifier:
        case "author":
            return fold(item.author) == login and item.author_is_app == person.app
        case "assignee":
            return login in map(fold, item.assignees)
        case "mentions":
            return login in map(fold, item.mentions)
        case "commenter":
            return login in map(fold, item.commenters)
        case "involves":
            roles = ("author", "assignee", "mentions", "commenter")
            return any(_concerns(role, person, item, asked) for role in roles)
        case "reviewed-by":
            return login in map(fold, item.reviewers)
        case "user-review-requested":
            return login in map(fold, item.requested_users)
        case "review-requested":
            return login in map(fold, item.requested_users) or any(
                login in map(fold, members)
                for team, members in (asked.teams or {}).items()
                if fold(team) in set(map(fold, item.requested_teams))
            )
        case "user":
            return fold(item.repo.partition("/")[0]) == login
    raise ValueError(qualifier)


def _moments(item: Facts) -> dict[str, datetime | None]:
    return {"created": item.created, "updated": item.updated, "closed": item.closed, "merged": item.merged}


def _numbers(item: Facts) -> dict[str, int]:
    return {
        "comments": item.comments_count,
        "reactions": item.reactions,
        "interactions": item.comments_count + item.reactions,
    }


def _says(words: Words, item: Facts, within: Sequence[Field]) -> bool:
    texts = {"title": [item.title], "body": [item.body], "comments": item.comments}
    if any(_holds_words(text, words.words) for name in within for text in texts[name]):
        return True
    # A commit is in none of the places that `in:` can name.
    return (
        words.commit is not None
        and len(within) == len(FIELDS)
        and item.kind == "pr"
        and any(fold(sha).startswith(words.commit) for sha in item.commits)
    )


def _holds_words(text: str, words: tuple[str, ...]) -> bool:
    # Joined with what is no word's character, so that only whole words in a row are found.
    return f" {' '.join(words)} " in f" {' '.join(words_of(text))} "


# In words


def _because(term: Term, item: Facts, verdict: bool | None) -> str:
    if verdict is None:
        return f"only {'pull requests' if item.kind == 'issue' else 'issues'} can have this"
    kind = "a pull request" if item.kind == "pr" else "an issue"
    match term.value:
        case Span():
            at = _moments(item)[term.qualifier]
            return f"{term.qualifier} {at:%Y-%m-%d %H:%M:%S %Z}" if at else f"never {term.qualifier}"
        case Count():
            return f"has {_numbers(item)[term.qualifier]}"
        case Words():
            found = verdict != term.negated
            return "found" if found else "not found"
        case Choice("issue" | "pr") if term.qualifier != "linked":
            return f"is {kind}"
        case _:
            return _has(term, item, kind)


def _has(term: Term, item: Facts, kind: str) -> str:
    what = term.value.what if isinstance(term.value, Choice) else ""
    state = "merged" if item.merged else item.state
    has: dict[str, Iterable[object] | str | None] = {
        "is": {
            "locked": "is locked" if item.locked else "is not locked",
            "unlocked": "is locked" if item.locked else "is not locked",
            "draft": f"is {kind}" if item.kind == "issue" else "is a draft" if item.draft else "is no draft",
        }.get(what, f"is {state}"),
        "state": f"is {state}",
        "draft": "is a draft" if item.draft else "is no draft",
        "archived": "is in an archived repository" if item.archived else "is in a live repository",
        "label": item.labels,
        "type": [item.type] if item.type else [],
        "no": {"label": item.labels, "assignee": item.assignees, "project": item.projects}.get(
            what, [item.milestone] if item.milestone else []
        ),
        "author": [f"app/{item.author}" if item.author_is_app else item.author],
        "assignee": item.assignees,
        "mentions": item.mentions,
        "commenter": item.commenters,
        "involves": dict.fromkeys([item.author, *item.assignees, *item.mentions, *item.commenters]),
        "team": item.team_mentions,
        "milestone": [item.milestone] if item.milestone else [],
        "project": item.projects,
        "review": [item.review] if item.review else [],
        "reviewed-by": item.reviewers,
        "review-requested": [*item.requested_users, *item.requested_teams],
        "user-review-requested": item.requested_users,
        "team-review-requested": item.requested_teams,
        "base": [item.base] if item.base else [],
        "head": [item.head] if item.head else [],
        "status": [item.status] if item.status else [],
        "linked": [f"#{number}" for number in (item.linked_prs if what == "pr" else item.linked_issues)],
        "reason": [item.reason] if item.reason else [],
        "repo": [item.repo],
        "org": [item.repo],
        "user": [item.repo],
    }
    found = has[term.qualifier]
    if isinstance(found, str):
        return found
    listed = ", ".join(map(str, found or ()))
    return f"has {listed}" if listed else "has none"
