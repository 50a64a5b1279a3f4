"""Alerts: rules of what is told to whom, and each telling as a row, so that it is told once and its fate is seen."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models

from hud.models.breaks import Break
from hud.models.trunk import NAME, Repository


class AlertEvent(models.TextChoices):
    """What can be told."""

    TRUNK_BROKE = "trunk_broke", "trunk broke"
    CULPRIT = "culprit", "culprit confirmed"
    LAST_GOOD_STUCK = "last_good_stuck", "last good stuck"
    WRITE_FAILED = "write_failed", "a write to GitHub failed"
    TEST = "test", "test"


EVENTS = [(event.value, event.label) for event in AlertEvent if event is not AlertEvent.TEST]


class QuietHours(models.TextChoices):
    """What becomes of an alert in quiet hours."""

    HOLD = "hold", "held until they end"
    DROP = "drop", "not told at all"


class AlertRule(models.Model):
    """Which events are told, and where. `target` is a secret: whoever has it can write there."""

    name = models.CharField(max_length=100, unique=True)
    repository = models.ForeignKey(
        Repository, on_delete=models.CASCADE, null=True, blank=True, help_text="Empty: every repository."
    )
    events = ArrayField(models.CharField(max_length=20, choices=EVENTS), help_text="What is told.")
    stuck_hours = models.PositiveIntegerField(
        default=4, help_text="“Last good stuck” is told when nothing newer has been good for so many hours."
    )
    target = models.CharField(max_length=1000)
    quiet_from = models.TimeField(null=True, blank=True, help_text="Quiet hours; both empty: none.")
    quiet_to = models.TimeField(null=True, blank=True)
    quiet_zone = models.CharField(max_length=64, default="UTC", help_text="The zone of those hours: Europe/Paris.")
    quiet_does = models.CharField(max_length=4, choices=QuietHours.choices, default=QuietHours.HOLD)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Quiet hours have both ends, and these differ."""
        if (self.quiet_from is None) != (self.quiet_to is None):
            raise ValidationError("Quiet hours need both a beginning and an end.")
        if self.quiet_from is not None and self.quiet_from == self.quiet_to:
            raise ValidationError("Quiet hours that end when they begin are none: leave both empty.")


class AlertState(models.TextChoices):
    """How a telling stands."""

    WAITING = "waiting", "waiting"
    HELD = "held", "held until quiet hours end"
    SENDING = "sending", "sending"
    SENT = "sent", "sent"
    FAILED = "failed", "failed"
    DROPPED = "dropped", "not told"


class Alert(models.Model):
    """One event for one rule. `key` is unique: the same event is told once, however often it is noticed."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE)
    event = models.CharField(max_length=20, choices=AlertEvent.choices)
    key = models.CharField(max_length=200, unique=True)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, null=True)
    broken = models.ForeignKey(Break, on_delete=models.SET_NULL, null=True)
    words = models.CharField(max_length=NAME, blank=True, help_text="What happened, where no row says it any more.")
    state = models.CharField(max_length=10, choices=AlertState.choices, default=AlertState.WAITING)
    tries = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=NAME, blank=True, help_text="In words; empty when all is well.")
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="Not sent before this; while sending: when its worker counts as lost.")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at"], name="alert_due", condition=models.Q(state__in=["waiting", "held", "sending"])
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_event_display()} to {self.rule}"
