"""What is known of failures: the failing line of a cell, and where else the same failure happened. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from hud.cells import Outcome
from hud.models import JobLog, Repository

PER_PAGE = 100
LOOK_BACK = 50  # trunk's newest commits that tell whether a failure is on trunk now


@dataclass(frozen=True, slots=True)
class FailureLine:
    """The failing line of a cell: of its failed jobs the newest whose log says something."""

    key: str
    line: str
    rule: str
    category: str
    job_id: int  # GitHub's
    line_number: int | None
    state: str
    test: str
    problem: str


_FIELDS = (
    "commit_id", "configuration_id", "key", "line", "rule", "category", "run_id", "line_number", "state", "test",
    "problem",
)  # fmt: skip


def lines_for(commit_ids: Iterable[int]) -> dict[tuple[int, int], FailureLine]:
    """The failing line of each (commit id, configuration id) that has a failed job, in one query."""
    return _by_cell(JobLog.objects.filter(commit_id__in=set(commit_ids)))


def line_at(commit_id: int, slot: int) -> FailureLine | None:
    """The failing line of one cell; None if nothing of it has failed."""
    found = _by_cell(JobLog.objects.filter(commit_id=commit_id, configuration__slot=slot))
    return next(iter(found.values()), None)


def _by_cell(logs: QuerySet[JobLog]) -> dict[tuple[int, int], FailureLine]:
    found: dict[tuple[int, int], FailureLine] = {}
    for row in logs.order_by("run_id").values_list(*_FIELDS):
        line = _line(row)
        known = found.get((row[0], row[1]))
        if known is None or _worth(line) >= _worth(known):  # of two that say as much, the newer
            found[row[0], row[1]] = line
    return found


def lines_of_keys(repository_id: int, keys: Collection[str]) -> dict[str, str]:
    """The newest line of each failure, in one query."""
    rows = (
        JobLog.objects.filter(repository_id=repository_id, key__in=keys)
        .order_by("key", "-run_id")
        .distinct("key")
        .values_list("key", "line")
    )
    return dict(rows)


def _line(row: tuple[Any, ...]) -> FailureLine:
    _, _, key, line, rule, category, run_id, number, state, test, problem = row
    return FailureLine(key, line, rule, category, run_id >> 2, number, state, test, problem)


def _worth(line: FailureLine) -> int:
    return 0 if not line.key else 1 if line.category == "generic" else 2


# -- the same failure elsewhere ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Summary:
    """All that happened with one failure."""

    key: str
    line: str
    rule: str
    category: str
    test: str
    count: int
    commits: int
    configurations: int
    on_trunk: int  # commits
    flaky: int  # cells that passed on a re-run
    cells: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Instance:
    """One job that failed so."""

    sha: str
    title: str
    place: int  # on trunk, 0 elsewhere
    commit_id: int
    run_id: int
    full_name: str
    slot: int
    failed_at: datetime
    line_number: int | None
    outcome: Outcome

    @property
    def job_id(self) -> int:
        """GitHub's."""
        return self.run_id >> 2

    @property
    def passed_on_rerun(self) -> bool:
        """Whether the same commit passed when it was tried again: a sign of a flaky failure."""
        return self.outcome == Outcome.FLAKY


