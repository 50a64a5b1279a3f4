"""Everything that GitHub says enters the tables here, and nowhere else.

`store` takes a batch of payloads in one transaction. Batches may come in any order, repeated, split or merged in any
way: the tables end up the same. What makes that so is that nothing is decided by arrival:

- a row is replaced only by one that is *further* by what it says itself (`_FURTHER`): attempt, status, times;
- a run may name a commit, and a job a workflow run, that is not known yet: a place is held for it;
- what follows from several rows (cells, a branch's order, groups) is not updated but derived again from all of them,
for
  just the commits and configurations that were touched, by pure functions (`hud.cells`, `hud.groups`).

Batches of one repository are serialised by a lock on its row, so that derived state is never made from half of two.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Max

from hud import derive, last_good, live, names, signals
from hud.cells import RunKind
from hud.models import Branch, Commit, Configuration, JobName, Repository, SetAside, SyncedPage, WaitingJob, WorkflowRun
from project.github.client import Validator
from project.github.payloads import (
    BranchPayload,
    CheckRunPayload,
    CommitPayload,
    Conclusion,
    JobPayload,
    Rejected,
    RepositoryPayload,
    StatusPayload,
    WorkflowRunPayload,
)

# Actions reports its jobs as check runs too.
ACTIONS_APP = "github-actions"
# Runs that these events start carry the sha at trunk's head, but tell about something else: they are not evidence.
FOREIGN_EVENTS = ("workflow_run", "repository_dispatch")
PAYLOAD_LIMIT = 10_000
_JOB = int(RunKind.JOB)

_PULL_NUMBER = re.compile(r"\(#(\d{1,9})\)\s*$|^Merge pull request #(\d{1,9}) ")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one answer of GitHub brought. `asked_at` is when it was asked: a newer answer about a branch wins.

    `all_branches`: the branches are the complete list, so what is missing from it no longer exists.
    `gone_branches`: GitHub was asked for these by name and did not find them.
    `validators` are stored with the content, so that an unchanged page is recognised only if its content was kept.
    `jobs_complete`: (workflow run id, attempt) whose jobs are all in this batch and final.
    """

    asked_at: datetime
    repository: RepositoryPayload | None = None
    branches: Sequence[BranchPayload] = ()
    all_branches: bool = False
    gone_branches: Sequence[str] = ()
    commits: Sequence[CommitPayload] = ()
    workflow_runs: Sequence[WorkflowRunPayload] = ()
    jobs: Sequence[JobPayload] = ()
    check_runs: Sequence[CheckRunPayload] = ()
    statuses: Sequence[StatusPayload] = ()
    rejected: Sequence[Rejected] = ()
    validators: Sequence[Validator] = ()
    jobs_complete: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class Stored:
    """What a batch changed. `version` is the repository's after it; unchanged if nothing that a page shows did
    change.
    """

    version: int
    runs: int
    cells: int
    commits: int


# A run on its way into the table: workflow, name and sha, for which the table has keys, then `_GIVEN_COLUMNS`. A plain
# tuple, with times in seconds, because there may be tens of thousands in a batch.
_Incoming = tuple[Any, ...]


def add_repository(owner: str, name: str, *, trunk: str = "") -> tuple[Repository, bool]:
    """The repository of that name, watched from now on, and whether it is new. Spelling of case follows the first."""
    found = Repository.objects.filter(owner__iexact=owner, name__iexact=name).first()
    if found:
        return found, False
    return Repository.objects.create(owner=owner, name=name, trunk=trunk), True


