"""What `/api/v1` answers, as schemas: the OpenAPI document is made of these."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from hud.cells import Outcome

LETTERS = ".SCNPQOWFRTX"
"""One letter for each `Outcome`, in its order, for the packed rows of a grid. Part of the API: never to be changed."""

_LEGEND = "; ".join(f"`{letter}` {outcome.words}" for letter, outcome in zip(LETTERS, Outcome, strict=True))
_NAMES = ", ".join(f"`{outcome.name.lower()}`" for outcome in Outcome)


class Problem(Schema):
    """Why a request could not be answered."""

    detail: str = Field(description="In words: what is wrong, and where.")


class RepositoryShape(Schema):
    """A watched repository."""

    owner: str
    name: str
    html_url: str = Field(description="Its page on GitHub.")
    trunk: str = Field(description="The branch that is kept green; empty until GitHub has said its default branch.")
    active: bool = Field(description="False: kept and shown, but no longer polled.")
    version: int = Field(description="Rises whenever a square, a commit or a branch changes.")


class BranchShape(Schema):
    """A branch as GitHub last listed it."""

    name: str
    head_sha: str
    watched: bool = Field(description="Whether its commits are kept in order, so that it has a grid.")
    forced_at: datetime | None = Field(description="When a force-push last removed commits from it.")
    deleted_at: datetime | None = Field(description="When GitHub stopped listing it.")


class Page(Schema):
    """Where in a list an answer stands."""

    page: int = Field(description="Counts from 1.")
    per_page: int
    more: bool = Field(description="Whether there is a next page.")


class BranchesShape(Page):
    """A page of branches: watched ones first, then by name."""

    branches: list[BranchShape]


class ConfigurationShape(Schema):
    """A column of the grid: a workflow plus a job name without shard and machine."""

    slot: int = Field(description="Its number within the repository; never changes.")
    name: str = Field(description="`workflow / job`, as filters see it.")
    group: str = Field(description="The group that it is folded into.")
    unstable: bool = Field(description="Whether its name says that its failures are tolerated.")


class ConfigurationsShape(Schema):
    """The configurations of a repository, in the order of the grid's columns."""

    configurations: list[ConfigurationShape]


class CommitShape(Schema):
    """A commit."""

    sha: str
    title: str
    author_login: str = Field(description="Empty if GitHub knows no account of the author's.")
    author_name: str
    committed_at: datetime | None = Field(description="Null while only the sha is known.")
    pr_number: int | None


class RowShape(CommitShape):
    """A commit with its squares."""

    outcomes: str = Field(description=f"One letter for each of `configurations`, in their order: {_LEGEND}.")


class GridShape(Page):
    """A page of the grid: commits, newest first, by configurations."""

    version: int = Field(description="The repository's version that this page shows.")
    configurations: list[ConfigurationShape]
    commits: list[RowShape]


class SquareShape(Schema):
    """All runs of one configuration on one commit, merged."""

    slot: int
    name: str
    group: str
    outcome: str = Field(description=f"One of {_NAMES}.")


class CommitDetailShape(CommitShape):
    """A commit with the outcome of every configuration, also of those that did not run on it."""

    html_url: str
    message: str
    parent_sha: str = Field(description="First parent; empty for the first commit, or while it is not known.")
    squares: list[SquareShape] = Field(description="In the order of the grid's columns.")


class RunShape(Schema):
    """One attempt of one configuration on a commit, or one shard of it."""

    id: int = Field(description="GitHub's number of the job, check run or status, whichever `kind` says.")
    kind: str = Field(description="`job`, `check_run`, `status`, or `workflow_run` for one that could not be started.")
    configuration: int = Field(description="The configuration's slot.")
    name: str = Field(description="`workflow / job` exactly as GitHub gave it, shard and machine included.")
    attempt: int
    workflow_run_id: int | None
    status: str = Field(description="GitHub's word.")
    conclusion: str = Field(description="GitHub's word; empty until completed.")
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    runner: str = Field(description="The machine; empty where GitHub does not say it.")
    html_url: str


class RunsShape(Page):
    """A page of runs, by configuration, then oldest first."""

    sha: str
    runs: list[RunShape]


class BudgetShape(Schema):
    """How many requests GitHub still answers this hour. Nulls until its first answer."""

    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    blocked_until: datetime | None
    reason: str = Field(description="Why no request is made at present; empty if they are.")


class WorkerShape(Schema):
    """Whether background work goes on."""

    ok: bool
    says: str


class PollShape(Schema):
    """How the polling of one kind is going for one repository."""

    kind: str
    started_at: datetime | None
    succeeded_at: datetime | None
    age_seconds: int | None = Field(description="Since the last success; null if there was none.")
    due_at: datetime | None
    failures: int = Field(description="In a row.")
    problem: str = Field(description="In words; empty when all is well.")
    behind: str = Field(description="What is still to be read, in words.")
    done: int
    total: int


class RepositoryStatusShape(Schema):
    """One repository's polling."""

    owner: str
    name: str
    active: bool
    state: str = Field(description="`live`, `late` (over 2 min), `stalled` (over 10 min) or `unread`.")
    checked_at: datetime | None = Field(description="Nothing shown of it is older than this.")
    polls: list[PollShape]
    branches: list[BranchShape] = Field(description="Those that are watched.")
    waiting_jobs: int = Field(description="Jobs that are kept until their workflow run has been read.")
    set_aside: int = Field(description="Payloads that could not be stored.")


class SetAsideShape(Schema):
    """Something GitHub sent that could not be stored."""

    repository: str
    kind: str
    reason: str
    times: int
    first_seen: datetime
    last_seen: datetime


class StatusShape(Schema):
    """How reading from GitHub is going."""

    now: datetime
    worker: WorkerShape
    budget: BudgetShape | None = Field(description="Null if it could not be asked for.")
    repositories: list[RepositoryStatusShape]
    set_aside: list[SetAsideShape] = Field(description="The newest 25.")
