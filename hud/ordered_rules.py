"""What the admin's pages of ordered rules share (group rules, requirements, failure rules), and a base for what is only
shown there.

The rules of a scope (a repository, or the installation) are edited all together, since their order decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from hud import groups
from hud.models import Repository

if TYPE_CHECKING:  # generic for the type checker only
    _FormSet = forms.BaseFormSet[Any]
    _Admin = admin.ModelAdmin[Any]
else:
    _FormSet = forms.BaseFormSet
    _Admin = admin.ModelAdmin


class OrderedForms(_FormSet):
    """All rules of a scope. Their order is that of the numbers."""

    def check_rules(self) -> None:
        """Raise `groups.BadRule` at the first rule that can't be used. Each page knows its own kind."""

    def clean(self) -> None:
        """Say which rule is broken, and where, beside it and above all."""
        if any(self.errors):
            return
        try:
            self.check_rules()
        except groups.BadRule as error:
            self.ordered_forms[error.position].add_error("pattern", str(error))
            raise ValidationError(f"Nothing was saved: {error}.") from None


class ReadOnly(_Admin):
    """Shown, never written: what GitHub said, and what follows from it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class EditedTogether(ReadOnly):
    """A list of all rules; not one by one are they edited, but together on a page of their own."""

    list_display_links = None
    list_select_related = ("repository",)
    list_filter = ("repository",)
    ordering = ("repository", "position", "pk")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """With links to the rules of each repository, also of those that have none yet."""
        repositories = Repository.objects.order_by("owner", "name")
        return super().changelist_view(request, {**(extra_context or {}), "repositories": repositories})


def counted(number: int, noun: str) -> str:
    """“1 rule”, “3 rules”."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
