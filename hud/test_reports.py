"""Test reports: JUnit files that workflows upload as artifacts, read once and kept as who failed and who passed."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from hud import ingest, junit  # by module: they import each other, whichever comes first
from hud.cells import RunKind
from hud.models import BranchCommit, LogReading, ReportsListed, Repository, Run, TestReport, WorkflowRun
from project.github import errors
from project.github.client import Client, RepoRef
from project.github.logs import ArtifactPayload
from project.github.outcomes import Status

PATTERN = r"(?i)test-?(reports|results)|junit"
EVERY = timedelta(minutes=1)
RECENT = timedelta(days=3)  # workflow runs that ended since then are asked for their artifacts
TRIES = 4


def read(
    repository: Repository, reading: LogReading, client: Client, now: datetime, *, seconds: float = 8.0,
    cells: set[tuple[int, int]] | None = None,
) -> bool:  # fmt: skip
    """One turn: list the artifacts of workflow runs that have ended, read those that are due. True: there is more.

    `cells` is given the (commit, configuration) of which something is known now, also if this ends with an exception.
    """
    if reading.reports_due_at and reading.reports_due_at > now:
        return False
    until = time.monotonic() + seconds
    more = _list(repository, reading, client, now, until)
    more = more or _read(repository, client, now, until, set() if cells is None else cells)
    reading.reports_due_at = now if more else now + EVERY
    reading.save(update_fields=["reports_due_at"])
    return more


Told = dict[int, list[tuple[int, int, str]]]
"""By commit id: (workflow run id, attempt, "F" or "S"), in order."""


def events(configuration_id: int, test: str, commit_ids: Collection[int]) -> Told:
    """What the reports say of one test in a configuration. One query."""
    return events_of(configuration_id, [test], commit_ids).get(test, {})


def events_of(configuration_id: int, tests: Collection[str], commit_ids: Collection[int]) -> dict[str, Told]:
    """The same of several tests at once. One query.

    A shard that does not tell of a test says nothing about it; of several that do, a failure counts.
    """
    rows = (
        TestReport.objects.filter(commit_id__in=commit_ids, configuration_id=configuration_id, read_at__isnull=False)
        .order_by("workflow_run_id", "attempt", "artifact_id")
        .values_list("commit_id", "workflow_run_id", "attempt", "failed", "passed")
    )
    found: dict[tuple[str, int, int, int], str] = {}
    for commit_id, run_id, attempt, failed, passed in rows:
        failing = {name for name, _ in failed}
        passing = names(passed)
        for test in tests:
            at = (test, commit_id, run_id, attempt)
            if test in failing:
                found[at] = "F"
            elif at not in found and test in passing:
                found[at] = "S"
    told: dict[str, Told] = {}
    for (test, commit_id, run_id, attempt), status in found.items():
        told.setdefault(test, {}).setdefault(commit_id, []).append((run_id, attempt, status))
    return told


def failed_tests(commit_ids: Collection[int]) -> dict[tuple[int, int | None], dict[str, str]]:
    """By (commit id, configuration id, None for a workflow as a whole): tests that failed, with what they said."""
    found: dict[tuple[int, int | None], dict[str, str]] = {}
    rows = TestReport.objects.filter(commit_id__in=commit_ids).exclude(failed=[]).order_by("artifact_id")
    for commit_id, configuration_id, failed in rows.values_list("commit_id", "configuration_id", "failed"):
        found.setdefault((commit_id, configuration_id), {}).update(dict(failed))
    return found


def names(packed: Any) -> set[str]:
    """The tests of `TestReport.passed`."""
    body = bytes(packed)
    return set(zlib.decompress(body).decode().split("\n")) if body else set()


# -- listing ----------------------------------------------------------------------------------------------------------


def _list(repository: Repository, reading: LogReading, client: Client, now: datetime, until: float) -> bool:
    watched = BranchCommit.objects.filter(branch__repository=repository, branch__watched=True).values("commit_id")
    listed = ReportsListed.objects.filter(repository=repository, attempt__gte=F("attempt"))
    ended = (
        WorkflowRun.objects.filter(
            repository=repository, status=Status.COMPLETED, updated_at__gt=now - RECENT, commit__in=watched
        )
        .filter(jobs_fetched_attempt__gte=F("attempt"))  # or it could not be told whose report it is
        .exclude(event__in=ingest.FOREIGN_EVENTS)
        .order_by("-id")
    )
    known = dict(listed.values_list("workflow_run_id", "attempt"))
    pattern = re.compile(PATTERN)
    for run in ended:
        if known.get(run.pk, 0) >= run.attempt:
            continue
        if time.monotonic() > until:
            return True
        found: list[ArtifactPayload] = []
        try:
            for page in client.artifacts(RepoRef(repository.owner, repository.name), run.pk, conditional=False):
                found += page.items
        except (errors.NotFound, errors.Gone):
            pass  # then it has none
        _note(repository, run, [one for one in found if pattern.search(one.name) and not one.expired], now)
    return False


def _note(repository: Repository, run: WorkflowRun, artifacts: list[ArtifactPayload], now: datetime) -> None:
    jobs = list(
        Run.objects.filter(commit_id=run.commit_id, workflow_run_id=run.pk)
        .values_list("id", "configuration_id", "attempt", "job_name__name")
        .order_by("-attempt", "id")
    )
    rows = []
    for one in artifacts:
        configuration_id, attempt = _whose(one.name, jobs) or (None, run.attempt)
        rows.append(
            TestReport(
                artifact_id=one.id,
                workflow_run_id=run.pk,
                repository=repository,
                commit_id=run.commit_id,
                configuration_id=configuration_id,
                attempt=attempt,
                name=one.name,
                due_at=now,
            )
        )
    with transaction.atomic():
        TestReport.objects.bulk_create(rows, ignore_conflicts=True)
        ReportsListed.objects.update_or_create(
            pk=run.pk, defaults={"repository": repository, "attempt": run.attempt, "listed_at": now}
        )


def _whose(name: str, jobs: list[tuple[int, int, int, str]]) -> tuple[int, int] | None:
    """(configuration id, attempt) of the job that an artifact's name tells: by its id, or by its whole name."""
    by_id = {
        run_id >> 2: (configuration_id, attempt)
        for run_id, configuration_id, attempt, _ in jobs
        if run_id & 3 == RunKind.JOB
    }
    for digits in re.findall(r"[0-9]{6,18}", name):
        if int(digits) in by_id:
            return by_id[int(digits)]
    plain = _plain(name)
    fitting = [(len(_plain(job)), at) for _, *at, job in jobs if len(_plain(job)) > 3 and _plain(job) in plain]
    if not fitting:
        return None
    longest = max(length for length, _ in fitting)
    best = {(at[0], at[1]) for length, at in fitting if length == longest}
    # Of one configuration's attempts, the newest; of several configurations, nobody knows.
    return max(best, key=lambda at: at[1]) if len({at[0] for at in best}) == 1 else None


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


