"""What Arborist knows of a repository's trunk: commits, configurations, runs, and the cells derived from them.

Rows here are written by `hud.ingest` (what GitHub said) and by the admin (what people decided: which repositories,
which groups). `CommitCells`, `BranchCommit` and `Configuration.group` are derived and can be rebuilt at any time.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import MD5

# Texts are as long as `project.github.payloads` lets them be.
NAME = 500
LOGIN = 100


class RevertWay(models.TextChoices):
    """How a commit of this repository is taken back."""

    GITHUB = "github", "GitHub's revert pull request (pull requests that GitHub merged)"
    GIT = "git", "a revert commit of our own, opened as a pull request"
    BOT = "bot", "a comment to the merge bot"


class Repository(models.Model):
    """A GitHub repository that is watched."""

    owner = models.CharField(max_length=100)
    name = models.CharField(max_length=100)
    github_id = models.BigIntegerField(null=True, blank=True, unique=True, help_text="GitHub's id; survives renames.")
    html_url = models.CharField(max_length=1000, blank=True)
    trunk = models.CharField(
        max_length=NAME, blank=True, help_text="The branch kept green. Empty: GitHub's default branch, once known."
    )
    watched_branches = ArrayField(
        models.CharField(max_length=NAME), default=list, blank=True, help_text="Further branches to show."
    )
    active = models.BooleanField(default=True, help_text="Off: kept and shown, but no longer polled.")
    backfill_commits = models.PositiveIntegerField(default=200)
    window_hours = models.PositiveIntegerField(default=16, help_text="How far back verdicts look.")
    revert_way = models.CharField(max_length=6, choices=RevertWay.choices, default=RevertWay.GITHUB)
    merge_bot = models.CharField(
        max_length=LOGIN, default="pytorchbot", blank=True, help_text="Login of the bot that reverts when told so."
    )
    reruns_by_itself = models.BooleanField(
        default=False, help_text="Run again what verdicts on breaks ask for, without waiting for a person."
    )
    branches_listed_at = models.DateTimeField(null=True, editable=False)
    version = models.BigIntegerField(
        default=0, editable=False, help_text="Rises whenever anything that a page shows changes: the pages' ETag."
    )
    layout_version = models.BigIntegerField(default=0, editable=False)

    class Meta:
        verbose_name_plural = "repositories"
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="repository_owner_name")]

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


class CommitQuerySet(models.QuerySet["Commit"]):
    """Commits, by what people know of them."""

    def beginning_with(self, digits: str) -> CommitQuerySet:
        """Those whose sha begins with these hexadecimal digits, in lower case. A range, which any index can serve."""
        return self.filter(sha__gte=digits, sha__lt=digits + "g")


class Commit(models.Model):
    """A commit, or a place held for one: a run may name a sha before the commit itself has been read."""

    id = models.AutoField(primary_key=True)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    sha = models.CharField(max_length=64, help_text="In full: 40 hex digits, 64 in SHA-256 repositories.")
    parent_sha = models.CharField(max_length=64, blank=True, help_text="First parent; trunk order follows it.")
    title = models.CharField(max_length=NAME, blank=True)
    message = models.TextField(blank=True)
    author_login = models.CharField(max_length=LOGIN, blank=True)
    author_name = models.CharField(max_length=NAME, blank=True)
    authored_at = models.DateTimeField(null=True)
    committed_at = models.DateTimeField(null=True, help_text="Empty while only the sha is known.")
    pr_number = models.IntegerField(null=True)
    runs_listed_at = models.DateTimeField(null=True, help_text="When GitHub was last asked for all its workflow runs.")

    objects = CommitQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository", "sha"], name="commit_repository_sha")]
        indexes = [models.Index(fields=["repository", "pr_number"], name="commit_pr")]

    def __str__(self) -> str:
        return self.sha[:7]


class Branch(models.Model):
    """A branch of the repository. Its commits in trunk order are its `BranchCommit` rows."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    name = models.CharField(max_length=NAME)
    head_sha = models.CharField(max_length=64, blank=True)
    watched = models.BooleanField(default=False)
    seen_at = models.DateTimeField(null=True, help_text="When GitHub was asked for the head above; newest answer wins.")
    forced_at = models.DateTimeField(null=True, help_text="When a force-push last removed commits from it.")
    deleted_at = models.DateTimeField(null=True, help_text="When GitHub stopped listing it.")

    class Meta:
        verbose_name_plural = "branches"
        constraints = [models.UniqueConstraint(fields=["repository", "name"], name="branch_repository_name")]

    def __str__(self) -> str:
        return self.name


