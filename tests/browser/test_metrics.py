"""The pages of numbers in a real browser: points that are read and walked by key, tables, phones."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from hud import last_good
from hud.cells import Outcome
from hud.models import Break, BreakSignal, Configuration, Repository
from tests.browser.hands import change, commits
from tests.hud.test_metrics import seed_history

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

METRICS = "/hud/pytorch/pytorch/metrics?days=30"
LAST_GOOD = "/hud/pytorch/pytorch/last-good"
Show = Callable[..., Any]


@pytest.fixture
def visit(live_server: Any, page: Any) -> Show:
    """Call it with an address for the page there. (`show` waits for the grid.)"""

    def goto(address: str) -> Any:
        page.goto(live_server.url + address, wait_until="load")
        return page

    return goto


@pytest.fixture
def busy(reference: Repository) -> Repository:
    """The reference trunk with a history of numbers; its last good commit is the eighth, held by a break."""
    shown = commits(reference)
    size = Configuration.objects.filter(repository=reference).count()
    for place, commit in enumerate(shown[:12]):
        failing = {5: Outcome.FAILED, 90: Outcome.FAILED} if place in (3, 4, 5) else {}
        quiet = dict.fromkeys(range(size), Outcome.RUNNING if place < 2 else Outcome.PASSED)
        change(commit, quiet | (failing if place >= 2 else {}) | ({40: Outcome.FAILED} if place == 6 else {}))
    seed_history(reference, date.today())
    broken = Break.objects.create(
        repository=reference, number=31, title="CUDA 12.8 sm86 fails", decision="revert", code="confirmed",
        suspect=shown[5], broke_at=timezone.now(), noticed_at=timezone.now(),
    )  # fmt: skip
    member = Configuration.objects.get(repository=reference, slot=5)
    BreakSignal.objects.create(broken=broken, configuration=member, joined_at=timezone.now())
    with transaction.atomic():
        last_good.update(reference)
    return reference


def test_points_are_read_and_walked_by_key(busy: Repository, visit: Show) -> None:
    page = visit(METRICS)
    figure = page.locator("#red")
    readout = figure.locator(".readout")
    assert "Share of a day’s commits" in readout.inner_text()
    stops = figure.locator('.plot a[tabindex="0"]')
    assert stops.count() == 1
    stops.focus()
    last = readout.inner_text()
    assert re.fullmatch(r"[A-Z][a-z]{2} \d+: \d+ of \d+ commits (broken|flaky) \([\d.]+ %\)", last)
    page.keyboard.press("Home")
    assert readout.inner_text() != last
    page.keyboard.press("End")
    assert readout.inner_text() == last
    assert stops.count() == 1
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/main\?.*at=[0-9a-f]{7,10}"))


def test_every_plot_has_its_table(busy: Repository, visit: Show) -> None:
    page = visit(METRICS)
    figure = page.locator("#signal")
    assert not figure.locator("table").is_visible()
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() == figure.locator(".dot.p-act").count()
    page.locator(".seg a").first.click()
    page.wait_for_url(re.compile("days=7"))
    assert page.locator("h1").inner_text() == "The last 7 days of main"


@pytest.mark.parametrize("path", [METRICS, LAST_GOOD])
def test_nothing_is_wider_than_a_phone(busy: Repository, visit: Show, page: Any, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    visit(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_last_good_is_on_the_grid_and_leads_to_what_blocks_it(busy: Repository, show: Show) -> None:
    page = show()
    line = page.locator("#last-good")
    good = commits(busy)[2].sha[:7]
    assert good in line.inner_text()
    line.click()
    page.wait_for_url(re.compile("/last-good$"))
    assert good in page.locator("h1").inner_text()
    page.locator("img").evaluate("image => image.decode()")
    assert page.locator("img").evaluate("image => image.naturalWidth") > 150


def test_what_blocks_it_and_by_whom(busy: Repository, visit: Show) -> None:
    for commit in commits(busy)[2:3]:
        change(commit, {5: Outcome.FAILED, 90: Outcome.FAILED})
    with transaction.atomic():
        last_good.update(busy)
    page = visit(LAST_GOOD)
    rows = page.locator("section[aria-labelledby=blocking] tbody tr")
    assert rows.count() == 2
    assert "Break 31" in rows.first.inner_text()
    assert commits(busy)[5].sha[:7] in rows.first.inner_text()