@transaction.atomic
def store(repository_id: int, batch: Batch) -> Stored:
    """Store the batch; return what changed. All of it or, on an exception, nothing."""
    repository = Repository.objects.select_for_update(no_key=True).get(pk=repository_id)
    changed = _store_repository(repository, batch.repository) if batch.repository else False
    waiting = _jobs_that_waited(repository, batch.workflow_runs)
    jobs, kept_waiting = _with_workflow([*batch.jobs, *waiting], batch.workflow_runs)
    _keep_waiting(repository, kept_waiting, batch.asked_at)
    workflow_runs = _first_attempts(repository, batch.check_runs)
    incoming = _incoming_runs(replace(batch, jobs=jobs), workflow_runs)

    shas = {c.sha for c in batch.commits} | {w.head_sha for w in batch.workflow_runs} | {run[2] for run in incoming}
    commit_ids = _commit_ids(repository, shas)
    commits = _store_commits(repository, batch.commits)
    moved = _store_branches(repository, batch)
    touched = _store_workflow_runs(repository, batch.workflow_runs, commit_ids)
    if incoming:
        touched |= _store_runs(repository, incoming, commit_ids)
    for run_id, attempt in batch.jobs_complete:
        WorkflowRun.objects.filter(pk=run_id, jobs_fetched_attempt__lt=attempt).update(jobs_fetched_attempt=attempt)
    cells = derive.cells(touched)
    reordered = derive.branch_order(repository, batch.asked_at) if commits or moved or batch.branches else False
    judged = signals.update(repository, touched, everything=reordered) if touched or reordered else False
    judged |= last_good.update(repository, at=batch.asked_at) if cells or reordered else False
    set_aside(repository.pk, batch.rejected, batch.asked_at)
    if all(check.app_slug != ACTIONS_APP or check.check_suite_id in workflow_runs for check in batch.check_runs):
        _store_validators(repository, batch.validators, batch.asked_at)

    if changed or commits or moved or cells or reordered or judged:
        repository.version += 1
        repository.save(update_fields=["version"])
        live.changed(repository.pk, repository.version)
    return Stored(repository.version, len(incoming), cells, commits)


def set_aside(repository_id: int | None, rejected: Iterable[Rejected], at: datetime) -> None:
    """Keep what could not be stored, with its reason; a repeat is counted on its first row."""
    for one in rejected:
        key = hashlib.sha256(f"{repository_id}\0{one.kind}\0{one.payload_text}".encode("utf-8", "replace")).hexdigest()
        row, created = SetAside.objects.get_or_create(
            key=key,
            defaults={
                "repository_id": repository_id,
                "kind": one.kind,
                "reason": one.reason.replace("\0", "")[:500],
                "payload": one.payload_text.replace("\0", "\ufffd")[:PAYLOAD_LIMIT],
                "first_seen": at,
                "last_seen": at,
            },
        )
        if not created:
            row.times += 1
            row.last_seen = max(row.last_seen, at)
            row.save(update_fields=["times", "last_seen"])


def _store_repository(repository: Repository, payload: RepositoryPayload) -> bool:
    """Take over GitHub's id, name (a rename keeps the id) and default branch. Returns whether anything changed."""
    before = (repository.github_id, repository.owner, repository.name, repository.html_url, repository.trunk)
    repository.github_id = payload.id
    taken = (
        Repository.objects.filter(owner__iexact=payload.owner, name__iexact=payload.name)
        .exclude(pk=repository.pk)
        .exists()
    )
    if not taken:
        repository.owner, repository.name = payload.owner, payload.name
    repository.html_url = payload.html_url
    repository.trunk = repository.trunk or payload.default_branch
    if (repository.github_id, repository.owner, repository.name, repository.html_url, repository.trunk) == before:
        return False
    repository.save()
    return True


def _commit_ids(repository: Repository, shas: set[str]) -> dict[str, int]:
    """Ids of the commits with these shas; for an unknown one a place is held."""
    wanted = sorted(shas)
    found = dict(Commit.objects.filter(repository=repository, sha__in=wanted).values_list("sha", "pk"))
    missing = [Commit(repository=repository, sha=sha) for sha in wanted if sha not in found]
    if missing:
        found |= {commit.sha: commit.pk for commit in Commit.objects.bulk_create(missing)}
    return found


_COMMIT_FIELDS = (
    "parent_sha", "title", "message", "author_login", "author_name", "authored_at", "committed_at", "pr_number"
)  # fmt: skip


def _store_commits(repository: Repository, payloads: Sequence[CommitPayload]) -> int:
    """Fill in the commits; returns how many changed. A sha never changes its content, so the fuller row wins."""
    if not payloads:
        return 0
    rows: dict[str, tuple[Any, ...]] = {}
    for payload in payloads:
        title = payload.message.split("\n", 1)[0].strip()[:500]
        number = _PULL_NUMBER.search(title)
        row = (
            payload.parents[0] if payload.parents else "",
            title,
            payload.message,
            payload.author_login,
            payload.author_name,
            payload.authored_at,
            payload.committed_at,
            int(number[1] or number[2]) if number else None,
        )
        if payload.sha not in rows or _fuller(row) > _fuller(rows[payload.sha]):
            rows[payload.sha] = row
    changed = []
    for commit in Commit.objects.filter(repository=repository, sha__in=rows):
        row = rows[commit.sha]
        if _fuller(row) > _fuller(tuple(getattr(commit, field) for field in _COMMIT_FIELDS)):
            for field, value in zip(_COMMIT_FIELDS, row, strict=True):
                setattr(commit, field, value)
            changed.append(commit)
    Commit.objects.bulk_update(changed, _COMMIT_FIELDS, batch_size=500)
    return len(changed)


