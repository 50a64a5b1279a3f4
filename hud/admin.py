"""The admin: repositories and group rules are edited here; what GitHub said and what follows from it is only shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from hud import actions, rules_admin
from hud import alerts_admin as alerts_admin  # registers its own pages
from hud import failure_rules_admin as failure_rules_admin  # registers its own pages
from hud import requirements_admin as requirements_admin  # registers its own pages
from hud.models import Branch, Configuration, GroupRule, Repository, SetAside, SyncState
from hud.ordered_rules import EditedTogether, ReadOnly
from project.configuration import REPOSITORY_NAME

if TYPE_CHECKING:  # generic for the type checker only
    _RepositoryForm = forms.ModelForm[Repository]
    _RepositoryAdmin = admin.ModelAdmin[Repository]
else:
    _RepositoryForm = forms.ModelForm
    _RepositoryAdmin = admin.ModelAdmin


class RepositoryForm(_RepositoryForm):
    """Branches one a line, since their names may contain commas."""

    watched_branches = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 4}), help_text="Further branches to show, one a line."
    )

    class Meta:
        model = Repository
        fields = (
            "owner", "name", "trunk", "watched_branches", "active", "backfill_commits", "window_hours", "revert_way",
            "merge_bot", "reruns_by_itself",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["watched_branches"] = "\n".join(self.instance.watched_branches)

    def clean_watched_branches(self) -> list[str]:
        """The names as a list, each once."""
        names = list(
            dict.fromkeys(line.strip() for line in self.cleaned_data["watched_branches"].splitlines() if line.strip())
        )
        for name in names:
            if len(name) > 250:
                raise forms.ValidationError(f"“{name[:30]}…” is longer than a branch's name can be (250 characters).")
        return names

    def clean(self) -> dict[str, Any]:
        """GitHub takes owner and name in any case of letters, so two that differ in case are one."""
        data = super().clean() or self.cleaned_data
        owner, name = data.get("owner", self.instance.owner), data.get("name", self.instance.name)
        if not owner or not name:
            return data
        if not REPOSITORY_NAME.fullmatch(f"{owner}/{name}"):
            raise forms.ValidationError(f"“{owner}/{name}” is not the name of a GitHub repository.")
        others = Repository.objects.filter(owner__iexact=owner, name__iexact=name).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError(f"{owner}/{name} is known already.")
        return data


@admin.register(Repository)
class RepositoryAdmin(_RepositoryAdmin):
    """Repositories are not deleted here: that would take millions of runs with them. They are switched to inactive."""

    form = RepositoryForm
    list_display = ("__str__", "trunk", "active", "backfill_commits", "group_rules")
    list_filter = ("active",)
    search_fields = ("owner", "name")
    ordering = ("owner", "name")
    actions = (rules_admin.copy_shipped_rules,)
    readonly_fields = ("github_id", "html_url", "version", "group_rules")

    @admin.display(description="Group rules")
    def group_rules(self, repository: Repository) -> str:
        """A link to the page on which they are edited."""
        if not repository.pk:
            return "Save first."
        return format_html('<a href="{}">Edit</a>', reverse("admin:hud_repository_rules", args=[repository.pk]))

    def get_readonly_fields(self, request: HttpRequest, obj: Repository | None = None) -> tuple[str, ...]:
        """A repository's name is changed by GitHub, and followed."""
        return (*self.readonly_fields, "owner", "name") if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: Repository | None = None) -> bool:
        """Never; see above."""
        return False

    def save_model(self, request: HttpRequest, obj: Repository, form: Any, change: bool) -> None:
        """A new one as it is; of a known one only what was changed."""
        if not change:
            super().save_model(request, obj, form, change)
        elif form.changed_data:
            fields = {name: form.cleaned_data[name] for name in form.changed_data}
            actions.change_repository(repository=obj, fields=fields)

    def get_urls(self) -> list[URLPattern]:
        """With the page of a repository's group rules."""
        view = self.admin_site.admin_view(self.rules)
        return [path("<int:pk>/rules/", view, name="hud_repository_rules"), *super().get_urls()]

    def rules(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The repository's group rules."""
        return rules_admin.edit(request, self.admin_site, get_object_or_404(Repository, pk=pk))


@admin.register(GroupRule)
class GroupRuleAdmin(EditedTogether):
    """A list of all; they are edited together, since their order decides."""

    list_display = ("position", "name", "pattern", "scope")
    change_list_template = "admin/hud/rules_list.html"

    @admin.display(description="Applies to")
    def scope(self, rule: GroupRule) -> str:
        """Whose rule it is, as a link to where it is edited."""
        url = reverse("admin:hud_repository_rules", args=[rule.repository_id]) if rule.repository_id else self.own
        return format_html('<a href="{}">{}</a>', url, rule.repository or "every repository without its own rules")

    @property
    def own(self) -> str:
        """Where the installation's rules are edited."""
        return reverse("admin:hud_grouprule_installation")

    def get_urls(self) -> list[URLPattern]:
        """With the page of the installation's rules."""
        view = self.admin_site.admin_view(self.rules)
        return [path("installation/", view, name="hud_grouprule_installation"), *super().get_urls()]

    def rules(self, request: HttpRequest) -> HttpResponse:
        """The installation's rules."""
        return rules_admin.edit(request, self.admin_site, None)


@admin.register(Branch)
class BranchAdmin(ReadOnly):
    """Branches as GitHub listed them."""

    list_display = ("name", "repository", "watched", "head_sha", "seen_at", "forced_at", "deleted_at")
    list_select_related = ("repository",)
    list_filter = ("watched", "repository")
    search_fields = ("name",)
    ordering = ("-watched", "repository", "name")


@admin.register(Configuration)
class ConfigurationAdmin(ReadOnly):
    """The grid's columns."""

    list_display = ("full_name", "repository", "group", "slot")
    list_select_related = ("repository",)
    list_filter = ("repository",)
    search_fields = ("workflow", "name", "group")
    ordering = ("repository", "group_order", "group", "workflow", "name")


@admin.register(SyncState)
class SyncStateAdmin(ReadOnly):
    """How polling goes; /status shows the same for reading."""

    list_display = ("repository", "kind", "succeeded_at", "due_at", "failures", "problem", "behind")
    list_display_links = ("kind",)
    list_select_related = ("repository",)
    list_filter = ("kind", "repository")
    ordering = ("repository", "kind")


@admin.register(SetAside)
class SetAsideAdmin(ReadOnly):
    """What could not be stored. Dismissed once it has been looked at; if GitHub sends it again, it comes back."""

    list_display = ("reason", "kind", "repository", "times", "last_seen")
    list_select_related = ("repository",)
    list_filter = ("kind", "repository")
    search_fields = ("reason",)
    ordering = ("-last_seen", "-pk")
    fields = ("repository", "kind", "reason", "times", "first_seen", "last_seen", "payload")
    actions = ("dismiss",)

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        """Whoever may delete them."""
        return request.user.has_perm("hud.delete_setaside")

    @admin.action(description="Dismiss the selected ones", permissions=["dismiss"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[SetAside]) -> HttpResponse:
        """Take them off the list."""
        number, _ = queryset.delete()
        messages.success(request, f"Dismissed {number}.")
        return redirect(request.get_full_path())
