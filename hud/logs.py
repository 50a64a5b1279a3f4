"""Fetching the logs of failed jobs, and storing what they say.

`note` makes a row for each failed job (in the database alone, and repeated as often as one likes); `read` reads the
logs that are due, newest first, as long as the rate budget has room for what matters least. A log is read piece by
piece: of one that is too long the beginning and the end are kept. Its text stays for two weeks, its failing line
for good.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from hud import live, polling, signals, test_reports
from hud.cells import RunKind
from hud.ingest import FOREIGN_EVENTS
from hud.log_store import Text, look, rules_of, store
from hud.models import JobLog, LogPart, LogReading, LogState, Repository
from project.github import errors
from project.github.client import Client, RepoRef
from project.github.outcomes import Conclusion, Status

log = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=14)
GITHUB_KEEPS = timedelta(days=90)
RECENT = timedelta(days=2)  # workflow runs begun since then are looked at whenever something has changed
SWEEP_EVERY = timedelta(hours=1)  # and all others this often, for what was run again
SLICE = 8.0  # seconds that one turn may take: then others get the worker
TELL_EVERY = 3.0  # seconds after which open pages are told of what was read
READ_SECONDS = 100.0  # for one log
TRIES = 6
FIND_AGAIN, FIND_AGAIN_SECONDS = 1_000, 120.0  # logs looked through again after a change of rules
NOT_YET = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=20), timedelta(hours=1))
BROKEN_OFF = timedelta(minutes=5)  # a reading that never came to an end is begun again after this

_LOCK = 101  # beside those of `hud.polling`

EXPIRED_WORDS = "GitHub has deleted this log: it keeps logs for 90 days."
MISSING_WORDS = "GitHub has no log of this job: its runner may have died before it could send one."


# -- which logs are to be read ----------------------------------------------------------------------------------------

_NOTE = """
    INSERT INTO hud_joblog (run_id, failed_at, due_at, repository_id, commit_id, configuration_id, state, tries,
        problem, size, lines, kept, rule, category, line, test, captures, context, errors, key)
    SELECT r.id, coalesce(r.completed_at, %(now)s), %(now)s, %(repository)s, r.commit_id, r.configuration_id, 'waiting',
        0, '', 0, 0, false, '', '', '', '', '[]', '{}', '{}', ''
    FROM hud_run r
    WHERE r.commit_id IN (SELECT w.commit_id FROM hud_workflowrun w WHERE w.repository_id = %(repository)s
                          AND w.created_at > %(since)s AND w.event <> ALL(%(foreign)s))
      AND r.id & 3 = %(job)s AND r.status = %(completed)s AND r.conclusion = ANY(%(failed)s)
      AND coalesce(r.completed_at, %(now)s) > %(oldest)s
      AND NOT EXISTS (SELECT FROM hud_joblog l WHERE l.run_id = r.id)
    ON CONFLICT (run_id) DO NOTHING
"""


def note(repository_id: int, *, since: datetime, now: datetime) -> int:
    """Make a row for each failed job of the workflow runs begun since then; returns how many are new."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            {
                "repository": repository_id,
                "now": now,
                "since": since,
                "oldest": now - GITHUB_KEEPS,
                "job": RunKind.JOB,
                "completed": Status.COMPLETED,
                "failed": [Conclusion.FAILURE, Conclusion.TIMED_OUT],
                "foreign": list(FOREIGN_EVENTS),
            },
        )
        return int(cursor.rowcount)


