"""GitHub's JSON, turned into frozen dataclasses before anything else of ours sees it.

The contract of every ``parse_*`` function:

- A value that GitHub may add tomorrow (a new status, a new conclusion) becomes ``UNKNOWN``.
- A missing optional field takes its default: ``""`` for text, ``None`` for dates and ids, ``()`` for lists.
- A missing or unusable *required* field raises `PayloadError`, which names the field. Nothing else is ever
  raised, whatever JSON comes in.
- Text is safe to store in PostgreSQL (no NUL, no lone surrogates) and bounded in length; an ellipsis marks a
  cut. It is still *text*: right-to-left marks and HTML stay as they came, and escaping is the template's
  business.
- Links are kept only if they are ``http:`` or ``https:``, so that a page may use them as they are.
- Dates are aware and in UTC, between the years 2000 and 2100. Ids fit PostgreSQL's BIGINT.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from .fields import (
    LOGIN_LENGTH,
    MESSAGE_LENGTH,
    NAME_LENGTH,
    PayloadError,
    as_dict,
    as_object,
    clean,
    inside,
    optional_id,
    read_date,
    read_exact_name,
    read_id,
    read_name,
    read_sha,
    read_slug,
    read_text,
    read_url,
    refuse,
    refuse_date,
    required_date,
)
from .outcomes import Conclusion, Status, outcome_of, outcome_of_state

__all__ = [
    "BranchPayload",
    "CheckRunPayload",
    "CheckSuitePayload",
    "CommitPayload",
    "Conclusion",
    "JobPayload",
    "PayloadError",
    "Rejected",
    "RepositoryPayload",
    "Status",
    "StatusPayload",
    "WorkflowRunPayload",
    "parse_branch",
    "parse_check_run",
    "parse_check_suite",
    "parse_commit",
    "parse_job",
    "parse_many",
    "parse_repository",
    "parse_status",
    "parse_workflow_run",
    "reject",
]

T = TypeVar("T")

REJECTED_LENGTH: Final = 10_000
LABELS_KEPT: Final = 50
# GitHub stops re-runs at a few dozen attempts; the bound is that of PostgreSQL's SMALLINT.
ATTEMPT_MAX: Final = 2**15 - 1

# Some answers append the ref to a workflow's path: ".github/workflows/pull.yml@refs/heads/main".
_PATH_REF = re.compile(r"(\.ya?ml)@.*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A payload set aside, with the reason in words and its text (cut) for a person to look at.

    ``waits_for`` is for the code that stores payloads: the id of the object that must arrive first, if that
    is all that is wrong. Parsing never sets it.
    """

    kind: str
    reason: str
    payload_text: str
    waits_for: int | None = None


@dataclass(frozen=True, slots=True)
class RepositoryPayload:
    """A repository. ``id`` survives renames and transfers; ``owner`` and ``name`` do not."""

    id: int
    owner: str
    name: str
    default_branch: str
    html_url: str
    private: bool
    archived: bool


@dataclass(frozen=True, slots=True)
class BranchPayload:
    """A branch and the commit that it points at now."""

    name: str
    head_sha: str
    protected: bool


@dataclass(frozen=True, slots=True)
class CommitPayload:
    """A commit. ``author_login`` is empty if GitHub knows no account; the dates come from people's clocks."""

    sha: str
    parents: tuple[str, ...]
    message: str
    author_login: str
    author_name: str
    authored_at: datetime
    committed_at: datetime
    html_url: str


@dataclass(frozen=True, slots=True)
class WorkflowRunPayload:
    """One attempt of a workflow run; ``id`` and ``created_at`` stay the same when it is run again."""

    id: int
    workflow: str
    path: str
    event: str
    head_sha: str
    head_branch: str
    run_number: int
    attempt: int
    status: Status
    conclusion: Conclusion
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    check_suite_id: int | None
    actor: str
    html_url: str


@dataclass(frozen=True, slots=True)
class JobPayload:
    """A job of one attempt of a workflow run. ``workflow`` is None where the server does not say it."""

    id: int
    run_id: int
    attempt: int
    workflow: str | None
    name: str
    head_sha: str
    head_branch: str
    status: Status
    conclusion: Conclusion
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    runner: str
    labels: tuple[str, ...]
    html_url: str


@dataclass(frozen=True, slots=True)
class CheckSuitePayload:
    """All check runs of one app on one commit."""

    id: int
    app_slug: str
    head_sha: str
    status: Status
    conclusion: Conclusion
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class CheckRunPayload:
    """A check run of any app. ``url`` is the app's own page if it named one, else GitHub's."""

    id: int
    name: str
    app_slug: str
    app_name: str
    head_sha: str
    status: Status
    conclusion: Conclusion
    started_at: datetime | None
    completed_at: datetime | None
    url: str
    check_suite_id: int | None


