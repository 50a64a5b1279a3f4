"""The audit log's one table. A trigger of the database lets nobody change or remove a row: see migration 0002."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Entry(models.Model):
    """One thing that somebody did. People and things are named in words, so that it outlives them."""

    at = models.DateTimeField(db_default=Now())
    actor_id = models.BigIntegerField(null=True)  # a plain number: no key into live data
    actor_login = models.CharField(max_length=150)  # as it was then; "" for what the site did by itself
    action = models.CharField(max_length=60)
    repository = models.CharField(max_length=201)  # "owner/name"; "" for what belongs to none
    target = models.CharField(max_length=200)
    why = models.TextField()
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["at"], name="audit_at"),
            models.Index("actor_login", "id", name="audit_actor"),
            models.Index("action", "id", name="audit_action"),
            models.Index("repository", "id", name="audit_repository"),
            models.Index("target", "id", name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_login or 'Arborist'}: {self.action} {self.target}"
