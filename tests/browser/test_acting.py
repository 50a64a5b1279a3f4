"""Acting by key and button in a real browser: what happens, what is said, and what people without the role read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from hud.cells import Outcome
from hud.models import Break, Configuration, Judgement, Repository
from project import outbox
from project.accounts import roles
from tests.browser.hands import bump, commits, focused, stand, until
from tests.factories import breaks as make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

Show = Callable[..., Any]
SM86 = "/hud/pytorch/pytorch/main?open=cuda-12.8-sm86"


def sign_in(page: Any, address: str, name: str, role: roles.Role | None) -> Any:
    person = get_user_model().objects.create_user(name)
    if role is not None:
        roles.grant(person, role, by=None)
    client = Client()
    client.force_login(person)
    cookie = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": cookie, "value": client.cookies[cookie].value, "url": address}])
    return person


@pytest.fixture
def hugger(live_server: Any, page: Any) -> Any:
    return sign_in(page, live_server.url, "odalys", roles.Role.TREE_HUGGER)


def slots(group: str) -> list[int]:
    return list(Configuration.objects.filter(group=group).order_by("slot").values_list("slot", flat=True))


@pytest.fixture
def broken(reference: Repository) -> Break:
    cuda = [slot for slot in slots("CUDA 12.8 sm86") if slot % 2]
    one = make.broken(
        reference, cuda, suspect=55, newest=57, decision="revert", code="confirmed", failures=3, title="CUDA sm86 fails"
    )
    bump(reference)
    return one


def said(page: Any, text: str) -> None:
    until(page, f"document.getElementById('said')?.textContent.includes({text!r})")


def go_to(page: Any, row: int, slot: int) -> dict[str, Any]:
    """Focus the cell of a slot."""
    at = page.evaluate(
        f"[...document.querySelectorAll('.names th[data-c]')].findIndex(one => one.dataset.c === '{slot}')"
    )
    assert at >= 0
    return stand(page, row, at)


def failed(reference: Repository, row: int) -> int:
    """A slot of the broken group that failed on this row."""
    cells = bytes(commits(reference)[row].commitcells.cells)
    return next(slot for slot in slots("CUDA 12.8 sm86") if slot % 2 and Outcome(cells[slot]).failing)


def test_v_in_a_bracket_leads_to_the_breaks_revert_elsewhere_to_the_commits(
    broken: Break, hugger: Any, show: Show
) -> None:
    page = show()
    page.keyboard.press("n")
    page.keyboard.press("v")
    page.wait_for_url("**/break/1/revert")
    assert page.evaluate("document.activeElement.name") == "why"
    page.keyboard.type("it broke everything")
    page.keyboard.press("Enter")
    page.wait_for_selector("pre.draft")
    assert page.evaluate("document.activeElement.name") == "send"
    assert not outbox.Write.objects.exists()
    page.keyboard.press("Enter")
    page.wait_for_url("**/break/1")
    assert page.locator(".fates .fate").count() == 1
    page = show()
    place = stand(page, 20, 0)
    page.keyboard.press("v")
    page.wait_for_url(f"**/commit/{place['sha']}/revert")


def test_a_revert_is_undone_by_z(broken: Break, hugger: Any, page: Any, live_server: Any) -> None:
    page.goto(f"{live_server.url}/hud/pytorch/pytorch/break/1")
    page.keyboard.press("v")
    page.locator("#revert [name=why]").fill("it broke everything")
    page.keyboard.press("Enter")
    page.wait_for_selector("pre.draft")
    page.keyboard.press("Enter")
    page.wait_for_selector(".fates .fate")
    assert Break.objects.get().state == "reverting"
    page.keyboard.press("z")
    until(page, "document.querySelector('.fates .fate .tag').textContent === 'cancelled'")
    assert outbox.Write.objects.get().state == "cancelled"
    assert Break.objects.get().state == "acknowledged"


def test_r_asks_first_and_says_what_became_of_it(broken: Break, reference: Repository, hugger: Any, show: Show) -> None:
    page = show(SM86)
    slot = failed(reference, 4)
    here = go_to(page, 4, slot)
    page.keyboard.press("r")
    said(page, "Re-run ")
    assert here["sha"][:7] in page.locator("#said").inner_text()
    page.wait_for_timeout(200)
    assert not outbox.Write.objects.exists()
    page.keyboard.press("r")
    until(page, "/asked for|running|nothing to run/.test(document.getElementById('said').textContent)")
    assert focused(page)["sha"] == here["sha"]  # nobody was led away
    write = outbox.Write.objects.first()
    if write is not None:
        assert page.locator("#said a").get_attribute("href") == f"/writes/{write.pk}"


def test_a_group_says_what_to_do(reference: Repository, hugger: Any, show: Show) -> None:
    page = show()
    stand(page, 20, 3)
    for key in "rbl":
        page.keyboard.press(key)
        said(page, "is a group. E expands it")
    page.keyboard.press("c")
    said(page, "No break here to claim")


def test_claim_and_undo(broken: Break, hugger: Any, show: Show) -> None:
    page = show()
    page.keyboard.press("n")
    page.keyboard.press("c")
    said(page, "You own it.")
    assert Break.objects.get().owner == hugger
    page.keyboard.press("z")
    said(page, "Nobody owns it now.")
    assert Break.objects.get().owner is None
    page.locator("#needs [data-act=rerun]").first.click()
    until(page, "/asked for|running|nothing to run/.test(document.getElementById('said').textContent)")
    assert page.url.endswith("/main") or "/main?" in page.url


def test_b_gives_an_opinion_on_a_cell_without_a_break(reference: Repository, hugger: Any, show: Show) -> None:
    page = show(SM86)
    here = go_to(page, 20, slots("CUDA 12.8 sm86")[0])
    page.keyboard.press("b")
    page.wait_for_url(f"**/cell/{here['sha']}/*#opinion")
    page.locator("#opinion [value=infra]").check()
    page.locator("#opinion [name=why]").fill("disk was full")
    page.keyboard.press("Enter")
    page.wait_for_selector(".told")
    assert Judgement.objects.get().says == "infra"


def test_l_opens_the_log_or_says_that_there_is_none(reference: Repository, show: Show) -> None:
    page = show(SM86)
    green = next(
        slot
        for slot in slots("CUDA 12.8 sm86")
        if bytes(commits(reference)[20].commitcells.cells)[slot] == Outcome.PASSED
    )
    go_to(page, 20, green)
    page.keyboard.press("l")
    said(page, "no failed run")


@pytest.mark.parametrize("who", ["stranger", "reader"])
def test_whoever_may_not_reads_who_may(
    broken: Break, reference: Repository, show: Show, live_server: Any, page: Any, who: str
) -> None:
    page.expected_problems = ["403", "401"]
    keeper = get_user_model().objects.create_user("odalys")
    roles.grant(keeper, roles.Role.TREE_HUGGER, by=None)
    if who == "reader":
        sign_in(page, live_server.url, "elm", roles.Role.READER)
    words = "Ask @odalys." if who == "reader" else "Sign in"
    page = show(SM86)
    address = page.url
    go_to(page, 4, failed(reference, 4))
    for key in "vbc":
        page.keyboard.press(key)
        said(page, words)
        page.evaluate("document.getElementById('said').textContent = ''")
    page.keyboard.press("r")
    page.keyboard.press("r")
    said(page, words)
    assert page.url.split("?")[0] == address.split("?")[0]
    page.goto(f"{live_server.url}/hud/pytorch/pytorch/break/1")
    assert words in page.locator("#may-not").inner_text()
    page.keyboard.press("a")
    said(page, words)
    assert Break.objects.get().acknowledged_at is None


def test_the_sign_in_link_leads_back_to_what_is_shown_now(reference: Repository, show: Show) -> None:
    page = show()
    here = stand(page, 7, 4)
    until(page, "location.search.includes('at=')")
    page.locator("a.account").click()
    page.wait_for_url("**/accounts/login/**")
    assert f"at%3D{here['sha'][:10]}" in page.url


def test_keys_of_a_commits_page(broken: Break, reference: Repository, hugger: Any, page: Any, live_server: Any) -> None:
    commit = commits(reference)[5]
    address = f"{live_server.url}/hud/pytorch/pytorch/commit/{commit.sha}"
    page.goto(address)
    page.keyboard.press("x")
    page.keyboard.press("r")
    said(page, "here?")
    page.keyboard.press("r")
    until(page, "/asked for|running|nothing to run/.test(document.getElementById('said').textContent)")
    assert page.url == address
    page.keyboard.press("b")
    page.wait_for_url("**/cell/**#opinion")
    page.goto(address)
    page.keyboard.press("v")
    page.wait_for_url("**/revert")
    assert commit.sha[:7] in page.locator("h1").inner_text()


def test_what_people_said_and_undid_on_a_breaks_page(broken: Break, hugger: Any, page: Any, live_server: Any) -> None:
    page.goto(f"{live_server.url}/hud/pytorch/pytorch/break/1")
    page.keyboard.press("a")
    page.wait_for_selector(".told")
    page.keyboard.press("z")
    page.wait_for_selector(".told >> text=No longer acknowledged.")
    page.keyboard.press("b")
    page.keyboard.press("Tab")
    page.keyboard.type("looked at it")
    page.keyboard.press("Enter")
    page.wait_for_selector(".opinions li")
    assert "@odalys: looked at it" in page.locator(".opinions").inner_text()
    page.get_by_role("button", name="Withdraw").click()
    page.wait_for_selector(".told >> text=Withdrawn.")
    assert page.locator(".opinions").count() == 0
    did = page.locator(".did").inner_text()
    for words in ("took the acknowledgement back", "gave an opinion", "took an opinion back"):
        assert words in did


def test_dismissed_and_reopened(broken: Break, hugger: Any, page: Any, live_server: Any) -> None:
    page.goto(f"{live_server.url}/hud/pytorch/pytorch/break/1")
    page.locator("[data-act=dismiss]").click()
    page.locator("#dismiss [name=why]").fill("known")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Reopen").click()
    page.wait_for_selector(".told >> text=Open again.")
    assert "opened it again" in page.locator(".did").inner_text()


def test_a_failed_write_stands_first(broken: Break, reference: Repository, hugger: Any, show: Show) -> None:
    outbox.Write.objects.create(
        key="k", kind="rerun_job", repository=str(reference), subject="re-run of 7", payload={}, state="failed",
        problem="GitHub said: Not Found.", due_at=timezone.now(), give_up_at=timezone.now(), done_at=timezone.now(),
    )  # fmt: skip
    bump(reference)
    page = show()
    told = page.locator("#needs .unsent")
    assert "Not done on GitHub: re-run of 7. GitHub said: Not Found." in told.inner_text().replace("\n", " ")
    told.get_by_role("link").click()
    page.wait_for_url("**/writes?repository=*")
    outbox.Write.objects.update(done_at=timezone.now() - timedelta(days=2))
    bump(reference)
    assert show().locator("#needs .unsent").count() == 0


def test_the_list_of_breaks_renews_itself(broken: Break, reference: Repository, page: Any, live_server: Any) -> None:
    page.goto(f"{live_server.url}/hud/pytorch/pytorch/breaks")
    until(page, "typeof htmx !== 'undefined'")
    page.locator("#break-1").focus()
    make.broken(reference, slots("Windows CPU")[:1], suspect=54, newest=56, title="Windows breaks")
    page.evaluate("document.getElementById('main').dispatchEvent(new Event('live', {bubbles: true}))")
    until(page, "document.querySelectorAll('.list tbody tr').length === 2")
    assert page.evaluate("document.activeElement.id") == "break-1"


def test_a_column_is_marked_unstable(reference: Repository, hugger: Any, page: Any, live_server: Any) -> None:
    slot = slots("Windows CPU")[0]
    page.goto(f"{live_server.url}/hud/pytorch/pytorch/column/{slot}")
    page.locator("summary", has_text="Mark unstable").click()
    page.locator(".form [name=why]").fill("its machine is broken")
    page.keyboard.press("Enter")
    page.wait_for_selector(".told >> text=Marked unstable.")
    page.get_by_role("button", name="No longer unstable").click()
    page.wait_for_selector(".told >> text=No longer marked unstable.")


@pytest.mark.parametrize("width", [390, 1440])
def test_pages_of_the_room_are_reachable(
    broken: Break, reference: Repository, hugger: Any, show: Show, page: Any, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page = show()
    for name, address in (
        ("Breaks", "**/breaks"), ("Metrics", "**/metrics"), ("Last good", "**/last-good"), ("Grid", "**/main"),
        ("Writes", "**/writes?repository=*"),
    ):  # fmt: skip
        link = page.locator(".pages-nav").get_by_role("link", name=name)
        if width == 390:
            assert link.bounding_box()["height"] >= 43
        link.click()
        page.wait_for_url(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
