"""The verdict on every signal of a trunk, kept as it is read: one `Signal` row each.

`hud.ingest` calls `update` at the end of every batch, in its transaction. Which signals are red is seen from the packed
cells of all configurations at once; only those are looked at run by run and judged by `hud.verdicts`. So the hundreds
of green ones cost next to nothing, and nothing is decided when a page is asked for.

The window ends at trunk's newest commit and reaches `Repository.window_hours` back from its time, not from the clock's:
the same commits and runs give the same verdicts whenever they are stored. What does depend on the clock (an opinion
that has expired) is judged again by `sweep`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from hud import breaks, histories, live, tracks
from hud.cells import Outcome
from hud.models import Configuration, Judgement, Repository, Signal
from hud.tracks import CommitTold
from hud.verdicts import Opinion, Verdict, still_counts

KEPT_SHAS = 60  # of each side of the evidence, in the row
FEW = 8  # columns of which the window is read by itself; for more of them whole rows cost less
_RED = (Outcome.FAILED, Outcome.TIMED_OUT)


def update(
    repository: Repository,
    touched: Collection[tuple[int, int]],
    *,
    everything: bool = False,
    now: datetime | None = None,
) -> bool:
    """Bring signals and breaks up to the runs of these (commit, configuration); returns whether any changed.

    `everything`: look at all signals and judge the red ones again, as after trunk's order changed. The caller holds the
    repository's lock.
    """
    now = now or timezone.now()
    head = histories.head(repository)
    if head is None:
        return False
    columns, stored = _columns(repository, None if everything else {pk for _, pk in touched})
    whole = everything or any(row.red for rows in stored.values() for row in rows.values())
    only: list[int] = []
    if not everything and len(columns) <= FEW:
        only = [column.slot for column in columns]
        columns = [column._replace(slot=place) for place, column in enumerate(columns)]
    most = histories.MOST_COMMITS if whole else histories.ENOUGH_FOR_GREEN
    window = histories.window(repository, head, most, only)
    slots = {column.slot for column in columns}
    size = max(slots, default=-1) + 1
    newest = histories.newest_results(window.places, size)
    if not whole and any(newest[slot] in _RED or not newest[slot] for slot in slots):
        window = histories.window(repository, head, only=only)
        newest = histories.newest_results(window.places, size)
    red = {column.id: column.slot for column in columns if newest[column.slot] in _RED and not column.unstable}
    made = _Made(repository, stored, now)
    for column in columns:
        if column.id not in red:
            ended = "recovered_at_head" if newest[column.slot] else "no_success_seen"
            made.cleared(column.id, "unstable" if column.unstable else ended)
    if red:
        _judge(window, red, made)
    made.save()
    if not made.changed and not everything:
        return False
    changed = breaks.update(repository, window.branch_id, now) or bool(made.changed)
    made.forget()
    return changed


class _Made:
    """Rows as they are made anew, beside those that are stored: only what changed is written."""

    def __init__(self, repository: Repository, stored: Mapping[int, Mapping[str, Signal]], now: datetime) -> None:
        self.repository, self.now = repository, now
        self.changed: list[Signal] = []
        self._stored = stored
        self._gone: list[Signal] = []

    def judged(
        self, pk: int, found: Sequence[tracks.Judged], commits: Sequence[CommitTold], at: histories.Trunk
    ) -> None:
        """A configuration that fails at the head."""
        for one in found:
            row = self._row(pk, one.test)
            before = _values(row)
            _fill(row, one, at.positions)
            row.broke_at = _began(commits, one, row.suspect)
            self._note(row, before)
        self._forget(pk, {one.test for one in found})

    def cleared(self, pk: int, code: str) -> None:
        """A configuration that does not."""
        row = self._row(pk, "")
        before = _values(row)
        _clear(row, code)
        self._note(row, before)
        self._forget(pk, {""})

    def save(self) -> None:
        """Write what changed."""
        _save(self.changed)

    def forget(self) -> None:
        """Delete the rows of failures and tests that are over: there is no end of them. Their breaks know by now."""
        if self._gone:
            Signal.objects.filter(pk__in=[row.pk for row in self._gone]).delete()

    def _row(self, pk: int, test: str) -> Signal:
        known = self._stored.get(pk, {}).get(test)
        return known or Signal(repository=self.repository, configuration_id=pk, test=test, code="", judged_at=self.now)

    def _note(self, row: Signal, before: tuple[Any, ...]) -> None:
        if row.pk is None or _values(row) != before:
            row.judged_at = self.now
            self.changed.append(row)

    def _forget(self, pk: int, kept: Collection[str]) -> None:
        # The job may still fail, but not so: as far as is known, this is over.
        for test, row in self._stored.get(pk, {}).items():
            if test not in kept:
                before = _values(row)
                _clear(row, "recovered_at_head")
                self._note(row, before)
                self._gone.append(row)


class _Column(NamedTuple):
    """`slot`: where its byte stands in the cells of the window that was read."""

    id: int
    slot: int
    unstable: bool


_COLUMNS = [field.attname for field in Signal._meta.concrete_fields]
_EVIDENCE = _COLUMNS.index("evidence")
_STORED = f"""
    SELECT k.id, k.slot, k.unstable, {", ".join(f"s.{name}" for name in _COLUMNS)}
    FROM hud_configuration k LEFT JOIN hud_signal s ON s.configuration_id = k.id WHERE k.repository_id = %s
