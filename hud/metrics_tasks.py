"""Celery's side of metrics and alerts. Thin on purpose: `hud.metrics` and `hud.alerts` do the work."""

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from hud import alerts, metrics
from hud.models import Alert, AlertState, Repository

log = logging.getLogger(__name__)

KEEP_ALERTS = timedelta(days=90)


@shared_task(ignore_result=True, expires=300)  # type: ignore[untyped-decorator]
def measure() -> None:
    """Make the numbers of today and yesterday, and of older days of which something has changed, for every trunk."""
    now = timezone.now()
    for repository in Repository.objects.exclude(trunk="").order_by("pk"):
        days = metrics.measure_due(repository, now)
        log.info("measured", extra={"repository_id": repository.pk, "days": days})
    over = Alert.objects.filter(created_at__lt=now - KEEP_ALERTS, state__in=[AlertState.SENT, AlertState.DROPPED])
    over.delete()


@shared_task(ignore_result=True, expires=10)  # type: ignore[untyped-decorator]
def tell() -> None:
    """See whether a last good commit is stuck, and send the alerts that are due."""
    alerts.watch_last_good()
    alerts.deliver()
