"""The grid under a person's hands: keyboard, pointer, filter, phone, and without script."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from hud.cells import Outcome
from hud.models import Repository
from tests.browser import world
from tests.browser.hands import change, commits, focused, stand, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

SM86 = "/hud/pytorch/pytorch/main?open=cuda-12.8-sm86"
Show = Callable[..., Any]
Refresh = Callable[[], None]


def test_the_keyboard_walks_the_grid(reference: Repository, show: Show) -> None:
    page = show(SM86)
    page.locator("tbody tr").nth(0).locator("td:not(.m)").nth(0).focus()  # the tab stop
    start = focused(page)
    assert (start["row"], start["column"]) == (0, 5)
    assert re.fullmatch(r"Lint, [0-9a-f]{7}: (queued|running|passed)", start["label"])
    for key, row, column in (
        ("ArrowDown", 1, 5), ("ArrowRight", 1, 6), ("PageDown", 11, 6), ("End", 11, 46), ("ArrowRight", 11, 46),
        ("Home", 11, 0), ("ArrowLeft", 11, 0), ("ArrowUp", 10, 0), ("PageUp", 0, 0),
    ):  # fmt: skip
        page.keyboard.press(key)
        now = focused(page)
        assert (now["row"], now["column"]) == (row, column), key
    # One tab stop in the whole grid.
    stops = "[...document.querySelectorAll('.grid a, .grid td, .grid th')].filter(one => one.tabIndex === 0).length"
    assert page.evaluate(stops) == 1
    page.keyboard.press("ArrowUp")
    assert focused(page)["section"] == "head"
    page.wait_for_timeout(250)
    assert f"at={commits(reference)[0].sha[:10]}" in page.url
    assert page.locator("#here").inner_text().endswith(f"&at={commits(reference)[0].sha[:10]}")


def test_a_members_label_names_its_group(reference: Repository, show: Show) -> None:
    page = show(SM86)
    column = page.locator(".names th.mem").nth(1).evaluate("th => th.cellIndex") - 1
    assert stand(page, 4, column)["label"].startswith("CUDA 12.8 sm86 / default 2/5, ")


def test_x_goes_from_failure_to_failure(reference: Repository, show: Show) -> None:
    page = show()
    seen = []
    for _ in range(4):
        page.keyboard.press("x")
        now = focused(page)
        assert now["label"].endswith((": failed", ": timed out"))
        seen.append((now["row"], now["column"]))
    assert seen == sorted(set(seen))


def test_enter_opens_the_commit(reference: Repository, show: Show) -> None:
    page = show()
    stand(page, 3, 2)
    page.keyboard.press("Enter")
    page.wait_for_url("**/commit/*")
    assert commits(reference)[3].sha in page.url


def test_e_unfolds_and_folds_a_group_in_place(reference: Repository, show: Show) -> None:
    page = show()
    page.evaluate("document.getElementById('main').scrollTop = 200")
    cell = page.locator("tbody tr").nth(12).locator("td:not(.m)").nth(9)
    stand(page, 12, 9)
    before = cell.bounding_box()
    page.keyboard.press("e")
    until(page, "document.querySelector('.counts .open')")
    assert page.url.endswith("open=cuda-12.8-sm86") or "open=cuda-12.8-sm86&" in page.url
    assert page.locator(".counts [aria-expanded=true]").count() == 1
    now = focused(page)
    assert (now["row"], now["column"]) == (12, 14)
    after = page.locator("tbody tr").nth(12).locator("td:not(.m)").nth(9).bounding_box()
    assert after["y"] == pytest.approx(before["y"], abs=1)
    assert after["x"] == pytest.approx(before["x"], abs=1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("e")
    until(page, "!document.querySelector('.counts .open')")
    assert "open=" not in page.url
    page.go_back()
    until(page, "document.querySelector('.counts .open')")


def test_details_appear_under_the_pointer_and_stay_when_pinned(reference: Repository, show: Show) -> None:
    page = show(SM86)
    cell = page.locator("tbody td.X").nth(8)
    cell.hover()
    page.wait_for_selector(".pop")
    pop, square = page.locator(".pop").bounding_box(), cell.bounding_box()
    assert pop["y"] >= square["y"] + square["height"] or pop["y"] + pop["height"] <= square["y"]
    assert pop["x"] >= square["x"] + square["width"] or pop["x"] + pop["width"] <= square["x"]
    assert pop["x"] >= 0
    assert pop["x"] + pop["width"] <= 1440
    assert pop["y"] + pop["height"] <= 900
    page.locator(".pop").hover()  # it stays while one reads it
    page.wait_for_timeout(400)
    assert page.locator(".pop").count() == 1
    page.mouse.move(5, 5)
    page.wait_for_selector(".pop", state="detached")
    cell.click()
    page.wait_for_selector(".pop.pinned")
    assert cell.get_attribute("aria-describedby") == "pop"
    page.mouse.move(5, 5)
    page.wait_for_timeout(400)
    assert page.locator(".pop.pinned").count() == 1
    page.keyboard.press("Escape")
    page.wait_for_selector(".pop", state="detached")
    assert "/cell/" not in page.url


def test_details_come_with_the_cursor_and_space_pins_them(reference: Repository, show: Show) -> None:
    page = show(SM86)
    page.keyboard.press("x")
    page.wait_for_selector(".pop:not(.pinned)")
    page.keyboard.press(" ")
    page.wait_for_selector(".pop.pinned")
    said = page.locator(".pop").inner_text()
    assert "Attempts" in said or "configurations" in said or "The others" in said
    page.keyboard.press(" ")
    page.wait_for_selector(".pop:not(.pinned)")
    page.keyboard.press("Home")
    page.wait_for_selector(".pop", state="detached")


@pytest.mark.parametrize("wide", [(1440, 900), (1000, 600)])
def test_details_never_leave_the_window(reference: Repository, show: Show, wide: tuple[int, int]) -> None:
    page = show(SM86)
    page.set_viewport_size({"width": wide[0], "height": wide[1]})
    failing = page.locator("tbody td.X, tbody td.T, tbody td.F")
    for index in range(0, failing.count(), 7):
        failing.nth(index).evaluate("td => { td.tabIndex = -1; td.focus(); }")
        page.wait_for_selector("td[aria-describedby]:focus")
        box, cell = page.locator(".pop").bounding_box(), failing.nth(index).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= wide[0]
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= wide[1]
        beside = box["x"] >= cell["x"] + cell["width"] or box["x"] + box["width"] <= cell["x"]
        assert beside


def test_the_filter_stays_while_paging_and_esc_never_drops_it(reference: Repository, show: Show) -> None:
    page = show()
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("cuda x")  # letters are text here, not keys
    page.wait_for_url("**q=cuda+x*")
    assert "No column matches “cuda x”" in page.locator("#main").inner_text()
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    until(page, "document.querySelectorAll('.names th[data-c]').length === 7")
    page.keyboard.press("Escape")
    assert page.get_by_label("Filter columns").input_value() == "cuda"
    page.keyboard.press("Escape")
    assert page.url.endswith("?q=cuda")
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**page=2")
    assert page.locator("tbody tr").count() == 10
    assert page.locator(".names th[data-c]").count() <= 7
    assert page.get_by_label("Filter columns").input_value() == "cuda"
    assert "q=cuda" in page.url
    page.reload()
    assert page.get_by_label("Filter columns").input_value() == "cuda"


def test_boxes_and_segments_make_short_addresses(reference: Repository, show: Show) -> None:
    page = show()
    page.get_by_role("checkbox", name="Unstable").uncheck()
    page.wait_for_url("**/main?unstable=0")
    page.get_by_role("link", name=re.compile("Only failing")).click()
    page.wait_for_url("**/main?show=failing&unstable=0")
    page.get_by_role("checkbox", name="Unstable").check()
    page.wait_for_url("**/main?show=failing")
    page.locator(".rx").click()
    page.get_by_label("Filter columns").fill("((")
    page.wait_for_selector("#regex-problem")
    assert "at character" in page.locator("#regex-problem").inner_text()
    page.get_by_label("Filter columns").fill("sm86|gfx")
    page.wait_for_selector("#regex-problem", state="detached")


def test_esc_closes_the_topmost_thing(reference: Repository, show: Show) -> None:
    page = show()
    page.keyboard.press("x")
    page.wait_for_selector(".pop")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    assert page.locator(".pop").count() == 1
    page.keyboard.press("Escape")
    page.wait_for_selector(".pop", state="detached")
    page.locator("details.menu summary").first.click()
    page.keyboard.press("Escape")
    assert page.locator("details.menu[open]").count() == 0


def test_keys_can_be_switched_off(reference: Repository, show: Show) -> None:
    page = show()
    page.keyboard.press("?")
    page.get_by_label("Single-letter keys").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.keyboard.press("x")
    assert page.evaluate("document.activeElement === document.body || document.activeElement.id === 'all-keys'")
    page.reload()
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement === document.body")
    page.get_by_role("button", name="all keys").click()
    page.get_by_label("Single-letter keys").check()
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.name") == "q"


def test_on_a_phone_a_commit_names_only_what_is_not_green(
    reference: Repository, show: Show, page: Any, refresh: Refresh
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    show()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    row = page.locator("tbody tr").nth(3)
    said = row.inner_text()
    assert "CUDA 12.8 sm86" in row.evaluate("tr => [...tr.querySelectorAll('a[data-g]')].map(a => a.dataset.g).join()")
    assert re.search(r"\d+ passed", said)
    assert not row.locator("td:not(.m):not(:has(a))").first.is_visible()
    passed = int(re.search(r"(\d+) passed", said)[1])  # type: ignore[index]
    change(commits(reference)[3], {0: Outcome.FAILED})
    refresh()
    assert f"{passed - 1} passed" in row.inner_text()
    row.locator("a[data-g='Lint']").click()
    page.wait_for_url("**/cell/**")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_pages_work_without_script(reference: Repository, live_server: Any, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    try:
        page.goto(live_server.url + "/hud/pytorch/pytorch/main")
        assert page.locator("tbody tr").nth(49).is_visible()
        page.locator("[name=q]").fill("sm86")
        with page.expect_navigation():  # a click may return before the page that it leads to is there
            page.get_by_role("button", name="Apply").click()
        assert page.locator(".names th[data-c]").count() == 1
        with page.expect_navigation():
            page.get_by_label("Show the 11 configurations of CUDA 12.8 sm86").click()
        assert page.locator(".names th[data-c]").count() == 12
        with page.expect_navigation():
            page.locator("tbody td.X a").nth(1).click()
        assert "Failed" in page.locator("#main").inner_text()
        page.locator("summary").nth(1).click()
        assert page.get_by_role("link", name="release/2.10").is_visible()
    finally:
        context.close()


def test_a_thousand_columns(live_server: Any, show: Show) -> None:
    world.seed("big", configurations=1000)
    page = show("/hud/pytorch/big/main?open=*")
    assert page.locator("tbody tr").count() == 50
    assert page.evaluate("document.querySelectorAll('tbody td:not(.m)').length") == 50 * 1040
    stand(page, 2, 0)
    page.keyboard.press("End")
    now = focused(page)
    assert now["column"] == 1044
    box = page.locator(":focus").bounding_box()
    assert 590 <= box["x"] <= 1440
    pinned = page.locator("tbody tr").nth(2).locator("th").bounding_box()
    assert pinned["x"] == pytest.approx(0, abs=1)
    assert page.locator("thead").bounding_box()["y"] == pytest.approx(
        page.locator("#main").bounding_box()["y"] + 1, abs=1
    )
