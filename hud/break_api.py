"""Breaks in `/api/v1`: the list, with the filters of the page, and one with its signals."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import Http404, HttpRequest, QueryDict
from ninja import Query, Router

from hud import attention, break_list, break_shapes, places
from hud.address import MAX_TEXT
from hud.api_shapes import Problem
from hud.models import Break, BreakSignal, BreakState, Commit, Repository, Signal

router = Router(tags=["breaks"])
ERRORS = {400: Problem, 404: Problem}


@router.get("/repositories/{owner}/{name}/breaks", response={200: break_shapes.BreaksShape, **ERRORS})
def breaks(
    request: HttpRequest,
    owner: str,
    name: str,
    state: Annotated[BreakState | None, Query(description="Only breaks in this state.")] = None,
    break_owner: Annotated[
        str, Query(alias="owned_by", max_length=MAX_TEXT, description="Only this person's; `-`: nobody's.")
    ] = "",
    q: Annotated[
        str, Query(max_length=MAX_TEXT, description="Only those with a configuration or test like this.")
    ] = "",
    suspect: Annotated[
        str, Query(max_length=MAX_TEXT, description="A sha or its beginning, `#` and a pull request, or an author.")
    ] = "",
    since: Annotated[str, Query(alias="from", description="Noticed on this day (UTC, YYYY-MM-DD) or later.")] = "",
    until: Annotated[str, Query(alias="to", description="Noticed on this day or earlier.")] = "",
    after: Annotated[str, Query(max_length=40, description="What the page before gave as `after`.")] = "",
    per_page: Annotated[int, Query(ge=1, le=100, description="At most 100.")] = 50,
) -> Any:
    """Open breaks first, then past ones, the newest noticed on top."""
    found = places.the_repository(owner, name)
    query = QueryDict(mutable=True)
    query.update(
        {
            "state": state.value if state else "", "owner": break_owner, "q": q, "suspect": suspect,
            "from": since, "to": until, "after": after,
        }
    )  # fmt: skip
    page = break_list.page(found, break_list.parse(query), per_page)
    return {
        "after": page.after,
        "breaks": [_break(found, one) | {"configurations": page.hits.get(one.pk, 0)} for one in page.rows],
    }


@router.get("/repositories/{owner}/{name}/breaks/{number}", response={200: break_shapes.BreakDetailShape, **ERRORS})
def one_break(request: HttpRequest, owner: str, name: str, number: int) -> Any:
    """A break by its number, with its signals and the evidence of each."""
    found = places.the_repository(owner, name)
    rows = Break.objects.filter(repository=found, number=number) if 0 < number < 2**31 else Break.objects.none()
    one = rows.select_related("suspect", "culprit", "owner", "merged_into").first()
    if one is None:
        raise Http404(f"{found} has no break {number}.")
    members = list(BreakSignal.objects.filter(broken=one).select_related("configuration").order_by("joined_at", "pk"))
    judged = {
        (row.configuration_id, row.test): row
        for row in Signal.objects.filter(configuration__in={member.configuration_id for member in members})
    }
    return _break(found, one) | {
        "configurations": len({member.configuration_id for member in members}),
        "note": one.note,
        "signals": [_signal(member, judged.get((member.configuration_id, member.test))) for member in members],
    }


def _break(repository: Repository, one: Break) -> dict[str, Any]:
    return {
        "number": one.number,
        "title": one.title,
        "state": one.state,
        "decision": one.decision,
        "code": one.code,
        "suspect": _commit(one.suspect),
        "suspects": attention.suspects(one.suspect_at, one.range_from) if one.suspect_id else 0,
        "culprit_known": one.culprit_id is not None,
        "failure_line": one.failure_line,
        "owner": one.owner.get_username() if one.owner is not None else None,
        "issue_url": one.issue_url,
        "merged_into": one.merged_into.number if one.merged_into is not None else None,
        "revert_url": one.revert_url,
        "classification": one.classification,
        "broke_at": one.broke_at,
        "noticed_at": one.noticed_at,
        "acknowledged_at": one.acknowledged_at,
        "culprit_at": one.culprit_at,
        "reverted_at": one.reverted_at,
        "green_at": one.green_at,
        "closed_at": one.closed_at,
        "url": f"{places.repository_path(repository.owner, repository.name)}/break/{one.number}",
    }


def _commit(commit: Commit | None) -> dict[str, Any] | None:
    if commit is None:
        return None
    return {
        "sha": commit.sha, "title": commit.title, "author_login": commit.author_login,
        "author_name": commit.author_name, "committed_at": commit.committed_at, "pr_number": commit.pr_number,
    }  # fmt: skip


def _signal(member: BreakSignal, judged: Signal | None) -> dict[str, Any]:
    """As it is now if it still belongs to the break; else only that it did."""
    now = judged if member.left_at is None else None
    evidence = now.evidence if now is not None else {}
    return {
        "slot": member.configuration.slot,
        "name": member.configuration.full_name,
        "test": member.test,
        "joined_at": member.joined_at,
        "left_at": member.left_at,
        "green": member.green,
        "decision": now.decision if now is not None else "",
        "code": now.code if now is not None else "",
        "words": str(evidence.get("words", "")),
        "failing": evidence.get("failing", []),
        "gap": evidence.get("gap", []),
        "green_side": evidence.get("green", []),
        "missing": evidence.get("missing", []),
    }
