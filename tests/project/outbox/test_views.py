"""`/writes`: what a person sees and may do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from project import outbox
from tests.project.outbox.fake import REPO, Fake

pytestmark = pytest.mark.django_db
Queue = Callable[..., Any]
HX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def hugger(client: Any) -> Any:
    from project.accounts import roles
    from project.accounts.models import User

    user = User.objects.create_user("odalys")
    roles.grant(user, roles.Role.TREE_HUGGER, by=None, repository=REPO)
    client.force_login(user)
    return user


def deliver(write: Any) -> None:
    from project.outbox.deliver import deliver as once

    once(write.pk)
    write.refresh_from_db()


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_a_queued_write_counts_down_and_can_be_undone(client: Any, hugger: Any, queue: Queue) -> None:
    write = queue(wait=timedelta(seconds=60), subject="revert of abc1234", by=hugger)
    shown = text(client.get(f"/writes/{write.pk}", **HX))
    assert 'hx-trigger="every 2s"' in shown
    assert "revert of abc1234" in shown
    assert re.search(r"Goes to GitHub in (60|5\d) s\.", shown)
    assert "@odalys" in shown
    assert "<html" not in shown
    undone = text(client.post(f"/writes/{write.pk}/cancel", **HX))
    assert "It was not sent." in undone
    assert "hx-trigger" not in undone  # final: it asks no more
    write.refresh_from_db()
    assert write.state == "cancelled"
    again = client.post(f"/writes/{write.pk}/retry")
    assert (again.status_code, again["Location"]) == (302, f"/writes/{write.pk}")


def test_undo_too_late_says_so(client: Any, hugger: Any, queue: Queue, github: Fake) -> None:
    write = queue()
    deliver(write)
    assert "Too late for that" in text(client.post(f"/writes/{write.pk}/cancel", **HX))
    sent = client.post(f"/writes/{write.pk}/cancel", follow=True)
    assert "Too late for that" in text(sent)
    assert f'href="{write.result["url"]}"' in text(sent)


def test_a_failure_shows_githubs_words_and_a_way_on(client: Any, hugger: Any, queue: Queue, github: Fake) -> None:
    github.trouble = ["403"]
    write = queue(payload={"number": 7, "body": "<b>"}, subject="<script>alert(1)</script>")
    deliver(write)
    shown = text(client.get(f"/writes/{write.pk}"))
    assert "GitHub refused (403): Must have admin rights to Repository." in shown
    assert "Try again" in shown
    assert "<script>alert" not in shown
    outbox.Write.objects.filter(pk=write.pk).update(result={"git_commands": ["git revert abc", "rm <b>"]})
    shown = text(client.get(f"/writes/{write.pk}"))
    assert "git revert abc rm &lt;b&gt;" in shown


def test_what_does_not_change_is_not_sent_again(client: Any, queue: Queue, github: Fake) -> None:
    write = queue()
    deliver(write)
    first = client.get(f"/writes/{write.pk}", **HX)
    tag = {"HTTP_IF_NONE_MATCH": first["ETag"]}
    again = client.get(f"/writes/{write.pk}", **HX, **tag)
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/writes/{write.pk}", **tag).status_code == 200  # the page is something else
    outbox.Write.objects.filter(pk=write.pk).update(state="failed", problem="x")
    assert client.get(f"/writes/{write.pk}", **HX, **tag).status_code == 200


@pytest.mark.parametrize("what", ["cancel", "retry"])
def test_only_the_role_may(client: Any, queue: Queue, what: str) -> None:
    from project.accounts import roles
    from project.accounts.models import User

    write = queue("update_ref", {"branch": "viable/strict", "sha": "a" * 40}, wait=timedelta(minutes=1))
    address = f"/writes/{write.pk}/{what}"
    assert client.get(address).status_code == 405
    assert client.post(address, **HX).status_code == 401
    user = User.objects.create_user("sunil")
    roles.grant(user, roles.Role.TREE_HUGGER, by=None)
    client.force_login(user)
    refused = client.post(address)
    assert refused.status_code == 403
    assert "maintainer role" in text(refused)
    assert "<form" not in text(client.get(f"/writes/{write.pk}", **HX))
    write.refresh_from_db()
    assert write.state == "queued"


def test_ones_own_may_be_undone_with_less(client: Any, queue: Queue) -> None:
    from project.accounts import roles
    from project.accounts.models import User

    ada, sunil = User.objects.create_user("ada"), User.objects.create_user("sunil")
    for user in (ada, sunil):
        roles.grant(user, roles.Role.TRIAGER, by=None, repository=REPO)
    write = queue(by=ada, wait=timedelta(minutes=1))
    client.force_login(sunil)
    assert client.post(f"/writes/{write.pk}/cancel").status_code == 403
    client.force_login(ada)
    assert "Undo" in text(client.get(f"/writes/{write.pk}", **HX))
    assert client.post(f"/writes/{write.pk}/cancel").status_code == 302
    write.refresh_from_db()
    assert write.state == "cancelled"


def test_a_form_from_elsewhere_is_refused(queue: Queue, hugger: Any) -> None:
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(hugger)
    write = queue()
    assert strict.post(f"/writes/{write.pk}/cancel").status_code == 403


def test_the_list_shows_failures_first_and_filters(
    client: Any, hugger: Any, queue: Queue, github: Fake, django_assert_max_num_queries: Any
) -> None:
    github.trouble = ["404"]
    deliver(queue(subject="first of all"))
    for number in range(12):
        queue(key=f"k{number}", subject=f"word {number}", by=hugger)
    queue(key="other", repository="octo/bush", subject="elsewhere")
    with django_assert_max_num_queries(6):
        shown = text(client.get("/writes"))
    assert shown.index("first of all") < shown.index("elsewhere") < shown.index("word 11") < shown.index("word 3")
    filtered = text(client.get("/writes?repository=octo/bush"))
    assert "elsewhere" in filtered
    assert "word 3" not in filtered
    assert "Nothing was asked of GitHub" in text(client.get("/writes?repository=a/b%00<i>"))


def test_a_private_site_shows_its_writes_to_readers_only(client: Any, hugger: Any, queue: Queue, settings: Any) -> None:
    settings.PUBLIC = False
    mine, other = queue(subject="mine"), queue(repository="octo/bush", subject="secret work")
    assert "secret work" not in text(client.get("/writes"))
    assert client.get(f"/writes/{mine.pk}").status_code == 200
    assert client.get(f"/writes/{other.pk}").status_code == 403


def test_there_is_no_such_write(client: Any) -> None:
    assert client.get("/writes/1").status_code == 404
    assert client.get(f"/writes/{10**30}").status_code == 404