class BranchCommit(models.Model):
    """A commit's place on a branch: the first-parent chain from its head. Derived; higher positions are newer."""

    branch = models.ForeignKey(Branch, on_delete=models.CASCADE, db_index=False)
    commit = models.ForeignKey(Commit, on_delete=models.CASCADE)
    position = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["branch", "position"], name="branchcommit_position")]


class GroupRule(models.Model):
    """Folds configurations whose full name matches into one group. First match in `position` order wins.

    Rules without a repository are the defaults of every repository that has none of its own.
    What no rule matches is grouped by its workflow.
    """

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, null=True, blank=True)
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=100, help_text="The group's name. \\1 stands for the pattern's first bracket.")
    pattern = models.CharField(max_length=NAME, help_text="Regular expression searched in “workflow / job”.")

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.name


class Configuration(models.Model):
    """A grid column: a workflow plus a normalised job name (see `hud.names`). `slot` is its byte in every commit's
    cells.
    """

    id = models.AutoField(primary_key=True)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    workflow = models.CharField(max_length=NAME)
    name = models.CharField(max_length=NAME)
    slot = models.PositiveIntegerField()
    group = models.CharField(max_length=NAME, blank=True, help_text="Derived from the group rules.")
    group_order = models.IntegerField(default=0)
    unstable = models.BooleanField(default=False, help_text="A person marked it: its failures need nobody.")

    class Meta:
        constraints = [
            # Hashed, because two names of that length are more than an index row may hold.
            models.UniqueConstraint("repository", MD5("workflow"), MD5("name"), name="configuration_name"),
            models.UniqueConstraint(fields=["repository", "slot"], name="configuration_slot"),
        ]

    def __str__(self) -> str:
        return self.full_name

    @property
    def full_name(self) -> str:
        """`workflow / job`, as filters and group rules see it."""
        return f"{self.workflow} / {self.name}"


class JobName(models.Model):
    """A name exactly as GitHub gave it, shard and runner included. Interned, so that a run is small."""

    id = models.AutoField(primary_key=True)
    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE)
    name = models.CharField(max_length=NAME)
    unstable = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint("configuration", MD5("name"), name="jobname_name")]


class WorkflowRun(models.Model):
    """GitHub's workflow run. `attempt`, `status` and `conclusion` are those of its newest attempt."""

    id = models.BigIntegerField(primary_key=True)
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    commit = models.ForeignKey(Commit, on_delete=models.CASCADE)
    workflow = models.CharField(max_length=NAME)
    path = models.CharField(max_length=NAME, blank=True)
    event = models.CharField(max_length=LOGIN, blank=True)
    head_branch = models.CharField(max_length=NAME, blank=True)
    run_number = models.BigIntegerField(default=0)
    attempt = models.SmallIntegerField(default=1)
    status = models.SmallIntegerField()
    conclusion = models.SmallIntegerField()
    check_suite_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=LOGIN, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    jobs_fetched_attempt = models.SmallIntegerField(
        default=0, help_text="Newest attempt whose jobs were all read after it completed."
    )

    class Meta:
        indexes = [
            models.Index(fields=["repository", "-created_at"], name="workflowrun_created"),
            models.Index(
                fields=["repository"],
                name="workflowrun_unfetched",
                condition=models.Q(jobs_fetched_attempt__lt=models.F("attempt")),
            ),
        ]


