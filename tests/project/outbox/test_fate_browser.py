"""The fate of a write in a real browser: it counts down, can be undone, and ends by itself with a link."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.browser.hands import until
from tests.project.outbox.fake import REPO, Fake

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_fate_brings_itself_up_to_date(
    live_server: Any, page: Any, client: Any, github: Fake, queue: Callable[..., Any]
) -> None:
    from project.accounts import roles
    from project.accounts.models import User
    from project.outbox.deliver import deliver

    user = User.objects.create_user("odalys")
    roles.grant(user, roles.Role.TREE_HUGGER, by=None, repository=REPO)
    client.force_login(user)
    cookie = client.cookies["arborist_session"].value
    page.context.add_cookies([{"name": "arborist_session", "value": cookie, "url": live_server.url}])
    write = queue(by=user, wait=timedelta(seconds=60), subject="revert of abc1234")

    page.goto(f"{live_server.url}/writes/{write.pk}")
    says = page.locator(".says")
    before = says.inner_text()
    assert "Goes to GitHub in" in before
    until(page, f"document.querySelector('.says').innerText != {json.dumps(before)}")
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("It was not sent.").wait_for()
    assert github.comments == []
    page.get_by_role("button", name="Send after all").click()
    page.get_by_text("Waits for a worker.").wait_for()
    assert deliver(write.pk) == "done"
    link = page.get_by_role("link", name="on GitHub")
    link.wait_for()
    assert link.get_attribute("href") == github.comments[0]["html_url"]
    assert page.locator("[hx-trigger]").count() == 0  # it asks no more
