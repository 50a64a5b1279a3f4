"""What logs and test reports of jobs said: the line that tells why a job failed, the log itself for a while, tests.

Only `hud.logs` and `hud.test_reports` write here, except for the rules, which people write.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from hud.models.trunk import NAME, Commit, Configuration, Repository


class LogState(models.TextChoices):
    """How far the reading of a log has come."""

    WAITING = "waiting", "not read yet"
    READ = "read", "read"
    EXPIRED = "expired", "deleted by GitHub"
    MISSING = "missing", "not on GitHub"
    FAILED = "failed", "could not be read"


class JobLog(models.Model):
    """The log of one failed job: what its failing line says, once it has been read."""

    run_id = models.BigIntegerField(unique=True, help_text="`Run.id`.")
    failed_at = models.DateTimeField(help_text="When the job ended.")
    due_at = models.DateTimeField(null=True, help_text="When it is to be read (again); empty: not.")
    read_at = models.DateTimeField(null=True)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    commit = models.ForeignKey(Commit, on_delete=models.CASCADE, db_index=False)
    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE, db_index=False)
    state = models.CharField(max_length=10, choices=LogState.choices, default=LogState.WAITING)
    tries = models.SmallIntegerField(default=0)
    problem = models.CharField(max_length=NAME, blank=True, help_text="Why it is not there, in words.")
    size = models.BigIntegerField(default=0, help_text="Bytes.")
    lines = models.IntegerField(default=0)
    cut_from = models.IntegerField(null=True, help_text="First line that was not kept, of a log that is too long.")
    cut_to = models.IntegerField(null=True, help_text="Last one.")
    kept = models.BooleanField(default=False, help_text="Its text is still there.")
    rule = models.CharField(max_length=100, blank=True)
    category = models.CharField(max_length=10, blank=True)
    line_number = models.IntegerField(null=True, help_text="Counted from 1.")
    line = models.CharField(max_length=NAME, blank=True)
    test = models.CharField(max_length=NAME, blank=True, help_text="The test that the line names.")
    captures = models.JSONField(default=list)
    context = models.JSONField(default=dict, help_text="Lines before and after: {before: […], after: […]}.")
    errors = ArrayField(models.IntegerField(), default=list, help_text="Lines worth jumping to.")
    key = models.CharField(max_length=32, blank=True, help_text="What failures of one cause have in common.")

    class Meta:
        indexes = [
            models.Index(fields=["commit", "configuration"], name="joblog_cell"),
            models.Index(fields=["repository", "key", "-run_id"], name="joblog_key"),
            models.Index(fields=["repository", "-run_id"], name="joblog_due", condition=models.Q(due_at__isnull=False)),
            models.Index(fields=["read_at"], name="joblog_kept", condition=models.Q(kept=True)),
        ]

    def __str__(self) -> str:
        return f"log of job {self.run_id >> 2}"

    @property
    def github_id(self) -> int:
        """The job's id on GitHub."""
        return self.run_id >> 2

    @property
    def truncated(self) -> bool:
        """Whether some of its middle was not kept."""
        return self.cut_from is not None


class LogPart(models.Model):
    """Some lines of a log, compressed by themselves: a page shows a window, and a search needs one part at a time."""

    log = models.ForeignKey(JobLog, on_delete=models.CASCADE, db_index=False)
    first_line = models.IntegerField()
    lines = models.IntegerField()
    body = models.BinaryField(help_text="zlib, UTF-8.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "first_line"], name="logpart_first")]


class LogReading(models.Model):
    """How the reading of logs goes for one repository."""

    repository = models.OneToOneField(Repository, on_delete=models.CASCADE, primary_key=True)
    noted_version = models.BigIntegerField(
        default=-1, help_text="`Repository.version` when failed jobs were looked for."
    )
    swept_at = models.DateTimeField(null=True, help_text="When all failed jobs were last looked through.")
    due_at = models.DateTimeField(null=True, help_text="Not before this: GitHub asked us to wait.")
    problem = models.CharField(max_length=NAME, blank=True)
    reports_due_at = models.DateTimeField(null=True)


class FailureRule(models.Model):
    """Finds the failing line of a log: see `hud.failure_rules`. First match in `position` order wins.

    Rules without a repository are the defaults of every repository that has none of its own.
    """

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, null=True, blank=True)
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    category = models.CharField(max_length=10)
    pattern = models.CharField(max_length=NAME, help_text="Regular expression searched in each line.")

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.name


class TestReport(models.Model):
    """The tests that an artifact of a workflow run told of."""

    artifact_id = models.BigIntegerField(unique=True, help_text="GitHub's.")
    workflow_run_id = models.BigIntegerField()
    read_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    commit = models.ForeignKey(Commit, on_delete=models.CASCADE, db_index=False)
    configuration = models.ForeignKey(
        Configuration,
        on_delete=models.CASCADE,
        null=True,
        db_index=False,
        help_text="The job that it belongs to; empty: the workflow run as a whole.",
    )
    attempt = models.SmallIntegerField(default=1)
    tries = models.SmallIntegerField(default=0)
    name = models.CharField(max_length=NAME, help_text="The artifact's.")
    problem = models.CharField(max_length=NAME, blank=True)
    failed = models.JSONField(default=list, help_text="[[test, message], …], by test.")
    passed = models.BinaryField(default=b"", help_text="zlib of the names, sorted, one a line.")
    passed_count = models.IntegerField(default=0)
    skipped_count = models.IntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["commit", "configuration"], name="testreport_cell"),
            models.Index(
                fields=["repository", "due_at"], name="testreport_due", condition=models.Q(due_at__isnull=False)
            ),
            models.Index(fields=["workflow_run_id"], name="testreport_run"),
        ]


class ReportsListed(models.Model):
    """A workflow run's attempt whose artifacts have been listed."""

    workflow_run_id = models.BigIntegerField(primary_key=True)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    attempt = models.SmallIntegerField()
    listed_at = models.DateTimeField()