class Run(models.Model):
    """One attempt of one configuration on one commit, or one shard of it, as one job, check run or status said.

    `id` is GitHub's id times four plus `hud.cells.RunKind`, because jobs and statuses number themselves apart. Columns
    stand widest first, so that a row wastes nothing on alignment. Foreign keys are not enforced by the database: only
    `hud.ingest` writes here, and three checks a row would double its cost.
    """

    id = models.BigIntegerField(primary_key=True)
    workflow_run_id = models.BigIntegerField(null=True)
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    commit = models.ForeignKey(Commit, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    configuration = models.ForeignKey(Configuration, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    job_name = models.ForeignKey(JobName, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    attempt = models.SmallIntegerField(default=1)
    status = models.SmallIntegerField()
    conclusion = models.SmallIntegerField()
    runner = models.CharField(max_length=NAME, blank=True)
    url = models.CharField(
        max_length=1000, blank=True, help_text="Empty for jobs, whose address follows from their ids."
    )

    class Meta:
        indexes = [models.Index(fields=["commit", "configuration"], name="run_cell")]


class CommitCells(models.Model):
    """A commit's whole row of the grid: one byte a configuration, at the configuration's slot. See `hud.cells`."""

    commit = models.OneToOneField(Commit, on_delete=models.CASCADE, primary_key=True)
    cells = models.BinaryField(default=b"")


class SyncKind(models.TextChoices):
    """What is polled, each on its own clock."""

    REPOSITORY = "repository", "repository"
    BRANCHES = "branches", "branches"
    COMMITS = "commits", "commits"
    WORKFLOW_RUNS = "workflow_runs", "workflow runs"
    JOBS = "jobs", "jobs"
    CHECKS = "checks", "checks of other apps and statuses"
    BACKFILL = "backfill", "backfill"
    PULLS = "pulls", "pull requests"


class SyncState(models.Model):
    """How the polling of one kind is going for one repository: what `/status` shows."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=20, choices=SyncKind.choices)
    due_at = models.DateTimeField(null=True, help_text="Not polled before this.")
    started_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    problem = models.CharField(max_length=NAME, blank=True, help_text="In words; empty when all is well.")
    behind = models.CharField(max_length=200, blank=True, help_text="What is still to be read, in words.")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    cursor = models.CharField(max_length=NAME, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository", "kind"], name="syncstate_kind")]


class SyncedPage(models.Model):
    """The validator of a page that was read and stored: sent back, an unchanged page costs no rate limit.

    Saved in the transaction that stores the page's content, so that a crash between the two reads the page again.
    """

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE)
    key = models.CharField(max_length=64, primary_key=True, help_text="Hash of credential and full address.")
    etag = models.CharField(max_length=300)
    next_url = models.TextField(blank=True)
    seen_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["seen_at"], name="syncedpage_seen")]


class SetAside(models.Model):
    """Something GitHub sent that could not be stored, with the reason in words. Shown on `/status`."""

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, null=True)
    kind = models.CharField(max_length=30)
    key = models.CharField(
        max_length=64, unique=True, help_text="Hash of kind and payload: repeats are counted, not added."
    )
    reason = models.CharField(max_length=NAME)
    payload = models.TextField(help_text="What was sent, cut to 10,000 characters.")
    times = models.PositiveIntegerField(default=1)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    class Meta:
        verbose_name_plural = "set aside"


class WaitingJob(models.Model):
    """A job that does not say its workflow, kept until its workflow run arrives and says it."""

    key = models.CharField(max_length=64, primary_key=True, help_text="Hash of the job: a repeat is not kept twice.")
    repository = models.ForeignKey(Repository, on_delete=models.CASCADE)
    workflow_run_id = models.BigIntegerField(db_index=True)
    job = models.JSONField(help_text="The fields of `JobPayload`.")
    seen_at = models.DateTimeField()
