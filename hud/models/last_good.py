"""Last good: the rules that say what must pass, and the newest commit of trunk on which all of that did pass."""

from __future__ import annotations

from django.db import models

from hud.models.trunk import NAME, Repository


class RequirementRule(models.Model):
    """Says what configurations must pass, may fail, or are unstable. First match in `position` order wins.

    Rules without a repository are the defaults of every repository that has none of its own. What no rule matches is
    required, unless it is named or marked unstable.
    """

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, null=True, blank=True)
    position = models.PositiveIntegerField()
    requirement = models.CharField(max_length=10, help_text="required, optional or unstable: see `hud.requirements`.")
    pattern = models.CharField(max_length=NAME, help_text="Regular expression searched in “workflow / job”.")

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return f"{self.requirement}: {self.pattern}"


class LastGoodSettings(models.Model):
    """What is done with a repository's last good commit besides showing it."""

    repository = models.OneToOneField(
        Repository, on_delete=models.CASCADE, primary_key=True, related_name="last_good_settings"
    )
    push_branch = models.CharField(
        max_length=250, blank=True, help_text="A branch on GitHub that follows it, such as viable/strict. Empty: none."
    )

    class Meta:
        verbose_name_plural = "last good settings"

    def __str__(self) -> str:
        return f"Last good of {self.repository}"


class LastGood(models.Model):
    """The newest trunk commit on which everything required passed, and what keeps newer ones from it. Derived.

    `good_since` and the push are the only things here that the cells don't say.
    """

    repository = models.OneToOneField(Repository, on_delete=models.CASCADE, primary_key=True, related_name="last_good")
    sha = models.CharField(max_length=64, blank=True, help_text="Empty: no commit is good among those looked at.")
    position = models.IntegerField(null=True, help_text="Its place on trunk.")
    committed_at = models.DateTimeField(null=True)
    good_since = models.DateTimeField(null=True, help_text="When Arborist first found it to be the last good one.")
    behind = models.PositiveIntegerField(default=0, help_text="How many commits of trunk are newer.")
    running = models.PositiveIntegerField(default=0, help_text="How many of those may still turn out good.")
    blocking = models.PositiveIntegerField(default=0, help_text="Configurations whose newest result is no pass.")
    blocked = models.JSONField(default=list, help_text="What blocks newer commits: `hud.last_good.Block`s.")
    stuck_since = models.DateTimeField(null=True, help_text="When the oldest newer commit that can't be good landed.")
    judged_at = models.DateTimeField()

    push_write = models.BigIntegerField(null=True, help_text="The outbox row of the newest push.")
    push_sha = models.CharField(max_length=64, blank=True, help_text="What that pushes.")

    class Meta:
        verbose_name_plural = "last good"

    def __str__(self) -> str:
        return f"{self.repository}: {self.sha[:7] or 'none'}"
