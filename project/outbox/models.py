"""One row for each write to GitHub, from the click to its fate."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

KEY_LENGTH = 300
PROBLEM_LENGTH = 1000


class State(models.TextChoices):
    """How far a write has come. The last three are final, unless a person tries again."""

    QUEUED = "queued", "queued"
    SENDING = "sending", "sending"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED})


def new_marker() -> str:
    """Text that nobody can guess, so that finding it on GitHub proves that this write took effect."""
    return secrets.token_hex(12)


class Write(models.Model):
    """A write to GitHub. `project.outbox.actions` makes rows, `project.outbox.deliver` takes them to their end."""

    key = models.CharField(max_length=KEY_LENGTH, unique=True, help_text="What makes two requests the same one.")
    kind = models.CharField(max_length=40, help_text="See `project.outbox.kinds`.")
    repository = models.CharField(max_length=210, help_text="owner/name")
    subject = models.CharField(max_length=300, blank=True, help_text="In short words: “revert of abc1234”.")
    payload = models.JSONField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    tries = models.PositiveIntegerField(default=0, help_text="How often a worker has taken it.")
    due_at = models.DateTimeField(help_text="Not sent before; until then it can be undone.")
    give_up_at = models.DateTimeField(help_text="No further try after this.")
    sending_since = models.DateTimeField(null=True, help_text="When the worker that has it last showed signs of life.")
    unsure = models.BooleanField(default=False, help_text="It may have taken effect: ask GitHub before repeating it.")
    marker = models.CharField(max_length=40, default=new_marker, help_text="Hidden in what is created on GitHub.")
    steps = models.JSONField(default=dict, help_text="What a kind of several steps has done so far.")
    result = models.JSONField(default=dict)
    problem = models.CharField(max_length=PROBLEM_LENGTH, blank=True, help_text="Why it failed, or waits, in words.")
    http_status = models.PositiveSmallIntegerField(null=True, help_text="GitHub's status with the problem.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    by_login = models.CharField(max_length=150, blank=True, help_text="Empty: Arborist itself.")
    created_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True, help_text="When its fate was known.")

    #: Of the row that `queue` returned: whether this call made it. Otherwise somebody asked for the same before.
    is_new = False

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="write_due", condition=Q(state="queued")),
            models.Index(fields=["sending_since"], name="write_sending", condition=Q(state="sending")),
            models.Index(fields=["-id"], name="write_failed", condition=Q(state="failed")),
            models.Index(fields=["repository", "-id"], name="write_repository"),
        ]

    def __str__(self) -> str:
        return f"{self.subject or self.kind} ({self.state})"

    @property
    def final(self) -> bool:
        """Whether nothing will happen to it any more by itself."""
        return self.state in FINAL

    @property
    def url(self) -> str:
        """What it made, on GitHub; "" if there is nothing to see."""
        url = self.result.get("url") if isinstance(self.result, dict) else None
        return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""
