"""What the runs of trunk's window say, as the histories that are judged: read from the tables, nothing written.

The window ends at trunk's newest commit and reaches `Repository.window_hours` back from its time, not from the clock's:
the same commits and runs give the same histories whenever they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, cast

from django.db import connection

from hud import test_reports, tracks
from hud.cells import FINISHED, Outcome, RunFact, attempts
from hud.models import Repository
from hud.tracks import CommitTold, Told
from hud.verdicts import Event, Signal, Status

MOST_COMMITS = 1000
ENOUGH_FOR_GREEN = 40  # commits in which nearly every job has a result
GREENS_ENOUGH = 20
MOST_TESTS = 20  # of a job's failed tests that get a signal of their own: of more, something else is wrong
INFRA = "infra"  # the category of failures that blame machines or network, see `hud.failure_rules`

_EVENTS: dict[Outcome, Status] = {
    Outcome.FAILED: "F", Outcome.TIMED_OUT: "F", Outcome.PASSED: "S", Outcome.NEUTRAL: "S",
    Outcome.RUNNING: "P", Outcome.QUEUED: "P",
}  # fmt: skip
_FINISHED = bytes(code if code in FINISHED and code != Outcome.TOLERATED else 0 for code in range(256))
# Cells without any event: nothing ran, or what ran is evidence of nothing.
_SILENT = frozenset({Outcome.NONE, Outcome.SKIPPED, Outcome.CANCELLED, Outcome.OVERDUE, Outcome.TOLERATED})


class Place(NamedTuple):
    """A commit of trunk's window."""

    commit_id: int
    sha: str
    position: int
    cells: bytes


@dataclass(frozen=True)
class Trunk:
    """Trunk's window, newest first."""

    repository: Repository
    branch_id: int
    places: Sequence[Place]
    positions: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", {place.sha: place.position for place in self.places})


_WINDOW = """
    SELECT c.id, c.sha, b.position, coalesce(s.cells, '')
    FROM hud_branch h
    JOIN hud_branchcommit b ON b.branch_id = h.id
    JOIN hud_commit c ON c.id = b.commit_id
    LEFT JOIN hud_commitcells s ON s.commit_id = c.id
    WHERE h.id = %s AND c.committed_at >= %s
    ORDER BY b.position DESC LIMIT %s
"""
_HEAD = """
    SELECT h.id, c.committed_at FROM hud_branch h
    JOIN hud_branchcommit b ON b.branch_id = h.id JOIN hud_commit c ON c.id = b.commit_id
    WHERE h.repository_id = %s AND h.name = %s AND h.watched
    ORDER BY b.position DESC LIMIT 1
"""


def trunk(repository: Repository, most: int = MOST_COMMITS) -> Trunk | None:
    """The commits on which verdicts rest now, at most so many; None while nothing is known of trunk."""
    with connection.cursor() as cursor:
        cursor.execute(_HEAD, [repository.pk, repository.trunk])
        head = cursor.fetchone()
        if head is None:
            return None
        since = head[1] - timedelta(hours=repository.window_hours)
        cursor.execute(_WINDOW, [head[0], since, most])
        return Trunk(repository, head[0], [Place(row[0], row[1], row[2], bytes(row[3])) for row in cursor.fetchall()])


def newest_results(places: Iterable[Place], size: int) -> bytes:
    """The newest finished outcome of each slot, 0 where there is none. All columns at once: cells are read as one big
    integer, whose bytes are filled in from newer to older commits, until every one is known."""
    ones = int.from_bytes(b"\1" * size, "little")
    found = 0
    known = 0
    for place in places:
        fresh = int.from_bytes(place.cells[:size].translate(_FINISHED), "little")
        found |= fresh & ~(known * 15)  # outcomes fit in four bits
        known = (found | found >> 1 | found >> 2 | found >> 3) & ones
        if known == ones:
            break
    return found.to_bytes(size, "little")