# -- reading ----------------------------------------------------------------------------------------------------------


def _read(repository: Repository, client: Client, now: datetime, until: float, cells: set[tuple[int, int]]) -> bool:
    waiting = TestReport.objects.filter(repository=repository, due_at__lte=now).order_by("-artifact_id")
    while row := waiting.first():
        if time.monotonic() > until:
            return True
        row.tries += 1
        row.due_at = now + timedelta(minutes=5) * row.tries if row.tries < TRIES else None
        row.save(update_fields=["tries", "due_at"])  # first: a report at which a worker dies is not read for ever
        try:
            with client.artifact(RepoRef(repository.owner, repository.name), row.artifact_id) as download:
                packed = download.read(junit.PACKED_MAX)
            _store(row, junit.read_zip(packed), now)
            if row.configuration_id is not None:
                cells.add((row.commit_id, row.configuration_id))
        except errors.RateLimited:
            TestReport.objects.filter(pk=row.pk).update(tries=F("tries") - 1, due_at=now)
            raise
        except (junit.BadReport, errors.NotFound, errors.Gone) as error:
            words = error.words if isinstance(error, errors.GitHubError) else f"It can't be used: {error}."
            TestReport.objects.filter(pk=row.pk).update(problem=words[:500], due_at=None)
        except errors.GitHubError as error:
            TestReport.objects.filter(pk=row.pk).update(problem=error.words[:500])
    return False


def _store(row: TestReport, tests: junit.Tests, now: datetime) -> None:
    row.failed = [[test, message] for test, message in tests.failed.items()]
    row.passed = zlib.compress("\n".join(sorted(tests.passed)).encode(), 6) if tests.passed else b""
    row.passed_count, row.skipped_count = len(tests.passed), len(tests.skipped)
    row.problem = f"{tests.broken_files} of its files could not be read." if tests.broken_files else ""
    row.read_at, row.due_at = now, None
    row.save()


def forget(now: datetime | None = None) -> None:
    """Drop what is older than GitHub's own artifacts would be."""
    old = (now or timezone.now()) - timedelta(days=90)
    TestReport.objects.filter(Q(read_at__lt=old)).delete()
    ReportsListed.objects.filter(listed_at__lt=old).delete()
