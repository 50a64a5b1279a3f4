"""What people did about a break: from the audit log, from the outbox, and what they say of its suspect."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from hud.models import Break, Judgement
from project.audit.models import Entry
from project.outbox import shown
from project.outbox.models import Write
from project.outbox.shown import Fate

SAYS = [
    ("not_related", "not this commit", "Somebody looked: this commit did not break it."),
    ("related", "this commit did it", "Enough to revert, whatever evidence is missing."),
    ("infra", "the machines failed", "Nobody's commit is to blame."),
    ("garbage", "the signal is garbage", "Ignored for two hours."),
]
SAID = {value: words for value, words, _ in SAYS}
DID = {
    "break.acknowledge": "acknowledged it", "break.unacknowledge": "took the acknowledgement back",
    "break.own": "took it", "break.release": "let go of it", "break.note": "wrote a note",
    "break.issue": "linked an issue", "break.file_issue": "filed an issue",
    "break.dismiss": "said that it is no break", "break.reopen": "opened it again",
    "break.revert": "asked for a revert", "break.rerun": "asked for re-runs",
    "opinion.give": "gave an opinion", "opinion.withdraw": "took an opinion back",
}  # fmt: skip
FATES = 5
OPINIONS = 20


def fates(row: Break, user: Any) -> list[Fate]:
    """What was asked of GitHub about it and what became of it, newest first. One query if there is anything."""
    if not row.writes:
        return []
    return [shown.of(write, user) for write in Write.objects.filter(pk__in=row.writes).order_by("-pk")[:FATES]]


def opinions(row: Break) -> list[Judgement]:
    """What people say of the suspect, newest first. One query."""
    if row.suspect is None:
        return []
    standing = Judgement.objects.filter(repository=row.repository, sha=row.suspect.sha, withdrawn_at=None)
    return list(standing.select_related("by", "configuration").order_by("-given_at")[:OPINIONS])


def history(row: Break) -> list[tuple[Entry, str]]:
    """What people did about it, in words, newest first. One query."""
    about = Q(target=f"break {row.number}")
    if row.suspect is not None:
        about |= Q(target=f"commit {row.suspect.sha}", action="opinion.withdraw")
    found = Entry.objects.filter(about, repository__iexact=str(row.repository))
    return [(entry, DID.get(entry.action, entry.action)) for entry in found.order_by("-pk")[:50]]
