"""Who did what, when and why: one row for everything that a person changes, never changed again.

Called inside the transaction of the change, so that neither is there without the other:

    audit.record(by=user, action="break.acknowledge", target="break 12", repository="grove/orchard", why="looking")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

    from project.audit.models import Entry

WHY_LENGTH = 2000


def record(
    *,
    by: AbstractBaseUser | AnonymousUser | None,
    action: str,
    target: str,
    repository: str = "",
    why: str = "",
    detail: dict[str, Any] | None = None,
) -> Entry:
    """Write it down. `by` is None for what the site does by itself. Too long a text is cut, never refused."""
    from project.audit.models import Entry  # this package is imported before the apps are ready

    login = by.get_username() if by is not None and by.is_authenticated else ""
    return Entry.objects.create(
        actor_id=by.pk if login and by is not None else None,
        actor_login=_clean(login, 150),
        action=_clean(action, 60),
        repository=_clean(repository, 201),
        target=_clean(target, 200),
        why=_clean(why, WHY_LENGTH),
        detail=_plain(detail or {}),
    )


def _clean(text: str, length: int) -> str:
    return text.replace("\0", "\ufffd")[:length]


def _plain(value: Any) -> Any:
    """As JSON that PostgreSQL takes: without NUL, whatever isn't JSON as text."""
    if isinstance(value, str):
        return _clean(value, 10_000)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_clean(str(key), 200): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return _clean(str(value), 10_000)
