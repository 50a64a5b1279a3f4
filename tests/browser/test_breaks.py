"""Breaks in a real browser: brackets on the grid, what stands above it, the page of one, by keyboard and by phone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from hud.models import Branch, BranchCommit, Break, BreakSignal, Configuration, Repository
from project.accounts import roles
from tests.browser.hands import bump, focused, push, stand, until
from tests.factories import breaks as make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

SM86 = "/hud/pytorch/pytorch/main?open=cuda-12.8-sm86"
Show = Callable[..., Any]
Refresh = Callable[[], None]


def slots(group: str) -> list[int]:
    return list(Configuration.objects.filter(group=group).order_by("slot").values_list("slot", flat=True))


@pytest.fixture
def broken(reference: Repository) -> Break:
    """The reference's first break: members of two groups, red on the fourth to sixth commit from above."""
    cuda = [slot for slot in slots("CUDA 12.8 sm86") if slot % 2]
    one = make.broken(
        reference, cuda, suspect=55, newest=57, decision="revert", code="confirmed", failures=3, title="CUDA sm86 fails"
    )
    bump(reference)
    return one


@pytest.fixture
def hugger(live_server: Any, page: Any) -> Any:
    """The page's browser is signed in as a tree hugger."""
    person = get_user_model().objects.create_user("odalys")
    roles.grant(person, roles.Role.TREE_HUGGER, by=None)
    client = Client()
    client.force_login(person)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": live_server.url}])
    return person


