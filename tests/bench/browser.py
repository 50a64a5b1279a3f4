"""What a person waits for: the page painted in headless Chromium, and how much of it a refresh touches."""

from __future__ import annotations

from statistics import median
from typing import Any

from playwright.sync_api import Page, sync_playwright

from hud.cells import Outcome
from hud.models import BranchCommit, CommitCells, Repository
from tests.chromium import CHROMIUM_ARGUMENTS, chromium_path

from . import world
from .serving import running_site
from .table import Row

# From the start of navigation to the frame after the first one in which the whole table stands.
PAINTED = (
    """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
)
EMPTY = "data:text/html,<title>nothing</title>"


def _painted(page: Page, url: str) -> tuple[float, float]:
    """Milliseconds from the start of navigation until the window shows the grid, and until all of the table stands."""
    page.goto(url, wait_until="load")
    whole = float(page.evaluate(PAINTED))
    for _ in range(80):  # the browser writes the entry down a moment after it has painted
        shown = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        if shown is not None:
            return float(shown), whole
        page.wait_for_timeout(25)
    raise RuntimeError("the browser never said when it painted")


def _touched(page: Page, change: Any) -> int:
    """How many cells a refresh touches."""
    page.evaluate(
        """() => {
            window.touched = new Set();
            new MutationObserver(all => all.forEach(one => {
                const node = one.target.nodeType === 1 ? one.target : one.target.parentElement;
                const cell = node && node.closest("tbody td");
                if (cell) window.touched.add(cell);
            })).observe(document.querySelector("table tbody").parentElement,
                        {subtree: true, childList: true, attributes: true, characterData: true});
        }"""
    )
    change()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    touched = 0
    for _ in range(60):  # asked from here: the page's policy forbids to evaluate a condition in it
        page.wait_for_timeout(250)
        touched = int(page.evaluate("window.touched.size"))
        if touched >= 3:
            page.wait_for_timeout(500)
            return int(page.evaluate("window.touched.size"))
    return touched


def _change_three_cells(repository: Repository) -> None:
    places = BranchCommit.objects.filter(branch__repository=repository).order_by("-position")[3:6]
    for place in places:
        row = CommitCells.objects.get(commit_id=place.commit_id)
        cells = bytearray(row.cells)
        slot = next(n for n, code in enumerate(cells) if code == Outcome.PASSED and n > 20)
        cells[slot] = Outcome.SKIPPED
        CommitCells.objects.filter(pk=row.pk).update(cells=bytes(cells))
    Repository.objects.filter(pk=repository.pk).update(version=repository.version + 1)


def measure() -> list[Row]:
    """The table's rows about the browser."""
    world.clear()
    repository = world.make(commits=400, configurations=1000)
    with running_site() as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        at = f"{site}/hud/{repository}/main"
        floor = median([_painted(page, f"{site}/status")[1] for _ in range(5)])
        grouped = [_painted(page, f"{at}?n={n}") for n in range(7)]
        expanded = [_painted(page, f"{at}?open=*&n={n}") for n in range(7)]
        _painted(page, f"{at}?open=*")
        touched = _touched(page, lambda: _change_three_cells(repository))
        browser.close()
    note = f"/status takes {floor:.0f} ms"
    rows = []
    for what, times, bound in (("50 × 1000 expanded", expanded, 1500), ("grouped default", grouped, 400)):
        shown, whole = (median(column) for column in zip(*times, strict=True))
        rows.append(Row(f"browser: {what}, window painted", shown, "ms", bound, "<=", 1, note))
        rows.append(Row(f"browser: {what}, whole table laid out", whole, "ms", bound, "<=", 1, note))
    return [*rows, Row("browser: cells touched by a refresh of three changed cells", touched, "cells", 3, "<=", 1)]
