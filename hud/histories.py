"""What the runs of trunk's window say, as the histories that are judged: read from the tables, nothing written.

The window ends at trunk's newest commit and reaches `Repository.window_hours` back from its time, not from the clock's:
the same commits and runs give the same histories whenever they are stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain, groupby
from operator import itemgetter
from typing import NamedTuple, cast

from django.db import connection

from hud import test_reports, tracks
from hud.cells import FINISHED, Outcome, RunFact, attempts, shown
from hud.models import Repository
from hud.tracks import CommitTold, Told
from hud.verdicts import Event, Signal, Status

MOST_COMMITS = 1000
ENOUGH_FOR_GREEN = 40  # commits in which nearly every job has a result
GREENS_ENOUGH = 20
REPORTS_LOOKED_AT = 5  # of the newest failing commits
MOST_TESTS = 20  # of a job's failed tests that get a signal of their own: of more, something else is wrong
INFRA = "infra"  # the category of failures that blame machines or network, see `hud.failure_rules`

_EVENTS: dict[Outcome, Status] = {
    Outcome.FAILED: "F", Outcome.TIMED_OUT: "F", Outcome.PASSED: "S", Outcome.NEUTRAL: "S",
    Outcome.RUNNING: "P", Outcome.QUEUED: "P",
}  # fmt: skip
_FINISHED = bytes(code if code in FINISHED and code != Outcome.TOLERATED else 0 for code in range(256))
# Cells without any event: nothing ran, or what ran is evidence of nothing.
_SILENT = frozenset(map(int, (Outcome.NONE, Outcome.SKIPPED, Outcome.CANCELLED, Outcome.TOLERATED)))
_CLEAN = frozenset(map(int, (Outcome.PASSED, Outcome.NEUTRAL)))
_FLAKY = int(Outcome.FLAKY)  # plain numbers, since each cell of the window is compared


class Place(NamedTuple):
    """A commit of trunk's window."""

    commit_id: int
    sha: str
    position: int
    cells: bytes


class Head(NamedTuple):
    """Trunk's newest commit, where its window ends; and whether people's opinions have to be asked for at all."""

    branch_id: int
    position: int
    since: datetime
    opinions: bool


@dataclass(frozen=True)
class Trunk:
    """Trunk's window, newest first."""

    repository: Repository
    branch_id: int
    places: Sequence[Place]
    opinions: bool = True

    @cached_property
    def positions(self) -> dict[str, int]:
        """Places on trunk, by sha."""
        return {place.sha: place.position for place in self.places}

    @cached_property
    def ids(self) -> dict[str, int]:
        """Ids of commits, by sha."""
        return {place.sha: place.commit_id for place in self.places}


# By place, not by LIMIT: or a window of few commits would be looked for down to trunk's very first.
_WINDOW = """
    SELECT c.id, c.sha, b.position, coalesce(s.cells, '')
    FROM hud_branchcommit b
    JOIN hud_commit c ON c.id = b.commit_id
    LEFT JOIN hud_commitcells s ON s.commit_id = c.id
    WHERE b.branch_id = %s AND b.position > %s AND c.committed_at >= %s
    ORDER BY b.position DESC
"""
_CELL = "CASE WHEN length(s.cells) > %s THEN get_byte(s.cells, %s) ELSE 0 END AS c{n}"
_KEPT = f"c{{n}} = {_FLAKY} OR count(*) FILTER (WHERE c{{n}} IN {tuple(sorted(_CLEAN))}) OVER newer < {GREENS_ENOUGH}"
_FEW = """
    SELECT * FROM (
        SELECT id, sha, position, {kept} AS kept, {columns} FROM (
            SELECT c.id, c.sha, b.position, {cells}
            FROM hud_branchcommit b
            JOIN hud_commit c ON c.id = b.commit_id
            LEFT JOIN hud_commitcells s ON s.commit_id = c.id
            WHERE b.branch_id = %s AND b.position > %s AND c.committed_at >= %s
        ) every WINDOW newer AS (ORDER BY position DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) judged WHERE kept ORDER BY position DESC
"""
_HEAD = """
    SELECT h.id, b.position, c.committed_at,
           EXISTS (SELECT FROM hud_judgement j WHERE j.repository_id = h.repository_id AND j.withdrawn_at IS NULL)
    FROM hud_branch h
    JOIN hud_branchcommit b ON b.branch_id = h.id JOIN hud_commit c ON c.id = b.commit_id
    WHERE h.repository_id = %s AND h.name = %s AND h.watched
    ORDER BY b.position DESC LIMIT 1
"""


def head(repository: Repository) -> Head | None:
    """Where trunk's window ends; None while nothing is known of trunk."""
    with connection.cursor() as cursor:
        cursor.execute(_HEAD, [repository.pk, repository.trunk])
        row = cursor.fetchone()
    if row is None:
        return None
    return Head(row[0], row[1], row[2] - timedelta(hours=repository.window_hours), row[3])


def window(repository: Repository, at: Head, most: int = MOST_COMMITS, only: Sequence[int] = ()) -> Trunk:
    """The commits on which verdicts rest now, at most so many.

    `only`: as much as is needed to judge these slots, few as they are: of each commit their cells alone, in this order
    (so that a byte stands where its slot stands in `only`), and none of the commits that `read` would leave out.
    """
    values: list[int | datetime] = [at.branch_id, at.position - most, at.since]
    with connection.cursor() as cursor:
        if not only:
            cursor.execute(_WINDOW, values)
            return Trunk(repository, at.branch_id, list(map(Place._make, cursor.fetchall())), at.opinions)
        cells = ", ".join(_CELL.format(n=n) for n in range(len(only)))
        columns = ", ".join(f"c{n}" for n in range(len(only)))
        kept = " OR ".join(_KEPT.format(n=n) for n in range(len(only)))
        query = _FEW.format(cells=cells, kept=kept, columns=columns)
        cursor.execute(query, [*chain(*zip(only, only, strict=True)), *values])
        places = [Place(id, sha, position, bytes(found)) for id, sha, position, _, *found in cursor.fetchall()]
        return Trunk(repository, at.branch_id, places, at.opinions)


