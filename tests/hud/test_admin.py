"""The admin: repositories and group rules are edited, everything else is only shown."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hud import actions, groups
from hud.models import Branch, BranchCommit, Configuration, GroupRule, Repository, SetAside, SyncKind, SyncState
from tests.hud import worlds
from tests.hud.worlds import job

pytestmark = pytest.mark.django_db


@pytest.fixture
def repository():
    found = worlds.repository()
    worlds.trunk(found, 2)
    worlds.store(found, job(1, "linux-cuda / test"), job(2, "linux / build"), job(3, "win / build"))
    return found


def entered(rules, initial=0, **more):
    """What the rules page's form sends: (order, name, pattern[, delete]) each."""
    data = {"form-TOTAL_FORMS": len(rules), "form-INITIAL_FORMS": initial}
    for n, (order, name, pattern, *delete) in enumerate(rules):
        data |= {f"form-{n}-ORDER": order, f"form-{n}-name": name, f"form-{n}-pattern": pattern}
        if delete:
            data[f"form-{n}-DELETE"] = "on"
    return data | more


def rules_page(repository):
    return f"/admin/hud/repository/{repository.pk}/rules/"


def stored():
    return {configuration.name: configuration.group for configuration in Configuration.objects.all()}


def text(response):
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


class TestGroupRules:
    def test_the_page_shows_what_lands_where_at_present(self, admin_client, repository):
        page = text(admin_client.get(rules_page(repository)))
        assert "As it is now: grove/orchard" in page
        assert "3 configurations in 1 group." in page
        assert "pull (3) pull / linux / build" in page

    def test_a_preview_shows_what_moves_and_saves_nothing(self, admin_client, repository):
        page = text(
            admin_client.post(
                rules_page(repository), entered([(20, "Linux", "linux"), (10, "CUDA", "cuda")], preview="1")
            )
        )
        assert "Preview, not saved yet" in page
        assert "3 configurations move of 3" not in page
        assert "2 configurations move of 3; 3 groups." in page
        assert "CUDA (1) pull / linux-cuda / test from “ pull ”" in page
        assert stored() == {"linux-cuda / test": "pull", "linux / build": "pull", "win / build": "pull"}
        assert not GroupRule.objects.exists()

    def test_saving_regroups_at_once_and_in_order(self, admin_client, repository):
        version = repository.version
        answer = admin_client.post(
            rules_page(repository), entered([(20, "Linux", "linux"), (10, "CUDA", "cuda")], save="1"), follow=True
        )
        assert "Saved 2 rules. 2 configurations moved." in text(answer)
        assert stored() == {"linux-cuda / test": "CUDA", "linux / build": "Linux", "win / build": "pull"}
        assert list(GroupRule.objects.values_list("position", "name")) == [(1, "CUDA"), (2, "Linux")]
        repository.refresh_from_db()
        assert repository.version > version
        assert "Group rules replaced by 2" in LogEntry.objects.get().change_message

    def test_a_broken_expression_says_which_rule_and_where_and_changes_nothing(self, admin_client, repository):
        data = entered([(30, "Good", "linux"), (10, "Broken", "cuda("), (20, "Also", "win")], save="1")
        page = text(admin_client.post(rules_page(repository), data))
        assert "Nothing was saved: rule 1: missing ), unterminated subpattern, at character 5." in page
        assert not GroupRule.objects.exists()
        assert set(stored().values()) == {"pull"}

    def test_a_rule_without_name_says_so(self, admin_client, repository):
        page = text(admin_client.post(rules_page(repository), entered([(1, "", "linux")], save="1")))
        assert "This field is required" in page
        assert not GroupRule.objects.exists()

    def test_rules_can_be_deleted_and_without_any_the_next_ones_apply(self, admin_client, repository):
        admin_client.post(rules_page(repository), entered([(1, "All", ".")], save="1"))
        assert set(stored().values()) == {"All"}
        data = entered([(1, "All", ".", "delete")], initial=1)
        assert "pull (3)" in text(admin_client.post(rules_page(repository), data | {"preview": "1"}))
        admin_client.post(rules_page(repository), data | {"save": "1"})
        assert set(stored().values()) == {"pull"}

    def test_the_installations_rules_regroup_only_repositories_without_their_own(
        self, admin_client, repository, admin_user
    ):
        other = worlds.repository("grove/other")
        worlds.trunk(other, 1)
        worlds.store(other, job(11, "mac / build", run=2))
        actions.replace_group_rules(repository=other, rules=[groups.Rule("Mine", "mac")], by=admin_user)
        page = "/admin/hud/grouprule/installation/"
        seen = text(admin_client.post(page, entered([(1, "Every", ".")], preview="1", shown=str(repository.pk))))
        assert "Every (3)" in seen
        assert "grove/other" not in seen
        admin_client.post(page, entered([(1, "Every", ".")], save="1"))
        assert stored() == {
            "linux-cuda / test": "Every",
            "linux / build": "Every",
            "win / build": "Every",
            "mac / build": "Mine",
        }

    def test_the_shipped_rules_are_copied_by_an_action_but_never_over_own_ones(self, admin_client):
        pytorch = worlds.repository("pytorch/pytorch")
        worlds.store(pytorch, job(1, "linux-jammy-py3.10-gcc11 / test (default)"))
        data = {"action": "copy_shipped_rules", "_selected_action": [pytorch.pk]}
        answer = text(admin_client.post("/admin/hud/repository/", data, follow=True))
        assert f"has {len(groups.PYTORCH_RULES)} rules of its own now" in answer
        assert GroupRule.objects.filter(repository=pytorch).count() == len(groups.PYTORCH_RULES)
        answer = text(admin_client.post("/admin/hud/repository/", data, follow=True))
        assert "has group rules of its own already; they were kept." in answer

    def test_where_nothing_is_shipped_the_action_says_so(self, admin_client, repository):
        data = {"action": "copy_shipped_rules", "_selected_action": [repository.pk]}
        assert "No rules are shipped for grove/orchard" in text(
            admin_client.post("/admin/hud/repository/", data, follow=True)
        )

    def test_one_may_start_from_the_shipped_rules_on_the_page_itself(self, admin_client, repository):
        assert "None are shipped for it" in text(admin_client.get(rules_page(repository)))
        pytorch = worlds.repository("pytorch/pytorch")
        worlds.store(pytorch, job(11, "linux-jammy-py3.10-gcc11 / test (default)", run=2))
        page = admin_client.get(rules_page(pytorch) + "?shipped=1")
        assert "Preview, not saved yet" in text(page)
        assert page.content.decode().count("-pattern") >= len(groups.PYTORCH_RULES)
        assert not GroupRule.objects.exists()

    def test_saving_is_all_or_nothing(self, repository, admin_user, monkeypatch):
        monkeypatch.setattr("hud.derive.regroup", lambda repository: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            actions.replace_group_rules(repository=repository, rules=[groups.Rule("All", ".")], by=admin_user)
        assert not GroupRule.objects.exists()

    def test_who_may_only_look_may_not_save(self, client, repository):
        person = get_user_model().objects.create_user("rowan", password="x", is_staff=True)
        client.force_login(person)
        assert client.get(rules_page(repository)).status_code == 403
        person.user_permissions.add(Permission.objects.get(codename="view_grouprule"))
        page = client.get(rules_page(repository))
        assert page.status_code == 200
        assert 'name="save"' not in page.content.decode()
        assert client.post(rules_page(repository), entered([(1, "All", ".")], save="1")).status_code == 403

    def test_strangers_are_sent_to_sign_in(self, client, repository):
        assert client.get(rules_page(repository)).status_code == 302

    def test_names_from_strangers_are_text(self, admin_client, repository):
        worlds.store(repository, job(9, "<script>alert(1)</script>"))
        html = admin_client.get(rules_page(repository)).content.decode()
        assert "<script>alert" not in html


class TestRepositories:
    def change(self, client, repository, **fields):
        given = {
            "trunk": repository.trunk, "watched_branches": "\n".join(repository.watched_branches), "active": "on",
            "backfill_commits": repository.backfill_commits, "window_hours": repository.window_hours,
            "revert_way": "github", "merge_bot": "",
        }  # fmt: skip
        answer = client.post(f"/admin/hud/repository/{repository.pk}/change/", {**given, **fields}, follow=True)
        repository.refresh_from_db()
        return text(answer)

    def test_one_is_added(self, admin_client):
        data = {
            "owner": "grove",
            "name": "new",
            "trunk": "",
            "active": "on",
            "backfill_commits": 50,
            "window_hours": 16,
            "revert_way": "github",
        }
        admin_client.post("/admin/hud/repository/add/", data)
        assert Repository.objects.get().backfill_commits == 50

    @pytest.mark.parametrize(
        ("name", "words"), [("ORCHARD", "is known already"), ("a b", "is not the name of a GitHub repository")]
    )
    def test_an_unusable_name_is_refused_in_words(self, admin_client, repository, name, words):
        data = {
            "owner": "Grove",
            "name": name,
            "active": "on",
            "backfill_commits": 50,
            "window_hours": 16,
            "revert_way": "git",
        }
        assert words in text(admin_client.post("/admin/hud/repository/add/", data))
        assert Repository.objects.count() == 1

    def test_a_branch_is_watched_at_once_though_github_says_nothing_new_of_it(self, admin_client, repository):
        worlds.store(repository, worlds.branch(0, "release/1, old"))
        before = repository.version
        self.change(admin_client, repository, watched_branches="release/1, old\n\n")
        assert repository.watched_branches == ["release/1, old"]
        assert Branch.objects.get(name="release/1, old").watched
        assert BranchCommit.objects.filter(branch__name="release/1, old").count() == 1
        assert repository.version > before
        self.change(admin_client, repository, watched_branches="")
        assert not Branch.objects.get(name="release/1, old").watched

    def test_a_change_never_undoes_what_ingestion_wrote_meanwhile(self, repository):
        stale = Repository.objects.get(pk=repository.pk)
        worlds.store(repository, job(7, "mac / build"))
        actions.change_repository(repository=stale, fields={"active": False})
        repository.refresh_from_db()
        assert (repository.version > stale.version, repository.layout_version > stale.layout_version) == (True, True)
        assert not repository.active

    def test_they_cannot_be_deleted(self, admin_client, repository):
        assert admin_client.post(f"/admin/hud/repository/{repository.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", ["branch", "configuration", "syncstate", "setaside", "grouprule"])
def test_what_github_said_is_only_shown(admin_client, repository, model):
    SyncState.objects.create(repository=repository, kind=SyncKind.JOBS)
    worlds.store(repository, worlds.rejected())
    assert admin_client.get(f"/admin/hud/{model}/").status_code == 200
    assert admin_client.get(f"/admin/hud/{model}/add/").status_code == 403
    first = {"branch": Branch, "configuration": Configuration, "syncstate": SyncState, "setaside": SetAside}.get(model)
    if first:
        page = f"/admin/hud/{model}/{first.objects.first().pk}/"
        assert admin_client.get(page + "change/").status_code == 200
        assert admin_client.post(page + "change/", {}).status_code == 403
        assert admin_client.post(page + "delete/", {"post": "yes"}).status_code == 403


def test_what_was_set_aside_can_be_dismissed(admin_client, repository):
    worlds.store(repository, worlds.rejected(payload="1"), worlds.rejected(payload="2"))
    data = {"action": "dismiss", "_selected_action": [SetAside.objects.first().pk]}
    assert "Dismissed 1." in text(admin_client.post("/admin/hud/setaside/", data, follow=True))
    assert SetAside.objects.count() == 1


@pytest.mark.parametrize("model", ["repository", "branch", "configuration", "syncstate", "setaside", "grouprule"])
def test_lists_do_no_query_a_row(admin_client, repository, admin_user, model):
    def more(n):
        other = worlds.repository(f"grove/tree-{n}")
        worlds.trunk(other, 1)
        worlds.store(other, job(100 + n, f"job-{n}", run=100 + n), worlds.rejected(payload=str(n)))
        SyncState.objects.create(repository=other, kind=SyncKind.JOBS)
        actions.replace_group_rules(repository=other, rules=[groups.Rule("All", ".")], by=admin_user)

    def count():
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(f"/admin/hud/{model}/").status_code == 200
        return len(queries)

    more(0)
    before = count()
    for n in range(1, 6):
        more(n)
    assert count() == before


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_admin_works_under_our_content_security_policy(live_server, page, client, admin_user):
    repository = worlds.repository()
    worlds.store(repository, job(1, "linux / build"))
    client.force_login(admin_user)
    cookie = client.cookies["arborist_session"].value
    page.context.add_cookies([{"name": "arborist_session", "value": cookie, "url": live_server.url}])
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    for path in (
        "",
        "hud/repository/",
        f"hud/repository/{repository.pk}/change/",
        f"hud/repository/{repository.pk}/rules/",
    ):
        page.goto(f"{live_server.url}/admin/{path}")
    page.fill("[name=form-0-name]", "Penguins")
    page.fill("[name=form-0-pattern]", "linux")
    page.click("[name=preview]")
    assert "1 configuration moves" in page.inner_text("#content-main")
    page.click("[name=save]")
    assert "1 configuration moved" in page.inner_text(".messagelist")
    page.goto(f"{live_server.url}/admin/hud/grouprule/")
    assert "Penguins" in page.inner_text("#result_list")
    assert said == []
