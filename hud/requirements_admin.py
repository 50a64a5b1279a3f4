"""The page of the admin on which it is edited what must pass, with a preview; and the branch that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.sites import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from hud import groups, last_good, last_good_push
from hud.models import Commit, Configuration, LastGood, LastGoodSettings, Repository, RequirementRule
from hud.names import is_unstable
from hud.ordered_rules import EditedTogether, OrderedForms, counted
from hud.requirements import Requirement, Requirements, Rule, compile_rules
from project import audit

MOST_RULES = 300
CHOICES = [(one.value, one.value) for one in Requirement]

if TYPE_CHECKING:  # generic for the type checker only
    _SettingsAdmin = admin.ModelAdmin[LastGoodSettings]
    _SettingsForm = forms.ModelForm[LastGoodSettings]
else:
    _SettingsAdmin = admin.ModelAdmin
    _SettingsForm = forms.ModelForm


class RuleForm(forms.Form):
    """One rule. A pattern's spaces count."""

    requirement = forms.ChoiceField(choices=CHOICES, widget=forms.Select(attrs={"aria-label": "Requirement"}))
    pattern = forms.CharField(
        max_length=groups.LONGEST_PATTERN,
        strip=False,
        widget=forms.TextInput(attrs={"aria-label": "Pattern", "size": 70, "spellcheck": "false"}),
    )

    def has_changed(self) -> bool:
        """A select is never empty: a row in which nobody wrote a pattern is no rule."""
        name = self.add_prefix("pattern")
        return bool(self.data.get(name)) if self.is_bound and self.empty_permitted else super().has_changed()


class BaseRuleForms(OrderedForms):
    """All rules of a scope. Their order is that of the numbers."""

    def rules(self) -> list[Rule]:
        """What was entered, in order, without what is to be deleted."""
        return [
            Rule(Requirement(form.cleaned_data["requirement"]), form.cleaned_data["pattern"])
            for form in self.ordered_forms
            if form.cleaned_data.get("pattern")
        ]

    def check_rules(self) -> None:
        """Raise `groups.BadRule` at the first that can't be used."""
        compile_rules(self.rules())


RuleForms: type[BaseRuleForms] = forms.formset_factory(  # type: ignore[assignment]  # it makes a subclass of `formset`
    RuleForm, formset=BaseRuleForms, can_order=True, can_delete=True, extra=3, max_num=MOST_RULES, validate_max=True
)


@dataclass(frozen=True)
class Preview:
    """What rules make of a repository: (requirement, [(full name, requirement so far if it moves)]), and which commit
    would be the last good one."""

    repository: Repository
    kinds: list[tuple[str, list[tuple[str, str]]]]
    moving: int
    total: int
    good: str
    good_now: str


def preview(repository: Repository, rules: Requirements) -> Preview:
    """Apply the rules to the configurations and to trunk's newest commits as they are now, without saving."""
    before = last_good.stored_rules(repository.pk)
    found: dict[str, list[tuple[str, str]]] = {one.value: [] for one in Requirement}
    moving = total = 0
    for one in Configuration.objects.filter(repository=repository).order_by("workflow", "name"):
        unstable = one.unstable or is_unstable(one.workflow + one.name)
        now, was = (rule.of(one.full_name, unstable=unstable) for rule in (rules, before))
        found[now.value].append((one.full_name, was.value if was is not now else ""))
        moving += was is not now
        total += 1
    stored = LastGood.objects.filter(pk=repository.pk).values_list("sha", flat=True).first()
    kinds = [(kind, names) for kind, names in found.items() if names]
    return Preview(repository, kinds, moving, total, _good(repository, rules), stored or "")


def _good(repository: Repository, rules: Requirements) -> str:
    """The sha of the commit that would be the last good one; empty if none would."""
    pk = last_good.good_of(repository.pk, last_good.read_required(repository.pk, rules).mask)
    return Commit.objects.get(pk=pk).sha if pk else ""


def _compiled(scope: Repository | None, rules: Sequence[Rule]) -> Requirements:
    """The rules as they would apply once saved: without any in this scope, the next one's apply."""
    if rules or scope is None:
        return compile_rules(rules)
    rows = RequirementRule.objects.filter(repository=None)
    return compile_rules(Rule(Requirement(row.requirement), row.pattern) for row in rows)


