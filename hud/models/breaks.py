"""Signals, and the breaks made of them.

A `Signal` row is the verdict as it stands, made anew by `hud.signals` whenever a run of it arrives. A `Break` is what
people deal with: signals that turned red together. `hud.breaks` keeps breaks in step with signals; what a person
decided stands in columns of its own (`owner`, `note`, `dismissed_at`, …), which the machine never writes.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import MD5

from hud.models.trunk import NAME, Commit, Configuration, Repository


class Signal(models.Model):
    """What the history of one configuration, or of one test in it, says now over trunk's window."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE, db_index=False)
    test = models.CharField(max_length=NAME, blank=True, help_text="`file::name`; empty: the job as a whole.")
    decision = models.CharField(max_length=10, help_text="none, restart, wait or revert: see `hud.verdicts`.")
    code = models.CharField(max_length=30)
    red = models.BooleanField(default=False, help_text="The newest finished commit failed, and did not also pass.")
    # Places on trunk (`BranchCommit.position`) and shas side by side: ranges are compared by place, shown by sha.
    suspect = models.CharField(max_length=64, blank=True)
    suspect_at = models.IntegerField(null=True)
    range_from = models.IntegerField(null=True, help_text="Place of the oldest commit that may be to blame.")
    failing_to = models.IntegerField(null=True, help_text="Place of the newest commit that failed.")
    culprit = models.CharField(max_length=64, blank=True)
    restart = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed attempts on the failing side.")
    failure_key = models.CharField(max_length=32, blank=True, help_text="What failures of one cause have in common.")
    evidence = models.JSONField(default=dict, help_text="Words, sides and what is missing; see `hud.signals`.")
    broke_at = models.DateTimeField(null=True, help_text="When the suspect's first failure was started.")
    judged_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint("configuration", MD5("test"), name="signal_name")]
        indexes = [models.Index(fields=["repository"], name="signal_red", condition=models.Q(red=True))]

    def __str__(self) -> str:
        return f"{self.configuration} {self.test}".strip()


class BreakState(models.TextChoices):
    """The life of a break."""

    OPEN = "open", "open"
    ACKNOWLEDGED = "acknowledged", "acknowledged"
    REVERTING = "reverting", "reverting"
    FIXED = "fixed", "fixed"
    NOT_A_BREAK = "not_a_break", "not a break"


class Classification(models.TextChoices):
    """Why a commit is reverted, in the words of PyTorch's merge bot."""

    NOSIGNAL = "nosignal", "no signal: its own checks could not have shown it"
    IGNOREDSIGNAL = "ignoredsignal", "ignored signal: its own checks showed it"
    LANDRACE = "landrace", "land race: fine alone, not together with another"
    WEIRD = "weird", "weird: none of the others"
    GHFIRST = "ghfirst", "landed on GitHub first and must be imported again"


class Break(models.Model):
    """Signals that turned red together: one thing that somebody has to deal with."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    number = models.PositiveIntegerField(help_text="Counted per repository; in the address.")
    title = models.CharField(max_length=NAME, help_text="In words, made anew as evidence comes.")
    state = models.CharField(max_length=15, choices=BreakState.choices, default=BreakState.OPEN)
    decision = models.CharField(max_length=10, help_text="Of the signal that is surest.")
    code = models.CharField(max_length=30)
    suspect = models.ForeignKey(Commit, on_delete=models.SET_NULL, null=True, related_name="+")
    suspect_at = models.IntegerField(null=True)
    range_from = models.IntegerField(null=True)
    failing_to = models.IntegerField(null=True)
    culprit = models.ForeignKey(Commit, on_delete=models.SET_NULL, null=True, related_name="+")
    failure_key = models.CharField(max_length=32, blank=True)
    failure_line = models.CharField(max_length=NAME, blank=True)
    merged_into = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="merged")

    broke_at = models.DateTimeField(help_text="When the suspect's first failure was started.")
    noticed_at = models.DateTimeField(help_text="When Arborist first told of it.")
    culprit_at = models.DateTimeField(null=True, help_text="When the culprit was first known.")
    green_at = models.DateTimeField(null=True, help_text="When the last of its signals passed again.")
    closed_at = models.DateTimeField(null=True)

    # What people decided. Only `hud.break_actions` and `hud.remedies` write these, but for `reverted_at`.
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    note = models.TextField(blank=True)
    issue_url = models.CharField(max_length=1000, blank=True)
    dismissed_at = models.DateTimeField(null=True, help_text="When a person said that it is no break.")
    dismissed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    why_dismissed = models.CharField(max_length=NAME, blank=True)
    classification = models.CharField(max_length=15, choices=Classification.choices, blank=True)
    revert_write = models.BigIntegerField(null=True, help_text="The outbox row of the revert asked for.")
    writes = ArrayField(models.BigIntegerField(), default=list, blank=True, help_text="All its outbox rows.")
    revert_url = models.CharField(max_length=1000, blank=True)
    revert_asked_at = models.DateTimeField(null=True)
    reverted_at = models.DateTimeField(null=True, help_text="When the revert was on trunk.")
    version = models.PositiveIntegerField(default=0, help_text="Rises with every decision: two people at once.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository", "number"], name="break_number")]
        indexes = [
            models.Index(fields=["repository", "-noticed_at"], name="break_noticed"),
            models.Index(fields=["repository"], name="break_open", condition=models.Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"Break {self.number}: {self.title}"

    @property
    def open(self) -> bool:
        """Whether it still needs, or may need, somebody."""
        return self.closed_at is None


class BreakSignal(models.Model):
    """A signal's part in a break, kept after both are over. At most one break at a time has a signal."""

    broken = models.ForeignKey(Break, on_delete=models.CASCADE, related_name="members")
    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE, db_index=False)
    test = models.CharField(max_length=NAME, blank=True)
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True, help_text="When it turned green or went to another break.")
    green = models.BooleanField(default=False, help_text="It left because it passed.")
    suspect_at = models.IntegerField(null=True)
    range_from = models.IntegerField(null=True)
    failing_to = models.IntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "configuration", MD5("test"), name="breaksignal_once", condition=models.Q(left_at=None)
            )
        ]
        indexes = [models.Index(fields=["broken"], name="breaksignal_broken")]


class Judgement(models.Model):
    """A person's word on a suspect: what `hud.verdicts` calls an opinion. The newest one not withdrawn counts."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    sha = models.CharField(max_length=64)
    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE, null=True, db_index=False)
    test = models.CharField(max_length=NAME, blank=True)
    says = models.CharField(max_length=12, help_text="related, not_related, infra or garbage.")
    confidence = models.FloatField(default=1.0)
    why = models.CharField(max_length=NAME, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    given_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["repository", "sha"], name="judgement_sha")]
