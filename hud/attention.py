"""What needs somebody now: the open breaks of a repository, the one that can be acted on first.

Read in two queries whatever their number, and kept until `Repository.version` rises, as it does whenever a break
changes. `hud.brackets` draws the same breaks onto the grid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils import timezone

from hud.layout import Kept, Layout
from hud.models import BreakState, Repository
from hud.places import Place
from project.accounts import roles
from project.outbox.models import Write

MOST = 30  # lines; the list of breaks shows any number
ENOUGH_FAILURES = 3  # see `hud.verdicts`
KEPT = Kept(32)
ABOVE = Kept(64)


class Hit(NamedTuple):
    """A configuration that a break has turned red: places on trunk, and how many of its tests say so."""

    slot: int
    suspect_at: int | None
    range_from: int | None
    failing_to: int | None
    tests: int = 0


class Suspect(NamedTuple):
    """The commit that is thought to be to blame."""

    sha: str
    title: str
    author: str
    pr_number: int | None


@dataclass(frozen=True)
class OpenBreak:
    """A break as a line above the grid."""

    number: int
    title: str
    state: str
    decision: str
    code: str
    suspect: Suspect | None
    suspect_at: int | None
    range_from: int | None
    culprit_known: bool
    broke_at: datetime
    acknowledged: bool
    reverted_at: datetime | None
    owner: str
    issue_url: str
    version: int
    failures: int = 0
    successes: int = 0
    words: str = ""
    missing: Sequence[Mapping[str, Any]] = ()
    restart: int = 0
    hits: Sequence[Hit] = ()

    @property
    def suspects(self) -> int:
        """How many commits can't be told apart yet; 0 if none is suspected."""
        return suspects(self.suspect_at, self.range_from)

    @property
    def sure(self) -> bool:
        """Whether there is enough to revert."""
        return self.culprit_known or self.decision == "revert"

    @cached_property
    def sureness(self) -> str:
        """“sure”, “likely: 1 more failure needed”, “one of 3 commits”."""
        return sureness(self)

    @property
    def need(self) -> tuple[int, datetime]:
        """What comes first: what can be reverted, then what nobody has looked at, then what waits."""
        if self.state == BreakState.REVERTING or self.reverted_at:
            return 3, self.broke_at
        return (0 if self.sure else 2 if self.acknowledged else 1), self.broke_at

    @property
    def why_not(self) -> str:
        """Why it can't be reverted yet, in words; empty if it can."""
        return why_not_revert(self)


def suspects(suspect_at: int | None, range_from: int | None) -> int:
    """How many commits stand in the range."""
    if suspect_at is None:
        return 0
    return 1 if range_from is None else max(1, suspect_at - range_from + 1)


def sureness(one: Any) -> str:
    """How sure it is who broke it. `one`: an `OpenBreak`, or anything with the same fields."""
    if one.sure:
        return "sure"
    if one.suspect is None:
        return "no suspect"
    if one.suspects > 1:
        return f"one of {one.suspects} commits"
    codes = {one.code, *(str(lack.get("code", "")) for lack in one.missing)}
    lacking = ENOUGH_FAILURES - one.failures
    if one.decision in ("wait", "restart") and "infra_not_ruled_out" in codes and lacking <= 0:
        return "likely: a failure of the machines is not ruled out"
    if one.decision in ("wait", "restart") and lacking > 0:
        return f"likely: {lacking} more failure{'s' if lacking > 1 else ''} needed"
    if one.decision in ("wait", "restart"):
        return "likely: more evidence needed"
    return _DOUBTS.get(one.code, "not sure")


_DOUBTS = {
    "flaky": "in doubt: it also passed",
    "no_clean_baseline": "not sure: never clean before",
    "no_success_seen": "not sure: no pass in the window",
    "adviser_says_not_related": "told: not related",
    "adviser_says_infra": "told: the machines failed",
    "adviser_says_garbage": "told: the signal is garbage",
}


def why_not_revert(one: Any) -> str:
    """The reason that a disabled “Revert…” gives."""
    if one.state == BreakState.REVERTING or one.reverted_at:
        return "A revert is on its way."
    if one.suspect is None:
        return "No suspect is known."
    if one.suspects > 1:
        return f"Not known yet which of {one.suspects} commits it was."
    return ""