def _fuller(row: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    # Absent values count as smallest, and a committed row always beats a held place.
    return tuple((value not in (None, ""), value if value not in (None, "") else 0) for value in (row[6], *row))


def _store_branches(repository: Repository, batch: Batch) -> bool:
    """Heads as of `asked_at`; the newest answer wins, whatever order answers are stored in."""
    if not batch.branches and not batch.all_branches and not batch.gone_branches:
        return False
    known = {b.name: b for b in Branch.objects.filter(repository=repository)}
    moved = False
    for payload in batch.branches:
        branch = known.get(payload.name) or Branch(repository=repository, name=payload.name)
        known[payload.name] = branch
        seen = (branch.seen_at or datetime.min.replace(tzinfo=UTC), branch.head_sha)
        if seen >= (batch.asked_at, payload.head_sha):
            continue
        moved |= branch.head_sha != payload.head_sha
        branch.seen_at, branch.head_sha = batch.asked_at, payload.head_sha
        branch.save()
    if batch.all_branches:
        listed = max(repository.branches_listed_at or batch.asked_at, batch.asked_at)
        if listed != repository.branches_listed_at:
            repository.branches_listed_at = listed
            repository.save(update_fields=["branches_listed_at"])
    watched = {repository.trunk, *repository.watched_branches}
    for branch in known.values():
        missed = [repository.branches_listed_at, branch.deleted_at]
        missed += [batch.asked_at] if branch.name in batch.gone_branches else []
        # Gone if it was missed after it was last seen; seen again later, it is back.
        gone = max((at for at in missed if at and (branch.seen_at is None or branch.seen_at < at)), default=None)
        if (gone, branch.name in watched) != (branch.deleted_at, branch.watched):
            moved = True
            branch.deleted_at, branch.watched = gone, branch.name in watched
            branch.save(update_fields=["deleted_at", "watched"])
    return moved


def _store_workflow_runs(
    repository: Repository, payloads: Sequence[WorkflowRunPayload], commit_ids: dict[str, int]
) -> set[tuple[int, int]]:
    """Upsert; returns (commit, configuration) of runs that are still pending though their workflow run is over."""
    if not payloads:
        return set()
    best: dict[int, WorkflowRunPayload] = {}
    for payload in payloads:
        if payload.id not in best or _workflow_run_rank(payload) > _workflow_run_rank(best[payload.id]):
            best[payload.id] = payload
    rows = [
        (
            p.id, repository.pk, commit_ids[p.head_sha], p.workflow, p.path, p.event, p.head_branch or "", p.run_number,
            p.attempt, int(p.status), int(p.conclusion), p.check_suite_id, p.actor, p.created_at, p.updated_at, 0,
        )
        for p in best.values()
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE incoming_workflow_run (LIKE hud_workflowrun) ON COMMIT DROP")
        with cursor.copy(f"COPY incoming_workflow_run ({_WORKFLOW_RUN_COLUMNS}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(_UPSERT_WORKFLOW_RUNS)
        over = [row[0] for row in cursor.fetchall() if row[1]]
        cursor.execute("DROP TABLE incoming_workflow_run")
        if not over:
            return set()
        cursor.execute(
            "SELECT DISTINCT r.commit_id, r.configuration_id FROM hud_workflowrun w"
            " JOIN hud_run r ON r.commit_id = w.commit_id AND r.workflow_run_id = w.id"
            " WHERE w.id = ANY(%s) AND r.status < 9",
            [over],
        )
        return set(cursor.fetchall())


def _workflow_run_rank(payload: WorkflowRunPayload) -> tuple[int, int, datetime, int]:
    return payload.attempt, int(payload.status), payload.updated_at, int(payload.conclusion)


_WORKFLOW_RUN_COLUMNS = (
    "id, repository_id, commit_id, workflow, path, event, head_branch, run_number,"
    " attempt, status, conclusion, check_suite_id, actor, created_at, updated_at,"
    " jobs_fetched_attempt"
)
_UPSERT_WORKFLOW_RUNS = f"""
    INSERT INTO hud_workflowrun ({_WORKFLOW_RUN_COLUMNS})
    SELECT {_WORKFLOW_RUN_COLUMNS} FROM incoming_workflow_run
    ON CONFLICT (id) DO UPDATE SET
        workflow = excluded.workflow, path = excluded.path, event = excluded.event, head_branch = excluded.head_branch,
        attempt = excluded.attempt, status = excluded.status, conclusion = excluded.conclusion,
        check_suite_id = excluded.check_suite_id, actor = excluded.actor, updated_at = excluded.updated_at
    WHERE (excluded.attempt, excluded.status, excluded.updated_at, excluded.conclusion)
        > (hud_workflowrun.attempt, hud_workflowrun.status, hud_workflowrun.updated_at, hud_workflowrun.conclusion)
    RETURNING id, status = 9
"""


def _with_workflow(
    jobs: Sequence[JobPayload], workflow_runs: Sequence[WorkflowRunPayload]
) -> tuple[list[JobPayload], list[JobPayload]]:
    """The jobs whose workflow is known, filled in, and those that must wait for their workflow run."""
    silent = {job.run_id for job in jobs if not job.workflow}
    if not silent:
        return list(jobs), []
    known = {w.id: w.workflow for w in workflow_runs}
    known |= dict(WorkflowRun.objects.filter(pk__in=silent).values_list("pk", "workflow"))
    ready = [
        job if job.workflow else replace(job, workflow=known[job.run_id])
        for job in jobs
        if job.workflow or known.get(job.run_id)
    ]
    return ready, [job for job in jobs if not job.workflow and not known.get(job.run_id)]


def _keep_waiting(repository: Repository, jobs: Sequence[JobPayload], at: datetime) -> None:
    rows = []
    for job in jobs:
        fields = asdict(job)
        text = json.dumps(fields, default=str, sort_keys=True)
        key = hashlib.sha256(f"{repository.pk}\0{text}".encode()).hexdigest()
        rows.append(
            WaitingJob(key=key, repository=repository, workflow_run_id=job.run_id, job=json.loads(text), seen_at=at)
        )
    if rows:
        WaitingJob.objects.bulk_create(rows, ignore_conflicts=True)


def _jobs_that_waited(repository: Repository, workflow_runs: Sequence[WorkflowRunPayload]) -> list[JobPayload]:
    ids = [w.id for w in workflow_runs]
    if not ids:
        return []
    rows = list(WaitingJob.objects.filter(repository=repository, workflow_run_id__in=ids))
    WaitingJob.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return [_job_from_json(row.job) for row in rows]


def _job_from_json(fields: dict[str, Any]) -> JobPayload:
    times = {
        name: datetime.fromisoformat(fields[name]) if fields[name] else None
        for name in ("created_at", "started_at", "completed_at")
    }
    return JobPayload(**{**fields, **times, "labels": tuple(fields["labels"])})


def _first_attempts(
    repository: Repository, checks: Sequence[CheckRunPayload]
) -> dict[int | None, tuple[int, str, bool]]:
    """By check suite: id and name of the workflow run whose jobs these check runs are, and whether they can be used.

    A check run does not tell its attempt, so those of a workflow run that was run again are left to be read as jobs.
    """
    suites = {check.check_suite_id for check in checks if check.app_slug == ACTIONS_APP}
    if not suites:
        return {}
    runs = WorkflowRun.objects.filter(repository=repository, commit__sha__in={check.head_sha for check in checks})
    found = runs.filter(check_suite_id__in=suites).values_list("check_suite_id", "pk", "workflow", "attempt", "event")
    return {
        suite: (pk, workflow, attempt == 1 and event not in FOREIGN_EVENTS)
        for suite, pk, workflow, attempt, event in found
    }


def _incoming_runs(batch: Batch, workflow_runs: dict[int | None, tuple[int, str, bool]]) -> list[_Incoming]:
    # Written out, without a call per job that could be spared: this is the hot one.
    found: list[_Incoming] = [
        (
            job.workflow, job.name, job.head_sha, job.id << 2 | _JOB, job.run_id, job.created_at.timestamp(),
            None if job.started_at is None else job.started_at.timestamp(),
            None if job.completed_at is None else job.completed_at.timestamp(),
            job.attempt, job.status, job.conclusion, job.runner, "",
        )
        for job in batch.jobs
    ]  # fmt: skip
    found += [
        (
            check.app_name or check.app_slug, check.name, check.head_sha, RunKind.CHECK_RUN.run_id(check.id), None,
            None, _epoch(check.started_at), _epoch(check.completed_at), 1, check.status, check.conclusion, "",
            check.url,
        )
        for check in batch.check_runs
        if check.app_slug != ACTIONS_APP
    ]  # fmt: skip
    # A job's check run has the job's id and says less: without queue time and runner it yields to the job itself.
    of_jobs = ((check, workflow_runs.get(check.check_suite_id)) for check in batch.check_runs)
    found += [
        (
            run[1], check.name, check.head_sha, RunKind.JOB.run_id(check.id), run[0], None, _epoch(check.started_at),
            _epoch(check.completed_at), 1, check.status, check.conclusion, "", "",
        )
        for check, run in of_jobs
        if run and run[2]
    ]  # fmt: skip
    found += [
        (
            "status", status.context, status.sha, RunKind.STATUS.run_id(status.id), None, None,
            _epoch(status.created_at), _epoch(status.updated_at if status.conclusion else None), 1, status.status,
            status.conclusion, "", status.target_url,
        )
        for status in batch.statuses
    ]  # fmt: skip
    # A workflow file that GitHub could not start has no job that could say so; the workflow run says it itself.
    found += [
        (
            run.workflow, "startup", run.head_sha, RunKind.WORKFLOW_RUN.run_id(run.id), run.id, _epoch(run.created_at),
            _epoch(run.started_at), _epoch(run.updated_at), run.attempt, run.status, run.conclusion, "", "",
        )
        for run in batch.workflow_runs
        if run.conclusion == Conclusion.STARTUP_FAILURE and run.event not in FOREIGN_EVENTS
    ]  # fmt: skip
    return found


def _epoch(time: datetime | None) -> float | None:
    """Seconds since the epoch, to the microsecond: a datetime as text would cost as much as the rest of its row."""
    return None if time is None else time.timestamp()


def _store_runs(
    repository: Repository, incoming: Sequence[_Incoming], commit_ids: dict[str, int]
) -> set[tuple[int, int]]:
    """Upsert the runs; returns (commit, configuration) of those that changed."""
    keys = _job_names(repository, {(run[0], run[1]) for run in incoming})
    repeated = len({run[3] for run in incoming}) < len(incoming)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE incoming_run ({_COLUMN_TYPES}) ON COMMIT DROP")
        with cursor.copy(f"COPY incoming_run ({_RUN_COLUMNS}) FROM STDIN") as copy:
            for run in incoming:
                copy.write_row((*run[3:], commit_ids[run[2]], *keys[run[0], run[1]]))
        # First as if all were new, which in bulk they are; what was there already then moves forward, or not.
        cursor.execute(_INSERT_RUNS.format(source=_FURTHEST if repeated else "incoming_run"))
        inserted = cursor.fetchall()
        touched = set(inserted)
        if len(inserted) < len(incoming):
            cursor.execute(_MOVED_RUNS)
            touched.update(cursor.fetchall())
            cursor.execute(_UPDATE_RUNS)
            touched.update(cursor.fetchall())
        cursor.execute("DROP TABLE incoming_run")
    return touched


_RUN_COLUMNS = (
    "id, workflow_run_id, queued_at, started_at, completed_at, attempt, status, conclusion, runner, url, commit_id,"
    " job_name_id, configuration_id"
)
_COLUMN_TYPES = (
    "id bigint, workflow_run_id bigint, queued_at float8, started_at float8, completed_at float8,"
    " attempt smallint, status smallint, conclusion smallint, runner text, url text,"
    " commit_id int, job_name_id int, configuration_id int"
)


def _further(row: str) -> str:
    """SQL for how far a run has come: of two reports about the same id, the greater is the later one.

    A check run of another app keeps its id when it is started over, so there the start comes first. The rest only makes
    the order total, so that two different reports never tie.
    """
    return (
        f"(CASE WHEN {row}.id & 3 = 1 THEN coalesce({row}.started_at, '-infinity') ELSE '-infinity' END, {row}.attempt,"
        f" {row}.status, coalesce({row}.completed_at, '-infinity'), {row}.conclusion,"
        f" coalesce({row}.started_at, '-infinity'), coalesce({row}.queued_at, '-infinity'), {row}.runner, {row}.url)"
    )


# A job that was renamed leaves the square of its old name, which must be made again too.
_MOVED_RUNS = """
    SELECT r.commit_id, r.configuration_id FROM incoming_run i JOIN hud_run r ON r.id = i.id
    WHERE (r.commit_id, r.configuration_id) <> (i.commit_id, i.configuration_id)
"""
_FURTHEST = f"(SELECT DISTINCT ON (id) * FROM incoming_run i ORDER BY id, {_further('i')} DESC) AS furthest"
_TIMES = ("queued_at", "started_at", "completed_at")
_INSERT_RUNS = f"""
    INSERT INTO hud_run ({_RUN_COLUMNS})
    SELECT {", ".join(f"to_timestamp({name})" if name in _TIMES else name for name in _RUN_COLUMNS.split(", "))}
    FROM {{source}}
    ON CONFLICT (id) DO NOTHING
    RETURNING commit_id, configuration_id
"""
_UPDATE_RUNS = f"""
    WITH further AS (
        SELECT DISTINCT ON (id) {
    ", ".join(f"to_timestamp({name}) AS {name}" if name in _TIMES else name for name in _RUN_COLUMNS.split(", "))
}
        FROM incoming_run i ORDER BY id, {_further("i")} DESC
    )
    UPDATE hud_run SET {", ".join(f"{name} = further.{name}" for name in _RUN_COLUMNS.split(", ")[1:])}
    FROM further
    WHERE hud_run.id = further.id AND {_further("further")} > {_further("hud_run")}
    RETURNING hud_run.commit_id, hud_run.configuration_id
"""


def _job_names(repository: Repository, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
    """(job name id, configuration id) of each (workflow, name as given); new ones get a configuration, slot and
    group.
    """
    found = _known_job_names(repository, wanted)
    missing = sorted(wanted - found.keys())
    if missing:
        configurations = {
            (workflow, name): pk
            for workflow, name, pk in Configuration.objects.filter(
                repository=repository, workflow__in={workflow for workflow, _ in missing}
            ).values_list("workflow", "name", "pk")
        }
        new = sorted({(w, names.configuration_name(name)) for w, name in missing} - configurations.keys())
        if new:
            configurations |= _add_configurations(repository, new)
        JobName.objects.bulk_create(
            [
                JobName(
                    configuration_id=configurations[workflow, names.configuration_name(name)],
                    name=name,
                    unstable=names.is_unstable(name),
                )
                for workflow, name in missing
            ]
        )
        found |= _known_job_names(repository, set(missing))
    return found


def _known_job_names(repository: Repository, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
    # One list each, not pairs: the planner then reads the workflows' configurations at once, not pair by pair.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.workflow, j.name, j.id, c.id"
            " FROM hud_configuration c JOIN hud_jobname j ON j.configuration_id = c.id"
            " WHERE c.repository_id = %s AND c.workflow = ANY(%s) AND j.name = ANY(%s)",
            [repository.pk, sorted({workflow for workflow, _ in wanted}), sorted({name for _, name in wanted})],
        )
        found = {(workflow, name): (job_name, configuration) for workflow, name, job_name, configuration in cursor}
    return {pair: found[pair] for pair in wanted if pair in found}


def _add_configurations(repository: Repository, new: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    grouping = derive.grouping(repository)
    taken = Configuration.objects.filter(repository=repository).aggregate(last=Max("slot"))["last"]
    rows = []
    for slot, (workflow, name) in enumerate(new, start=0 if taken is None else taken + 1):
        group, order = grouping.group(workflow, name)
        rows.append(
            Configuration(
                repository=repository, workflow=workflow, name=name, slot=slot, group=group, group_order=order
            )
        )
    repository.layout_version += 1
    repository.save(update_fields=["layout_version"])
    return {(row.workflow, row.name): row.pk for row in Configuration.objects.bulk_create(rows)}


def _store_validators(repository: Repository, validators: Sequence[Validator], at: datetime) -> None:
    SyncedPage.objects.bulk_create(
        [
            SyncedPage(key=v.key, repository=repository, etag=v.etag, next_url=v.next_url or "", seen_at=at)
            for v in {v.key: v for v in validators}.values()
        ],
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["etag", "next_url", "seen_at"],
    )
