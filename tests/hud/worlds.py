"""Small worlds for tests, stored by the real road: payloads in, `hud.ingest.store`, tables out.

    repository = worlds.repository()
    worlds.trunk(repository, 3)
    worlds.store(repository, worlds.job(1, "linux / build", "failure", of=0))

Commits are named by number: `sha(n)` is the n-th commit's, `of=n` puts a job on it. Higher numbers are newer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hud import ingest
from hud.models import Repository
from project.github.payloads import (
    BranchPayload,
    CheckRunPayload,
    CommitPayload,
    Conclusion,
    JobPayload,
    Rejected,
    RepositoryPayload,
    Status,
    StatusPayload,
    WorkflowRunPayload,
)

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)

_FIELDS = {
    BranchPayload: "branches",
    CommitPayload: "commits",
    WorkflowRunPayload: "workflow_runs",
    JobPayload: "jobs",
    CheckRunPayload: "check_runs",
    StatusPayload: "statuses",
    Rejected: "rejected",
}


def minutes(n: float) -> datetime:
    """The moment `n` minutes after the beginning of this world."""
    return T0 + timedelta(minutes=n)


def sha(n: int) -> str:
    """The n-th commit's. They share no beginning, so that shortened ones name one commit only."""
    return hashlib.sha1(str(n).encode()).hexdigest()


def repository(full_name: str = "grove/orchard", *, trunk: str = "main", **fields: object) -> Repository:
    """A watched repository, with nothing read of it yet."""
    owner, name = full_name.split("/")
    found, _ = ingest.add_repository(owner, name, trunk=trunk)
    for field, value in fields.items():
        setattr(found, field, value)
    found.save()
    return found


def commit(n: int, title: str | None = None, *, author: str = "ash", body: str = "", parent: int | None = None):
    """A commit on top of the one before it. `parent` makes it branch off."""
    before = n - 1 if parent is None else parent
    message = (f"Change {n} (#{100 + n})" if title is None else title) + (f"\n\n{body}" if body else "")
    parents = (sha(before),) if before >= 0 else ()
    return CommitPayload(sha(n), parents, message, author, author.title(), minutes(n), minutes(n), "")


def branch(head: int, name: str = "main") -> BranchPayload:
    """A branch that points at the n-th commit."""
    return BranchPayload(name, sha(head), False)


def workflow_run(
    id: int,
    conclusion: str = "success",
    *,
    of: int = 0,
    attempt: int = 1,
    name: str = "pull",
    event: str = "push",
    at: float = 30,
):
    """A workflow run; `conclusion` may also be a status such as "in_progress"."""
    status, ended = outcome(conclusion)
    return WorkflowRunPayload(
        id, name, ".github/workflows/pull.yml", event, sha(of), "main", 1, attempt, status, ended, minutes(of),
        minutes(of + at), minutes(of), 9, "ash", "",
    )  # fmt: skip


def job(
    id: int, name: str = "linux / build", conclusion: str = "success", *, of: int = 0, run: int = 1, attempt: int = 1,
    workflow: str | None = "pull", start: float | None = 1, end: float | None = 10, runner: str = "runner-1",
):  # fmt: skip
    """A job on the n-th commit; `conclusion` may also be a status. Times are minutes after the commit."""
    status, ended = outcome(conclusion)
    started = None if start is None or status < Status.IN_PROGRESS else minutes(of + start)
    completed = minutes(of + end) if end is not None and status == Status.COMPLETED else None
    return JobPayload(
        id,
        run,
        attempt,
        workflow,
        name,
        sha(of),
        "main",
        status,
        ended,
        minutes(of),
        started,
        completed,
        runner,
        (),
        "",
    )


def check_run(
    id: int, name: str = "coverage", conclusion: str = "success", *, of: int = 0, app: str = "Meter", url: str = ""
):
    """A check run of another app."""
    status, ended = outcome(conclusion)
    completed = minutes(of + 9) if status == Status.COMPLETED else None
    return CheckRunPayload(id, name, app.lower(), app, sha(of), status, ended, minutes(of + 6), completed, url, 8)


def status(id: int, state: str = "success", *, of: int = 0, context: str = "ci/legacy", url: str = ""):
    """A commit status."""
    known = {"pending": "in_progress", "error": "failure"}
    reached, ended = outcome(known.get(state, state))
    return StatusPayload(id, context, state, reached, ended, sha(of), url, minutes(of + 6), minutes(of + 8))


def rejected(reason: str = "job 7: name is missing", payload: str = '{"id": 7}', kind: str = "job") -> Rejected:
    """Something GitHub sent that could not be stored."""
    return Rejected(kind, reason, payload)


def repository_said(repository: Repository, github_id: int = 77, url: str = "https://github.com/grove/orchard"):
    """What GitHub says about the repository itself."""
    return RepositoryPayload(github_id, repository.owner, repository.name, "main", url, False, False)


def outcome(words: str) -> tuple[Status, Conclusion]:
    """Status and conclusion from either's name."""
    if words.upper() in Status.__members__ and words != "unknown":
        return Status[words.upper()], Conclusion.NONE
    return Status.COMPLETED, Conclusion[words.upper()]


def batch(events: Iterable[object], asked_at: datetime = T0, **more: object) -> ingest.Batch:
    """The events as one batch."""
    content: dict[str, object] = {}
    for event in events:
        if isinstance(event, RepositoryPayload):
            content["repository"] = event
        else:
            content.setdefault(_FIELDS[type(event)], []).append(event)  # type: ignore[attr-defined]
    return ingest.Batch(asked_at=asked_at, **content, **more)  # type: ignore[arg-type]


def store(repository: Repository, *events: object, at: datetime = T0, all_branches: bool = False) -> ingest.Stored:
    """Store the events as one batch asked for at `at`; the instance is brought up to date."""
    stored = ingest.store(repository.pk, batch(events, at, all_branches=all_branches))
    repository.refresh_from_db()
    return stored


def trunk(repository: Repository, commits: int, name: str = "main") -> None:
    """Give the repository's trunk that many commits, numbered from 0."""
    store(repository, *(commit(n) for n in range(commits)), branch(commits - 1, name))


def fill(repository: Repository, *, commits: int = 50, jobs: int = 1000, shards: int = 1) -> None:
    """A big trunk: that many jobs on each commit, most passed, one in fifty failed, some run twice."""
    trunk(repository, commits)
    conclusions = ["success"] * 46 + ["failure", "skipped", "in_progress", "queued"]

    def name(n: int) -> str:
        return f"linux-{n // shards} / test (default, {n % shards + 1}, {shards}, linux.2xlarge)"

    for of in range(commits):
        events = [
            job(
                of * jobs * 10 + n, name(n),
                conclusions[(n * 7 + of) % 50], of=of, run=of * 100 + n % 40 + 1, workflow=f"workflow-{n % 40}",
            )
            for n in range(jobs)
        ]  # fmt: skip
        again = [
            job(
                of * jobs * 10 + jobs + n, name(n),
                "success", of=of, run=of * 100 + n % 40 + 1, attempt=2, workflow=f"workflow-{n % 40}", start=20, end=30,
            )
            for n in range(0, jobs, 20)
        ]  # fmt: skip
        store(repository, *events, *again)
