"""What people do about a break on GitHub: revert, run again, file an issue; and unstable marks.

Each is one transaction with its audit row and its outbox row, whose key makes one effect of however many presses.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from hud import alerts, derive, histories, last_good, live, reruns, reverting, signals
from hud.break_actions import Told, line_of, locked, record, save
from hud.cells import RunKind
from hud.models import (
    Branch,
    Break,
    BreakState,
    Commit,
    Configuration,
    JobLog,
    Repository,
    Run,
    Signal,
    WorkflowRun,
)
from hud.reruns import Ran, RerunPlan
from hud.reverting import Asked, CannotRevert, Draft
from project import audit, outbox
from project.accounts.models import User
from project.github.outcomes import Conclusion, Status

UNDO_REVERT = timedelta(seconds=60)
UNDO_RERUN = timedelta(seconds=3)


# -- reverting --------------------------------------------------------------------------------------------------------


def evidence(one: Break) -> tuple[str, ...]:
    """What speaks for the suspect, in sentences for the one who wrote it."""
    members = [row.configuration for row in one.members.filter(left_at=None).select_related("configuration")]
    names = sorted({configuration.full_name for configuration in members})
    rows = list(Signal.objects.filter(configuration__in=members, suspect=one.suspect.sha if one.suspect else ""))
    said = [f"Broken: {_some(names)}."] if names else []
    if rows:
        surest = min(rows, key=lambda row: (row.decision != "revert", -row.failures, row.configuration_id, row.test))
        said.append(_speaks(surest))
    if one.failure_line:
        said.append(f"It says: {reverting.quoted(one.failure_line)}")
    return tuple(line for line in said if line)


def _speaks(row: Signal) -> str:
    """What a verdict rests on, for somebody who has never seen one."""
    if row.decision == "revert":
        return str(row.evidence.get("words", ""))
    failures, successes = row.evidence.get("failures", 0), row.evidence.get("successes", 0)
    if not failures:
        return ""
    before = f"; before, it passed {_times(successes)}" if successes else ""
    return f"Since {row.suspect[:7]} it has failed {_times(failures)}{before}."


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _some(names: list[str]) -> str:
    said = ", ".join(reverting.quoted(name, 100) for name in names[:4])
    return said + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _hold(keys: Collection[str]) -> None:
    """Lock the writes of these keys that there are. Before the repository, for so does their delivery, which tells
    `fate`: the order is write, repository, break."""
    list(outbox.Write.objects.select_for_update().filter(key__in=keys).order_by("pk"))


def _revert_key(repository_id: int, sha: str) -> str:
    return f"revert:{repository_id}:{sha}"


def _address(one: Break) -> str:
    return f"{settings.SITE_URL}/hud/{one.repository}/break/{one.number}"


def revert_draft(
    *, repository: Repository, commit: Commit, classification: str, why: str, one: Break | None = None
) -> Draft:
    """What reverting the commit would send. Raises `CannotRevert`, in words."""
    head = Branch.objects.filter(repository=repository, name=repository.trunk).values_list("head_sha", flat=True)
    return reverting.draft(
        Asked(
            way=repository.revert_way, sha=commit.sha, title=commit.title or commit.sha[:7],
            pr_number=commit.pr_number, trunk=repository.trunk, head=head.first() or "",
            classification=classification, why=why, bot=repository.merge_bot,
            evidence=evidence(one) if one else (),
            address=_address(one) if one else f"{settings.SITE_URL}/hud/{repository}/commit/{commit.sha}",
        )
    )  # fmt: skip


@transaction.atomic
def revert(
    *, repository: Repository, commit: Commit, classification: str, why: str, by: User, one: Break | None = None
) -> Told:
    """Ask for the revert of a commit, for a break or without one. It waits a minute, so that it can be undone. One
    effect, whoever presses."""
    _hold([_revert_key(repository.pk, commit.sha)])
    if one is not None:
        one = locked(one)
        if one.reverted_at is not None:
            return Told(False, "It has been reverted already.")
        if one.suspect_id != commit.pk:
            return Told(False, "Not sent: the suspect is another commit now.")
    try:
        draft = revert_draft(repository=repository, commit=commit, classification=classification, why=why, one=one)
    except CannotRevert as error:
        return Told(False, f"Not sent: {error}")
    write = outbox.queue(
        kind=draft.kind, key=_revert_key(repository.pk, commit.sha), repository=str(repository),
        payload=draft.payload, by=by, wait=UNDO_REVERT, subject=f"revert of {commit.sha[:7]}",
    )  # fmt: skip
    if not write.is_new:
        return Told(False, f"@{write.by_login or 'somebody'} asked for this revert before you.", write)
    detail = {"sha": commit.sha, "classification": classification, "way": repository.revert_way, "write": write.pk}
    why = reverting.reason(why)
    if one is None:
        audit.record(
            by=by, action="commit.revert", target=f"commit {commit.sha}", repository=str(repository), why=why,
            detail=detail,
        )  # fmt: skip
    else:
        one.classification, one.revert_write, one.revert_asked_at = classification, write.pk, timezone.now()
        if one.state in (BreakState.OPEN, BreakState.ACKNOWLEDGED):
            one.state = BreakState.REVERTING
        if one.acknowledged_at is None:
            one.acknowledged_at, one.acknowledged_by = timezone.now(), by
        one.writes = [*(pk for pk in one.writes if pk != write.pk), write.pk]
        save(
            one, "classification", "revert_write", "revert_asked_at", "state", "acknowledged_at", "acknowledged_by",
            "writes",
        )  # fmt: skip
        record(one, by, "revert", why, **detail)
    return Told(True, "The revert goes out in a minute. Until then it can be undone.", write)


@transaction.atomic
def file_issue(*, one: Break, by: User) -> Told:
    """Open an issue about it on GitHub; its address stands on the break as soon as GitHub has it."""
    _hold([f"break-issue:{one.pk}"])
    one = locked(one)
    if one.issue_url:
        return Told(False, "There is an issue already.")
    body = "\n\n".join(part for part in ("\n".join(f"- {line}" for line in evidence(one)), _address(one)) if part)
    payload = {"title": f"Trunk is broken: {one.title}"[:250], "body": body, "labels": []}
    write = outbox.queue(
        kind="create_issue", key=f"break-issue:{one.pk}", repository=str(one.repository), payload=payload, by=by,
        subject=f"issue about break {one.number}",
    )  # fmt: skip
    return _queued(one, write, by, "file_issue", "The issue is being filed.")


def fate(write: Any) -> None:
    """Called when the fate of a write is known, in the transaction that records it: its break says so too, and who
    wants to hear of failures does. See `project.outbox.on_fate`."""
    for found in Break.objects.filter(writes__contains=[write.pk]):
        one = locked(found)
        done = write.state == outbox.State.DONE
        if one.revert_write == write.pk:
            if done:
                one.revert_url = write.url[:1000]
            elif one.reverted_at is None and one.state == BreakState.REVERTING:
                one.state = BreakState.ACKNOWLEDGED if one.acknowledged_at else BreakState.OPEN
        if write.kind == "create_issue" and done and not one.issue_url:
            one.issue_url = write.url[:1000]
        save(one, "revert_url", "state", "issue_url")
    owner, _, name = write.repository.partition("/")
    repository = Repository.objects.filter(owner__iexact=owner, name__iexact=name).first()
    if repository is not None:  # what failed stands above the grid
        Repository.objects.filter(pk=repository.pk).update(version=F("version") + 1)
        live.changed(repository.pk)
    if write.state == outbox.State.FAILED:
        alerts.write_failed(repository, write.pk, f"{write.subject or write.kind}: {write.problem}")


def _queued(one: Break, write: Any, by: User, what: str, words: str) -> Told:
    if not write.is_new:
        return Told(False, f"@{write.by_login or 'somebody'} asked for this before you.", write)
    one.writes = [*one.writes, write.pk] if write.pk not in one.writes else one.writes
    save(one, "writes")
    record(one, by, what, write=write.pk)
    return Told(True, words, write)


# -- running again ----------------------------------------------------------------------------------------------------


def wanted_reruns(one: Break) -> set[tuple[str, int]]:
    """What the verdicts on the break's signals ask to see again: (sha, configuration id); if nothing, the suspect on
    each configuration that it broke."""
    members = one.members.filter(left_at=None).values_list("configuration_id", "test")
    ids = {configuration_id for configuration_id, _ in members}
    rows = Signal.objects.filter(configuration_id__in=ids, red=True)
    asked = {(sha, row.configuration_id) for row in rows for sha in row.restart}
    if asked or one.suspect is None:
        return asked
    return {(one.suspect.sha, configuration_id) for configuration_id in ids}


def rerun_plan(repository: Repository, wanted: Collection[tuple[str, int]]) -> RerunPlan:
    """Which requests run these (sha, configuration id) again. Three queries."""
    commits = dict(
        Commit.objects.filter(repository=repository, sha__in={s for s, _ in wanted}).values_list("pk", "sha")
    )
    rows = Run.objects.filter(commit_id__in=commits, configuration_id__in={c for _, c in wanted})
    rows = rows.exclude(workflow_run_id=None).exclude(job_name__unstable=True)
    runs = [row for row in rows if row.pk & 3 == RunKind.JOB]
    heads = WorkflowRun.objects.in_bulk({row.workflow_run_id for row in runs if row.workflow_run_id})
    newest: dict[tuple[int, int], int] = {}  # (commit, configuration) → newest workflow run
    for row in runs:
        key = (row.commit_id, row.configuration_id)
        newest[key] = max(newest.get(key, 0), row.workflow_run_id or 0)
    latest: dict[tuple[int, int, int], Run] = {}
    for row in sorted(runs, key=lambda row: (row.attempt, row.pk)):
        if row.workflow_run_id == newest[row.commit_id, row.configuration_id]:
            latest[row.commit_id, row.configuration_id, row.job_name_id] = row
    ran = [
        Ran(
            (commits[row.commit_id], row.configuration_id), row.pk >> 2, head.pk, head.attempt,
            head.status == Status.COMPLETED, row.conclusion in (Conclusion.FAILURE, Conclusion.TIMED_OUT),
        )
        for row in latest.values()
        if (head := heads.get(row.workflow_run_id or 0)) is not None
    ]  # fmt: skip
    return reruns.plan(wanted, ran)


@transaction.atomic
def rerun(*, one: Break, by: User | None) -> Told:
    """Run again exactly what the verdicts ask for."""
    _hold([ask.key for ask in rerun_plan(one.repository, wanted_reruns(one)).asks])
    one = locked(one)
    found = rerun_plan(one.repository, wanted_reruns(one))
    told = _ask(one.repository, found, by)
    new = [write.pk for write in told if write.is_new]
    if new:
        one.writes = [*one.writes, *(pk for pk in new if pk not in one.writes)]
        save(one, "writes")
        audit.record(
            by=by, action="break.rerun", target=f"break {one.number}", repository=str(one.repository),
            detail={"writes": new, "cannot": list(found.cannot)},
        )  # fmt: skip
    return _answer(found, told)


@transaction.atomic
def rerun_by_itself(*, repository: Repository, now: datetime) -> int:
    """Run again what verdicts on open breaks ask for and `hud.reruns` lets, for a repository that wants that done for
    it. Returns how many re-runs were asked for."""
    repository = Repository.objects.select_for_update(no_key=True).get(pk=repository.pk)
    count = 0
    for one in Break.objects.filter(repository=repository, closed_at=None, decision="restart").order_by("number"):
        infra = JobLog.objects.filter(repository=repository, key=one.failure_key, category=histories.INFRA).exists()
        new = []
        for ask in rerun_plan(repository, wanted_reruns(one)).asks:
            before = outbox.Write.objects.filter(key__startswith=f"rerun:{ask.payload['run_id']}:")
            asked = list(before.values_list("created_at", flat=True))
            if reruns.due(asked, now=now, failed_at=one.broke_at, infra=infra):
                new += [write.pk for write in _ask(repository, RerunPlan((ask,), ()), None) if write.is_new]
        if new:
            one.writes = [*one.writes, *new]
            save(one, "writes")
            record(one, None, "rerun", "the verdict asks for it", writes=new)
            count += len(new)
    return count


@transaction.atomic
def rerun_cell(*, commit: Commit, configuration: Configuration, by: User) -> Told:
    """Run a job again on a commit."""
    found = rerun_plan(commit.repository, {(commit.sha, configuration.pk)})
    told = _ask(commit.repository, found, by)
    if any(write.is_new for write in told):
        audit.record(
            by=by, action="rerun", target=f"commit {commit.sha}", repository=str(commit.repository),
            detail={"configuration": configuration.full_name, "writes": [write.pk for write in told]},
        )  # fmt: skip
    return _answer(found, told)


def _ask(repository: Repository, found: RerunPlan, by: User | None) -> list[Any]:
    return [
        outbox.queue(
            kind=ask.kind, key=ask.key, repository=str(repository), payload=ask.payload, by=by, wait=UNDO_RERUN,
            subject=f"re-run of {ask.payload['run_id']}",
        )
        for ask in found.asks
    ]  # fmt: skip


def _answer(found: RerunPlan, told: list[Any]) -> Told:
    new = [write for write in told if write.is_new]
    words = []
    if new:
        words.append(f"{len(new)} re-run{'s' if len(new) > 1 else ''} asked for.")
    elif told:
        words.append(f"@{told[0].by_login or 'somebody'} asked for this before you.")
    words += [f"{reason}." for reason in found.cannot]
    return Told(bool(new), " ".join(words) or "There is nothing to run again.", told[0] if told else None)


# -- unstable ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def mark_unstable(*, configuration: Configuration, unstable: bool, why: str, by: User) -> Told:
    """Say that a configuration's failures need nobody, or that they do again. Its signals are judged anew."""
    repository = Repository.objects.select_for_update(no_key=True).get(pk=configuration.repository_id)
    configuration = Configuration.objects.select_for_update(no_key=True).get(pk=configuration.pk)
    why = line_of(why)
    if configuration.unstable == unstable:
        return Told(False, "It is marked so already." if unstable else "It is not marked unstable.")
    if unstable and not why:
        return Told(False, "Not saved: say why.")
    configuration.unstable = unstable
    configuration.save(update_fields=["unstable"])
    audit.record(
        by=by, action="configuration.unstable" if unstable else "configuration.stable",
        target=f"configuration {configuration.full_name}", repository=str(repository), why=why,
    )  # fmt: skip
    commits = Run.objects.filter(configuration=configuration).values_list("commit_id", flat=True).distinct()
    touched = {(commit_id, configuration.pk) for commit_id in commits}
    derive.cells(touched)
    signals.update(repository, touched)
    last_good.update(repository)
    Repository.objects.filter(pk=repository.pk).update(version=F("version") + 1, layout_version=F("layout_version") + 1)
    live.changed(repository.pk)
    return Told(True, "Marked unstable." if unstable else "No longer marked unstable.")
