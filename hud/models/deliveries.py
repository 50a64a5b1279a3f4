"""Webhook deliveries as GitHub sent them, and what polling found that no delivery had told.

A delivery is stored before it is looked at, so that nothing that follows can lose it. `hud.webhooks` writes here.
"""

from __future__ import annotations

from django.db import models

from hud.models.trunk import NAME, Repository


class DeliveryState(models.IntegerChoices):
    """What has become of a delivery. One that failed is taken again when GitHub sends it again."""

    WAITING = 0, "waiting"
    DONE = 1, "done"
    IGNORED = 2, "ignored"
    FAILED = 3, "failed"


class Delivery(models.Model):
    """One webhook delivery. GitHub's GUID names the event, and all hooks that tell it share that; hence the pair.

    The body is kept, compressed, until the delivery has been processed; of one that failed it stays.
    """

    hook_id = models.BigIntegerField()
    guid = models.CharField(max_length=64)
    event = models.CharField(max_length=50)
    action = models.CharField(max_length=50, blank=True)
    repository_github_id = models.BigIntegerField(null=True)
    full_name = models.CharField(max_length=201, blank=True)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)
    state = models.SmallIntegerField(choices=DeliveryState.choices, default=DeliveryState.WAITING)
    reason = models.CharField(max_length=NAME, blank=True, help_text="Why it was ignored or failed.")
    tries = models.PositiveSmallIntegerField(default=1, help_text="How often it was taken in to be processed.")
    body = models.BinaryField(default=b"")

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["hook_id", "guid"], name="delivery_once")]
        indexes = [
            models.Index(
                fields=["repository_github_id", "id"],
                name="delivery_waiting",
                condition=models.Q(state=DeliveryState.WAITING),
            ),
            models.Index(
                fields=["received_at"], name="delivery_failed", condition=models.Q(state=DeliveryState.FAILED)
            ),
            models.Index(fields=["received_at"], name="delivery_received"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.guid}"


class MissedEvent(models.Model):
    """Something that had ended, and that polling was the first to tell though webhooks were flowing."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=20)
    github_id = models.BigIntegerField()
    ended_at = models.DateTimeField()
    found_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository", "kind", "github_id"], name="missedevent_once")]
        indexes = [models.Index(fields=["found_at"], name="missedevent_found")]


class Redelivery(models.Model):
    """That GitHub was asked to send a failed delivery again: once an hour at most for each GUID."""

    hook_id = models.BigIntegerField()
    guid = models.CharField(max_length=64)
    event = models.CharField(max_length=50, blank=True)
    delivered_at = models.DateTimeField()
    asked_at = models.DateTimeField()
    times = models.PositiveSmallIntegerField(default=1)

    class Meta:
        verbose_name_plural = "redeliveries"
        constraints = [models.UniqueConstraint(fields=["hook_id", "guid"], name="redelivery_once")]
        indexes = [models.Index(fields=["asked_at"], name="redelivery_asked")]
