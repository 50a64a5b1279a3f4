"""Celery's side of webhooks. A queue of their own (`live`), so that no slow poll is ever in their way."""

from celery import shared_task
from django.utils import timezone

from hud import redelivery, webhooks


@shared_task(ignore_result=True)
def process(github_id: int | None) -> None:
    """Process what waits of one repository."""
    webhooks.process(github_id)


@shared_task(ignore_result=True, expires=10)
def process_waiting() -> None:
    """Process whatever still waits: its task may have been lost with Redis or a worker."""
    for github_id in webhooks.waiting():
        webhooks.process(github_id)


@shared_task(ignore_result=True, expires=300)
def redeliver() -> None:
    """Ask GitHub for the deliveries that failed."""
    redelivery.redeliver()


@shared_task(ignore_result=True, expires=600)
def forget_old() -> None:
    """Delete what was processed long ago."""
    webhooks.forget_old(timezone.now())