"""


def _columns(repository: Repository, ids: Collection[int] | None) -> tuple[list[_Column], dict[int, dict[str, Signal]]]:
    """These configurations, or all; and the rows that are stored of them, by configuration and test."""
    only, values = (" AND k.id = ANY(%s)", [list(ids)]) if ids is not None else ("", [])
    columns: dict[int, _Column] = {}
    stored: dict[int, dict[str, Signal]] = {}
    with connection.cursor() as cursor:  # by hand: this is asked with each run that arrives
        cursor.execute(_STORED + only, [repository.pk, *values])
        for pk, slot, unstable, *row in cursor.fetchall():
            columns[pk] = _Column(pk, slot, unstable)
            if row[0] is not None:
                row[_EVIDENCE] = json.loads(row[_EVIDENCE])
                signal = Signal.from_db(None, _COLUMNS, row)
                stored.setdefault(pk, {})[signal.test] = signal
    return list(columns.values()), stored


@transaction.atomic
def failure_known(repository_id: int, cells: Collection[tuple[int, int]]) -> None:
    """The logs of these (commit, configuration) have been read: what failed there is known now. Takes the lock."""
    repository = Repository.objects.select_for_update(no_key=True).get(pk=repository_id)
    if update(repository, cells):
        repository.version += 1
        repository.save(update_fields=["version"])
        live.changed(repository_id, repository.version)


@transaction.atomic
def sweep(repository_id: int, now: datetime | None = None) -> None:
    """Judge all red signals again, since the clock has moved: opinions expire. Takes the lock."""
    repository = Repository.objects.select_for_update(no_key=True).get(pk=repository_id)
    if update(repository, (), everything=True, now=now):
        repository.version += 1
        repository.save(update_fields=["version"])
        live.changed(repository_id, repository.version)


def judge_now(repository: Repository, configuration: Configuration, test: str, now: datetime) -> Verdict | None:
    """A signal's whole verdict, with every observation: for the page that shows one in full. None if it is not red."""
    window = histories.trunk(repository)
    if window is None:
        return None
    said, infra = histories.read(window, {configuration.pk: configuration.slot})
    tests = histories.of_tests(window, said).get(configuration.pk)
    found = tracks.judged(said[configuration.pk], _Opinions(window, now).on(configuration.pk), infra, tests)
    return next((one.verdict for one in found if one.test == test), None)


# -- judging ----------------------------------------------------------------------------------------------------------


