"""`manage.py rebuild_cells`: prove that derived state equals a rebuild from the runs, or repair it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hud import rebuild
from hud.models import Repository

MOST_PRINTED = 100


class Command(BaseCommand):
    """Safe beside running workers: it takes the lock that ingestion takes, a hundred commits at a time."""

    help = (
        "Rebuild the cells of every commit, the groups of every configuration, the order of every watched branch, and"
        " every signal with its breaks, from what GitHub said, print what differs from what is stored, and repair it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What to look at, and whether to write."""
        parser.add_argument("repository", nargs="?", help="owner/name (default: all)")
        parser.add_argument("--check", action="store_true", help="repair nothing; exit with 1 if anything differs")

    def handle(self, *args: Any, **options: Any) -> None:
        """All repositories, or one."""
        repositories = Repository.objects.order_by("owner", "name")
        if options["repository"]:
            owner, _, name = options["repository"].partition("/")
            repositories = repositories.filter(owner__iexact=owner, name__iexact=name)
            if not repositories.exists():
                raise CommandError(f"{options['repository']} is not a repository that Arborist watches.")
        self.printed = 0
        differences = sum(self.repository(repository, not options["check"]) for repository in repositories)
        if self.printed > MOST_PRINTED:
            self.stdout.write(f"… and {self.printed - MOST_PRINTED:,} more.")
        if not differences:
            self.stdout.write("Everything derived equals a rebuild.")
        elif options["check"]:
            raise CommandError(f"{differences:,} differences.", returncode=1)
        else:
            self.stdout.write(f"Repaired {differences:,} differences.")

    def repository(self, repository: Repository, repair: bool) -> int:
        """One repository: how many differences there were."""
        differences = commits = 0
        for number, step in enumerate(rebuild.cells(repository, repair=repair), start=1):
            commits += step.compared
            differences += self.report(repository, step)
            if number % 10 == 0:
                self.stdout.write(f"{repository}: {commits:,} commits…")
        groups = rebuild.groups(repository, repair=repair)
        branches = rebuild.branches(repository, repair=repair)
        signals = rebuild.signals(repository, repair=repair)  # last, since they follow from the others
        differences += sum(self.report(repository, step) for step in (groups, branches, signals))
        self.stdout.write(
            f"{repository}: {commits:,} commits, {groups.compared:,} configurations and {branches.compared:,} branches,"
            f" {signals.compared:,} signals and breaks compared, {differences:,} differences."
        )
        return differences

    def report(self, repository: Repository, step: rebuild.Step) -> int:
        """Print what differed, up to a limit."""
        for words in step.differences:
            if self.printed < MOST_PRINTED:
                self.stdout.write(f"{repository}: {words}")
            self.printed += 1
        return len(step.differences)
