"""What people say of a break: seen, mine, noted, no break, whose fault. Each is one transaction with its audit row.

Two people may press at once: the break's row is locked, and whoever comes second is told what the first one did, by
name. What would change nothing changes nothing. The machine's columns of a break are not written here, except `state`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from hud import live, signals
from hud.models import Break, BreakState, Configuration, Judgement, Repository
from project import audit
from project.accounts.models import User

LONGEST_NOTE = 10_000
SAYS = ("related", "not_related", "infra", "garbage")


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a press, in words for whoever pressed. `write` is the outbox row, if there is one."""

    done: bool
    words: str
    write: Any = None


def locked(one: Break) -> Break:
    """The break as it is now, held until the end of the transaction."""
    # The repository first, as ingestion does: whoever derives breaks waits, and nobody waits for each other. `no_key`,
    # here and wherever a repository is held: or who adds a row that names it and another one could wait in a circle.
    Repository.objects.select_for_update(no_key=True).get(pk=one.repository_id)
    rows = Break.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("repository", "suspect", "owner").get(pk=one.pk)


def shown(one: Break) -> None:
    """Pages that show the break show something else now."""
    Repository.objects.filter(pk=one.repository_id).update(version=F("version") + 1)
    live.changed(one.repository_id)


def save(one: Break, *names: str) -> None:
    """Save what was decided."""
    one.version += 1
    one.save(update_fields=[*names, "version"])
    shown(one)


def record(one: Break, by: User | None, what: str, why: str = "", **detail: Any) -> None:
    """The audit row."""
    audit.record(
        by=by, action=f"break.{what}", target=f"break {one.number}", repository=str(one.repository), why=why,
        detail=detail,
    )  # fmt: skip


def line_of(text: str, longest: int = 500) -> str:
    """What somebody typed, as one line."""
    return " ".join(text.replace("\0", "").split())[:longest]


@transaction.atomic
def acknowledge(*, one: Break, by: User) -> Told:
    """Say that somebody has seen it."""
    one = locked(one)
    if one.acknowledged_at is not None:
        who = f"@{one.acknowledged_by.get_username()}" if one.acknowledged_by else "Somebody"
        return Told(False, f"{who} acknowledged this before you.")
    if one.closed_at is not None:
        return Told(False, "This break is closed.")
    one.acknowledged_at, one.acknowledged_by = timezone.now(), by
    if one.state == BreakState.OPEN:
        one.state = BreakState.ACKNOWLEDGED
    save(one, "acknowledged_at", "acknowledged_by", "state")
    record(one, by, "acknowledge")
    return Told(True, "Acknowledged.")


@transaction.atomic
def unacknowledge(*, one: Break, by: User) -> Told:
    """Take that back."""
    one = locked(one)
    if one.acknowledged_at is None:
        return Told(False, "Nobody has acknowledged it.")
    one.acknowledged_at = one.acknowledged_by = None
    if one.state == BreakState.ACKNOWLEDGED:
        one.state = BreakState.OPEN
    save(one, "acknowledged_at", "acknowledged_by", "state")
    record(one, by, "unacknowledge")
    return Told(True, "No longer acknowledged.")


@transaction.atomic
def own(*, one: Break, by: User, seen: int | None = None) -> Told:
    """Take it; with that it is acknowledged. `seen` is the version that the person saw: if somebody else took it since,
    they keep it."""
    one = locked(one)
    if one.owner_id == by.pk:
        return Told(False, "You own it already.")
    if one.owner is not None and seen is not None and seen != one.version:
        return Told(False, f"@{one.owner.get_username()} took this before you.")
    one.owner = by
    if one.acknowledged_at is None:
        one.acknowledged_at, one.acknowledged_by = timezone.now(), by
    if one.state == BreakState.OPEN:
        one.state = BreakState.ACKNOWLEDGED
    save(one, "owner", "acknowledged_at", "acknowledged_by", "state")
    record(one, by, "own")
    return Told(True, "You own it.")


@transaction.atomic
def release(*, one: Break, by: User) -> Told:
    """Give it back."""
    one = locked(one)
    if one.owner_id is None:
        return Told(False, "Nobody owns it.")
    if one.owner_id != by.pk:
        return Told(False, f"@{one.owner.get_username()} owns it." if one.owner else "You don't own it.")
    one.owner = None
    save(one, "owner")
    record(one, by, "release")
    return Told(True, "Nobody owns it now.")


@transaction.atomic
def write_note(*, one: Break, note: str, by: User, seen: int | None = None) -> Told:
    """Replace the note. One that somebody else wrote since `seen` is kept."""
    one = locked(one)
    note = note.replace("\0", "").replace("\r\n", "\n").strip()[:LONGEST_NOTE]
    if note == one.note:
        return Told(False, "The note says that already.")
    if seen is not None and seen != one.version and one.note:
        return Told(False, "Not saved: somebody changed this break meanwhile. Yours was: " + note)
    before, one.note = one.note, note
    save(one, "note")
    record(one, by, "note", before=before, after=note)
    return Told(True, "Note saved.")