class Failed(NamedTuple):
    """The newest write to GitHub that failed in the last day, and how many did."""

    what: str
    problem: str
    number: int


@dataclass(frozen=True)
class Attention:
    """The open breaks in the order of need, and when the last one was closed."""

    breaks: Sequence[OpenBreak] = ()
    closed_at: datetime | None = None
    closed_lately: int = 0
    red_since: datetime | None = field(default=None)
    failed: Failed | None = None

    @property
    def shown(self) -> Sequence[OpenBreak]:
        """Those that stand above the grid."""
        return self.breaks[:MOST]


NOTHING = Attention()


def of(repository_id: int, version: int) -> Attention:
    """What needs somebody. At most three queries, none while the repository has not changed."""
    return KEPT.get((repository_id, version, timezone.now().strftime("%Y%m%d%H")), lambda: _read(repository_id))


_BREAKS = """
    SELECT b.id, b.number, b.title, b.state, b.decision, b.code, c.sha, c.title,
           coalesce(nullif(c.author_login, ''), c.author_name), c.pr_number, b.suspect_at, b.range_from,
           b.culprit_id IS NOT NULL, b.broke_at, b.acknowledged_at IS NOT NULL, b.reverted_at,
           coalesce(u.username, ''), b.issue_url, b.version,
           s.failures, s.evidence->'successes', s.evidence->>'words', s.evidence->'missing', cardinality(s.restart)
    FROM hud_break b
    LEFT JOIN hud_commit c ON c.id = b.suspect_id
    LEFT JOIN {users} u ON u.id = b.owner_id
    LEFT JOIN LATERAL (
        SELECT s.failures, s.evidence, s.restart FROM hud_breaksignal m
        JOIN hud_signal s ON s.configuration_id = m.configuration_id AND md5(s.test) = md5(m.test)
        WHERE m.broken_id = b.id AND m.left_at IS NULL
        ORDER BY s.code = b.code DESC, s.failures DESC, s.id LIMIT 1
    ) s ON true
    WHERE b.repository_id = %s AND b.closed_at IS NULL AND b.dismissed_at IS NULL
    ORDER BY b.number
"""
_HITS = """
    SELECT m.broken_id, c.slot, min(m.suspect_at), min(m.range_from), max(m.failing_to), count(nullif(m.test, ''))
    FROM hud_break b JOIN hud_breaksignal m ON m.broken_id = b.id JOIN hud_configuration c ON c.id = m.configuration_id
    WHERE b.repository_id = %s AND b.closed_at IS NULL AND b.dismissed_at IS NULL AND m.left_at IS NULL
    GROUP BY m.broken_id, c.slot ORDER BY c.slot
"""
_CLOSED = """
    SELECT max(closed_at), count(*) FILTER (WHERE closed_at >= %s) FROM hud_break
    WHERE repository_id = %s AND closed_at IS NOT NULL AND merged_into_id IS NULL
"""


_FAILED = """
    SELECT coalesce(nullif(w.subject, ''), replace(w.kind, '_', ' ')), w.problem, count(*) OVER ()
    FROM {writes} w JOIN hud_repository r ON lower(w.repository) = lower(r.owner || '/' || r.name)
    WHERE r.id = %s AND w.state = 'failed' AND w.done_at >= %s ORDER BY w.id DESC LIMIT 1
"""


def _read(repository_id: int) -> Attention:
    with connection.cursor() as cursor:
        writes = connection.ops.quote_name(Write._meta.db_table)
        cursor.execute(_FAILED.format(writes=writes), [repository_id, timezone.now() - timedelta(days=1)])
        failed = Failed(*row) if (row := cursor.fetchone()) else None
        cursor.execute(_BREAKS.format(users=_users()), [repository_id])
        rows = cursor.fetchall()
        if not rows:
            cursor.execute(_CLOSED, [timezone.now() - timedelta(days=1), repository_id])
            closed_at, lately = cursor.fetchone()
            return Attention(closed_at=closed_at, closed_lately=lately, failed=failed)
        cursor.execute(_HITS, [repository_id])
        hits: dict[int, list[Hit]] = {}
        for broken_id, *values in cursor.fetchall():
            hits.setdefault(broken_id, []).append(Hit._make(values))
    breaks = sorted((_open(row, hits.get(row[0], ())) for row in rows), key=lambda one: one.need)
    return Attention(breaks, red_since=min(one.broke_at for one in breaks), failed=failed)


