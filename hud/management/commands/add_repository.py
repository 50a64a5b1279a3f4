"""`manage.py add_repository owner/name`: watch a repository from now on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hud import actions, ingest
from hud.models import NAME
from project.configuration import REPOSITORY_NAME

MOST_BACKFILL = 100_000


class Command(BaseCommand):
    """Repeating it changes nothing, except what its options say."""

    help = "Watch a GitHub repository. Its trunk's history is read first; then it is polled."

    def add_arguments(self, parser: CommandParser) -> None:
        """The repository, and what may differ from the defaults."""
        parser.add_argument("repository", help="owner/name, such as pytorch/pytorch")
        parser.add_argument("--trunk", help="the branch that is kept green (default: GitHub's default branch)")
        parser.add_argument(
            "--watch", action="append", metavar="BRANCH", help="a further branch to show; may be given more than once"
        )
        parser.add_argument(
            "--backfill", type=int, metavar="N", help="how many commits of its history to read at first (default: 200)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Add it, or bring it up to date."""
        name, trunk, backfill = options["repository"], options["trunk"], options["backfill"]
        if not REPOSITORY_NAME.fullmatch(name):
            raise CommandError(f"{name[:200]!r} is not owner/name, such as pytorch/pytorch.")
        if backfill is not None and not 0 <= backfill <= MOST_BACKFILL:
            raise CommandError(f"--backfill must be from 0 to {MOST_BACKFILL:,}, not {backfill}.")
        for option, branch in [("--trunk", trunk), *(("--watch", watched) for watched in options["watch"] or ())]:
            if branch is not None and (not branch.strip() or len(branch) > NAME or not branch.isprintable()):
                raise CommandError(f"{option} must be the name of a branch.")
        repository, new = ingest.add_repository(*name.split("/"))
        watched = list(dict.fromkeys([*repository.watched_branches, *(options["watch"] or ())]))
        wanted = {"trunk": trunk, "watched_branches": watched, "backfill_commits": backfill, "active": True}
        changed = {
            field: value for field, value in wanted.items() if value is not None and getattr(repository, field) != value
        }
        if changed:
            actions.change_repository(repository=repository, fields=changed)
        if new:
            self.stdout.write(f"{repository} is watched from now on.")
        elif changed:
            self.stdout.write(f"{repository} was known already; changed: {', '.join(sorted(changed))}.")
        else:
            self.stdout.write(f"{repository} is watched already; nothing has changed.")