class _Opinions:
    """What people said that still counts."""

    def __init__(self, window: histories.Trunk, now: datetime) -> None:
        self._by_sha: dict[str, list[Judgement]] = {}
        if not window.opinions:
            return
        rows = Judgement.objects.filter(repository=window.repository, withdrawn_at=None, sha__in=list(window.positions))
        for one in rows.order_by("-given_at", "-pk"):
            if still_counts(_opinion(one), given=one.given_at, now=now):
                self._by_sha.setdefault(one.sha, []).append(one)

    def on(self, configuration_id: int) -> tracks.Opinions:
        """The newest word on a suspect, for (test, sha) of this configuration. One about no configuration, or about
        no test, is about all of them."""

        def find(test: str, sha: str) -> Opinion | None:
            for one in self._by_sha.get(sha, ()):
                if one.configuration_id in (None, configuration_id) and one.test in ("", test):
                    return _opinion(one)
            return None

        return find


def _opinion(row: Judgement) -> Opinion:
    return Opinion(row.sha, row.says, row.confidence)  # type: ignore[arg-type]  # written from a fixed list


def _judge(window: histories.Trunk, slots: dict[int, int], made: _Made) -> None:
    """Make the rows of these red configurations' signals anew."""
    said, infra = histories.read(window, slots)
    opinions = _Opinions(window, made.now)
    tests = histories.of_tests(window, said)
    for pk, commits in said.items():
        found = tracks.judged(commits, opinions.on(pk), infra, tests.get(pk))
        if found:
            made.judged(pk, found, commits, window)
        else:  # its newest commit failed, but was neutral as well
            made.cleared(pk, "recovered_at_head")


def _began(commits: Sequence[CommitTold], one: tracks.Judged, sha: str) -> datetime | None:
    """When the suspect's first failure was started; of a signal without a suspect, the oldest one known."""
    events = [
        told.event.at
        for commit in commits
        if sha in ("", commit.sha)
        for told in commit.events
        if told.event.status == "F" and (not one.test or one.test in told.keys)
    ]
    return min(events, default=None)


def _fill(row: Signal, one: tracks.Judged, positions: dict[str, int]) -> None:
    verdict, evidence = one.verdict, one.verdict.evidence
    failing = evidence.failing or one.failing
    row.red = True
    row.decision, row.code = verdict.decision, verdict.code
    row.suspect = evidence.suspect or ""
    row.suspect_at = positions.get(row.suspect)
    row.range_from = positions[evidence.gap[-1]] if evidence.gap else row.suspect_at
    row.failing_to = positions.get(failing[0]) if failing else None
    row.culprit = verdict.culprit or ""
    row.restart = list(one.restart)
    row.failures = one.failures
    row.failure_key = one.key
    row.evidence = {
        "words": evidence.words,
        "failing": list(evidence.failing[:KEPT_SHAS]), "gap": list(evidence.gap[:KEPT_SHAS]),
        "green": list(evidence.green[:KEPT_SHAS]), "failures": evidence.failures, "successes": evidence.successes,
        "missing": [
            {"code": lack.code, "what": lack.what, "settled_by": lack.settled_by, "restart": list(lack.restart)}
            for lack in evidence.missing
        ],
    }  # fmt: skip


def _clear(row: Signal, code: str) -> None:
    """Not red: the newest commit with a result passed, or there is none. Which one is not kept, since it would change
    with every commit of hundreds of signals."""
    row.red, row.decision, row.code = False, "none", code
    row.suspect = row.culprit = row.failure_key = ""
    row.suspect_at = row.range_from = row.failing_to = row.broke_at = None
    row.restart, row.evidence, row.failures = [], {}, 0


_FIELDS = (
    "red", "decision", "code", "suspect", "suspect_at", "range_from", "failing_to", "culprit", "restart", "failures",
    "failure_key", "evidence", "broke_at",
)  # fmt: skip


def _values(row: Signal) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in _FIELDS)


def _save(rows: Sequence[Signal]) -> None:
    Signal.objects.bulk_create([row for row in rows if row.pk is None], batch_size=500)
    Signal.objects.bulk_update([row for row in rows if row.pk is not None], [*_FIELDS, "judged_at"], batch_size=200)
