"""Ingestion of job events in bulk, beside a bare COPY and upsert of the same rows; disk per run; memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from django.db import connection, transaction

from hud import ingest
from hud.models import Commit, Configuration, Repository
from project.celery import settle_memory
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


def _clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE hud_repository CASCADE")
        cursor.execute("TRUNCATE hud_run")


def _ingest(repository: Repository, count: int) -> tuple[float, float]:
    """Seconds of parsing and of storing that many events, batch by batch as they come, none kept."""
    parsing = storing = 0.0
    for first in range(0, count, BATCH):
        events = list(job_events(BATCH, first=first))
        began = time.perf_counter()
        jobs = [parse_job(event) for event in events]
        parsed = time.perf_counter()
        ingest.store(repository.pk, ingest.Batch(asked_at=T0, jobs=jobs))
        parsing += parsed - began
        storing += time.perf_counter() - parsed
    return parsing, storing


def _floor(repository: Repository, count: int) -> float:
    """One COPY into a temporary table and one INSERT … ON CONFLICT DO UPDATE, same rows."""
    jobs = [parse_job(event) for event in job_events(count)]
    commits = dict(Commit.objects.filter(repository=repository).values_list("sha", "pk"))
    keys = ingest._known_job_names(repository, {(job.workflow, job.name) for job in jobs})
    rows = [
        (
            job.id << 2, job.run_id, str(job.created_at), str(job.started_at), str(job.completed_at), job.attempt,
            int(job.status), int(job.conclusion), job.runner, "", commits[job.head_sha], *keys[job.workflow, job.name],
        )
        for job in jobs
    ]  # fmt: skip
    del jobs
    columns = ingest._RUN_COLUMNS
    updates = ", ".join(f"{c} = excluded.{c}" for c in columns.replace(" ", "").split(",")[1:])
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE floor_run (LIKE hud_run) ON COMMIT DROP")
        with cursor.copy(f"COPY floor_run ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(
            f"INSERT INTO hud_run ({columns}) SELECT {columns} FROM floor_run ON CONFLICT (id) DO UPDATE SET {updates}"
        )
    return time.perf_counter() - began


ROUNDS = 3


def measure(count: int = 60_000) -> list[Row]:
    """The rows of the table about ingestion: medians of rounds in which floor and ours alternate."""
    settle_memory()  # as a worker does
    fresh, known, parsing, floor = [], [], [], []
    bytes_a_run = 0.0
    for _ in range(ROUNDS):
        _clear()
        repository, _created = ingest.add_repository("bench", "ingestion")
        fresh.append(_ingest(repository, count)[1])
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_total_relation_size('hud_run')")
            bytes_a_run = cursor.fetchone()[0] / count
            cursor.execute("TRUNCATE hud_run")
        took = _ingest(repository, count)
        parsing.append(took[0])
        known.append(took[1])
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE hud_run")
        floor.append(_floor(repository, count))
    bare = count / median(floor)
    peaks = [_peak(size) for size in (3 * BATCH, count)]
    assert Configuration.objects.exists()
    return [
        Row("ingest: store(), first time", count / median(fresh), "rows/s", bare, ">=", 0.25),
        Row("ingest: store(), columns known", count / median(known), "rows/s", bare, ">=", 0.25),
        Row("ingest: parse and store()", count / (median(parsing) + median(known)), "rows/s", bare, ">=", 0.25),
        Row("ingest: disk per run, indexes included", bytes_a_run, "bytes", 400, "<=", 1.0),
        Row(
            f"ingest: peak memory of {count:,} rows", peaks[1], "MB", peaks[0], "<=", 1.1, f"floor: {3 * BATCH:,} rows"
        ),
    ]


def _peak(count: int) -> float:
    """Megabytes that Python held at most while it ingested that many rows, batch by batch."""
    _clear()
    repository, _ = ingest.add_repository("bench", "ingestion")
    tracemalloc.start()
    _ingest(repository, count)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6
