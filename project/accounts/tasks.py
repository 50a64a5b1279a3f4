"""Celery's side of people: once a day roles follow teams, and ended sessions are removed."""

from __future__ import annotations

import logging

from celery import shared_task
from django.core.management import call_command

from project.accounts import teams
from project.github.errors import GitHubError

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def renew_roles() -> None:
    """With the site's own token, for people's tokens are not kept."""
    call_command("clearsessions")
    try:
        authorization = teams.authorization()
    except GitHubError as error:
        log.warning("roles could not be renewed: %s", error)
        return
    for team, how in teams.renew_all(authorization).items():
        log.info("team roles renewed", extra={"team": team, "how": how})