@transaction.atomic
def link_issue(*, one: Break, url: str, by: User) -> Told:
    """Name the issue where it is talked about; an empty one takes the name off."""
    one = locked(one)
    url = line_of(url, 1000)
    if url and not url.startswith(("https://", "http://")):
        return Told(False, "Not saved: an address begins with https://.")
    if url == one.issue_url:
        return Told(False, "That issue is linked already.")
    one.issue_url = url
    save(one, "issue_url")
    record(one, by, "issue", url=url)
    return Told(True, "Issue linked." if url else "Issue taken off.")


@transaction.atomic
def dismiss(*, one: Break, why: str, by: User) -> Told:
    """Say that it is no break. So it stays, whatever the machine sees, until its signals pass or it is reopened."""
    one = locked(one)
    why = line_of(why)
    if one.dismissed_at is not None:
        who = f"@{one.dismissed_by.get_username()}" if one.dismissed_by else "Somebody"
        return Told(False, f"{who} said so before you.")
    if one.closed_at is not None:
        return Told(False, "This break is closed.")
    if not why:
        return Told(False, "Not saved: say why.")
    one.dismissed_at = one.closed_at = timezone.now()
    one.dismissed_by, one.why_dismissed, one.state = by, why, BreakState.NOT_A_BREAK
    save(one, "dismissed_at", "dismissed_by", "why_dismissed", "state", "closed_at")
    record(one, by, "dismiss", why)
    return Told(True, "Not a break.")


@transaction.atomic
def reopen(*, one: Break, by: User) -> Told:
    """Take the dismissal back. It is open again if its signals are still red."""
    one = locked(one)
    if one.dismissed_at is None:
        return Told(False, "Nobody has dismissed it.")
    one.dismissed_at = one.dismissed_by = None
    one.why_dismissed = ""
    if one.members.filter(left_at=None).exists():
        one.closed_at = None
        one.state = BreakState.ACKNOWLEDGED if one.acknowledged_at else BreakState.OPEN
    elif one.green_at is not None:
        one.state = BreakState.FIXED
    save(one, "dismissed_at", "dismissed_by", "why_dismissed", "state", "closed_at")
    record(one, by, "reopen")
    return Told(True, "Open again." if one.closed_at is None else "Its signals have passed since, so it stays closed.")


@transaction.atomic
def give_opinion(
    *, repository: Repository, sha: str, says: str, why: str, by: User, configuration: Configuration | None = None,
    one: Break | None = None,
) -> Told:  # fmt: skip
    """A person's word on a suspect: the verdicts of all its signals, or of one configuration's, are made again."""
    if says not in SAYS:
        return Told(False, "Not saved: choose what you say of it.")
    repository = Repository.objects.select_for_update(no_key=True).get(pk=repository.pk)
    standing = Judgement.objects.filter(
        repository=repository, sha=sha, configuration=configuration, withdrawn_at=None
    ).order_by("-given_at")
    same = standing.filter(says=says).exclude(says="garbage").first()
    if same is not None:
        who = f"@{same.by.get_username()}" if same.by else "Somebody"
        return Told(False, f"{who} said the same before you.")
    now = timezone.now()
    standing.filter(by=by).update(withdrawn_at=now)  # one word a person: the newest
    said = Judgement.objects.create(
        repository=repository, sha=sha, configuration=configuration, says=says, why=line_of(why), by=by, given_at=now
    )
    target = f"break {one.number}" if one else f"commit {sha}"
    audit.record(
        by=by, action="opinion.give", target=target, repository=str(repository), why=said.why,
        detail={"sha": sha, "says": says, "configuration": str(configuration or "")},
    )  # fmt: skip
    signals.sweep(repository.pk, now)
    Repository.objects.filter(pk=repository.pk).update(version=F("version") + 1)
    live.changed(repository.pk)
    return Told(True, "Heard. The verdicts are made again with your word.")


@transaction.atomic
def withdraw_opinion(*, said: Judgement, by: User) -> Told:
    """Take a word back; one's own, or as whoever may give one."""
    repository = Repository.objects.select_for_update(no_key=True).get(pk=said.repository_id)
    said = Judgement.objects.select_for_update(no_key=True).get(pk=said.pk)
    if said.withdrawn_at is not None:
        return Told(False, "It was withdrawn before.")
    said.withdrawn_at = timezone.now()
    said.save(update_fields=["withdrawn_at"])
    audit.record(
        by=by, action="opinion.withdraw", target=f"commit {said.sha}", repository=str(repository),
        detail={"says": said.says},
    )  # fmt: skip
    signals.sweep(repository.pk)
    Repository.objects.filter(pk=repository.pk).update(version=F("version") + 1)
    live.changed(repository.pk)
    return Told(True, "Withdrawn.")
