"""What people decide: which repositories and branches are watched, and how configurations are grouped.

Each is one transaction and waits for the batches that are being stored, so that nothing derived is made from half of
the old and half of the new. Who did it stands in the admin's log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from hud import derive, groups
from hud.models import Branch, Configuration, GroupRule, Repository


@transaction.atomic
def replace_group_rules(*, repository: Repository | None, rules: Sequence[groups.Rule], by: AbstractBaseUser) -> int:
    """Make these the repository's own rules, or without one the installation's; returns how many configurations moved.

    Raises `groups.BadRule` at the first rule that can't be used; then nothing has changed.
    """
    groups.compile_rules(rules)
    mine = [one.pk for one in concerned_by(repository)]
    concerned = list(Repository.objects.select_for_update(no_key=True).filter(pk__in=mine).order_by("pk"))
    GroupRule.objects.filter(repository=repository).delete()
    GroupRule.objects.bulk_create(
        GroupRule(repository=repository, position=position, name=rule.name, pattern=rule.pattern)
        for position, rule in enumerate(rules, start=1)
    )
    before = _groups(concerned)
    for one in concerned:
        derive.regroup(one)
    moved = len(before ^ _groups(concerned)) // 2  # to another group; those of a group whose place changed did not move
    LogEntry.objects.create(
        user_id=by.pk,
        content_type=ContentType.objects.get_for_model(Repository if repository else GroupRule),
        object_id=str(repository.pk) if repository else "",
        object_repr=str(repository or "Group rules of the installation")[:200],
        action_flag=CHANGE,
        change_message=f"Group rules replaced by {len(rules)}; {moved} configurations moved.",
    )
    return moved


def _groups(repositories: Sequence[Repository]) -> set[tuple[int, str]]:
    return set(Configuration.objects.filter(repository__in=repositories).values_list("pk", "group"))


def concerned_by(repository: Repository | None) -> list[Repository]:
    """The repositories to which the rules of this one apply; the installation's: all without their own."""
    if repository is not None:
        return [repository]
    return list(Repository.objects.filter(grouprule=None).order_by("pk"))


@transaction.atomic
def change_repository(*, repository: Repository, fields: dict[str, Any]) -> None:
    """Change what people may change. Branches are watched or no longer watched from now on.

    Only these fields are written, for ingestion goes on writing its own (`version`) beside this.
    """
    locked = Repository.objects.select_for_update().get(pk=repository.pk)
    for name, value in fields.items():
        setattr(locked, name, value)
    locked.save(update_fields=list(fields))
    # GitHub answers “not modified” for a branch that did not move, so ingestion would not come to this by itself.
    watched = {locked.trunk, *locked.watched_branches}
    branches = Branch.objects.filter(repository=locked)
    branches.filter(watched=False, name__in=watched).update(watched=True)
    branches.filter(watched=True).exclude(name__in=watched).update(watched=False)
    derive.branch_order(locked, timezone.now())
    Repository.objects.filter(pk=locked.pk).update(version=F("version") + 1)
