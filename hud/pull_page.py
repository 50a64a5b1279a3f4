"""A pull request's page: what was pushed, what failed on the head that is looked at, and whether the change did it.

What `hud.pull_verdict` needs is gathered here: the failing lines of the head, of its merge base, and of unrelated
commits. The number of queries is the same whatever there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from hud import failing_lines, layout, pull_verdict
from hud.cells import Outcome, RunKind
from hud.commit_page import cards
from hud.details import sums
from hud.failing_lines import FailingLine
from hud.failure_rules import says_little
from hud.models import (
    Break,
    BreakState,
    Commit,
    CommitCells,
    JobLog,
    LogState,
    PullHead,
    PullRequest,
    Repository,
    WorkflowRun,
)
from hud.places import Place
from hud.pull_verdict import Base, Cause, Evidence, Failure, Judged, Label, Sighting
from hud.runs import Square, at_slot, cells_of, squares
from project.github.outcomes import Conclusion

BELOW = 20  # trunk commits below the merge base that may stand in for it
BEFORE, AFTER = timedelta(days=3), timedelta(days=7)  # how far from the head a sighting may be
MOST_SIGHTINGS = 500
MOST_HEADS = 60
RECENT = timedelta(minutes=30)  # a failed job younger than this, without a row of its log, is about to get one

_PENDING = (Outcome.RUNNING, Outcome.QUEUED)
_TOLD = (Outcome.FLAKY, Outcome.TOLERATED)  # not failing any more, but worth a label


@dataclass(frozen=True, slots=True)
class Head:
    """A commit that was pushed, as the list of them shows it."""

    sha: str
    title: str
    pushed_at: datetime | None
    replaced_at: datetime | None
    gone: bool
    newest: bool
    chosen: bool
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Job:
    """A failing configuration with its label. The shape that `hud/_pull_job.html` and `cards` share."""

    square: Square
    judged: Judged
    line: FailingLine | None
    evidence: Sequence[tuple[Evidence, str]]  # with the address where it is seen

    @property
    def label(self) -> Label:
        """What it is."""
        return self.judged.label


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the change on trunk."""

    sha: str
    title: str
    broken: Break | None
    reverted_by: str
    on_trunk: bool


def of_pull(place: Place, pull: PullRequest, sha: str) -> dict[str, Any]:
    """The context of a pull request's page, looking at its head `sha`, or at the newest."""
    heads = list(PullHead.objects.filter(pull=pull).order_by("place", "pushed_at", "pk"))
    chosen = next((head for head in heads if sha and head.sha.startswith(sha)), None)
    chosen = chosen or next((head for head in heads if head.sha == pull.head_sha), heads[-1] if heads else None)
    commit = Commit.objects.filter(repository=place.repository, sha=chosen.sha).first() if chosen else None
    landing = _fate(place, pull)
    listed = _heads(place.repository, heads, chosen, pull)
    context: dict[str, Any] = {
        "pull": pull,
        "heads": listed,
        "steps": _steps(listed),
        "chosen": chosen,
        "commit": commit,
        "fate": landing,
        "page_keys": (("J K", "older, newer push"), ("X", "next failure"), ("L", "log"), ("H", "history of the column"),
                      ("U", "back to the grid")),
        "now": timezone.now(),
    }  # fmt: skip
    if commit is None or chosen is None:
        none = pull_verdict.answer([])
        return {**context, "answer": none, "labels": [], "total": 0, "sums": [], "approval": 0}
    return {**context, **_verdict(place, pull, chosen, commit)}


def _verdict(place: Place, pull: PullRequest, head: PullHead, commit: Commit) -> dict[str, Any]:
    columns = layout.load(place.repository.pk, place.repository.layout_version)
    found = squares(place, commit, columns, cells=cells_of(commit))
    failed = [square for square in found if square.outcome.failing or square.outcome in _TOLD]
    logs = _logs(commit, failed)
    base = _below(place, head.merge_base)
    base_logs = _base_logs(base, [square.member.slot for square in failed])
    now = timezone.now()
    failures = [
        Failure(
            square.member.slot,
            square.member.full_name,
            square.member.unstable or square.outcome == Outcome.TOLERATED,
            square.outcome == Outcome.FLAKY,
            _causes(square, logs, now),
            _base(base, base_logs, square.member.slot, head.merge_base),
        )
        for square in failed
    ]
    keys = {cause.key for failure in failures for cause in failure.causes if not cause.says_little}
    seen = _sightings(place, pull, head, commit, keys)
    judged = pull_verdict.judge(failures, seen)
    lines = failing_lines.of_runs(place, [run.id for square in failed for run in square.failed_runs[:3]])
    by_slot = {square.member.slot: square for square in failed}
    jobs = [_job(place, by_slot[one.failure.slot], one, lines) for one in judged]
    outcomes = [square.outcome for square in found]
    runs = WorkflowRun.objects.filter(commit=commit)
    approval = runs.filter(conclusion=Conclusion.ACTION_REQUIRED).count()
    unfinished = sum(outcome in _PENDING for outcome in outcomes)
    return {
        "answer": pull_verdict.answer(
            judged,
            unfinished=unfinished,
            passed=sum(outcome in (Outcome.PASSED, Outcome.NEUTRAL) for outcome in outcomes),
            waiting_approval=approval,
        ),
        "labels": [
            (label, cards([job for job in jobs if job.label == label]), sum(job.label == label for job in jobs))
            for label in Label
            if any(job.label == label for job in jobs)
        ],
        "total": len(found),
        "sums": sums(outcomes),
        "approval": approval,
        "unfinished": unfinished,
    }