def trunk(repository: Repository, most: int = MOST_COMMITS) -> Trunk | None:
    """The same, if anything is known of trunk."""
    at = head(repository)
    return None if at is None else window(repository, at, most)


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
    kept = {pk: _kept(window.places, slot) for pk, slot in slots.items()}
    pairs = [(place.commit_id, pk) for pk, slot in slots.items() for place in kept[pk] if _tells(place, slot)]
    found: dict[tuple[int, int], list[Told]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_RUNS, [[commit_id for commit_id, _ in pairs], [pk for _, pk in pairs]])
        said = cursor.fetchall()
    for key, group in groupby(said, key=itemgetter(0, 1)):
        rows = list(group)
        facts = [RunFact._make(row[2:12]) for row in rows]
        found[key] = told(facts, {row[2]: row[12] for row in rows}, {row[2]: row[13] for row in rows})
    by_configuration = {
        pk: [CommitTold(place.sha, found.get((pk, place.commit_id), ())) for place in places]
        for pk, places in kept.items()
    }
    return by_configuration, {row[13] for row in said if row[13] and row[14] == INFRA}


def _tells(place: Place, slot: int) -> bool:
    """Whether there may be an event in that cell."""
    return slot < len(place.cells) and place.cells[slot] not in _SILENT


def _kept(places: Sequence[Place], slot: int) -> list[Place]:
    """The window without what cannot matter: of the green side, the newest successes are enough to compare with; of
    what is older, only flakiness counts. (Older ones matter if they were run again late, which nobody asks for.)"""
    kept: list[Place] = []
    clean = 0
    for place in places:
        cells = place.cells
        outcome = cells[slot] if slot < len(cells) else 0
        if clean < GREENS_ENOUGH or outcome == _FLAKY:
            kept.append(place)
            clean += outcome in _CLEAN
    return kept


def told(facts: Sequence[RunFact], began: dict[int, float], keys: dict[int, str]) -> list[Told]:
    """What the attempts of one configuration on one commit say. By each run's id: `began`, when it started, or was
    queued if it has not, in seconds since the epoch; `keys`, of its failure, empty if none is known."""
    if len(facts) == 1:  # most cells: one job, once
        return _told_once(facts[0], began, keys)
    found = []
    for attempt in attempts(facts):
        status = _EVENTS.get(attempt.outcome)
        if status is not None:
            at = datetime.fromtimestamp(min(began[run.id] for run in attempt.runs), UTC)
            known = sorted({keys[run.id] for run in attempt.runs} - {""}) if status == "F" else ()
            found.append(Told(Event(status, at, attempt.workflow_run_id, attempt.number), tuple(known)))
    return found


def _told_once(fact: RunFact, began: dict[int, float], keys: dict[int, str]) -> list[Told]:
    status = _EVENTS.get(shown(fact.status, fact.conclusion))
    if status is None or (fact.over and status == "P"):
        return []
    number = 1 if fact.workflow_run_id is None else fact.attempt
    event = Event(status, datetime.fromtimestamp(began[fact.id], UTC), fact.workflow_run_id, number)
    return [Told(event, (keys[fact.id],) if status == "F" and keys[fact.id] else ())]


Tests = dict[int, dict[str, Signal]]
"""By configuration id: the histories of its tests that failed, by name."""

_FAILED_TESTS = """
    SELECT r.configuration_id, r.commit_id, jsonb_path_query_array(r.failed, '$[*][0]')::text
    FROM unnest(%s::int[], %s::int[]) AS t (commit_id, configuration_id)
    JOIN hud_testreport r USING (commit_id, configuration_id)
    WHERE r.read_at IS NOT NULL AND r.failed <> '[]'
"""


def of_tests(window: Trunk, said: Mapping[int, Sequence[CommitTold]]) -> Tests:
    """The histories of the tests that failed on the newest failing commits, as far as reports tell. One query, and one
    more for each configuration that has such tests.

    More commits than one, since the newest one's reports come late, and none tells of a test that did not get its turn.
    Whether a test still fails, its history says.
    """
    newest = {pk: tracks.failing_at_top(commits)[:REPORTS_LOOKED_AT] for pk, commits in said.items()}
    pairs = [(window.ids[sha], pk) for pk, shas in newest.items() for sha in shas]
    with connection.cursor() as cursor:
        cursor.execute(_FAILED_TESTS, [[commit_id for commit_id, _ in pairs], [pk for _, pk in pairs]])
        failed: dict[tuple[int, int], set[str]] = {}
        for pk, commit_id, names in cursor.fetchall():
            failed.setdefault((pk, commit_id), set()).update(json.loads(names))
    found: Tests = {}
    for pk in sorted({pk for pk, _ in failed}):
        by_commit = [sorted(failed.get((pk, window.ids[sha]), ())) for sha in newest[pk]]
        names = list(dict.fromkeys(chain.from_iterable(by_commit)))[:MOST_TESTS]
        found[pk] = _histories(window, pk, said[pk], names)
    return found


def _histories(window: Trunk, pk: int, commits: Sequence[CommitTold], names: Sequence[str]) -> dict[str, Signal]:
    shas = {window.ids[one.sha]: one.sha for one in commits}
    told = test_reports.events_of(pk, names, shas)
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