def due(now: datetime) -> list[int]:
    """Ids of the repositories of which something is to be read, or at least looked for. One query."""
    waiting = JobLog.objects.filter(repository=OuterRef("pk"), due_at__lte=now)
    return list(
        Repository.objects.filter(active=True)
        .exclude(logreading__due_at__gt=now)
        .filter(
            Exists(waiting)
            | Q(logreading=None)
            | ~Q(version=F("logreading__noted_version"))
            | Q(logreading__swept_at__lte=now - SWEEP_EVERY)
            | Q(logreading__reports_due_at=None)
            | Q(logreading__reports_due_at__lte=now)
        )
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def want(run_id: int, now: datetime | None = None) -> bool:
    """Have a log read whose text is no longer there; returns whether it will be."""
    lost = JobLog.objects.filter(run_id=run_id, kept=False).exclude(state=LogState.EXPIRED)
    return bool(lost.update(due_at=now or timezone.now(), tries=0))


# -- reading them -----------------------------------------------------------------------------------------------------


def read(repository_id: int, *, now: datetime | None = None, client: Client | None = None) -> str:
    """One turn: note what failed, read what is due. Returns how it went, in a word or two. Never two at once."""
    now = now or timezone.now()
    with _only_one(repository_id) as mine:
        repository = Repository.objects.filter(pk=repository_id, active=True).first() if mine else None
        if repository is None:
            return "already running" if not mine else "not watched"
        reading, _ = LogReading.objects.get_or_create(repository=repository)
        if reading.due_at and reading.due_at > now:
            return "not due"
        _note_due(repository, reading, now)
        turn = _Turn(repository, client or polling.github(), now)
        try:
            turn.read_due()
            turn.more = turn.more or test_reports.read(
                repository, reading, turn.client, now, seconds=turn.left, cells=turn.known
            )
            reading.problem, reading.due_at = "", None
        except errors.RateLimited as error:
            reading.problem, reading.due_at = error.words[:500], max(error.retry_at, now + timedelta(seconds=10))
        except errors.GitHubError as error:
            reading.problem, reading.due_at = error.words[:500], now + timedelta(minutes=10)
        finally:
            turn.tell()
            reading.save(update_fields=["problem", "due_at"])
        return "put off" if reading.problem else "behind" if turn.more else "done"


def _note_due(repository: Repository, reading: LogReading, now: datetime) -> None:
    sweep = reading.swept_at is None or reading.swept_at <= now - SWEEP_EVERY
    if not sweep and reading.noted_version == repository.version:
        return
    note(repository.pk, since=now - (GITHUB_KEEPS if sweep else RECENT), now=now)
    reading.noted_version = repository.version
    if sweep:
        reading.swept_at = now
        forget(now)
        test_reports.forget(now)
    reading.save(update_fields=["noted_version", "swept_at"])


def forget(now: datetime) -> int:
    """Drop the texts that were read two weeks ago; the failing lines stay."""
    with transaction.atomic():
        old = list(JobLog.objects.filter(kept=True, read_at__lt=now - KEPT_FOR).values_list("pk", flat=True)[:5000])
        LogPart.objects.filter(log_id__in=old).delete()
        return JobLog.objects.filter(pk__in=old).update(kept=False)


def find_again(repository_id: int, *, now: datetime | None = None) -> int:
    """Look through the newest kept logs with the rules as they are now; returns how many say something else by that."""
    repository = Repository.objects.get(pk=repository_id)
    finder_rules, changed = rules_of(repository), set()
    until = time.monotonic() + FIND_AGAIN_SECONDS
    count = 0
    for row in JobLog.objects.filter(repository=repository, kept=True).order_by("-run_id")[:FIND_AGAIN].iterator():
        if time.monotonic() > until:
            break
        before = (row.key, row.line_number)
        look(row, finder_rules)
        if (row.key, row.line_number) != before:
            row.save()
            changed.add((row.commit_id, row.configuration_id))
            count += 1
    _tell(repository.pk, changed)
    return count


class _Turn:
    def __init__(self, repository: Repository, client: Client, now: datetime) -> None:
        self.repository, self.client, self.now = repository, client, now
        self.ref = RepoRef(repository.owner, repository.name)
        self.rules = rules_of(repository)
        self.more = False
        self._until = time.monotonic() + SLICE
        self.known: set[tuple[int, int]] = set()  # cells of which more is known than before
        self._told_at = time.monotonic()

    def read_due(self) -> None:
        waiting = JobLog.objects.filter(repository=self.repository, due_at__lte=self.now).order_by("-run_id")
        while row := waiting.first():
            if time.monotonic() > self._until:
                self.more = True
                return
            # First, so that a log at which a worker dies is not read for ever.
            row.tries += 1
            row.due_at = self.now + BROKEN_OFF * row.tries
            row.save(update_fields=["tries", "due_at"])
            try:
                self._read_one(row)
            except (errors.RateLimited, errors.BadCredentials, errors.Forbidden):
                JobLog.objects.filter(pk=row.pk).update(tries=F("tries") - 1, due_at=self.now)
                raise
            if time.monotonic() - self._told_at > TELL_EVERY:
                self.tell()

    @property
    def left(self) -> float:
        """Seconds of this turn that are left."""
        return self._until - time.monotonic()

    def tell(self) -> None:
        _tell(self.repository.pk, self.known)
        self.known.clear()
        self._told_at = time.monotonic()

    def _read_one(self, row: JobLog) -> None:
        try:
            with self.client.job_log(self.ref, row.run_id >> 2) as download:
                text = Text(settings.LOG_LIMIT_MB * 1024 * 1024)
                until = time.monotonic() + READ_SECONDS
                for piece in download.pieces():
                    text.add(piece)
                    if time.monotonic() > until:
                        raise errors.BadAnswer(f"the log of job {row.run_id >> 2}", "it takes too long")
        except errors.NotFound:
            self._put_off(row, MISSING_WORDS, LogState.MISSING, NOT_YET)
        except errors.Gone:
            self._give_up(row, EXPIRED_WORDS, LogState.EXPIRED)
        except (errors.RateLimited, errors.BadCredentials, errors.Forbidden):
            raise
        except errors.GitHubError as error:
            pauses = tuple(timedelta(minutes=2**n) for n in range(TRIES - 1))
            self._put_off(row, error.words, LogState.FAILED, pauses)
        else:
            store(row, text, self.rules, self.now)
            self.known.add((row.commit_id, row.configuration_id))

    def _put_off(self, row: JobLog, words: str, state: LogState, pauses: Sequence[timedelta]) -> None:
        if row.tries > len(pauses):
            self._give_up(row, words, state)
            return
        row.problem, row.due_at = words[:500], self.now + pauses[row.tries - 1]
        row.save(update_fields=["problem", "due_at"])

    def _give_up(self, row: JobLog, words: str, state: LogState) -> None:
        row.problem, row.due_at = words[:500], None
        if row.state != LogState.READ:  # one that was read before keeps what was found
            row.state = state
        row.save(update_fields=["problem", "due_at", "state"])
        self.known.add((row.commit_id, row.configuration_id))


def _tell(repository_id: int, cells: set[tuple[int, int]]) -> None:
    """What failed in these cells is known now, or will never be: verdicts, pages and open pages want to know."""
    if not cells:
        return
    with transaction.atomic():
        signals.failure_known(repository_id, cells)
        Repository.objects.filter(pk=repository_id).update(version=F("version") + 1)
        live.changed(repository_id)


@contextmanager
def _only_one(repository_id: int) -> Iterator[bool]:
    """Whether nobody else reads this repository's logs now. The database frees the lock when a worker is killed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [repository_id, _LOCK])
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [repository_id, _LOCK])
