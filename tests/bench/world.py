"""A repository made for measuring: commits whose cells and runs are known, written straight into the tables."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from django.db import connection

from hud.cells import Outcome
from hud.models import (
    Branch,
    BranchCommit,
    Commit,
    CommitCells,
    Configuration,
    JobName,
    Repository,
    SyncKind,
    SyncState,
)

NOW = datetime.now(UTC).replace(microsecond=0)
GROUPS = 31


def clear() -> None:
    """Empty every table of the hud."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE hud_repository CASCADE")
        cursor.execute("TRUNCATE hud_run")


def make(*, commits: int, configurations: int, seed: int = 1) -> Repository:
    """A trunk of that size, alike to PyTorch's: mostly green, some red, flaky, pending and not run."""
    chance = random.Random(seed)
    repository = Repository.objects.create(
        owner="bench", name="grid", trunk="main", html_url="https://example.invalid/x"
    )
    branch = Branch.objects.create(repository=repository, name="main", head_sha=f"{commits - 1:040x}", watched=True)
    columns = Configuration.objects.bulk_create(
        [
            Configuration(
                repository=repository,
                workflow=f"workflow-{slot % GROUPS}",
                name=f"linux-jammy-cuda12.8-py3.10-gcc11-sm86 / test (suite-{slot})",
                slot=slot,
                group=f"Group {slot % GROUPS}",
                group_order=slot % GROUPS,
            )
            for slot in range(configurations)
        ]
    )
    JobName.objects.bulk_create([JobName(configuration=column, name=column.name) for column in columns])
    rows = Commit.objects.bulk_create(
        [
            Commit(
                repository=repository,
                sha=f"{n:040x}",
                parent_sha=f"{n - 1:040x}" if n else "",
                title=f"[inductor] Fuse epilogue {chance.randrange(10**6)} into the template (#{160000 + n})",
                author_login=f"author-{chance.randrange(30)}",
                authored_at=NOW - timedelta(minutes=24 * (commits - n)),
                committed_at=NOW - timedelta(minutes=24 * (commits - n)),
                pr_number=160000 + n,
                runs_listed_at=NOW,
            )
            for n in range(commits)
        ],
        batch_size=2000,
    )
    BranchCommit.objects.bulk_create(
        [BranchCommit(branch=branch, commit=commit, position=n) for n, commit in enumerate(rows)], batch_size=5000
    )
    # A page of PyTorch's trunk has some tens of failed cells among 20,000; here there are more, and not side by side.
    outcomes = [Outcome.PASSED] * 917 + [Outcome.NONE] * 50 + [Outcome.FAILED] * 5 + [Outcome.FLAKY] * 3
    outcomes += [Outcome.RUNNING] * 10 + [Outcome.SKIPPED] * 15
    CommitCells.objects.bulk_create(
        [CommitCells(commit=c, cells=bytes(chance.choices(outcomes, k=configurations))) for c in rows[-200:]]
    )
    SyncState.objects.bulk_create(
        [SyncState(repository=repository, kind=kind, succeeded_at=NOW, started_at=NOW) for kind in SyncKind]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return repository


def add_runs(repository: Repository, upto: int) -> None:
    """Fill the run table up to that many runs, spread over all commits and configurations."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), coalesce(max(id), 0) FROM hud_run")
        there, last = cursor.fetchone()
        cursor.execute(
            """
            INSERT INTO hud_run (id, workflow_run_id, queued_at, started_at, completed_at, commit_id, configuration_id,
                                 job_name_id, attempt, status, conclusion, runner, url)
            SELECT %s + 4 * n, 20000000000 + n / 20, now(), now(), now(),
                   c.low + n %% (c.high - c.low + 1), k.low + (n / 7) %% (k.high - k.low + 1), j.low, 1, 9, 1,
                   'i-0' || lpad(to_hex(n), 16, '0'), ''
            FROM generate_series(1, %s) n,
                 (SELECT min(id) low, max(id) high FROM hud_commit WHERE repository_id = %s) c,
                 (SELECT min(id) low, max(id) high FROM hud_configuration WHERE repository_id = %s) k,
                 (SELECT min(id) low FROM hud_jobname) j
            """,
            [last, upto - there, repository.pk, repository.pk],
        )
        cursor.execute("VACUUM ANALYZE hud_run")
