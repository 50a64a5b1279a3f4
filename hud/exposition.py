"""`/metrics` in Prometheus' text format, from stored numbers: a handful of queries, however big the history."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from django.db.models import Count, Max, Min, Q
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from hud import models
from project import health, outbox
from project.github import factory

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

log = logging.getLogger(__name__)


def text() -> bytes:
    """The whole exposition. What can't be read at present is left out, and named in `arborist_unreadable`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    return generate_latest(registry)


class _Collector:
    def describe(self) -> list[Metric]:
        """Nothing ahead of time: what there is to tell depends on the day."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All parts; one that fails does not take the others with it."""
        unreadable = _gauge("unreadable", "1 for each part that could not be read just now.", ["part"])
        for name, part in PARTS.items():
            try:
                found = list(part())
            except Exception:  # such as Redis being away: the rest must still be told
                log.exception("part of /metrics could not be read", extra={"part": name})
                unreadable.add_metric([name], 1)
                continue
            yield from found
        yield unreadable


def _gauge(name: str, words: str, labels: Iterable[str] = ("repository",)) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"arborist_{name}", words, labels=list(labels))


def _reds() -> Iterator[Metric]:
    share = _gauge("red_share", "Share of a day's trunk commits that are red.", ["repository", "day", "kind"])
    commits = _gauge("commits_with_results", "Trunk commits of a day that have a result.", ["repository", "day"])
    today = timezone.now().date()
    days = {today: "today", today - timedelta(days=1): "yesterday"}
    rows = models.DailyMetric.objects.filter(metric=models.Metric.RED, day__in=days).select_related("repository")
    for row in rows.order_by("pk"):
        share.add_metric([str(row.repository), days[row.day], row.label], (row.value or 0) / row.n)
        if row.label == "broken":
            commits.add_metric([str(row.repository), days[row.day]], row.n)
    yield from (share, commits)


def _last_good() -> Iterator[Metric]:
    age = _gauge("last_good_age_seconds", "Since the last good commit landed.")
    behind = _gauge("last_good_behind_commits", "Trunk commits that are newer than the last good one.")
    blocking = _gauge("last_good_blocking_configurations", "Required configurations whose newest result is no pass.")
    stuck = _gauge("last_good_stuck_seconds", "Since the oldest newer commit that can't be good landed; 0: not stuck.")
    now = timezone.now()
    for row in models.LastGood.objects.select_related("repository").order_by("pk"):
        name = [str(row.repository)]
        if row.sha and row.committed_at:
            age.add_metric(name, (now - row.committed_at).total_seconds())
        behind.add_metric(name, row.behind)
        blocking.add_metric(name, row.blocking)
        stuck.add_metric(name, (now - row.stuck_since).total_seconds() if row.stuck_since else 0)
    yield from (age, behind, blocking, stuck)


def _breaks() -> Iterator[Metric]:
    found = _gauge("open_breaks", "Breaks of trunk that are not over.")
    rows = models.Break.objects.filter(closed_at=None, merged_into=None).order_by()
    numbers = dict(rows.values_list("repository").annotate(Count("pk")))
    for repository in models.Repository.objects.order_by("pk"):
        found.add_metric([str(repository)], numbers.get(repository.pk, 0))
    yield found


def _polls() -> Iterator[Metric]:
    age = _gauge("oldest_poll_age_seconds", "Since the kind of poll that succeeded least recently succeeded.")
    failing = _gauge("failing_polls", "Kinds of polls whose last try failed.")
    now = timezone.now()
    states = models.SyncState.objects.filter(repository__active=True).exclude(kind=models.SyncKind.BACKFILL)
    counted = states.values("repository__owner", "repository__name").annotate(
        oldest=Min("succeeded_at"), failing=Count("pk", filter=Q(failures__gt=0))
    )
    for row in counted.order_by("repository__owner", "repository__name"):
        name = [f"{row['repository__owner']}/{row['repository__name']}"]
        if row["oldest"]:
            age.add_metric(name, (now - row["oldest"]).total_seconds())
        failing.add_metric(name, row["failing"])
    yield from (age, failing)


def _outbox() -> Iterator[Metric]:
    summary = outbox.summary()
    states = _gauge("outbox_writes", "Writes to GitHub, by state.", ["state"])
    for state in ("queued", "sending", "done", "failed", "cancelled"):
        states.add_metric([state], getattr(summary, state))
    oldest = GaugeMetricFamily(
        "arborist_outbox_oldest_seconds",
        "For how long the write that waits longest has been due; 0: none is.",
        value=summary.oldest_queued or 0,
    )
    yield from (states, oldest)


def _deliveries() -> Iterator[Metric]:
    rows = models.Delivery.objects.all()
    yield GaugeMetricFamily(
        "arborist_webhook_deliveries_waiting",
        "Webhook deliveries that have not been processed yet.",
        value=rows.filter(state=models.DeliveryState.WAITING).count(),
    )
    newest = rows.aggregate(at=Max("received_at"))["at"]
    if newest:
        yield GaugeMetricFamily(
            "arborist_webhook_last_delivery_age_seconds",
            "Since the newest webhook delivery came in.",
            value=(timezone.now() - newest).total_seconds(),
        )


def _alerts() -> Iterator[Metric]:
    found = _gauge("alerts", "Alerts that wait or failed, by state.", ["state"])
    open_states = [one for one in models.AlertState if one not in (models.AlertState.SENT, models.AlertState.DROPPED)]
    rows = models.Alert.objects.filter(state__in=open_states).values_list("state").annotate(Count("pk"))
    counts = dict(rows.order_by())
    for state in open_states:
        found.add_metric([state.value], counts.get(state.value, 0))
    yield found


def _github() -> Iterator[Metric]:
    budget = factory.budget().snapshot()
    for name, words, value in (
        ("github_requests_limit", "Requests that GitHub answers an hour.", budget.limit),
        ("github_requests_left", "Requests that GitHub still answers this hour.", budget.remaining),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"arborist_{name}", words, value=value)


def _worker() -> Iterator[Metric]:
    try:
        health.worker()
        alive = 1
    except health.NotReadyError:
        alive = 0
    yield GaugeMetricFamily("arborist_worker_alive", "Whether a worker has shown a heartbeat lately.", value=alive)


PARTS: dict[str, Callable[[], Iterator[Metric]]] = {
    "red": _reds, "last_good": _last_good, "breaks": _breaks, "polls": _polls, "outbox": _outbox,
    "deliveries": _deliveries, "alerts": _alerts, "github": _github, "worker": _worker,
}  # fmt: skip
