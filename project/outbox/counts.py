"""The outbox in numbers, for `/status` and `/metrics`."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Min, Q
from django.utils import timezone

from project.outbox.models import State, Write


@dataclass(frozen=True, slots=True)
class Summary:
    """``oldest_queued``: seconds for which the write that waits longest has been due; None if none is."""

    queued: int
    sending: int
    done: int
    failed: int
    cancelled: int
    oldest_queued: float | None


def summary() -> Summary:
    """One query."""
    now = timezone.now()
    counted = Write.objects.aggregate(
        **{state.value: Count("pk", filter=Q(state=state)) for state in State},
        since=Min("due_at", filter=Q(state__in=(State.QUEUED, State.SENDING), due_at__lte=now)),
    )
    since = counted.pop("since")
    return Summary(**counted, oldest_queued=(now - since).total_seconds() if since else None)
