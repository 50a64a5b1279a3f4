"""How old the shown data is, and why, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from hud.models import SyncKind, SyncState

LATE = timedelta(minutes=2)
STALLED = timedelta(minutes=10)
WEBHOOKS = "webhooks"  # stands among the states like a kind of poll: when a delivery last told something
TRUNK = (SyncKind.COMMITS, SyncKind.WORKFLOW_RUNS)  # what the age is the age of


FIELDS = ("kind", "succeeded_at", "problem", "behind", "done", "total")


@dataclass(frozen=True, slots=True)
class Freshness:
    """`kind` is `live`, `late`, `stalled` or, before anything was read, `unread`."""

    kind: str
    checked: datetime | None
    problem: str = ""
    behind: str = ""
    done: int = 0
    total: int = 0

    @property
    def words(self) -> str:
        """What the page says about it; empty when all is well."""
        return " ".join(part for part in (self._age, self.problem) if part)

    @property
    def _age(self) -> str:
        if self.checked is None or self.kind not in ("late", "stalled"):
            return ""
        if self.kind == "late":
            return f"Last event {age(timezone.now() - self.checked)} ago, checking GitHub."
        day = "" if timezone.now() - self.checked < timedelta(hours=20) else f"{self.checked:%Y-%m-%d} "
        return f"No events since {day}{self.checked:%H:%M} UTC. Results below may be old."

    @property
    def reading(self) -> bool:
        """Whether the first reading of the repository's history is still going on."""
        return self.done < self.total

    @property
    def stamp(self) -> str:
        """`checked` as the page's script and `<time>` read it."""
        return self.checked.strftime("%Y-%m-%dT%H:%M:%SZ") if self.checked else ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What an ETag must change with: the state, not the age."""
        return self.kind, self.problem, self.behind, self.done, self.total


def of_repository(repository_id: int, *, active: bool = True) -> Freshness:
    """How fresh a repository's data is now. One query."""
    return judge(SyncState.objects.filter(repository_id=repository_id).values_list(*FIELDS), timezone.now(), active)


def judge(states: Iterable[tuple[Any, ...]], now: datetime, active: bool = True) -> Freshness:
    """The page is as old as the oldest of what it is made of: commits, and their workflow runs. Webhooks keep it
    young."""
    by_kind = {state[0]: state[1:] for state in states}
    told = by_kind.pop(WEBHOOKS, (None,))[0]
    stamps = [by_kind[kind][0] for kind in TRUNK if kind in by_kind]
    checked = min(stamps) if stamps and None not in stamps else None
    if checked is not None and told is not None:
        checked = max(checked, told)
    problem = next((state[1] for state in by_kind.values() if state[1]), "")
    behind = "; ".join(state[2] for state in by_kind.values() if state[2])
    *_, done, total = by_kind.get(SyncKind.BACKFILL, (0, 0))
    if not active:
        problem = problem or "This repository is no longer watched."
    if checked is None:
        return Freshness("unread", None, problem, behind, done, total)
    old = now - checked
    kind = "live" if old < LATE else "late" if old < STALLED else "stalled"
    return Freshness(kind, checked, problem, behind, done, total)


def age(delta: timedelta) -> str:
    """“9 s”, “4 min”, “2 h 36 min”, “3 d”: as long as a status needs."""
    seconds = max(0, int(delta.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 24 * 60 else f"{minutes // 1440} d"


def short_age(seconds: float) -> str:
    """“6m”, “2h 36m”, “3d 4h”: for a narrow column. `static/js/age.js` says the same."""
    minutes = max(0, int(seconds)) // 60
    if minutes < 60:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 24:
        return f"{hours}h {minutes % 60:02}m"
    return f"{hours // 24}d {hours % 24}h" if hours < 240 else f"{hours // 24}d"