@dataclass(frozen=True, slots=True)
class StatusPayload:
    """A commit status: ``state`` as GitHub says it, and the same mapped to a status and a conclusion."""

    id: int
    context: str
    state: str
    status: Status
    conclusion: Conclusion
    sha: str
    target_url: str
    created_at: datetime
    updated_at: datetime


def parse_repository(data: object) -> RepositoryPayload:
    """A repository from ``GET /repos/{owner}/{repo}``."""
    kind = "repository"
    it = as_object(data, kind)
    return RepositoryPayload(
        id=read_id(it, "id", kind),
        owner=read_slug(inside(it, "owner").get("login"), "owner.login", kind),
        name=read_slug(it.get("name"), "name", kind),
        default_branch=read_exact_name(it, "default_branch", kind),
        html_url=read_url(it.get("html_url")),
        private=it.get("private") is True,
        archived=it.get("archived") is True,
    )


def parse_branch(data: object) -> BranchPayload:
    """A branch from the list of branches or from ``GET …/branches/{branch}``."""
    kind = "branch"
    it = as_object(data, kind)
    return BranchPayload(
        name=read_exact_name(it, "name", kind),
        head_sha=read_sha(inside(it, "commit").get("sha"), "commit.sha", kind),
        protected=it.get("protected") is True,
    )


def parse_commit(data: object) -> CommitPayload:
    """A commit from the list of commits.

    Its dates come from people's clocks, so an absurd one takes the other's place rather than losing the
    commit: a hole in the trunk would be worse than a date that is off. Only without any usable date is it
    refused.
    """
    kind = "commit"
    it = as_object(data, kind)
    git = inside(it, "commit")
    author, committer = inside(git, "author"), inside(git, "committer")
    authored_at, committed_at = read_date(author.get("date")), read_date(committer.get("date"))
    if authored_at is None and committed_at is None:
        refuse_date(committer.get("date"), "commit.committer.date", kind)
    parents = it.get("parents")
    return CommitPayload(
        sha=read_sha(it.get("sha"), "sha", kind),
        parents=tuple(
            read_sha(as_dict(parent).get("sha"), f"parents[{index}].sha", kind)
            for index, parent in enumerate(parents if isinstance(parents, list) else ())
        ),
        message=read_text(git.get("message"), MESSAGE_LENGTH),
        author_login=read_text(inside(it, "author").get("login"), LOGIN_LENGTH),
        author_name=read_text(author.get("name"), NAME_LENGTH),
        authored_at=authored_at or committed_at,  # type: ignore[arg-type]  # one of them is there, see above
        committed_at=committed_at or authored_at,  # type: ignore[arg-type]
        html_url=read_url(it.get("html_url")),
    )


def parse_workflow_run(data: object) -> WorkflowRunPayload:
    """A workflow run in its newest attempt (or in the attempt that was asked for)."""
    kind = "workflow run"
    it = as_object(data, kind)
    status, conclusion = outcome_of(it)
    path = _PATH_REF.sub(r"\1", read_text(it.get("path"), NAME_LENGTH))
    created_at = required_date(it, "created_at", kind)
    return WorkflowRunPayload(
        id=read_id(it, "id", kind),
        # The name is null until the workflow file is understood; its path is what a person knows it by.
        workflow=read_text(it.get("name"), NAME_LENGTH) or path,
        path=path,
        event=read_text(it.get("event"), LOGIN_LENGTH),
        head_sha=read_sha(it.get("head_sha"), "head_sha", kind),
        head_branch=read_text(it.get("head_branch"), NAME_LENGTH),
        run_number=optional_id(it.get("run_number")) or 0,
        attempt=_attempt(it, kind),
        status=status,
        conclusion=conclusion,
        created_at=created_at,
        updated_at=required_date(it, "updated_at", kind),
        started_at=read_date(it.get("run_started_at")),
        check_suite_id=optional_id(it.get("check_suite_id")),
        actor=read_text(inside(it, "actor").get("login"), LOGIN_LENGTH),
        html_url=read_url(it.get("html_url")),
    )