def edit(request: HttpRequest, site: AdminSite, scope: Repository | None) -> HttpResponse:
    """The page. Its forms send the rules as edited, to be previewed or to be saved."""
    if not request.user.has_perm("hud.view_requirementrule"):
        raise PermissionDenied
    may_change = request.user.has_perm("hud.change_requirementrule")
    stored = list(RequirementRule.objects.filter(repository=scope))
    concerned = last_good.concerned_by(scope)
    wanted = request.POST.get("shown") or request.GET.get("shown")
    shown = next((one for one in concerned if str(one.pk) == wanted), concerned[0] if concerned else None)
    seen: Preview | None = None
    if request.method == "POST":
        forms_ = RuleForms(request.POST)
        if forms_.is_valid():
            rules = forms_.rules()
            if "save" in request.POST:
                if not may_change:
                    raise PermissionDenied
                moved = last_good.replace_rules(repository=scope, rules=rules, by=request.user)
                messages.success(request, " ".join([f"Saved {counted(len(rules), 'rule')}.", *map(_moved, moved)]))
                return redirect(request.path)
            seen = preview(shown, _compiled(scope, rules)) if shown else None
    else:
        forms_ = RuleForms(
            initial=[
                {"requirement": rule.requirement, "pattern": rule.pattern, "ORDER": 10 * n}
                for n, rule in enumerate(stored, start=1)
            ]
        )
        seen = preview(shown, last_good.stored_rules(shown.pk)) if shown else None
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": f"What must pass in {scope}" if scope else "What must pass in every repository",
        "opts": RequirementRule._meta,
        "scope": scope,
        "forms": forms_,
        "stored": stored,
        "concerned": concerned,
        "shown": shown,
        "preview": seen,
        "moving": counted(seen.moving, "configuration") + (" changes" if seen.moving == 1 else " change")
        if seen
        else "",
        "may_change": may_change,
        "unsaved": request.method == "POST",
    }
    return TemplateResponse(request, "admin/hud/requirements.html", context)


def _moved(change: tuple[Repository, str]) -> str:
    repository, sha = change
    return f"Last good of {repository} is now {sha[:7]}." if sha else f"{repository} has no good commit now."


@admin.register(RequirementRule)
class RequirementRuleAdmin(EditedTogether):
    """A list of all; they are edited together, since their order decides."""

    list_display = ("position", "requirement", "pattern", "scope")
    change_list_template = "admin/hud/requirements_list.html"

    @admin.display(description="Applies to")
    def scope(self, rule: RequirementRule) -> str:
        """Whose rule it is, as a link to where it is edited."""
        arguments = [rule.repository_id] if rule.repository_id else []
        url = reverse("admin:hud_requirementrule_edit", args=arguments)
        return format_html('<a href="{}">{}</a>', url, rule.repository or "every repository without its own rules")

    def get_urls(self) -> list[URLPattern]:
        """With the pages on which they are edited."""
        view = self.admin_site.admin_view(self.rules)
        name = "hud_requirementrule_edit"
        return [
            path("installation/", view, name=name),
            path("of/<int:pk>/", view, name=name),
            *super().get_urls(),
        ]

    def rules(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """The rules of a repository, or of the installation."""
        scope = get_object_or_404(Repository, pk=pk) if pk is not None else None
        return edit(request, self.admin_site, scope)


class SettingsForm(_SettingsForm):
    """The branch is checked as the outbox will check it."""

    class Meta:
        model = LastGoodSettings
        fields = ("repository", "push_branch")

    def clean_push_branch(self) -> str:
        """A name that Git allows, without `refs/heads/`."""
        branch: str = self.cleaned_data["push_branch"].strip().removeprefix("refs/heads/")
        if branch and not last_good_push.allows(branch):
            raise forms.ValidationError(f"“{branch}” can’t be the name of a branch.")
        return branch


@admin.register(LastGoodSettings)
class LastGoodSettingsAdmin(_SettingsAdmin):
    """Which branch on GitHub follows the last good commit."""

    form = SettingsForm
    list_display = ("repository", "push_branch")
    list_select_related = ("repository",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An empty branch says the same, and stays in the audit log."""
        return False

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: LastGoodSettings, form: Any, change: bool) -> None:
        """The branch is moved at once, not only with the next good commit."""
        repository = Repository.objects.select_for_update().get(pk=obj.repository_id)
        obj.save()
        audit.record(
            by=request.user, action="last_good.follow", target=f"branch {obj.push_branch or '(none)'}",
            repository=str(repository),
        )  # fmt: skip
        if "push_branch" in form.changed_data:
            last_good_push.follow(repository)
