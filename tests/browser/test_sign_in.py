"""Signing in with GitHub in a real browser: through the simulated one, with the policy that forbids all but our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from hud.models import Repository
from project.accounts.models import User
from project.audit.models import Entry
from project.simulator import oauth_routes
from project.simulator.running import Running, running_simulator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

GRID = "/hud/pytorch/pytorch/main"


@pytest.fixture
def github(settings: Any) -> Iterator[Running]:
    with running_simulator(scale="tiny", start="2026-11-18T16:00:00Z", speed=0) as running:
        settings.GITHUB_WEB_URL = settings.GITHUB_API_URL = running.url
        settings.OAUTH_CLIENT_ID, settings.OAUTH_CLIENT_SECRET = oauth_routes.CLIENT_ID, oauth_routes.CLIENT_SECRET
        call_command("give_role", "grove/tree-huggers", "tree_hugger")
        yield running


def sign_in(page: Any, person: str) -> None:
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Sign in with GitHub").click()
    page.wait_for_url("**/login/oauth/authorize?**")
    page.get_by_role("button", name=person, exact=True).click()


def test_in_and_out_again(github: Running, reference: Repository, show: Any, live_server: Any) -> None:
    page = show(GRID + "?q=cuda&open=cuda-12.8-sm86")
    sign_in(page, "oakapple")
    page.wait_for_url(f"{live_server.url}{GRID}?q=cuda&open=cuda-12.8-sm86")
    assert page.locator(".account summary").inner_text().strip().endswith("oakapple")
    # Something that needs a role: the audit log, by the menu and the keyboard.
    page.locator(".account summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit")
    assert page.locator(".log li").first.locator(".what").inner_text() == "account.sign_in"
    assert "@oakapple" in page.locator(".log li").first.inner_text()
    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{live_server.url}{GRID}")
    assert page.get_by_role("link", name="Sign in").is_visible()
    assert [entry.action for entry in Entry.objects.order_by("-id")[:1]] == ["account.sign_out"]
    page.go_back()
    page.wait_for_load_state("load")
    assert page.locator(".log").count() == 0  # the log is not shown again from the browser's memory


def test_cancelled(github: Running, show: Any, live_server: Any) -> None:
    page = show("/status")
    sign_in(page, "Cancel")
    page.wait_for_url("**/accounts/github/login/cancelled/")
    assert page.get_by_role("status").inner_text() == "You cancelled at GitHub. Nothing was changed."
    page.get_by_role("button", name="Sign in with GitHub").click()
    page.get_by_role("button", name="birchbark", exact=True).click()
    page.wait_for_url(live_server.url + "/")
    assert User.objects.get().username == "birchbark"


def test_whoever_has_no_role_reads_whom_to_ask(github: Running, show: Any) -> None:
    page = show("/audit")
    page.expected_problems = ["403"]
    page.get_by_role("button", name="Sign in with GitHub").click()
    page.get_by_role("button", name="birchbark", exact=True).click()
    page.wait_for_url("**/audit")
    assert page.get_by_role("alert").inner_text() == "Only people with a role can read the audit log."


@pytest.mark.parametrize("width", [390, 1440])
def test_the_bar_holds_the_person(github: Running, reference: Repository, show: Any, width: int) -> None:
    page = show(GRID)
    page.set_viewport_size({"width": width, "height": 844})
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(wide)
    assert page.get_by_role("link", name="Sign in").is_visible()
    sign_in(page, "gorse-and-heather")
    page.wait_for_url(f"**{GRID}")
    assert page.evaluate(wide)
    summary = page.locator(".account summary")
    box = summary.bounding_box()
    assert box["x"] + box["width"] <= width
    summary.click()
    menu = page.locator(".account ul").bounding_box()
    assert menu["x"] >= 0
    assert width - 24 <= menu["x"] + menu["width"] <= width  # under its opener, whatever the grid's menus do
    page.keyboard.press("Escape")
    assert page.locator(".account[open]").count() == 0
