"""Pull requests: what GitHub says of them, and every commit that was ever the head of one.

Written by `hud.pulls` only. The runs of a head are ordinary `Run` rows of a `Commit` that is on no branch.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from hud.models.trunk import LOGIN, NAME, Repository


class PullRequest(models.Model):
    """A pull request as GitHub last described it. Without `updated_at` only its number is known."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    number = models.IntegerField()
    title = models.CharField(max_length=NAME, blank=True)
    author = models.CharField(max_length=LOGIN, blank=True)
    open = models.BooleanField(default=True)
    draft = models.BooleanField(default=False)
    head_sha = models.CharField(max_length=64, blank=True)
    head_ref = models.CharField(max_length=NAME, blank=True)
    base_ref = models.CharField(max_length=NAME, blank=True)
    labels = ArrayField(models.CharField(max_length=NAME), default=list, blank=True)
    created_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(null=True, help_text="As GitHub says it: the newest description wins.")
    closed_at = models.DateTimeField(null=True)
    merged_at = models.DateTimeField(null=True, help_text="Empty for those that a bot landed by a push of its own.")
    landed_sha = models.CharField(max_length=64, blank=True, help_text="The commit that closed it.")

    asked_at = models.DateTimeField(null=True, help_text="When somebody last wanted to see it.")
    read_at = models.DateTimeField(null=True, help_text="When it was last read in full.")
    missing_at = models.DateTimeField(null=True, help_text="When GitHub last did not find it.")
    problem = models.CharField(max_length=NAME, blank=True, help_text="Why the last reading failed, in words.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository", "number"], name="pullrequest_number")]
        indexes = [models.Index(fields=["repository", "-asked_at"], name="pullrequest_asked")]

    def __str__(self) -> str:
        return f"#{self.number}"

    @property
    def landed(self) -> bool:
        """Whether it ended as a commit, as far as GitHub says so."""
        return bool(self.merged_at or (not self.open and self.landed_sha))


class PullHead(models.Model):
    """A commit that is, or once was, pushed to a pull request."""

    pull = models.ForeignKey(PullRequest, on_delete=models.CASCADE, related_name="heads", db_index=False)
    sha = models.CharField(max_length=64, db_index=True)
    title = models.CharField(max_length=NAME, blank=True)
    place = models.IntegerField(null=True, help_text="Among its commits, from 0; empty: no longer one of them.")
    pushed_at = models.DateTimeField(null=True, help_text="When it came, as near as it is known.")
    replaced_at = models.DateTimeField(null=True, help_text="When a force-push took it away.")
    merge_base = models.CharField(max_length=64, blank=True)
    asked_at = models.DateTimeField(null=True, help_text="When its runs were last wanted.")
    read_at = models.DateTimeField(null=True, help_text="When its runs were last read.")
    problem = models.CharField(max_length=NAME, blank=True, help_text="Why its runs could not be read, in words.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pull", "sha"], name="pullhead_sha")]

    def __str__(self) -> str:
        return self.sha[:7]