def parse_job(data: object) -> JobPayload:
    """A job of a workflow run, from the API or a ``workflow_job`` event. The hot one: some microseconds."""
    kind = "job"
    it = data if type(data) is dict else as_object(data, kind)
    get = it.get
    status, conclusion = outcome_of(it)
    workflow = get("workflow_name")
    runner = get("runner_name")
    branch = get("head_branch")
    labels = get("labels")
    # Servers from before the field existed do not send it; then the start is the nearest thing.
    created = get("created_at")
    return JobPayload(
        read_id(it, "id", kind),
        read_id(it, "run_id", kind),
        _attempt(it, kind),
        None if workflow is None else read_text(workflow, NAME_LENGTH) or None,
        read_name(it, "name", kind),
        read_sha(get("head_sha"), "head_sha", kind),
        "" if branch is None else read_text(branch, NAME_LENGTH),
        status,
        conclusion,
        required_date(it, "started_at" if created is None else "created_at", kind),
        read_date(get("started_at")),
        read_date(get("completed_at")),
        "" if runner is None else read_text(runner, NAME_LENGTH),
        _labels(labels) if labels else (),
        read_url(get("html_url")),
    )


def parse_check_suite(data: object) -> CheckSuitePayload:
    """A check suite."""
    kind = "check suite"
    it = as_object(data, kind)
    status, conclusion = outcome_of(it)
    return CheckSuitePayload(
        id=read_id(it, "id", kind),
        app_slug=read_text(inside(it, "app").get("slug"), LOGIN_LENGTH),
        head_sha=read_sha(it.get("head_sha"), "head_sha", kind),
        status=status,
        conclusion=conclusion,
        updated_at=read_date(it.get("updated_at")),
    )


def parse_check_run(data: object) -> CheckRunPayload:
    """A check run."""
    kind = "check run"
    it = as_object(data, kind)
    status, conclusion = outcome_of(it)
    app = inside(it, "app")
    return CheckRunPayload(
        id=read_id(it, "id", kind),
        name=read_name(it, "name", kind),
        app_slug=read_text(app.get("slug"), LOGIN_LENGTH),
        app_name=read_text(app.get("name"), NAME_LENGTH),
        head_sha=read_sha(it.get("head_sha"), "head_sha", kind),
        status=status,
        conclusion=conclusion,
        started_at=read_date(it.get("started_at")),
        completed_at=read_date(it.get("completed_at")),
        url=read_url(it.get("details_url")) or read_url(it.get("html_url")),
        check_suite_id=optional_id(inside(it, "check_suite").get("id")),
    )


def parse_status(data: object, sha: str) -> StatusPayload:
    """A commit status of the commit ``sha``: the list does not repeat the sha in its items."""
    kind = "status"
    it = as_object(data, kind)
    state = read_text(it.get("state"), LOGIN_LENGTH)
    status, conclusion = outcome_of_state(state)
    created_at = required_date(it, "created_at", kind)
    return StatusPayload(
        id=read_id(it, "id", kind),
        context=read_text(it.get("context"), NAME_LENGTH) or "default",
        state=state,
        status=status,
        conclusion=conclusion,
        sha=read_sha(sha, "sha", kind),
        target_url=read_url(it.get("target_url")),
        created_at=created_at,
        updated_at=read_date(it.get("updated_at")) or created_at,
    )


def parse_many(parse: Callable[[object], T], items: Iterable[object], kind: str) -> tuple[list[T], list[Rejected]]:
    """Parse every item. Those that cannot be used are set aside with a reason and cost the others nothing."""
    parsed: list[T] = []
    rejected: list[Rejected] = []
    for item in items:
        try:
            parsed.append(parse(item))
        except PayloadError as error:
            rejected.append(reject(kind, item, error))
    return parsed, rejected


def reject(kind: str, item: object, error: PayloadError) -> Rejected:
    """The record of a payload that cannot be used, naming it by its id or sha if it has one."""
    known = as_dict(item)
    name = optional_id(known.get("id")) or read_text(known.get("sha"), LOGIN_LENGTH)
    called = f"{kind} {name}" if name else kind
    reason = f"{called}: {error.where} {error.what}" if error.where else f"{called} {error.what}"
    return Rejected(kind, clean(reason, NAME_LENGTH), _json_text(item))


def _attempt(data: dict[str, Any], kind: str) -> int:
    """1 if unsaid. An absurd one is refused: guessing 1 would overwrite the first attempt."""
    value = data.get("run_attempt")
    if type(value) is int and 0 < value <= ATTEMPT_MAX:
        return value
    return 1 if value is None else refuse(value, "run_attempt", kind, f"a number from 1 to {ATTEMPT_MAX}")


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    if len(value) > LABELS_KEPT:
        value = value[:LABELS_KEPT]
    return tuple([text for item in value if (text := read_text(item, NAME_LENGTH))])


def _json_text(item: object) -> str:
    try:
        text = json.dumps(item, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = "(cannot be written down)"
    return clean(text, REJECTED_LENGTH)
