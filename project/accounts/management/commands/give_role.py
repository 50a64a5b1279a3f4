"""`manage.py give_role`: a role for a person who has signed in before, or for a GitHub team."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from project import audit
from project.accounts import roles
from project.accounts.models import TeamRole, User
from project.accounts.provider import host
from project.configuration import REPOSITORY_NAME


class Command(BaseCommand):
    help = "Give a role to a person (who has signed in before) or to everybody in a GitHub team (org/team)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("who", help="a login, or org/team")
        parser.add_argument("role", choices=[role.name.lower() for role in roles.Role])
        parser.add_argument("--repository", default="", help="owner/name; without it: everywhere")
        parser.add_argument("--host", default="", help="the GitHub whose team it is (default: the one configured)")

    def handle(self, *args: Any, **options: Any) -> None:
        who, role, repository = (
            options["who"].removeprefix("@"),
            roles.Role[options["role"].upper()],
            options["repository"],
        )
        for name in filter(None, (repository, who if "/" in who else "")):
            if not REPOSITORY_NAME.fullmatch(name):
                raise CommandError(f"{name} should be two names with a slash between them")
        if "/" in who:
            _, new = TeamRole.objects.get_or_create(
                host=options["host"] or host(), team=who.lower(), role=role, repository=repository.lower()
            )
            if new:
                detail = {"role": role.words}
                audit.record(by=None, action="team.give", target=who.lower(), repository=repository, detail=detail)
        else:
            user = User.objects.filter(username__iexact=who).first()
            if user is None:
                raise CommandError(f"{who} has not signed in yet. The first admins are named in ARBORIST_ADMINS.")
            roles.grant(user, role, by=None, repository=repository, why="at the terminal")
        self.stdout.write(f"{who}: {role.words} {'in ' + repository if repository else 'everywhere'}")
