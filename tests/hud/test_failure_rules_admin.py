"""The rules for failing lines are edited together, previewed on logs that were read, and refused if they are slow."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from hud import logs
from hud.failure_rules import SHIPPED
from hud.models import FailureRule, JobLog, Repository
from tests.hud import worlds
from tests.hud.test_log_views import failed_job

pytestmark = pytest.mark.django_db

Rules = list[tuple[Any, ...]]


@pytest.fixture
def repository() -> Repository:
    found = worlds.repository()
    worlds.trunk(found, 2)
    failed_job(found, 7, "something", "my own words: 12", "FAILED a.py::b - Error: x")
    return found


def entered(rules: Rules, **more: str) -> dict[str, Any]:
    data: dict[str, Any] = {"form-TOTAL_FORMS": len(rules), "form-INITIAL_FORMS": 0}
    for n, (order, name, category, pattern) in enumerate(rules):
        data |= {f"form-{n}-ORDER": order, f"form-{n}-name": name, f"form-{n}-category": category}
        data |= {f"form-{n}-pattern": pattern}
    return data | more


def text(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def page(repository: Repository | None) -> str:
    return f"/admin/hud/failurerule/edit/{repository.pk if repository else 0}/"


MINE: Rules = [(20, "second", "test", "^FAILED "), (10, "mine", "infra", "my own (words)")]


def test_a_preview_shows_what_the_rules_would_say_and_saves_nothing(admin_client: Any, repository: Repository) -> None:
    said = text(admin_client.post(page(repository), entered(MINE, preview="1")))
    assert "1 of the 1 newest logs would say something else" in said
    assert "mine 2: my own words: 12" in said
    assert not FailureRule.objects.exists()
    assert JobLog.objects.get().rule == "pytest"


def test_saved_rules_apply_in_their_order_also_to_kept_logs(admin_client: Any, repository: Repository) -> None:
    assert admin_client.post(page(repository), entered(MINE, save="1")).status_code == 302
    assert list(FailureRule.objects.values_list("name", flat=True)) == ["mine", "second"]
    assert logs.find_again(repository.pk) == 1
    row = JobLog.objects.get()
    assert (row.rule, row.category, row.line_number) == ("mine", "infra", 2)
    assert logs.find_again(repository.pk) == 0
    FailureRule.objects.all().delete()
    assert logs.find_again(repository.pk) == 1
    assert JobLog.objects.get().rule == "pytest"


def test_the_installations_rules_apply_where_there_are_no_own_ones(admin_client: Any, repository: Repository) -> None:
    admin_client.post(page(None), entered([(1, "ours", "build", "something")], save="1"))
    logs.find_again(repository.pk)
    assert JobLog.objects.get().rule == "ours"
    assert "ours" in text(admin_client.get("/admin/hud/failurerule/"))


@pytest.mark.parametrize(
    ("pattern", "words"), [("(a+)+$", "could take forever"), ("(", "rule 2"), ("(a|aa)+$", "it took")]
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    admin_client: Any, repository: Repository, pattern: str, words: str
) -> None:
    rules = [(10, "good", "test", "fine"), (20, "bad", "test", pattern)]
    said = text(admin_client.post(page(repository), entered(rules, save="1")))
    assert "Nothing was saved: rule 2" in said
    assert words in said
    assert not FailureRule.objects.exists()


def test_the_shipped_rules_are_a_start_that_can_be_saved(admin_client: Any, repository: Repository) -> None:
    said = admin_client.get(page(repository) + "?shipped=1").content.decode()
    assert all(rule.name in said for rule in SHIPPED)
    rules = [(n, rule.name, rule.category, rule.pattern) for n, rule in enumerate(SHIPPED)]
    assert admin_client.post(page(repository), entered(rules, save="1")).status_code == 302
    assert FailureRule.objects.count() == len(SHIPPED)
    assert logs.find_again(repository.pk) == 0


def test_who_may_only_look_may_not_save(client: Any, repository: Repository) -> None:
    user = get_user_model().objects.create_user("guest", is_staff=True)
    client.force_login(user)
    assert client.get(page(repository)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_failurerule"))
    assert client.get(page(repository)).status_code == 200
    assert client.post(page(repository), entered(MINE, save="1")).status_code == 403
    assert not FailureRule.objects.exists()
