"""What a refresh may and may not do to the page that someone is reading."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hud.cells import Outcome
from hud.models import CommitCells, Configuration, Repository, SyncState
from tests.browser.hands import bump, change, commits, focused, push, stand, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

SM86 = "/hud/pytorch/pytorch/main?open=cuda-12.8-sm86"
Show = Callable[..., Any]
Refresh = Callable[[], None]


def test_a_refresh_of_three_cells_touches_three_cells(reference: Repository, show: Show, refresh: Refresh) -> None:
    page = show(SM86)
    refresh()
    rows = commits(reference)
    slot = {
        one.name.split("(")[-1].rstrip(")"): one.slot for one in Configuration.objects.filter(group="CUDA 12.8 sm86")
    }
    page.evaluate("""() => {
        const all = {subtree: true, childList: true, characterData: true, attributes: true};
        window.touched = new Set();
        window.watcher = new MutationObserver((records) => {
            for (const record of records) {
                const element = record.target.nodeType === 1 ? record.target : record.target.parentElement;
                if (element?.closest("time, #fresh")) continue;
                const cell = element?.closest("td, th");
                window.touched.add(cell ?? record.target);
            }
        });
        watcher.observe(document.documentElement, all);
    }""")
    # Of the unfolded group, the squares of three members change and the group's own stays what it is.
    change(rows[3], {slot["default 1/5"]: Outcome.FLAKY})
    change(rows[4], {slot["default 3/5"]: Outcome.FAILED, slot["default 5/5"]: Outcome.OVERDUE})
    refresh()
    said = page.evaluate("[...window.touched].map(one => one.localName + ' ' + one.className)")
    assert sorted(said) == ["td F", "td L", "td X"]
    link = page.locator("tbody tr").nth(3).get_by_label("CUDA 12.8 sm86 / default 1/5")
    assert link.get_attribute("href").startswith(f"/hud/pytorch/pytorch/cell/{rows[3].sha}/")


def test_a_refresh_of_nothing_touches_nothing(reference: Repository, show: Show, refresh: Refresh) -> None:
    page = show()
    refresh()
    page.evaluate("""() => {
        const all = {subtree: true, childList: true, characterData: true, attributes: true};
        window.touched = 0;
        const watcher = new MutationObserver((records) => { window.touched += records.length; });
        watcher.observe(document.querySelector("#main"), all);
    }""")
    with page.expect_response(lambda response: response.status == 304):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(100)
    assert page.evaluate("window.touched") == 0


def test_a_refresh_keeps_scroll_focus_and_details(reference: Repository, show: Show, refresh: Refresh) -> None:
    page = show(SM86)
    page.evaluate("document.getElementById('main').scrollTop = 120")
    cell = page.locator("tbody tr").nth(14).locator("td:not(.m)").nth(9)
    cell.click()
    page.wait_for_selector(".pop.pinned")
    before, top = focused(page), page.evaluate("document.getElementById('main').scrollTop")
    slots = {one.slot: Outcome.FAILED for one in Configuration.objects.filter(group="CUDA 12.8 sm86")}
    change(commits(reference)[14], slots)
    refresh()
    assert cell.get_attribute("class") == "X"
    after = focused(page)
    assert (after["sha"], after["column"]) == (before["sha"], before["column"])
    assert after["label"].endswith(": failed")
    assert page.evaluate("document.getElementById('main').scrollTop") == top
    until(page, "document.querySelector('.pop.pinned')?.innerText.includes('failed')")


def test_new_columns_keep_scroll_focus_and_details(reference: Repository, show: Show, refresh: Refresh) -> None:
    page = show(SM86)
    page.evaluate("document.getElementById('main').scrollTop = 120")
    page.locator("tbody tr").nth(14).locator("td:not(.m)").nth(9).click()
    page.wait_for_selector(".pop.pinned")
    before = focused(page)
    size = Configuration.objects.count()
    Configuration.objects.create(
        repository=reference, workflow="pull", name="first / job", slot=size, group="A new group", group_order=-1
    )
    for commit in commits(reference)[:5]:
        row = CommitCells.objects.get(commit=commit)
        CommitCells.objects.filter(pk=row.pk).update(cells=bytes(row.cells) + bytes([Outcome.PASSED]))
    Repository.objects.update(layout_version=2)
    bump(reference)
    y = page.locator("tbody tr").nth(14).bounding_box()["y"]
    refresh()
    until(page, "document.querySelector('.names th[data-n]').dataset.n === 'A new group'")
    after = focused(page)
    assert (after["sha"], after["column"]) == (before["sha"], before["column"] + 1)
    assert page.locator("tbody tr").nth(14).bounding_box()["y"] == pytest.approx(y, abs=1)
    page.wait_for_selector(".pop.pinned")
    assert focused(page)["sha"] == before["sha"]


def test_new_commits_wait_behind_a_button(reference: Repository, show: Show, refresh: Refresh) -> None:
    page = show()
    page.evaluate("document.getElementById('main').scrollTop = 220")
    before = stand(page, 14, 3)
    y = page.locator("tbody tr").nth(14).bounding_box()["y"]
    push(reference, 3)
    refresh()
    button = page.get_by_role("button", name="3 new commits")
    assert page.locator("tbody tr").first.get_attribute("id") == commits(reference)[3].sha
    assert page.locator("tbody tr").nth(14).bounding_box()["y"] == pytest.approx(y, abs=1)
    button.click()
    until(page, "document.querySelector('tbody tr').id.startsWith('eeee')")
    assert focused(page)["sha"] == before["sha"]
    assert page.locator(f"[id='{before['sha']}']").bounding_box()["y"] == pytest.approx(y, abs=1)
    assert page.get_by_role("button", name="new commit").count() == 0


def test_the_age_ticks_and_turns_late(reference: Repository, show: Show, refresh: Refresh) -> None:
    page = show()
    assert re.search(r"\d+ s ago", page.locator("#fresh").inner_text())
    SyncState.objects.update(succeeded_at=timezone.now() - timedelta(minutes=4))
    refresh()
    page.wait_for_selector("#fresh.late")
    assert "Last event 4 min ago, checking GitHub." in page.locator("#notices").inner_text()
    SyncState.objects.update(succeeded_at=timezone.now() - timedelta(minutes=40), problem="GitHub answers 502.")
    refresh()
    page.wait_for_selector("#fresh.stalled")
    assert "Results below may be old. GitHub answers 502." in page.locator("#notices").inner_text()
    SyncState.objects.update(succeeded_at=timezone.now(), problem="")
    refresh()
    page.wait_for_selector("#fresh.live")
    assert page.locator("#notices").inner_text().strip() == ""


def test_when_the_server_is_away_it_says_so_and_tries_again(reference: Repository, show: Show, page: Any) -> None:
    show()
    page.expected_problems = ["Failed to load resource"]
    page.route("**/main*", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#offline")
    assert "Could not load newer commits. Shown: " in page.locator("#offline").inner_text()
    page.unroute("**/main*")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("#offline", state="detached")


def test_a_hidden_tab_asks_nothing(reference: Repository, show: Show, page: Any) -> None:
    page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => window.away !== false})")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "x-arborist-refresh" in request.headers else None)
    show()
    page.wait_for_timeout(1500)
    assert asked == []
    with page.expect_request(lambda request: "x-arborist-refresh" in request.headers):
        page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(300)
    assert len(asked) == 1
