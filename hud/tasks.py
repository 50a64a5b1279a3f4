"""Celery's side of polling: which polls are due, and one poll. Thin on purpose; `hud.polling` does the work."""

import logging

from celery import shared_task
from django.utils import timezone

from hud import polling

log = logging.getLogger(__name__)


@shared_task(ignore_result=True, expires=10)
def poll_due() -> None:
    """Start every poll whose time has come. One that still waits or runs is started again in vain: it notices."""
    for repository_id, kind in polling.due(timezone.now()):
        poll.apply_async((repository_id, kind), expires=60)


@shared_task(ignore_result=True)
def poll(repository_id: int, kind: str) -> None:
    """Poll one kind of one repository."""
    how = polling.poll(repository_id, kind)
    log.info("polled", extra={"repository_id": repository_id, "kind": kind, "how": how})
