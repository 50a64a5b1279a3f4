"""What must pass: ordered rules, pure; and the admin's page on which they are edited, with a preview."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from hud import last_good
from hud.groups import BadRule
from hud.models import LastGood, LastGoodSettings, RequirementRule
from hud.requirements import Requirement, Rule, compile_rules
from project.audit.models import Entry
from project.outbox.models import Write
from tests.hud import worlds
from tests.hud.worlds import job

REQUIRED, OPTIONAL, UNSTABLE = Requirement.REQUIRED, Requirement.OPTIONAL, Requirement.UNSTABLE


class TestRules:
    def test_without_rules_all_but_the_unstable_is_required(self):
        rules = compile_rules([])
        assert rules.of("pull / linux / build") is REQUIRED
        assert rules.of("pull / linux / build", unstable=True) is UNSTABLE

    def test_the_first_that_is_found_decides_in_any_case_of_letters(self):
        rules = compile_rules([Rule(REQUIRED, "Lint"), Rule(OPTIONAL, "^pull / "), Rule(UNSTABLE, "rocm")])
        assert rules.of("pull / lint") is REQUIRED
        assert rules.of("pull / rocm") is OPTIONAL
        assert rules.of("trunk / ROCm") is UNSTABLE
        assert rules.of("trunk / linux") is REQUIRED

    def test_a_rule_overrules_the_name(self):
        assert compile_rules([Rule(REQUIRED, "x")]).of("unstable / x", unstable=True) is REQUIRED

    def test_a_workflow_called_like_a_requirement_is_no_rule(self):
        assert compile_rules([Rule(REQUIRED, "zzz")]).of("optional / x") is REQUIRED

    @pytest.mark.parametrize(
        ("pattern", "words"), [("(", "rule 2"), ("", "empty"), ("(a+)+b", "rule 2"), ("x" * 501, "longer")]
    )
    def test_what_it_refuses(self, pattern, words):
        with pytest.raises(BadRule, match=words) as refused:
            compile_rules([Rule(REQUIRED, "a"), Rule(OPTIONAL, pattern)])
        assert refused.value.position == 1


@pytest.fixture
def repository(db):
    """Two commits: the older is good, on the newer one the build failed."""
    found = worlds.repository()
    worlds.trunk(found, 2)
    worlds.store(
        found, job(1, "linux / build", "success", of=0), job(2, "linux / test", "success", of=0),
        job(3, "linux / build", "failure", of=1, run=2), job(4, "linux / test", "success", of=1, run=2),
    )  # fmt: skip
    last_good.update(found)
    return found


def entered(*rules, **more):
    data = {"form-TOTAL_FORMS": len(rules), "form-INITIAL_FORMS": 0}
    for n, (order, requirement, pattern, *delete) in enumerate(rules):
        data |= {f"form-{n}-ORDER": order, f"form-{n}-requirement": requirement, f"form-{n}-pattern": pattern}
        if delete:
            data[f"form-{n}-DELETE"] = "on"
    return data | more


def page_of(repository=None):
    return "/admin/hud/requirementrule/" + (f"of/{repository.pk}/" if repository else "installation/")


def text(response):
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


class TestPage:
    def test_as_it_is_now(self, admin_client, repository):
        page = text(admin_client.get(page_of(repository)))
        assert "As it is now: grove/orchard" in page
        assert f"Last good is {worlds.sha(0)[:7]} ." in page
        assert "required (2)" in page

    def test_a_preview_says_what_changes_and_saves_nothing(self, admin_client, repository):
        page = text(admin_client.post(page_of(repository), entered((10, "optional", "build"), preview="1")))
        assert "1 configuration changes of 2." in page
        assert f"Last good would be {worlds.sha(1)[:7]} instead of {worlds.sha(0)[:7]}" in page
        assert "optional (1) pull / linux / build was required" in page
        assert not RequirementRule.objects.exists()
        assert LastGood.objects.get().sha == worlds.sha(0)

    def test_saving_judges_at_once_and_is_in_the_log(self, admin_client, repository):
        version = repository.version
        answer = admin_client.post(
            page_of(repository), entered((20, "required", "linux"), (10, "optional", "build"), save="1"), follow=True
        )
        assert f"Saved 2 rules. Last good of grove/orchard is now {worlds.sha(1)[:7]}." in text(answer)
        assert list(RequirementRule.objects.values_list("position", "requirement")) == [
            (1, "optional"),
            (2, "required"),
        ]
        repository.refresh_from_db()
        assert repository.version > version  # the grid says it, so its ETag must move
        assert Entry.objects.get().action == "requirements.replace"

    def test_without_rules_of_its_own_the_installations_apply(self, admin_client, repository):
        admin_client.post(page_of(), entered((10, "optional", "build"), save="1"))
        assert LastGood.objects.get().sha == worlds.sha(1)
        admin_client.post(page_of(repository), entered((10, "required", "build"), save="1"))
        assert LastGood.objects.get().sha == worlds.sha(0)
        admin_client.post(page_of(repository), entered((10, "required", "build", "delete"), save="1"))
        assert LastGood.objects.get().sha == worlds.sha(1)

    def test_a_broken_pattern_is_named_and_nothing_saved(self, admin_client, repository):
        page = text(admin_client.post(page_of(repository), entered((10, "required", "("), save="1")))
        assert "Nothing was saved: rule 1:" in page
        assert not RequirementRule.objects.exists()

    def test_empty_rows_are_no_rules(self, admin_client, repository):
        answer = admin_client.post(
            page_of(repository), entered((10, "optional", "build"), ("", "required", ""), save="1"), follow=True
        )
        assert "Saved 1 rule." in text(answer)

    def test_who_may(self, client, repository):
        person = get_user_model().objects.create_user("staff", is_staff=True)
        client.force_login(person)
        assert client.get(page_of(repository)).status_code == 403
        person.user_permissions.add(Permission.objects.get(codename="view_requirementrule"))
        assert client.get(page_of(repository)).status_code == 200
        assert client.post(page_of(repository), entered((10, "optional", "build"), save="1")).status_code == 403
        assert not RequirementRule.objects.exists()

    def test_the_list_leads_to_each(self, admin_client, repository):
        RequirementRule.objects.create(repository=repository, position=1, requirement="optional", pattern="x")
        page = admin_client.get("/admin/hud/requirementrule/").content.decode()
        assert page_of(repository) in page
        assert page_of() in page


class TestSettings:
    def test_a_branch_follows_at_once(self, admin_client, repository):
        data = {"repository": repository.pk, "push_branch": "refs/heads/viable/strict"}
        assert admin_client.post("/admin/hud/lastgoodsettings/add/", data).status_code == 302
        assert Write.objects.get().payload["branch"] == "viable/strict"
        admin_client.post(f"/admin/hud/lastgoodsettings/{repository.pk}/change/", data | {"push_branch": "stable"})
        states = list(Write.objects.order_by("pk").values_list("state", flat=True))
        assert states == ["cancelled", "queued"]
        admin_client.post(f"/admin/hud/lastgoodsettings/{repository.pk}/change/", data | {"push_branch": ""})
        assert Write.objects.count() == 2

    def test_what_git_does_not_allow_is_refused(self, admin_client, repository):
        page = admin_client.post(
            "/admin/hud/lastgoodsettings/add/", {"repository": repository.pk, "push_branch": "a b"}
        )
        assert "can’t be the name of a branch" in page.content.decode()
        assert not LastGoodSettings.objects.exists()