def _job(place: Place, square: Square, judged: Judged, lines: dict[int, FailingLine]) -> Job:
    line = next((lines[run.id] for run in square.failed_runs if run.id in lines), None)
    return Job(square, judged, line, [(one, _seen_at(place, one, square.member.slot)) for one in judged.evidence])


def _seen_at(place: Place, one: Evidence, slot: int) -> str:
    if not one.sha:
        return ""
    return f"{place.base}/cell/{one.sha}/{slot if one.slot is None else one.slot}"


# -- the head ------------------------------------------------------------------------------------------------------


def _heads(repository: Repository, heads: Sequence[PullHead], chosen: PullHead | None, pull: PullRequest) -> list[Head]:
    """The pushed commits, newest first: those that it has now, then those that were taken away."""
    rows = CommitCells.objects.filter(commit__repository=repository, commit__sha__in=[head.sha for head in heads])
    worst = {sha: max(bytes(cells), default=0) for sha, cells in rows.values_list("commit__sha", "cells")}
    made = [
        Head(
            head.sha, head.title, head.pushed_at, head.replaced_at, head.place is None and head.sha != pull.head_sha,
            head.sha == pull.head_sha, head == chosen, Outcome(min(worst.get(head.sha, 0), len(Outcome) - 1)),
        )
        for head in heads
    ]  # fmt: skip
    current = [head for head in made if not head.gone][::-1]
    gone = sorted((head for head in made if head.gone), key=_when, reverse=True)
    return (current + gone)[:MOST_HEADS]


def _steps(heads: Sequence[Head]) -> dict[str, Head | None]:
    """The pushes next to the one that is looked at, in the order of the list."""
    at = next((index for index, head in enumerate(heads) if head.chosen), None)
    if at is None:
        return {"older": None, "newer": None}
    return {"older": heads[at + 1] if at + 1 < len(heads) else None, "newer": heads[at - 1] if at else None}


def _when(head: Head) -> float:
    at = head.replaced_at or head.pushed_at
    return at.timestamp() if at else 0.0


def _logs(commit: Commit, failed: Sequence[Square]) -> dict[int, JobLog]:
    ids = [run.id for square in failed for run in square.failed_runs]
    return {row.run_id: row for row in JobLog.objects.filter(run_id__in=ids).defer("context", "captures", "errors")}


def _causes(square: Square, logs: dict[int, JobLog], now: datetime) -> tuple[Cause, ...]:
    """Why the jobs of its newest failing attempt failed."""
    attempt = next((one for one in reversed(square.attempts) if any(run.outcome.failing for run in one.runs)), None)
    found = []
    for run in attempt.runs if attempt else ():
        if not run.outcome.failing:
            continue
        if run.id in logs:
            found.append(_cause(logs[run.id]))
        else:
            # Only jobs have logs; and one that ended just now has not been noted yet.
            young = run.ended is None or now - run.ended < RECENT
            found.append(Cause(waiting=run.id & 3 == RunKind.JOB and young))
    return tuple(found) or (Cause(),)


def _cause(row: JobLog) -> Cause:
    return Cause(
        row.key,
        row.rule,
        row.line,
        row.category,
        waiting=row.state == LogState.WAITING,
        missing=row.state == LogState.MISSING,
        expired=row.state in (LogState.EXPIRED, LogState.FAILED),
    )


# -- its merge base ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Below:
    """The merge base and trunk below it, newest first."""

    commits: Sequence[tuple[int, str, bytes]]  # id, sha, cells


def _below(place: Place, merge_base: str) -> _Below:
    if not merge_base:
        return _Below(())
    here = place.commits.filter(commit__sha=merge_base, commit__repository=place.repository)
    position = here.values_list("position", flat=True).first()
    if position is None:
        rows: Iterable[Any] = Commit.objects.filter(repository=place.repository, sha=merge_base).values_list(
            "pk", "sha", "commitcells__cells"
        )
    else:
        rows = (
            place.commits.filter(position__lte=position, position__gt=position - BELOW)
            .order_by("-position")
            .values_list("commit_id", "commit__sha", "commit__commitcells__cells")
        )
    return _Below([(pk, sha, bytes(cells or b"")) for pk, sha, cells in rows])


def _nearest(below: _Below, slot: int) -> tuple[int, str, Outcome] | None:
    """The newest of these commits on which the configuration came to a result."""
    for pk, sha, cells in below.commits:
        outcome = at_slot(cells, slot)
        if outcome.finished:
            return pk, sha, outcome
    return None


