"""What pages, the badge and the API tell of the last good commit: the row, and who is behind what blocks newer ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hud.freshness import short_age
from hud.last_good import Block
from hud.models import BreakSignal, Commit, LastGood, Repository, Signal


@dataclass(frozen=True, slots=True)
class Culprit:
    """Whom a block is put down to: an open break, or else only a suspect. Empty where nothing is known yet."""

    number: int | None = None
    title: str = ""
    state: str = ""
    owner: str = ""
    sha: str = ""
    author: str = ""
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """A blocking configuration with whom it is put down to."""

    block: Block
    first_at: datetime | None
    by: Culprit


def stored(repository_id: int) -> LastGood | None:
    """The row as it stands. One query."""
    return LastGood.objects.filter(pk=repository_id).first()


def blocks(row: LastGood | None) -> list[Block]:
    """What blocks newer commits; those that still do first."""
    return [Block(**one) for one in row.blocked] if row else []


def explained(repository: Repository, row: LastGood | None) -> list[Explained]:
    """The same with whom each is put down to. Three queries, none without blocks."""
    found = blocks(row)
    if not found:
        return []
    slots = [block.slot for block in found]
    by_slot = _suspects(repository, slots) | _breaks(repository, slots)
    return [
        Explained(
            block,
            datetime.fromisoformat(block.first_at) if block.first_at else None,
            by_slot.get(block.slot, Culprit()) if block.still else Culprit(),
        )
        for block in found
    ]


def _breaks(repository: Repository, slots: Iterable[int]) -> dict[int, Culprit]:
    members = BreakSignal.objects.filter(
        configuration__repository=repository, configuration__slot__in=slots, left_at=None, broken__closed_at=None
    ).select_related("broken__suspect", "broken__culprit", "broken__owner", "configuration")
    found = {}
    for member in members.order_by("-broken__number"):  # the oldest break of a configuration stands
        broken = member.broken
        commit = broken.culprit or broken.suspect
        found[member.configuration.slot] = Culprit(
            number=broken.number,
            title=broken.title,
            state=broken.get_state_display(),
            owner=broken.owner.get_username() if broken.owner else "",
            sha=commit.sha if commit else "",
            author=(commit.author_login or commit.author_name) if commit else "",
            confirmed=broken.culprit_id is not None,
        )
    return found


def _suspects(repository: Repository, slots: Iterable[int]) -> dict[int, Culprit]:
    signals = Signal.objects.filter(repository=repository, red=True, configuration__slot__in=slots).exclude(suspect="")
    suspects = dict(signals.order_by("-test").values_list("configuration__slot", "suspect"))
    if not suspects:
        return {}
    rows = Commit.objects.filter(repository=repository, sha__in=set(suspects.values()))
    authors = {sha: login or name for sha, login, name in rows.values_list("sha", "author_login", "author_name")}
    return {slot: Culprit(sha=sha, author=authors.get(sha, "")) for slot, sha in suspects.items()}


def headline(row: LastGood | None, now: datetime) -> dict[str, Any]:
    """What the strip and the badge say: `tone` good, late or bad; words for each part."""
    if row is None:
        return {"tone": "none", "good": "not known yet", "why": ""}
    still = [block.name for block in blocks(row) if block.still]
    age = f"{short_age((now - row.committed_at).total_seconds())} ago" if row.committed_at else ""
    if row.blocking:
        why = f"Blocked by {row.blocking}: " + ", ".join(still[:3]) + (", …" if row.blocking > 3 else "")
    elif row.running:
        why = "Newer ones still run."
    else:
        why = "No newer commit had all pass." if row.stuck_since else ""
    behind = f"{row.behind} commit{'' if row.behind == 1 else 's'} behind" if row.behind else "newest commit"
    tone = "bad" if not row.sha or row.blocking else "late" if row.stuck_since else "good"
    return {
        "tone": tone,
        "sha": row.sha,
        "age": age,
        "good": f"{row.sha[:7]}, {age}" if row.sha and age else row.sha[:7] or "none",
        "behind": behind if row.sha else f"none of the newest {row.behind}",
        "why": why,
    }
