"""What Django's admin lets people do: an ADMIN everything, nobody else anything."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from project.accounts import roles


class Roles(ModelBackend):
    """Passwords are only what `createsuperuser` made; permissions follow roles, besides those given one by one."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return roles.of(user_obj) == roles.Role.ADMIN or super().has_perm(user_obj, perm, obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return roles.of(user_obj) == roles.Role.ADMIN or super().has_module_perms(user_obj, app_label)
