"""Celery's side of polling: which polls are due, and one poll. Thin on purpose; `hud.polling` does the work."""

import logging

from celery import shared_task
from django.utils import timezone

from hud import live_tasks, logs, metrics_tasks, polling, pulls, remedies, signals  # noqa: F401 - Celery looks here only
from hud.models import Repository

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


@shared_task(ignore_result=True, expires=10)
def read_logs() -> None:
    """Start reading the logs of each repository of which something is due."""
    for repository_id in logs.due(timezone.now()):
        read_logs_of.apply_async((repository_id,), expires=60)


@shared_task(ignore_result=True)
def read_logs_of(repository_id: int) -> None:
    """One turn of reading one repository's logs."""
    how = logs.read(repository_id)
    log.info("logs read", extra={"repository_id": repository_id, "how": how})


@shared_task(ignore_result=True, expires=60)
def judge_again() -> None:
    """What depends on the clock: opinions that have expired, and re-runs where nobody needs to press for them."""
    now = timezone.now()
    for repository in Repository.objects.filter(active=True, signal__red=True).distinct():
        signals.sweep(repository.pk, now)
        if repository.reruns_by_itself:
            remedies.rerun_by_itself(repository=repository, now=now)


@shared_task(ignore_result=True)
def read_pull(repository_id: int, number: int, sha: str) -> None:
    """Read one pull request, and the runs of one of its heads."""
    how = pulls.read(repository_id, number, sha)
    log.info("pull request read", extra={"repository_id": repository_id, "number": number, "how": how})


@shared_task(ignore_result=True)
def find_again(repository_id: int) -> None:
    """The rules for failing lines have changed: apply them to the logs that are kept."""
    log.info("logs looked through again", extra={"changed": logs.find_again(repository_id)})
