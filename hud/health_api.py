"""`/api/v1`: the last good commit, and the numbers behind the plots."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema

from hud import api_shapes as shapes
from hud import last_good_page, last_good_push, metrics, places

router = Router()
ERRORS = {400: shapes.Problem, 404: shapes.Problem}


class BlockShape(Schema):
    """A required configuration that keeps newer commits from being good."""

    configuration: int = Field(description="Its slot.")
    name: str
    kind: str = Field(description="`failed`, or `missing`: it usually runs, but has no result.")
    still: bool = Field(description="Whether its newest result is no pass; else it has passed since.")
    commits: int = Field(description="How many of the newer commits it blocks.")
    first_bad_sha: str = Field(description="The oldest commit of its newest stretch without a pass.")
    first_bad_at: datetime | None = Field(description="When that landed.")
    break_number: int | None = Field(description="The open break that it is part of.")
    suspect_sha: str = Field(description="Empty where nobody is suspected.")
    suspect_author: str
    confirmed: bool = Field(description="Whether the suspect is the culprit for certain.")


class PushShape(Schema):
    """How the branch that follows the last good commit stands."""

    branch: str
    sha: str
    state: str = Field(description="`queued`, `sending`, `done`, `failed` or `cancelled`; empty before the first push.")
    problem: str


class LastGoodShape(Schema):
    """The newest commit of trunk on which everything required passed."""

    sha: str = Field(description="Empty if there is none, or nothing has been judged yet.")
    committed_at: datetime | None
    good_since: datetime | None = Field(description="When Arborist first found it good.")
    behind: int = Field(description="How many commits of trunk are newer; without a good one: how many were looked at.")
    running: int = Field(description="How many of those may still turn out good.")
    blocking: int = Field(description="How many required configurations block newer commits at present.")
    stuck_since: datetime | None = Field(description="When the oldest newer commit that can't be good landed.")
    blocked_by: list[BlockShape] = Field(description="At most 50; those that still block first.")
    push: PushShape | None = Field(description="Null if no branch is to follow.")


@router.get(
    "/repositories/{owner}/{name}/last-good",
    response={200: LastGoodShape, **ERRORS},
    tags=["last good"],
    summary="Last good",
)
def last_good(request: HttpRequest, owner: str, name: str) -> Any:
    """The last good commit of trunk; what blocks newer ones, since when and by whom."""
    found = places.the_repository(owner, name)
    row = last_good_page.stored(found.pk)
    push = last_good_push.how(found, row)
    return {
        "sha": row.sha if row else "",
        "committed_at": row.committed_at if row else None,
        "good_since": row.good_since if row else None,
        "behind": row.behind if row else 0,
        "running": row.running if row else 0,
        "blocking": row.blocking if row else 0,
        "stuck_since": row.stuck_since if row else None,
        "blocked_by": [
            {
                "configuration": one.block.slot, "name": one.block.name, "kind": one.block.kind,
                "still": one.block.still, "commits": one.block.commits, "first_bad_sha": one.block.first_sha,
                "first_bad_at": one.first_at, "break_number": one.by.number, "suspect_sha": one.by.sha,
                "suspect_author": one.by.author, "confirmed": one.by.confirmed,
            }
            for one in last_good_page.explained(found, row)
        ],
        "push": push,
    }  # fmt: skip


class NumberShape(Schema):
    """One number of one day."""

    day: date
    metric: str
    label: str = Field(description="What it is told apart by: a classification, a group, a configuration's slot.")
    value: float | None = Field(description="A count, or a median in seconds.")
    p90: float | None = Field(description="The 90th percentile, of durations.")
    n: int = Field(description="How many things it was made of.")
    made_of: str = Field(
        description="The newest commit of that day; of breaks, the only one's number, or first and last day they were"
        " noticed on."
    )


class MetricsShape(Schema):
    """Daily numbers, by metric, label and day."""

    days: int
    first_day: date
    last_day: date = Field(description="Today in UTC; its numbers still grow.")
    numbers: list[NumberShape]


@router.get("/repositories/{owner}/{name}/metrics", response={200: MetricsShape, **ERRORS}, tags=["metrics"])
def numbers(
    request: HttpRequest,
    owner: str,
    name: str,
    days: Annotated[int, Query(ge=1, le=metrics.MOST_DAYS, description="How many, today included.")] = 30,
    metric: Annotated[
        str,
        Query(max_length=40, description="Only this one. Never flaky configurations come with `flaky` only."),
    ] = "",
    format: Annotated[str, Query(pattern="^(json|csv)$", description="`json` or `csv`.")] = "json",
) -> Any:
    """The numbers behind the plots, a day and label each: red commits, time to signal and to revert, reverts by
    classification, flaky configurations, queue times."""
    found = places.the_repository(owner, name)
    shown = metrics.read(found.pk, days, metric=metric.replace("\0", ""))
    if format == "csv":
        return HttpResponse(metrics.as_csv(shown), content_type="text/csv; charset=utf-8")
    return {
        "days": days,
        "first_day": shown.first,
        "last_day": shown.last,
        "numbers": [row._asdict() for row in shown.rows],
    }
