"""Celery's side of the outbox. Thin on purpose; `project.outbox.deliver` does the work."""

import logging

from celery import shared_task

from project.outbox import deliver as delivery

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def deliver(write_id: int) -> None:
    """Deliver one write, if it is due and nobody else does."""
    how = delivery.deliver(write_id)
    log.info("write", extra={"write": write_id, "how": how})


@shared_task(ignore_result=True, expires=10)
def sweep() -> None:
    """Start what is due and has no task: after a wait, a failure, a killed worker or a broker that was away."""
    for write_id in delivery.due():
        deliver.apply_async((write_id,), expires=30)