def boxes(page: Any) -> list[dict[str, float]]:
    """Each bracket's box beside those of the cells at its top and foot."""
    found: list[dict[str, float]] = page.evaluate("""() => [...document.querySelectorAll('#brackets g')].map(one => {
        const k = one.querySelector('.k').getBoundingClientRect();
        const rows = document.querySelector('table.grid').tBodies[0].rows;
        const foot = rows[+one.dataset.r].cells[+one.dataset.c + 5].getBoundingClientRect();
        const first = rows[3].cells[+one.dataset.c + 5].getBoundingClientRect();
        return {
            left: k.left - foot.left, right: foot.right - k.right,
            bottom: k.bottom - foot.bottom, top: k.top - first.top,
        };
    })""")
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_brackets_stand_exactly_on_their_cells(broken: Break, show: Show, page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    show(SM86)
    found = boxes(page)
    assert len(found) == 1 + BreakSignal.objects.filter(broken=broken).count()  # the group's own column, too
    for box in found:
        assert all(abs(box[side]) < 1.6 for side in ("left", "right", "top", "bottom")), box


def test_brackets_scroll_with_their_cells_and_under_the_head(broken: Break, show: Show, page: Any) -> None:
    show(SM86)
    page.evaluate("document.getElementById('main').scrollTo(60, 80)")
    for box in boxes(page):
        assert all(abs(box[side]) < 1.6 for side in ("left", "right", "top", "bottom")), box
    on_top = page.evaluate("""() => {
        const head = document.querySelector('tr.now td').getBoundingClientRect();
        return document.elementFromPoint(head.left + 5, head.top + 5).closest('thead') !== null;
    }""")
    assert on_top


def test_without_script_they_are_there_as_well(broken: Break, live_server: Any, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, java_script_enabled=False)
    page = context.new_page()
    page.goto(live_server.url + SM86)
    assert page.locator("#brackets g").count() == 1 + BreakSignal.objects.filter(broken=broken).count()
    assert page.locator("tr.sus").count() == 1
    assert page.get_by_label(f"{broken.suspect.sha[:7]}: failed, suspect").count() > 1
    assert page.locator("#needs a", has_text="CUDA sm86 fails").get_attribute("href").endswith("/break/1")
    context.close()


def test_a_break_opens_and_closes_on_an_open_page(reference: Repository, show: Show, refresh: Refresh) -> None:
    page = show()
    refresh()
    assert page.locator("#brackets g").count() == 0
    page.evaluate("""() => {
        window.cells = [...document.querySelectorAll("tbody td")];
        window.mutated = 0;
        const watcher = new MutationObserver((records) => {
            window.mutated += records.filter((record) => record.type === "childList").length;
        });
        watcher.observe(document.getElementById("rows"), {subtree: true, childList: true});
    }""")
    one = make.broken(reference, slots("Windows CPU")[:1], suspect=54, oldest=52, newest=56, title="Windows breaks")
    bump(reference)
    refresh()
    until(page, "document.querySelectorAll('#brackets g').length === 1")
    assert page.locator("#needs tr[data-break]").count() == 1
    assert page.locator("tr.sus .tag.sus").inner_text() == "1 of 3 suspects"
    assert "Break 1 opened: Windows breaks." in page.locator("#say").inner_text()
    assert page.evaluate("window.cells.every(cell => cell.isConnected)")
    assert page.evaluate("window.mutated") <= 2  # the tag on the suspect's title, and its age
    Break.objects.filter(pk=one.pk).update(closed_at=timezone.now(), state="fixed", green_at=timezone.now())
    bump(reference)
    refresh()
    until(page, "document.querySelectorAll('#brackets g').length === 0")
    assert page.locator("tr.sus, .tag.sus, [data-sus]").count() == 0
    assert "Trunk is green." in page.locator("#needs").inner_text()
    assert "Break 1 closed." in page.locator("#say").inner_text()


def test_brackets_follow_when_the_view_changes(broken: Break, show: Show, page: Any) -> None:
    show()
    assert page.locator("#brackets g").count() == 1
    page.locator("[data-open='cuda-12.8-sm86']").first.click()
    until(page, "document.querySelectorAll('#brackets g').length > 1")
    assert all(abs(box["left"]) < 1.6 and abs(box["bottom"]) < 1.6 for box in boxes(page))
    page.fill("#filter [name=q]", "macOS")
    until(page, "document.querySelectorAll('#brackets g').length === 0")


def test_commits_that_arrive_do_not_move_the_bracket(
    broken: Break, reference: Repository, show: Show, refresh: Refresh
) -> None:
    page = show(SM86)
    refresh()
    before = boxes(page)
    push(reference, 2)
    refresh()
    until(page, "document.querySelector('.more') !== null")
    assert boxes(page) == before


def test_n_leads_from_break_to_break(broken: Break, reference: Repository, show: Show) -> None:
    make.broken(reference, slots("Windows CPU")[:1], suspect=54, newest=56, title="Windows breaks")
    make.broken(reference, slots("ROCm gfx942")[:1], suspect=-20, newest=-15, title="Long gone")  # not on this page
    bump(reference)
    page = show()
    page.keyboard.press("n")
    first = focused(page)
    assert (first["row"], first["sha"]) == (5, broken.suspect.sha)
    assert first["label"].startswith("CUDA 12.8 sm86, ")
    assert first["label"].endswith(": failed, suspect")
    page.keyboard.press("n")
    second = focused(page)
    assert second["row"] == 6
    assert second["label"].startswith("Windows CPU")
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.textContent") == "Long gone"
    page.keyboard.press("n")
    assert focused(page)["row"] == 5


def test_the_popover_names_the_break(broken: Break, show: Show) -> None:
    page = show()
    page.keyboard.press("n")
    link = page.locator("#pop .brk a")
    assert link.inner_text() == "Break 1"
    assert link.get_attribute("href").endswith("/break/1")
    assert page.locator("#pop .brk bdi").inner_text() == "CUDA sm86 fails"
    stand(page, 10, 0)
    until(page, "document.getElementById('pop') === null || !document.querySelector('#pop .brk')")


def test_v_leads_to_the_question_and_nothing_is_sent(broken: Break, hugger: Any, show: Show) -> None:
    page = show()
    page.keyboard.press("v")
    page.wait_for_url("**/break/1/revert")
    assert page.locator("form select").is_visible()
    page.goto(page.url.removesuffix("/revert") + "?act=revert#revert")
    assert page.locator("#revert[open] select").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#revert select").is_visible()
    page.keyboard.press("b")
    assert page.locator("#opinion[open]").count() == 1
    assert page.evaluate("document.activeElement.name") == "says"


def test_what_is_disabled_takes_focus_and_says_why(reference: Repository, hugger: Any, show: Show) -> None:
    make.broken(reference, slots("Windows CPU")[:1], suspect=54, oldest=52, newest=56, code="gap_unresolved")
    bump(reference)
    page = show()
    page.keyboard.press("v")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == (
        "Revert: not now. Not known yet which of 3 commits it was."
    )


def test_focus_above_the_grid_outlives_a_refresh(
    broken: Break, reference: Repository, hugger: Any, show: Show, refresh: Refresh
) -> None:
    page = show()
    refresh()
    page.locator("[data-act=rerun]").focus()
    token = page.locator("#needs input[name=csrfmiddlewaretoken]").first.input_value()
    make.broken(reference, slots("Windows CPU")[:1], suspect=54, newest=56)
    bump(reference)
    refresh()
    until(page, "document.querySelectorAll('#needs tr[data-break]').length === 2")
    assert page.evaluate("document.activeElement.dataset.act") == "rerun"
    tokens = page.locator("#needs input[name=csrfmiddlewaretoken]")
    assert {tokens.nth(n).input_value() for n in range(tokens.count())} == {token}


def test_the_page_of_a_break_by_key(
    broken: Break, reference: Repository, show: Show, page: Any, live_server: Any
) -> None:
    make.broken(reference, slots("Windows CPU")[:1], suspect=54, newest=56, title="Windows breaks",
                noticed_at=timezone.now() - timedelta(days=1))  # fmt: skip
    page.goto(live_server.url + "/hud/pytorch/pytorch/break/1")
    page.keyboard.press("n")
    page.wait_for_url("**/break/2")
    page.keyboard.press("p")
    page.wait_for_url("**/break/1")
    assert page.locator(".strips td.foot .st-X").count() == BreakSignal.objects.filter(broken=broken).count()
    page.keyboard.press("u")
    page.wait_for_url("**/main?at=*")


def test_the_page_of_a_break_renews_itself_but_not_under_a_question(
    broken: Break, hugger: Any, page: Any, live_server: Any
) -> None:
    page.goto(live_server.url + "/hud/pytorch/pytorch/break/1")
    ask = "document.getElementById('main').dispatchEvent(new Event('live', {bubbles: true}))"
    until(page, "typeof htmx !== 'undefined'")
    page.keyboard.press("e")
    page.locator("#note textarea").fill("half a sentence")
    Break.objects.filter(pk=broken.pk).update(title="Another title")
    page.evaluate(ask)
    page.wait_for_timeout(200)
    assert page.locator("#note textarea").input_value() == "half a sentence"
    assert page.locator(".verdict h1").inner_text().endswith("CUDA sm86 fails")
    page.keyboard.press("Escape")
    until(page, "document.querySelector('.verdict h1').textContent.includes('Another title')")


def test_on_a_phone_the_first_break_is_open_with_full_size_buttons(
    broken: Break, reference: Repository, hugger: Any, page: Any, show: Show
) -> None:
    make.broken(reference, slots("Windows CPU")[:1], suspect=54, newest=56, title="Windows breaks")
    bump(reference)
    page.set_viewport_size({"width": 390, "height": 844})
    show()
    first, second = page.locator("#needs tr[data-break]").all()
    for button in first.locator(".act .btn").all():
        assert button.bounding_box()["height"] >= 44
    assert not second.locator(".act .btn").first.is_visible()
    second.locator(".a").click()
    assert second.locator(".act .btn").first.is_visible()
    assert not page.locator("#brackets").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for address in ("breaks", "break/1"):
        page.goto(f"{page.url.split('/hud/')[0]}/hud/pytorch/pytorch/{address}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_head_that_is_higher_moves_the_brackets(broken: Break, show: Show, page: Any) -> None:
    show(SM86)
    page.evaluate("document.querySelector('tr.counts th').style.height = '40px'; dispatchEvent(new Event('resize'))")
    for box in boxes(page):
        assert abs(box["bottom"]) < 1.6


def test_positions_are_those_of_trunk(broken: Break) -> None:
    """The world that these tests stand on: sixty commits, the newest at place 60."""
    head = BranchCommit.objects.filter(branch=Branch.objects.get(name="main")).latest("position")
    assert head.position == 60
