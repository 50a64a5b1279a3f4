"""The numbers behind the plots: one row a day, so that what a page costs doesn't grow with history."""

from __future__ import annotations

from django.db import models

from hud.models.trunk import NAME, Repository


class Metric(models.TextChoices):
    """What is counted or measured of a day of trunk. Days are UTC's."""

    RED = "red", "commits: broken, flaky (of n)"
    TIME_TO_SIGNAL = "time_to_signal", "from a commit's landing to its last required result"
    TIME_TO_REVERT = "time_to_revert", "from a break to its revert on trunk"
    TIME_TO_CULPRIT = "time_to_culprit", "from a break to its culprit known"
    REVERTS = "reverts", "reverts by classification"
    FLAKY = "flaky", "flaky results of a configuration (of n)"
    QUEUE = "queue", "how long jobs waited for a runner, by group"


class DailyMetric(models.Model):
    """One number of one day. `hud.metrics` makes a day's rows anew as often as it likes."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    day = models.DateField()
    metric = models.CharField(max_length=20, choices=Metric.choices)
    label = models.CharField(max_length=NAME, blank=True)
    value = models.FloatField(null=True, help_text="A count, or a median in seconds.")
    p90 = models.FloatField(null=True)
    n = models.PositiveIntegerField(help_text="How many things it was made of.")
    made_of = models.CharField(
        max_length=64, blank=True, help_text="The day's newest commit; of breaks, a number or two days."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repository", "metric", "day", "label"], name="dailymetric_once")
        ]


class MeasuredDay(models.Model):
    """That a day has been measured, and when: older days are measured again only when something of theirs changed."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    day = models.DateField()
    measured_at = models.DateTimeField()
    fingerprint = models.CharField(max_length=70, blank=True, help_text="Of what its numbers were made of.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository", "day"], name="measuredday_once")]
