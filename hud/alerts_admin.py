"""The admin's pages of alerts: rules are edited, tried, and their secrets never shown again; tellings are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse

from hud import alerts, announcing
from hud.models import Alert, AlertRule
from hud.models.alerts import EVENTS
from hud.ordered_rules import ReadOnly
from project import audit

if TYPE_CHECKING:  # generic for the type checker only
    _RuleForm = forms.ModelForm[AlertRule]
    _RuleAdmin = admin.ModelAdmin[AlertRule]
else:
    _RuleForm = forms.ModelForm
    _RuleAdmin = admin.ModelAdmin


class AlertRuleForm(_RuleForm):
    """A rule. Its target is written, and never read back."""

    events = forms.MultipleChoiceField(choices=EVENTS, widget=forms.CheckboxSelectMultiple)
    new_target = forms.CharField(
        label="Target",
        max_length=1000,
        required=False,
        widget=forms.PasswordInput(attrs={"size": 70, "autocomplete": "off", "spellcheck": "false"}),
    )

    class Meta:
        model = AlertRule
        fields = (
            "name", "enabled", "repository", "events", "stuck_hours",
            "quiet_from", "quiet_to", "quiet_zone", "quiet_does",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        help_text = "An address of the notification library, such as slack://…, mailto://… or json://…."
        if self.instance.pk:
            help_text += f" One of {announcing.describe(self.instance.target)} is set; empty keeps it."
        self.fields["new_target"].help_text = help_text

    def clean_new_target(self) -> str:
        """Something can be sent there, or it stays as it was."""
        target: str = self.cleaned_data["new_target"].strip()
        if not target:
            if not self.instance.target:
                raise forms.ValidationError("A rule needs a target.")
            return ""
        try:
            announcing.check(target)
        except announcing.BadTarget as error:
            raise forms.ValidationError(str(error)) from None
        return target

    def clean_quiet_zone(self) -> str:
        """A zone that this machine knows."""
        zone: str = self.cleaned_data["quiet_zone"].strip() or "UTC"
        if zone not in available_timezones():
            raise forms.ValidationError(f"“{zone}” is not a time zone such as Europe/Paris.")
        return zone


@admin.register(AlertRule)
class AlertRuleAdmin(_RuleAdmin):
    """What is told, and where."""

    form = AlertRuleForm
    list_display = ("name", "scope", "told", "service", "enabled")
    list_select_related = ("repository",)
    change_form_template = "admin/hud/alert_rule.html"
    fields = (
        "name", "enabled", "repository", "events", "stuck_hours", "new_target",
        ("quiet_from", "quiet_to", "quiet_zone"), "quiet_does",
    )  # fmt: skip

    @admin.display(description="Repository")
    def scope(self, rule: AlertRule) -> str:
        """Of which repository."""
        return str(rule.repository or "every repository")

    @admin.display(description="Tells")
    def told(self, rule: AlertRule) -> str:
        """Of which events."""
        names = dict(EVENTS)
        return ", ".join(names.get(event, event) for event in rule.events)

    @admin.display(description="To")
    def service(self, rule: AlertRule) -> str:
        """The service alone: the rest of the address is a secret."""
        return announcing.describe(rule.target)

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        """With the new target, if one was given. The audit log says that it changed, not to what."""
        target = form.cleaned_data["new_target"]
        if target:
            obj.target = target
        obj.save()
        changed = [name if name != "new_target" else "target" for name in form.changed_data]
        audit.record(
            by=request.user, action="alert_rule.change" if change else "alert_rule.add",
            target=f"alert rule {obj.name}", repository=str(obj.repository or ""), detail={"changed": changed},
        )  # fmt: skip

    def delete_model(self, request: HttpRequest, obj: AlertRule) -> None:
        """And that it is gone."""
        audit.record(by=request.user, action="alert_rule.delete", target=f"alert rule {obj.name}")
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        """One by one, each in the log."""
        for rule in queryset:
            self.delete_model(request, rule)

    def get_urls(self) -> list[URLPattern]:
        """With the button that tries a rule."""
        view = self.admin_site.admin_view(self.try_it)
        return [path("<int:pk>/try/", view, name="hud_alertrule_try"), *super().get_urls()]

    def try_it(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test now, and say how it went."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("hud.change_alertrule"):
            raise PermissionDenied
        rule = get_object_or_404(AlertRule, pk=pk)
        problem = alerts.try_rule(rule)
        if problem:
            messages.error(request, f"The test was not sent: {problem}")
        else:
            messages.success(request, "The test was sent. See whether it arrived.")
        audit.record(
            by=request.user, action="alert_rule.try", target=f"alert rule {rule.name}", detail={"ok": not problem}
        )
        return redirect(reverse("admin:hud_alertrule_change", args=[pk]))


@admin.register(Alert)
class AlertAdmin(ReadOnly):
    """Every telling and its fate. Failed ones can be taken up again. They are made by what happens and forgotten after
    90 days; deleting one before that would have it told again."""

    list_display = ("created_at", "event", "repository", "broken", "rule", "state", "tries", "problem", "sent_at")
    list_display_links = None
    list_select_related = ("repository", "rule", "broken")
    list_filter = ("state", "event", "repository")
    ordering = ("-pk",)
    actions = ("send_again",)

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Whoever may change rules."""
        return request.user.has_perm("hud.change_alertrule")

    @admin.action(description="Send the selected failed ones again", permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Within ten seconds, as if they were new."""
        messages.success(request, f"{alerts.retry(queryset)} will be sent again.")