_RUNS = """
    SELECT r.configuration_id, r.commit_id, r.id, r.job_name_id, n.unstable, r.workflow_run_id, r.attempt, r.status,
           r.conclusion, date_part('epoch', r.started_at), date_part('epoch', r.completed_at),
           r.status < 9 AND EXISTS (SELECT FROM hud_workflowrun w WHERE w.id = r.workflow_run_id
                                    AND w.attempt >= r.attempt AND w.status = 9),
           date_part('epoch', coalesce(r.started_at, r.queued_at, r.completed_at, c.committed_at)),
           coalesce(l.key, ''), coalesce(l.category, '')
    FROM unnest(%s::int[], %s::int[]) AS t (commit_id, configuration_id)
    JOIN hud_run r USING (commit_id, configuration_id)
    JOIN hud_jobname n ON n.id = r.job_name_id
    JOIN hud_commit c ON c.id = r.commit_id
    LEFT JOIN hud_joblog l ON l.run_id = r.id
    WHERE NOT n.unstable
    ORDER BY r.configuration_id, r.commit_id
"""


def read(window: Trunk, slots: dict[int, int]) -> tuple[dict[int, list[CommitTold]], set[str]]:
    """What these configurations (id → slot) said on the window's commits; and the keys of failures whose text blames
    machines or network."""
    pairs = [(place.commit_id, pk) for pk, slot in slots.items() for place in _telling(window.places, slot)]
    found: dict[tuple[int, int], list[Told]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_RUNS, [[commit_id for commit_id, _ in pairs], [pk for _, pk in pairs]])
        said = cursor.fetchall()
    for key, group in groupby(said, key=itemgetter(0, 1)):
        rows = list(group)
        facts = [RunFact._make(row[2:12]) for row in rows]
        found[key] = told(facts, {row[2]: row[12] for row in rows}, {row[2]: row[13] for row in rows})
    by_configuration = {
        pk: [CommitTold(place.sha, found.get((pk, place.commit_id), ())) for place in _kept(window.places, slot)]
        for pk, slot in slots.items()
    }
    return by_configuration, {row[13] for row in said if row[14] == INFRA}


def _telling(places: Sequence[Place], slot: int) -> list[Place]:
    """The commits whose runs the verdict rests on."""
    return [place for place in _kept(places, slot) if slot < len(place.cells) and place.cells[slot] not in _SILENT]


def _kept(places: Sequence[Place], slot: int) -> list[Place]:
    """The window without what cannot matter: of the green side, the newest successes are enough to compare with; of
    what is older, only flakiness counts."""
    kept: list[Place] = []
    clean = 0
    for place in places:
        outcome = place.cells[slot] if slot < len(place.cells) else Outcome.NONE
        if clean < GREENS_ENOUGH or outcome == Outcome.FLAKY:
            kept.append(place)
            clean += outcome in (Outcome.PASSED, Outcome.NEUTRAL)
    return kept


def told(facts: Sequence[RunFact], began: dict[int, float], keys: dict[int, str]) -> list[Told]:
    """What the attempts of one configuration on one commit say. By each run's id: `began`, when it started, or was
    queued if it has not, in seconds since the epoch; `keys`, of its failure, empty if none is known."""
    found = []
    for attempt in attempts(facts):
        status = _EVENTS.get(attempt.outcome)
        if status is not None:
            at = datetime.fromtimestamp(min(began[run.id] for run in attempt.runs), UTC)
            known = sorted({keys[run.id] for run in attempt.runs} - {""}) if status == "F" else ()
            found.append(Told(Event(status, at, attempt.workflow_run_id, attempt.number), tuple(known)))
    return found


def of_tests(window: Trunk, configuration_id: int, slot: int, commits: Sequence[CommitTold]) -> dict[str, Signal]:
    """The histories of the tests that failed at the head, as far as its reports tell. Two queries at most."""
    head = next((one.sha for one in commits if any(event.status != "P" for event, _ in one.events)), "")
    ids = {place.sha: place.commit_id for place in _telling(window.places, slot)}
    if head not in ids:
        return {}
    failed = test_reports.failed_tests([ids[head]]).get((ids[head], configuration_id), {})
    names = sorted(failed)[:MOST_TESTS]
    if not names:
        return {}
    shas = {commit_id: sha for sha, commit_id in ids.items()}
    told = test_reports.events_of(configuration_id, names, ids.values())
    return {
        name: tracks.of_test(
            commits,
            {
                shas[commit_id]: {(run, attempt): cast(Status, status) for run, attempt, status in rows}
                for commit_id, rows in told.get(name, {}).items()
            },
        )
        for name in names
    }
