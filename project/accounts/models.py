"""People who use Arborist, and what they may do."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(IntEnum):
    """What somebody may do. A higher one includes all below it."""

    READER = 1
    TRIAGER = 2
    TREE_HUGGER = 3
    MAINTAINER = 4
    ADMIN = 5

    @property
    def words(self) -> str:
        """As a page says it: “tree hugger”."""
        return self.name.replace("_", " ").lower()


ROLE_CHOICES = [(int(role), role.words.capitalize()) for role in Role]


class User(AbstractUser):
    """A person. `username` is the GitHub login for whoever signed in with GitHub; who that is says their account's
    number there, so that a new login is followed."""


class Source(models.TextChoices):
    """Why somebody has a role."""

    HAND = "hand", "given by a person"
    TEAM = "team", "by a GitHub team"


class RoleGrant(models.Model):
    """A role that a person has, everywhere or in one repository."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="grants")
    role = models.PositiveSmallIntegerField(choices=ROLE_CHOICES)
    repository = models.CharField(max_length=201, blank=True, help_text="owner/name; empty: everywhere")
    source = models.CharField(max_length=4, choices=Source, default=Source.HAND)
    team = models.CharField(max_length=201, blank=True)  # "org/slug" if by a team
    since = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(auto_now_add=True)  # when GitHub last said that they are in that team
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "repository", "source", "team"], name="one_grant_each")
        ]

    def __str__(self) -> str:
        return f"{Role(self.role).words} {'in ' + self.repository if self.repository else 'everywhere'}"


class TeamRole(models.Model):
    """Everybody in this GitHub team has this role."""

    host = models.CharField(max_length=253, editable=False)  # whose team: a namesake elsewhere is another
    team = models.CharField(max_length=201, help_text="org/team, as in the team's address on GitHub")
    role = models.PositiveSmallIntegerField(choices=ROLE_CHOICES)
    repository = models.CharField(max_length=201, blank=True, help_text="owner/name; empty: everywhere")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "team", "role", "repository"], name="one_role_for_a_team")
        ]

    def __str__(self) -> str:
        return f"{self.team}: {Role(self.role).words} {'in ' + self.repository if self.repository else 'everywhere'}"

    def save(self, *args: Any, **named: Any) -> None:
        """GitHub's names don't tell case."""
        self.team, self.repository = self.team.lower(), self.repository.lower()
        super().save(*args, **named)