def _base_logs(below: _Below, slots: Sequence[int]) -> dict[tuple[int, int], list[Cause]]:
    """The causes of the failures on those commits, by commit id and slot."""
    wanted = {near[0] for slot in slots if (near := _nearest(below, slot)) and near[2].failing}
    found: dict[tuple[int, int], list[Cause]] = {}
    rows = JobLog.objects.filter(commit__in=wanted, configuration__slot__in=slots).select_related("configuration")
    for row in rows.defer("context", "captures", "errors"):
        found.setdefault((row.commit_id, row.configuration.slot), []).append(_cause(row))
    return found


def _base(below: _Below, logs: dict[tuple[int, int], list[Cause]], slot: int, merge_base: str) -> Base | None:
    near = _nearest(below, slot)
    if near is None:
        return None
    pk, sha, outcome = near
    passed = outcome in (Outcome.PASSED, Outcome.NEUTRAL, Outcome.FLAKY)
    failed = outcome.failing or outcome in _TOLD
    return Base(sha, failed, passed, tuple(logs.get((pk, slot), ())), sha == merge_base)


# -- the same elsewhere --------------------------------------------------------------------------------------------


def _sightings(place: Place, pull: PullRequest, head: PullHead, commit: Commit, keys: set[str]) -> list[Sighting]:
    """The same failures on commits that have nothing to do with this change, not too long ago."""
    if not keys:
        return []
    own = set(PullHead.objects.filter(pull=pull).values_list("sha", flat=True))
    middle = commit.committed_at or head.pushed_at or timezone.now()
    rows = list(
        JobLog.objects.filter(
            repository=place.repository, key__in=keys, failed_at__gt=middle - BEFORE, failed_at__lt=middle + AFTER
        )
        .exclude(commit=commit)
        .order_by("-run_id")
        .values_list("key", "rule", "commit__sha", "configuration__slot", "commit_id")[:MOST_SIGHTINGS]
    )
    rows = [row for row in rows if not says_little(row[1]) and row[2] not in own]
    places = dict(place.commits.filter(commit__in={row[4] for row in rows}).values_list("commit_id", "position"))
    unrelated = _unrelated_places(place, pull, head)
    others = _other_pulls(place.repository, pull, {row[2] for row in rows if row[4] not in places}, own)
    found = []
    for key, _, sha, slot, commit_id in rows:
        if commit_id in places:
            if any(low < places[commit_id] < high for low, high in unrelated):
                found.append(Sighting(key, sha, slot))
        elif sha in others:
            found.append(Sighting(key, sha, slot, others[sha]))
    return found


def _unrelated_places(place: Place, pull: PullRequest, head: PullHead) -> list[tuple[float, float]]:
    """Stretches of trunk, ends excluded, that neither the head is built on nor the change is in.

    Where the merge base is not known to be on trunk, nothing on trunk can be called unrelated. From where the change
    landed, trunk contains it; and what it broke stays broken for a while after its revert, so nothing later counts.
    """
    base = place.commits.filter(commit__sha=head.merge_base).values_list("position", flat=True).first()
    if base is None:
        return []
    landed = (
        place.commits.filter(Q(commit__pr_number=pull.number) | Q(commit__sha=pull.landed_sha or "-"))
        .order_by("position")
        .values_list("position", flat=True)
        .first()
    )
    return [(base, float("inf") if landed is None else landed)]


def _other_pulls(repository: Repository, pull: PullRequest, shas: set[str], own: set[str]) -> dict[str, int]:
    """Whose heads these commits are, if of pull requests by others that share no commit with this one."""
    heads = PullHead.objects.filter(pull__repository=repository, sha__in=shas).exclude(pull=pull)
    rows = heads.exclude(pull__author=pull.author).values_list("sha", "pull_id", "pull__number")
    stacked = set(PullHead.objects.filter(sha__in=own).exclude(pull=pull).values_list("pull_id", flat=True))
    return {sha: number for sha, pull_id, number in rows if pull_id not in stacked}


# -- its landing ---------------------------------------------------------------------------------------------------


def _fate(place: Place, pull: PullRequest) -> Fate | None:
    """The trunk commit that it became, and what became of that."""
    on_trunk = place.commits.filter(Q(commit__sha=pull.landed_sha or "-") | Q(commit__pr_number=pull.number))
    row = on_trunk.order_by("-position").select_related("commit").first()
    if row is None:
        return Fate(pull.landed_sha, "", None, "", False) if pull.landed else None
    landed = row.commit
    broken = (
        Break.objects.filter(Q(culprit=landed) | Q(suspect=landed), repository=place.repository, merged_into=None)
        .exclude(state=BreakState.NOT_A_BREAK)
        .order_by("-number")
        .first()
    )
    reverts = place.commits.filter(position__gt=row.position, position__lte=row.position + 1000)
    reverted = reverts.filter(commit__message__contains=f"This reverts commit {landed.sha[:12]}")
    reverted_by = reverted.order_by("position").values_list("commit__sha", flat=True).first() or ""
    return Fate(landed.sha, landed.title, broken, reverted_by, True)