def _users() -> str:
    return connection.ops.quote_name(get_user_model()._meta.db_table)


def _open(row: Sequence[Any], hits: Sequence[Hit]) -> OpenBreak:
    (_, number, title, state, decision, code, sha, commit_title, author, pr_number, suspect_at, range_from, culprit,
     broke_at, acknowledged, reverted_at, owner, issue_url, version, failures, successes, words, missing,
     restart) = row  # fmt: skip
    return OpenBreak(
        number, title, state, decision, code,
        Suspect(sha, commit_title, author, pr_number) if sha else None, suspect_at, range_from, culprit, broke_at,
        acknowledged, reverted_at, owner, issue_url, version, failures or 0, _number(successes), words or "",
        _lacks(missing), restart or 0, hits,
    )  # fmt: skip


def _number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) or str(value).isdigit() else 0


def _lacks(value: Any) -> Sequence[Mapping[str, Any]]:
    found = json.loads(value) if isinstance(value, str) else value
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def reach(one: OpenBreak, columns: Layout) -> str:
    """“5 of 20 configurations”: how many it has turned red, of all in the groups that it touches."""
    slots = {hit.slot for hit in one.hits}
    groups = {columns.by_slot[slot][0].slug: columns.by_slot[slot][0] for slot in slots if slot in columns.by_slot}
    total = sum(len(group.members) for group in groups.values())
    tests = sum(hit.tests for hit in one.hits)
    of_all = max(total, len(slots))
    words = f"{len(slots)} of {of_all} configuration{'s' if of_all > 1 else ''}"
    return f"{words}, {tests} test{'s' if tests > 1 else ''}" if tests else words


def where(one: OpenBreak, columns: Layout) -> Sequence[str]:
    """The groups that it touches, in the order of the grid's columns."""
    slots = {hit.slot for hit in one.hits}
    return [group.name for group in columns.groups if any(member.slot in slots for member in group.members)]


@dataclass(frozen=True)
class Line:
    """An open break above the grid, with what follows from the columns."""

    broken: OpenBreak
    url: str
    reach: str
    where: Sequence[str]
    mine: bool


TOKEN = "token-of-whoever-asks"  # in kept HTML, where each person's own belongs


def above(request: HttpRequest, place: Place, columns: Layout, needs: Attention, *, any_commits: bool = True) -> bytes:
    """What stands above the grid, as HTML. Made once a minute and version for all strangers, and for each person."""
    repository, user = place.repository, request.user
    shown = place.branch == repository.trunk and (any_commits or bool(needs.breaks))
    can_act = bool(needs.breaks) and may_act(user, repository)
    name = user.get_username() if user.is_authenticated else ""
    now = timezone.now()
    what = (repository.pk, str(repository), repository.version, repository.layout_version, shown)
    made: str = ABOVE.get(
        (*what, name, can_act, f"{now:%Y%m%d%H%M}"),
        lambda: render_to_string(
            "hud/_needs.html",
            {
                "repository": repository, "needs": needs, "shown_breaks": shown, "can_act": can_act,
                "signed_in": bool(name), "csrf_token": TOKEN, "breaks_url": f"{place.base}/breaks", "now": now,
                "lines": [_line(one, place, columns, name) for one in needs.shown],
            },
        ),
    )  # fmt: skip
    return (made.replace(TOKEN, get_token(request)) if name else made).encode()


def _line(one: OpenBreak, place: Place, columns: Layout, name: str) -> Line:
    url = f"{place.base}/break/{one.number}"
    return Line(one, url, reach(one, columns), where(one, columns), bool(name) and one.owner == name)


def may_act(user: Any, repository: Repository) -> bool:
    """Whether this person may do something about a break."""
    return roles.allows(user, roles.Role.TREE_HUGGER, str(repository))
