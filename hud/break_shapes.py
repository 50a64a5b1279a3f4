"""What `/api/v1` answers about breaks, as schemas."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from hud.api_shapes import CommitShape


class BreakShape(Schema):
    """Signals that turned red together."""

    number: int = Field(description="Counts per repository.")
    title: str
    state: str = Field(description="`open`, `acknowledged`, `reverting`, `fixed` or `not_a_break`.")
    decision: str = Field(description="Of its surest signal: `none`, `restart`, `wait` or `revert`.")
    code: str = Field(description="Why that is the decision.")
    suspect: CommitShape | None
    suspects: int = Field(description="How many commits can't be told apart yet; 1: only the suspect.")
    culprit_known: bool
    configurations: int = Field(description="How many it has turned red.")
    failure_line: str
    owner: str | None
    issue_url: str
    merged_into: int | None = Field(description="The number of the break that it is part of now.")
    revert_url: str
    classification: str
    broke_at: datetime
    noticed_at: datetime
    acknowledged_at: datetime | None
    culprit_at: datetime | None
    reverted_at: datetime | None
    green_at: datetime | None
    closed_at: datetime | None
    url: str = Field(description="Its page on this site.")


class BreaksShape(Schema):
    """A page of breaks. It is found by key: a break that opens or closes shifts nobody's page."""

    after: str = Field(description="Send it as `after` for the next page; empty if this is the last.")
    breaks: list[BreakShape]


class LackShape(Schema):
    """Evidence that is missing."""

    code: str = ""
    what: str = ""
    settled_by: str = ""
    restart: list[str] = []


class BreakSignalShape(Schema):
    """A signal's part in a break. Verdict and evidence are empty once it has left."""

    slot: int = Field(description="The configuration's.")
    name: str
    test: str = Field(description="Empty: the job as a whole.")
    joined_at: datetime
    left_at: datetime | None
    green: bool = Field(description="It left because it passed.")
    decision: str
    code: str
    words: str
    failing: list[str] = Field(description="Shas, newest first.")
    gap: list[str]
    green_side: list[str]
    missing: list[LackShape]


class BreakDetailShape(BreakShape):
    """A break with its signals."""

    note: str
    signals: list[BreakSignalShape]
