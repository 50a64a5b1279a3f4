"""A commit's page and a column's under a person's hands: keys, themes, phone, and without a broken policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hud.cells import Outcome
from hud.models import Commit, Configuration, Repository
from tests.browser.hands import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
BASE = "/hud/pytorch/pytorch"


@pytest.fixture
def show(live_server: Any, page: Any) -> Callable[[str], Any]:
    """Call it with an address for the page there, its script running."""

    def goto(address: str) -> Any:
        page.goto(live_server.url + BASE + address, wait_until="load")
        return page

    return goto


def commits(repository: Repository) -> list[Commit]:
    return list(Commit.objects.filter(repository=repository).order_by("-branchcommit__position"))


def test_keys_between_commits_and_jobs(reference: Repository, show: Callable[[str], Any]) -> None:
    trunk = commits(reference)
    page = show(f"/commit/{trunk[5].sha}")
    assert "configurations failed here" in page.locator("h1").inner_text()
    page.keyboard.press("x")
    first = page.evaluate("document.activeElement.querySelector('.jn').textContent")
    page.keyboard.press("x")
    assert page.evaluate("document.activeElement.querySelector('.jn').textContent") != first
    page.keyboard.press("j")
    page.wait_for_url(f"**/commit/{trunk[6].sha}")
    page.keyboard.press("k")
    page.wait_for_url(f"**/commit/{trunk[5].sha}")
    page.keyboard.press("h")
    page.wait_for_url("**/column/*")
    page.go_back()
    page.keyboard.press("u")
    page.wait_for_url("**/main?at=*")
    assert trunk[5].sha[:10] in page.url


def test_the_list_of_keys_opens_and_closes(reference: Repository, show: Callable[[str], Any]) -> None:
    page = show(f"/commit/{commits(reference)[5].sha}")
    page.keyboard.press("?")
    assert page.locator("#keys-dialog").is_visible()
    assert "next failing job" in page.locator("#keys-dialog").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#keys-dialog").is_visible()


def test_every_job_can_be_unfolded(reference: Repository, show: Callable[[str], Any]) -> None:
    page = show(f"/commit/{commits(reference)[5].sha}")
    workflow = page.locator("details.wf").first
    workflow.locator("summary").click()
    assert workflow.locator("li").first.is_visible()
    assert workflow.locator("svg.lane rect").count() > 10
    assert workflow.locator("a.try").count() > 1


def test_a_column_goes_from_failure_to_failure(reference: Repository, show: Callable[[str], Any]) -> None:
    slot = next(
        configuration.slot
        for configuration in Configuration.objects.filter(repository=reference, group="CUDA 12.8 sm86").order_by("slot")
        if commits(reference)[4].commitcells.cells[configuration.slot] == Outcome.FAILED
    )
    page = show(f"/column/{slot}?days=3")
    page.keyboard.press("j")
    newest = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert ": failed" in newest or ": timed out" in newest
    page.keyboard.press("j")
    older = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert older != newest
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == newest
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/cell/*/{slot}")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen(
    reference: Repository, show: Callable[[str], Any], page: Any, width: int, theme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=theme)
    slot = Configuration.objects.filter(group="CUDA 12.8 sm86").order_by("slot")[1].slot
    for address in (f"/commit/{commits(reference)[5].sha}", f"/column/{slot}?days=3"):
        show(address)
        until(page, f"document.documentElement.scrollWidth <= {width}")
