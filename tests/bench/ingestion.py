"""Ingestion of job events in bulk, beside a bare COPY and upsert of the same rows; disk per run; memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from hud import ingest
from hud.models import Commit, Configuration, Repository
from project.github.payloads import parse_job

from .table import Row

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PER_COMMIT = 600
BATCH = 6_000


def job_events(count: int, *, first: int = 0) -> Iterator[dict[str, Any]]:
    """Job events as GitHub sends them (the fields that are read), `PER_COMMIT` jobs a commit in three shards each."""
    for n in range(first, first + count):
        commit, job = divmod(n, PER_COMMIT)
        configuration, shard = divmod(job, 3)
        start = T0 + timedelta(minutes=24 * commit, seconds=job)
        yield {
            "id": 100_000_000_000 + n,
            "run_id": 20_000_000_000 + commit * 25 + configuration % 25,
            "run_attempt": 1,
            "workflow_name": f"workflow-{configuration % 25}",
            "name": f"linux-jammy-py3.10-gcc{configuration // 25} / test (default, {shard + 1}, 3, linux.2xlarge)",
            "head_sha": f"{commit:040x}",
            "head_branch": "main",
            "status": "completed",
            "conclusion": "failure" if n % 97 == 0 else "success",
            "created_at": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "started_at": f"{start + timedelta(seconds=40):%Y-%m-%dT%H:%M:%SZ}",
            "completed_at": f"{start + timedelta(minutes=47):%Y-%m-%dT%H:%M:%SZ}",
            "runner_name": f"i-0{n:016x}",
            "labels": ["linux.2xlarge"],
            "html_url": "",
        }


def _parsed(count: int, first: int = 0) -> list[Any]:
    return [parse_job(event) for event in job_events(count, first=first)]


def _clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE hud_repository CASCADE")
        cursor.execute("TRUNCATE hud_run")


def _ingest(repository: Repository, jobs: list[Any]) -> float:
    began = time.perf_counter()
    for start in range(0, len(jobs), BATCH):
        ingest.store(repository.pk, ingest.Batch(asked_at=T0, jobs=jobs[start : start + BATCH]))
    return time.perf_counter() - began


def _floor(jobs: list[Any], repository: Repository) -> float:
    """One COPY into a temporary table and one INSERT … ON CONFLICT DO UPDATE, of the rows that ingestion stores."""
    commits = dict(Commit.objects.filter(repository=repository).values_list("sha", "pk"))
    keys = ingest._known_job_names(repository, {(job.workflow, job.name) for job in jobs})
    incoming = ingest._incoming_runs(ingest.Batch(asked_at=T0, jobs=jobs), {})
    rows = [(*run[3:], commits[run[2]], *keys[run[0], run[1]]) for run in incoming]
    columns = ingest._RUN_COLUMNS
    updates = ", ".join(f"{c} = excluded.{c}" for c in columns.replace(" ", "").split(",")[1:])
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE floor_run ({ingest._COLUMN_TYPES}) ON COMMIT DROP")
        with cursor.copy(f"COPY floor_run ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            f"INSERT INTO hud_run ({columns}) SELECT {columns} FROM floor_run ON CONFLICT (id) DO UPDATE SET {updates}"
        )
    return time.perf_counter() - began


def measure(count: int = 60_000) -> list[Row]:
    """The rows of the table about ingestion. The tables are emptied."""
    repository, _ = ingest.add_repository("bench", "ingestion")
    _clear()
    repository, _ = ingest.add_repository("bench", "ingestion")
    jobs = _parsed(count)
    fresh = _ingest(repository, jobs)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('hud_run')")
        bytes_a_run = cursor.fetchone()[0] / count
        cursor.execute("TRUNCATE hud_run")
    floor = _floor(jobs, repository)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE hud_run")
    began = time.perf_counter()
    parsed = _parsed(count)
    parsing = time.perf_counter() - began
    ingest_again = _ingest(repository, parsed)
    began = time.perf_counter()
    raw = sum(1 for _ in job_events(count))
    parsing -= time.perf_counter() - began
    assert raw == count
    peaks = []
    for size in (BATCH, count):
        _clear()
        repository, _ = ingest.add_repository("bench", "ingestion")
        tracemalloc.start()
        for first in range(0, size, BATCH):
            _ingest(repository, _parsed(BATCH, first))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert Configuration.objects.exists()
    return [
        Row("ingest: store(), first time", count / fresh, "rows/s", count / floor, ">=", 0.25),
        Row("ingest: store(), columns known", count / ingest_again, "rows/s", count / floor, ">=", 0.25),
        Row("ingest: parse and store()", count / (ingest_again + parsing), "rows/s", count / floor, ">=", 0.25),
        Row("ingest: disk per run, indexes included", bytes_a_run, "bytes", 400, "<=", 1.0),
        Row(
            f"ingest: peak memory of {count} rows",
            peaks[1] / 1e6,
            "MB",
            peaks[0] / 1e6,
            "<=",
            1.1,
            f"floor: {BATCH} rows",
        ),
    ]