_SUMMARY = """
    SELECT count(*), count(DISTINCT l.commit_id), count(DISTINCT l.configuration_id),
           count(DISTINCT b.commit_id), min(l.failed_at), max(l.failed_at),
           count(DISTINCT (l.commit_id, l.configuration_id)),
           count(DISTINCT (l.commit_id, l.configuration_id)) FILTER (WHERE
               CASE WHEN octet_length(s.cells) > c.slot THEN get_byte(s.cells, c.slot) END = %s)
    FROM hud_joblog l JOIN hud_configuration c ON c.id = l.configuration_id
    LEFT JOIN hud_commitcells s ON s.commit_id = l.commit_id
    LEFT JOIN hud_branchcommit b ON b.commit_id = l.commit_id AND b.branch_id = %s
    WHERE l.repository_id = %s AND l.key = %s
"""
_INSTANCES = """
    SELECT k.sha, k.title, coalesce(b.position, 0), l.commit_id, l.run_id, c.workflow || ' / ' || c.name, c.slot,
           l.failed_at, l.line_number,
           CASE WHEN octet_length(s.cells) > c.slot THEN get_byte(s.cells, c.slot) ELSE 0 END
    FROM hud_joblog l JOIN hud_configuration c ON c.id = l.configuration_id JOIN hud_commit k ON k.id = l.commit_id
    LEFT JOIN hud_commitcells s ON s.commit_id = l.commit_id
    LEFT JOIN hud_branchcommit b ON b.commit_id = l.commit_id AND b.branch_id = %s
    WHERE l.repository_id = %s AND l.key = %s AND (coalesce(b.position, 0), l.commit_id, l.run_id) < (%s, %s, %s)
    ORDER BY coalesce(b.position, 0) DESC, l.commit_id DESC, l.run_id DESC LIMIT %s
"""
# Of each configuration that the failure hit, the newest finished cell among trunk's newest commits.
_NOW = """
    SELECT DISTINCT ON (c.id) c.id, c.workflow || ' / ' || c.name, get_byte(s.cells, c.slot),
           EXISTS (SELECT FROM hud_joblog l
                   WHERE l.commit_id = n.commit_id AND l.configuration_id = c.id AND l.key = %s)
    FROM (SELECT commit_id, position FROM hud_branchcommit WHERE branch_id = %s ORDER BY position DESC LIMIT %s) n
    JOIN hud_commitcells s ON s.commit_id = n.commit_id
    CROSS JOIN (SELECT DISTINCT configuration_id FROM hud_joblog WHERE repository_id = %s AND key = %s) hit
    JOIN hud_configuration c ON c.id = hit.configuration_id
    WHERE CASE WHEN octet_length(s.cells) > c.slot THEN get_byte(s.cells, c.slot) END = ANY(%s)
    ORDER BY c.id, n.position DESC
"""
_FIRST = (2**31 - 1, 2**31 - 1, 2**63 - 1)


def summary(repository: Repository, branch_id: int | None, key: str) -> Summary | None:
    """What happened with the failure in all; None if it never did."""
    newest = (
        JobLog.objects.filter(repository=repository, key=key)
        .order_by("-run_id")
        .values_list("line", "rule", "category", "test")
        .first()
    )
    if newest is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_SUMMARY, [Outcome.FLAKY, branch_id or 0, repository.pk, key])
        count, commits, configurations, on_trunk, first, last, cells, flaky = cursor.fetchone()
    line, rule, category, test = newest
    return Summary(key, line, rule, category, test, count, commits, configurations, on_trunk, flaky, cells, first, last)


def instances(
    repository: Repository, branch_id: int | None, key: str, after: tuple[int, int, int] | None = None
) -> tuple[list[Instance], tuple[int, int, int] | None]:
    """A page of the jobs that failed so, trunk's newest first, then others; and where the next page begins."""
    with connection.cursor() as cursor:
        cursor.execute(_INSTANCES, [branch_id or 0, repository.pk, key, *(after or _FIRST), PER_PAGE + 1])
        rows = [Instance(*(*row[:9], Outcome(min(row[9], len(Outcome) - 1)))) for row in cursor.fetchall()]
    last = rows[PER_PAGE - 1] if len(rows) > PER_PAGE else None
    return rows[:PER_PAGE], (last.place, last.commit_id, last.run_id) if last else None


def on_trunk_now(repository: Repository, branch_id: int | None, key: str) -> list[str]:
    """The configurations whose newest result on trunk is this failure."""
    finished = [int(outcome) for outcome in Outcome if outcome.finished]
    with connection.cursor() as cursor:
        cursor.execute(_NOW, [key, branch_id or 0, LOOK_BACK, repository.pk, key, finished])
        return [name for _, name, outcome, so in cursor.fetchall() if so and Outcome(outcome).failing]
