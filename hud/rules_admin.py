"""The page of the admin on which group rules are edited: all of one scope together, with a preview before saving.

A scope is a repository, or the installation, whose rules apply to every repository without rules of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.sites import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from hud import actions, derive, groups
from hud.models import Configuration, GroupRule, Repository
from hud.ordered_rules import OrderedForms, counted

MOST_RULES = 300

if TYPE_CHECKING:  # generic for the type checker only
    _RepositoryAdmin = admin.ModelAdmin[Repository]
else:
    _RepositoryAdmin = admin.ModelAdmin


class RuleForm(forms.Form):
    """One rule. A pattern's spaces count."""

    name = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"aria-label": "Group", "size": 30}))
    pattern = forms.CharField(
        max_length=groups.LONGEST_PATTERN,
        strip=False,
        widget=forms.TextInput(attrs={"aria-label": "Pattern", "size": 70, "spellcheck": "false"}),
    )


class BaseRuleForms(OrderedForms):
    """All rules of a scope. Their order is that of the numbers."""

    def rules(self) -> list[groups.Rule]:
        """What was entered, in order, without what is to be deleted."""
        return [groups.Rule(form.cleaned_data["name"], form.cleaned_data["pattern"]) for form in self.ordered_forms]

    def check_rules(self) -> None:
        """Raise `groups.BadRule` at the first that can't be used."""
        groups.compile_rules(self.rules())


RuleForms: type[BaseRuleForms] = forms.formset_factory(  # type: ignore[assignment]  # it makes a subclass of `formset`
    RuleForm, formset=BaseRuleForms, can_order=True, can_delete=True, extra=3, max_num=MOST_RULES, validate_max=True
)


@dataclass(frozen=True)
class Preview:
    """What rules would make of a repository's configurations: (group, [(full name, group so far if it moves)])."""

    repository: Repository
    groups: list[tuple[str, list[tuple[str, str]]]]
    moving: int
    total: int


def preview(repository: Repository, rules: groups.Grouping) -> Preview:
    """Apply the rules to the configurations as they are now, without saving. One query."""
    found: dict[tuple[str, int], list[tuple[str, str]]] = {}
    moving = total = 0
    rows = Configuration.objects.filter(repository=repository).order_by("workflow", "name")
    for configuration in rows:
        name, order = rules.group(configuration.workflow, configuration.name)
        moves = name != configuration.group
        found.setdefault((name, order), []).append((configuration.full_name, configuration.group if moves else ""))
        moving += moves
        total += 1
    columns = sorted(found, key=lambda key: groups.column_key(*key))
    return Preview(repository, [(key[0], found[key]) for key in columns], moving, total)


def _compiled(scope: Repository | None, shown: Repository, rules: Sequence[groups.Rule]) -> groups.Grouping:
    """The rules as they would apply to `shown` once saved: without any in this scope, the next one's apply."""
    if rules:
        return groups.compile_rules(rules)
    installation = GroupRule.objects.filter(repository=None) if scope is not None else GroupRule.objects.none()
    next_ones = [groups.Rule(rule.name, rule.pattern) for rule in installation]
    return groups.compile_rules(next_ones or groups.rules_for(shown.owner, shown.name))


def stored_rules(scope: Repository | None) -> list[groups.Rule]:
    """The rules of exactly this scope."""
    return [groups.Rule(rule.name, rule.pattern) for rule in GroupRule.objects.filter(repository=scope)]


def shipped_rules(scope: Repository | None) -> Sequence[groups.Rule]:
    """The rules that come with Arborist for this repository, or for any."""
    return groups.rules_for(scope.owner, scope.name) if scope else groups.DEFAULT_RULES


def edit(request: HttpRequest, site: AdminSite, scope: Repository | None) -> HttpResponse:
    """The page. Its forms send the rules as edited, to be previewed or to be saved."""
    if not request.user.has_perm("hud.view_grouprule"):
        raise PermissionDenied
    may_change = request.user.has_perm("hud.change_grouprule")
    stored = stored_rules(scope)
    concerned = actions.concerned_by(scope)
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
                moved = actions.replace_group_rules(repository=scope, rules=rules, by=request.user)  # type: ignore[arg-type]
                messages.success(
                    request, f"Saved {counted(len(rules), 'rule')}. {counted(moved, 'configuration')} moved."
                )
                return redirect(request.path)
            seen = preview(shown, _compiled(scope, shown, rules)) if shown else None
    else:
        start = shipped_rules(scope) if "shipped" in request.GET else stored
        forms_ = _filled(start)
        if shown is not None:
            seen = preview(
                shown, _compiled(scope, shown, start) if "shipped" in request.GET else derive.grouping(shown)
            )
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": f"Group rules of {scope}" if scope else "Group rules of the installation",
        "opts": GroupRule._meta,
        "scope": scope,
        "forms": forms_,
        "stored": stored,
        "shipped": len(shipped_rules(scope)),
        "concerned": concerned,
        "shown": shown,
        "preview": seen,
        "moving": counted(seen.moving, "configuration") + (" moves" if seen.moving == 1 else " move") if seen else "",
        "may_change": may_change,
        "unsaved": request.method == "POST" or "shipped" in request.GET,
    }
    return TemplateResponse(request, "admin/hud/rules.html", context)


def _filled(rules: Sequence[groups.Rule]) -> BaseRuleForms:
    # Numbered in tens, so that a rule can be put between two others.
    return RuleForms(
        initial=[{"name": rule.name, "pattern": rule.pattern, "ORDER": 10 * n} for n, rule in enumerate(rules, start=1)]
    )


@admin.action(
    description="Copy the shipped group rules into their own, to edit them from there", permissions=["change"]
)
def copy_shipped_rules(modeladmin: _RepositoryAdmin, request: HttpRequest, queryset: Any) -> HttpResponse | None:
    """Give each repository the shipped rules as its own. One that has rules of its own keeps them."""
    if not request.user.has_perm("hud.change_grouprule"):
        raise PermissionDenied
    for repository in queryset:
        if stored_rules(repository):
            messages.warning(request, f"{repository} has group rules of its own already; they were kept.")
            continue
        rules = shipped_rules(repository)
        if not rules:
            messages.warning(
                request, f"No rules are shipped for {repository}: its configurations are grouped by workflow."
            )
            continue
        moved = actions.replace_group_rules(repository=repository, rules=rules, by=request.user)  # type: ignore[arg-type]
        messages.success(
            request, f"{repository} has {len(rules)} rules of its own now. {counted(moved, 'configuration')} moved."
        )
    return None
