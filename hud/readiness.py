"""What `/readyz` asks of this app: whether what the pages show is young enough."""

from __future__ import annotations

from django.utils import timezone

from hud import freshness
from hud.models import Repository, SyncState
from project.health import NotReadyError


def data_ages() -> str:
    """How old each watched repository's data is, in words. Two queries.

    Raises NotReadyError only if *all* of them have stalled: one repository that GitHub has deleted is a matter for
    `/status`, and no reason to take the site down.
    """
    now = timezone.now()
    active = {r.pk: str(r) for r in Repository.objects.filter(active=True).order_by("owner", "name")}
    states: dict[int, list[tuple[object, ...]]] = {pk: [] for pk in active}
    rows = SyncState.objects.filter(repository__in=active)
    for pk, *state in rows.values_list("repository_id", "kind", "succeeded_at", "problem", "behind", "done", "total"):
        states[pk].append(tuple(state))
    if not active:
        return "no repository is watched"
    words, fresh = [], 0
    for pk, name in active.items():
        found = freshness.judge(states[pk], now)
        fresh += found.kind in ("live", "late")
        age = freshness.age(now - found.checked) if found.checked else "not read yet"
        words.append(f"{name} {age}" + ("" if found.kind in ("live", "late", "unread") else " (stalled)"))
    if not fresh:
        raise NotReadyError("; ".join(words))
    return "; ".join(words)
