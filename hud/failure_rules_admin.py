"""The page of the admin on which the rules for failing lines are edited: all of one scope together, with a preview.

A scope is a repository, or the installation, whose rules apply to every repository without rules of its own. The
preview shows what the rules would say of logs that have been read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from hud import groups, log_store, pattern_cost
from hud.failure_rules import CATEGORIES, SHIPPED, Rule
from hud.models import FailureRule, JobLog, Repository
from hud.ordered_rules import EditedTogether, OrderedForms
from project import audit

MOST_RULES = 150
PREVIEWED = 25  # logs
PREVIEWED_BYTES = 20_000_000  # of text in all


@transaction.atomic
def replace_failure_rules(*, repository: Repository | None, rules: Sequence[Rule], by: AbstractBaseUser) -> None:
    """Make these the repository's own rules, or without one the installation's. Logs that are kept are looked through
    again. Raises `groups.BadRule` at the first rule that can't be used; then nothing has changed.
    """
    from hud.tasks import find_again  # tasks import what they run

    pattern_cost.check([(rule.name, rule.pattern) for rule in rules])
    concerned = _concerned(repository)
    FailureRule.objects.filter(repository=repository).delete()
    FailureRule.objects.bulk_create(
        FailureRule(repository=repository, position=n, name=rule.name, category=rule.category, pattern=rule.pattern)
        for n, rule in enumerate(rules, start=1)
    )
    audit.record(
        by=by, action="failure_rules.replace", target=str(repository or "installation"),
        repository=str(repository or ""), detail={"rules": len(rules)},
    )  # fmt: skip
    for one in concerned:
        transaction.on_commit(lambda pk=one.pk: find_again.delay(pk))  # type: ignore[misc]


def _concerned(scope: Repository | None) -> list[Repository]:
    """The repositories to which the rules of this scope apply."""
    if scope is not None:
        return [scope]
    return list(Repository.objects.filter(failurerule=None).order_by("pk"))


class FailureRuleForm(forms.Form):
    """One rule. A pattern's spaces count."""

    name = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"aria-label": "Name", "size": 20}))
    category = forms.ChoiceField(
        choices=[(one, one) for one in CATEGORIES], widget=forms.Select(attrs={"aria-label": "Category"})
    )
    pattern = forms.CharField(
        max_length=groups.LONGEST_PATTERN,
        strip=False,
        widget=forms.TextInput(attrs={"aria-label": "Pattern", "size": 80, "spellcheck": "false"}),
    )


class BaseFailureRuleForms(OrderedForms):
    """All rules of a scope. Their order is that of the numbers."""

    def rules(self) -> list[Rule]:
        """What was entered, in order, without what is to be deleted."""
        found = (form.cleaned_data for form in self.ordered_forms)
        return [Rule(one["name"], one["category"], one["pattern"]) for one in found]

    def check_rules(self) -> None:
        """Raise `groups.BadRule` at the first that can't be used."""
        pattern_cost.check([(rule.name, rule.pattern) for rule in self.rules()])


FailureRuleForms: type[BaseFailureRuleForms] = forms.formset_factory(  # type: ignore[assignment]
    FailureRuleForm, formset=BaseFailureRuleForms, can_order=True, can_delete=True, extra=3, max_num=MOST_RULES,
    validate_max=True,
)  # fmt: skip


@dataclass(frozen=True)
class Previewed:
    """What the rules say of one log, and what it says so far."""

    log: JobLog
    rule: str
    line: str
    number: int | None
    changed: bool


def preview(repository: Repository, rules: Sequence[Rule]) -> list[Previewed]:
    """What these rules would find in the newest kept logs, without saving."""
    compiled = log_store.compiled(tuple(rules) or SHIPPED)
    found: list[Previewed] = []
    left = PREVIEWED_BYTES
    for row in JobLog.objects.filter(repository=repository, kept=True).order_by("-run_id")[:PREVIEWED]:
        left -= row.size
        if left < 0 and found:
            break
        before = (row.rule, row.line_number)
        log_store.look(row, compiled)
        found.append(Previewed(row, row.rule, row.line, row.line_number, (row.rule, row.line_number) != before))
    return found


def _stored(scope: Repository | None) -> list[Rule]:
    rows = FailureRule.objects.filter(repository=scope)
    return [Rule(rule.name, rule.category, rule.pattern) for rule in rows]


@admin.register(FailureRule)
class FailureRuleAdmin(EditedTogether):
    """A list of all; they are edited together, since their order decides."""

    list_display = ("position", "name", "category", "pattern", "scope")
    change_list_template = "admin/hud/failure_rules_list.html"

    @admin.display(description="Applies to")
    def scope(self, rule: FailureRule) -> str:
        """Whose rule it is, as a link to where it is edited."""
        url = reverse("admin:hud_failurerule_edit", args=[rule.repository_id or 0])
        return format_html('<a href="{}">{}</a>', url, rule.repository or "every repository without its own rules")

    def get_urls(self) -> list[URLPattern]:
        """With the pages on which rules are edited; 0 is the installation."""
        view = self.admin_site.admin_view(self.edit)
        return [path("edit/<int:pk>/", view, name="hud_failurerule_edit"), *super().get_urls()]

    def edit(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page. Its forms send the rules as edited, to be previewed or to be saved."""
        if not request.user.has_perm("hud.view_failurerule"):
            raise PermissionDenied
        scope = get_object_or_404(Repository, pk=pk) if pk else None
        may_change = request.user.has_perm("hud.change_failurerule")
        stored = _stored(scope)
        concerned = _concerned(scope)
        wanted = request.POST.get("shown") or request.GET.get("shown")
        shown = next((one for one in concerned if str(one.pk) == wanted), concerned[0] if concerned else None)
        seen: list[Previewed] | None = None
        if request.method == "POST":
            forms_ = FailureRuleForms(request.POST)
            if forms_.is_valid():
                if "save" in request.POST:
                    if not may_change:
                        raise PermissionDenied
                    replace_failure_rules(repository=scope, rules=forms_.rules(), by=request.user)  # type: ignore[arg-type]
                    messages.success(request, f"Saved {len(forms_.rules())} rules. Kept logs are looked through again.")
                    return redirect(request.path)
                seen = preview(shown, forms_.rules()) if shown else None
        else:
            start = SHIPPED if "shipped" in request.GET else stored
            forms_ = FailureRuleForms(
                initial=[
                    {"name": rule.name, "category": rule.category, "pattern": rule.pattern, "ORDER": 10 * n}
                    for n, rule in enumerate(start, start=1)
                ]
            )
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"Failure rules of {scope or 'the installation'}",
            "opts": FailureRule._meta,
            "scope": scope,
            "forms": forms_,
            "stored": stored,
            "shipped": len(SHIPPED),
            "concerned": concerned,
            "shown": shown,
            "preview": seen,
            "changing": sum(one.changed for one in seen or ()),
            "may_change": may_change,
        }
        return TemplateResponse(request, "admin/hud/failure_rules.html", context)
