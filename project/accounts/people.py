"""The person behind a GitHub account: found by its number, called by its login of today."""

from __future__ import annotations

import re

from allauth.socialaccount.models import SocialAccount

from project.accounts.models import User

LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98})(?:\[bot\])?")


def call(user: User, login: str) -> None:
    """Give a person (saved or not) the name they have at GitHub.

    No two have the same there, so whoever else came from GitHub by it once has another by now. Somebody who is only
    ours, made by `createsuperuser`, keeps their name: the newcomer gets a mark that no login at GitHub can have.
    """
    taken = User.objects.select_for_update().filter(username__iexact=login).exclude(pk=user.pk).first()
    user.username = login
    if taken is not None and SocialAccount.objects.filter(user=taken).exists():
        taken.username = f"{login}@was-{taken.pk}"
        taken.save(update_fields=["username"])
    elif taken is not None:
        user.username = f"{login}@github"
