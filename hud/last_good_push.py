"""The branch on GitHub that follows the last good commit: asked for through the outbox, forward only."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from hud.models import LastGood, LastGoodSettings, Repository
from project import outbox
from project.outbox import kinds

KIND = "update_ref"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pushed:
    """How the newest push stands. `state` is the outbox's word; `problem` is in words, empty if there is none."""

    branch: str
    sha: str = ""
    state: str = ""
    problem: str = ""


def payload(branch: str, sha: str) -> dict[str, Any]:
    """What the outbox is asked for: forward only, the branch made if there is none."""
    return {"branch": branch, "sha": sha, "force": False, "create": True}


def allows(branch: str) -> bool:
    """Whether the outbox would push to a branch of this name."""
    try:
        kinds.checked(KIND, payload(branch, "0" * 40))
    except outbox.BadPayload:
        return False
    return True


def queue(repository: Repository, row: LastGood) -> None:
    """Have the branch moved to this last good commit, if one is to follow it. Call within the transaction of `row`.

    A push that still waits is taken back: only the newest is worth sending.
    """
    branch = LastGoodSettings.objects.filter(pk=repository.pk).values_list("push_branch", flat=True).first()
    if not branch or not row.sha or row.push_sha == row.sha:
        return
    _take_back(row)
    try:
        write = outbox.queue(
            kind=KIND,
            key=f"last-good:{repository.pk}:{branch}:{row.sha}",
            repository=str(repository),
            payload=payload(branch, row.sha),
            by=None,
            subject=f"last good of {repository}",
        )
    except outbox.BadPayload:  # the results that made this commit good shall be stored all the same
        log.exception("the last good commit can't be pushed", extra={"repository": str(repository)})
        return
    row.push_write, row.push_sha = write.pk, row.sha
    row.save(update_fields=["push_write", "push_sha"])


def follow(repository: Repository) -> None:
    """Another branch is to follow from now on: ask for it to be moved to where the last good commit is."""
    row = LastGood.objects.filter(pk=repository.pk).first()
    if row is not None:
        _take_back(row)
        row.push_write, row.push_sha = None, ""
        row.save(update_fields=["push_write", "push_sha"])
        queue(repository, row)


def _take_back(row: LastGood) -> None:
    if row.push_write is None:
        return
    before = outbox.Write.objects.filter(pk=row.push_write, state="queued").first()
    if before is not None:
        outbox.cancel(before, by=None)


def how(repository: Repository, row: LastGood | None) -> Pushed | None:
    """How the newest push stands; None if no branch is to follow. At most two queries."""
    branch = LastGoodSettings.objects.filter(pk=repository.pk).values_list("push_branch", flat=True).first()
    if not branch:
        return None
    write = outbox.Write.objects.filter(pk=row.push_write).first() if row and row.push_write else None
    if row is None or write is None:
        return Pushed(branch)
    return Pushed(branch, row.push_sha, write.state, write.problem)
