"""Makes rows of the grid for tests. `CommitFactory` and the like make one thing; `tests.browser.world` makes a whole
trunk."""

from datetime import UTC, datetime, timedelta

import factory

from hud import models
from hud.cells import RunKind
from project.github.outcomes import Conclusion, Status

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class RepositoryFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.Repository
        skip_postgeneration_save = True

    owner = "octo"
    name = factory.Sequence("repo{}".format)
    html_url = factory.LazyAttribute(lambda made: f"https://github.com/{made.owner}/{made.name}")
    trunk = "main"
    version = 1
    layout_version = 1


class BranchFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.Branch

    repository = factory.SubFactory(RepositoryFactory)
    name = "main"
    watched = True


class CommitFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.Commit

    repository = factory.SubFactory(RepositoryFactory)
    sha = factory.Sequence(lambda number: f"{number * 7919 % 16**7:07x}{number:033x}")
    title = factory.Sequence("Change number {}".format)
    author_login = "mkrv"
    committed_at = factory.Sequence(lambda number: NOON + timedelta(minutes=number))
    pr_number = factory.Sequence(lambda number: 1000 + number)


class ConfigurationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.Configuration

    repository = factory.SubFactory(RepositoryFactory)
    workflow = "pull"
    name = factory.Sequence("linux / test (config{})".format)
    slot = factory.Sequence(lambda number: number)
    group = ""


class JobNameFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.JobName

    configuration = factory.SubFactory(ConfigurationFactory)
    name = factory.LazyAttribute(lambda made: made.configuration.name)
    unstable = False


class WorkflowRunFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.WorkflowRun

    id = factory.Sequence(lambda number: 5_000_000 + number)
    repository = factory.SubFactory(RepositoryFactory)
    commit = factory.SubFactory(CommitFactory)
    workflow = "pull"
    event = "push"
    status = int(Status.COMPLETED)
    conclusion = int(Conclusion.SUCCESS)
    created_at = NOON
    updated_at = NOON


class RunFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = models.Run

    id = factory.Sequence(lambda number: RunKind.JOB.run_id(9_000_000 + number))
    commit = factory.SubFactory(CommitFactory)
    configuration = factory.SubFactory(ConfigurationFactory)
    job_name = factory.SubFactory(JobNameFactory, configuration=factory.SelfAttribute("..configuration"))
    workflow_run_id = 5_000_000
    status = int(Status.COMPLETED)
    conclusion = int(Conclusion.SUCCESS)
    queued_at = NOON
    started_at = NOON
    completed_at = NOON + timedelta(minutes=46)
    runner = "linux.g6.4xlarge-7"


def place_on_branch(branch: models.Branch, commits: list[models.Commit], cells: list[bytes]) -> None:
    """Put commits on a branch, oldest first, above what is there, with their packed cells."""
    top = models.BranchCommit.objects.filter(branch=branch).count()
    models.BranchCommit.objects.bulk_create(
        models.BranchCommit(branch=branch, commit=commit, position=top + number)
        for number, commit in enumerate(commits, start=1)
    )
    models.CommitCells.objects.bulk_create(
        models.CommitCells(commit=commit, cells=packed) for commit, packed in zip(commits, cells, strict=True)
    )
    branch.head_sha = commits[-1].sha
    branch.save()
