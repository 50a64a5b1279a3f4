"""People, their roles, and the roles of teams, in Django's admin. What allauth keeps of GitHub is not shown there."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from project import audit
from project.accounts import roles, teams
from project.accounts.models import RoleGrant, Source, TeamRole, User
from project.accounts.provider import host
from project.configuration import REPOSITORY_NAME
from project.github.errors import GitHubError

for model in (EmailAddress, SocialAccount, SocialApp, SocialToken, Group):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A repository is "owner/name", or none."""

    def clean_repository(self) -> str:
        name = str(self.cleaned_data["repository"]).strip()
        if name and not REPOSITORY_NAME.fullmatch(name):
            raise forms.ValidationError("owner/name, or empty for everywhere")
        return name.lower()

    def clean_team(self) -> str:
        name = str(self.cleaned_data["team"]).strip().removeprefix("@")
        if not REPOSITORY_NAME.fullmatch(name):
            raise forms.ValidationError("org/team, as in the team's address on GitHub")
        return name.lower()


class GrantForm(RoleForm):
    clean_team = None  # type: ignore[assignment]


@admin.register(User)
class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Accounts come from GitHub; here they can be closed. Nobody is made a superuser from here."""

    list_display = ("username", "first_name", "has", "is_active", "last_login")
    search_fields = ("username", "first_name")
    fields = ("username", "first_name", "is_active", "last_login", "date_joined")
    readonly_fields = ("username", "first_name", "last_login", "date_joined")

    @admin.display(description="roles")
    def has(self, user: User) -> str:
        return ", ".join(str(grant) for grant in user.grants.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("grants")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # A superuser was made at a terminal, and is unmade there.
        return super().has_change_permission(request, obj) and not (obj is not None and obj.is_superuser)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "is_active" in form.changed_data:
            action = "account.open" if obj.is_active else "account.close"
            audit.record(by=request.user, action=action, target=f"@{obj.username}")


@admin.register(RoleGrant)
class RoleGrantAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Roles are given and taken; never changed, so that the audit log tells all."""

    form = GrantForm
    list_display = ("user", "role", "repository", "source", "team", "since", "by")
    list_filter = ("role", "source")
    search_fields = ("user__username",)
    autocomplete_fields = ("user",)
    fields = ("user", "role", "repository")
    list_select_related = ("user", "by")
    actions = ("take",)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: one for name, one in super().get_actions(request).items() if name != "delete_selected"}

    def has_change_permission(self, request: HttpRequest, obj: RoleGrant | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RoleGrant | None = None) -> bool:
        # A team's role is taken by leaving the team.
        return super().has_delete_permission(request, obj) and (obj is None or obj.source == Source.HAND)

    def save_model(self, request: HttpRequest, obj: RoleGrant, form: Any, change: bool) -> None:
        given = roles.grant(obj.user, roles.Role(obj.role), by=request.user, repository=obj.repository)
        obj.pk = given.pk

    def delete_model(self, request: HttpRequest, obj: RoleGrant) -> None:
        roles.take(obj.user, roles.Role(obj.role), by=request.user, repository=obj.repository)

    @admin.action(description="Take the selected roles", permissions=["delete"])
    def take(self, request: HttpRequest, chosen: QuerySet[RoleGrant]) -> None:
        """Those given by hand."""
        by_team = chosen.filter(source=Source.TEAM).count()
        numbers = list(chosen.filter(source=Source.HAND).values_list("pk", flat=True))
        roles.take_grants(RoleGrant.objects.filter(pk__in=numbers), by=request.user)
        if by_team:
            self.message_user(request, f"{by_team} by a team: take them there.", messages.WARNING)


@admin.register(TeamRole)
class TeamRoleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Which GitHub team has which role."""

    form = RoleForm
    list_display = ("team", "role", "repository")
    list_filter = ("role",)
    actions = ("renew",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[TeamRole]:
        return super().get_queryset(request).filter(host=host())

    def save_model(self, request: HttpRequest, obj: TeamRole, form: Any, change: bool) -> None:
        obj.host = host()
        super().save_model(request, obj, form, change)
        self._tell(request, "team.change" if change else "team.give", obj)

    def delete_model(self, request: HttpRequest, obj: TeamRole) -> None:
        super().delete_model(request, obj)
        self._tell(request, "team.take", obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[TeamRole]) -> None:
        for one in queryset:
            self.delete_model(request, one)

    @admin.action(description="Read the teams' members now")
    def renew(self, request: HttpRequest, chosen: QuerySet[TeamRole]) -> None:
        """All teams, for that is one errand."""
        try:
            told = teams.renew_all(teams.authorization())
        except GitHubError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        for team, how in told.items():
            self.message_user(request, f"{team}: {how}", messages.WARNING if "not" in how else messages.INFO)

    def _tell(self, request: HttpRequest, action: str, team: TeamRole) -> None:
        detail = {"role": roles.Role(team.role).words}
        audit.record(by=request.user, action=action, target=team.team, repository=team.repository, detail=detail)
        teams.settle(by=request.user if isinstance(request.user, User) else None)
