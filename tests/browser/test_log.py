"""Reading a job's log in a browser: where it opens, search, steps, links, further lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hud.models import JobLog, Repository
from tests.browser.hands import until
from tests.hud import worlds
from tests.hud.test_log_views import FAILED, STAMP, failed_job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

LOG = "/hud/grove/orchard/job/7"
LINES = 12_000
FAILING = 9_000
Show = Callable[..., Any]

_IN_VIEW = """(() => {
    const box = document.querySelector(".l.at").getBoundingClientRect();
    return box.top >= 0 && box.bottom <= innerHeight;
})()"""


@pytest.fixture
def log(live_server: Any) -> JobLog:
    repository: Repository = worlds.repository()
    worlds.trunk(repository, 3)
    lines = [f"{STAMP.format(n % 60)}\x1b[32mtest_{n}\x1b[0m PASSED" for n in range(1, LINES + 1)]
    lines[3] = STAMP.format(4) + "##[group]Run the tests"
    lines[60] = STAMP.format(1) + "##[endgroup]"
    lines[29] = STAMP.format(30) + "a needle in the fold"
    lines[8_990] = STAMP.format(7) + "    raise AssertionError"
    lines[FAILING - 1] = STAMP.format(8) + FAILED
    lines[9_500] = STAMP.format(9) + "another needle"
    lines[9_999] = STAMP.format(9) + "##[error]Process completed with exit code 1."
    return failed_job(repository, 7, *lines)


@pytest.fixture
def show(live_server: Any, page: Any) -> Show:
    """Call it with an address for the page there, its script running."""

    def goto(address: str) -> Any:
        page.goto(live_server.url + address, wait_until="load")
        return page

    return goto


def at(page: Any) -> str:
    found: str = page.evaluate("document.querySelector('.l.at')?.id ?? ''")
    return found


def test_it_opens_at_the_failing_line(log: JobLog, show: Show) -> None:
    page = show(LOG)
    assert at(page) == f"L{FAILING}"
    assert page.evaluate(_IN_VIEW)
    assert page.locator(f"#L{FAILING} code").inner_text() == FAILED
    colour = "getComputedStyle(document.querySelector('#L8998 .f2')).color != getComputedStyle(document.body).color"
    assert page.evaluate(colour)


def test_the_address_wins_also_for_a_line_far_away(log: JobLog, show: Show) -> None:
    page = show(f"{LOG}#L12")
    page.wait_for_selector("#L12.at")
    assert page.evaluate(_IN_VIEW)
    assert page.evaluate("document.getElementById('L12').closest('details').open")
    page.locator("#L14 .n").click()
    page.wait_for_selector("#L14.at")
    assert page.url.endswith("#L14")
    page.go_back()
    page.wait_for_selector("#L12.at")


def test_n_and_p_step_between_errors_and_u_goes_back(log: JobLog, show: Show) -> None:
    page = show(LOG)
    page.keyboard.press("n")
    page.wait_for_selector("#L10000.at")
    page.keyboard.press("p")
    page.wait_for_selector(f"#L{FAILING}.at")
    page.keyboard.press("Shift+N")
    page.wait_for_selector("#L10000.at")
    page.keyboard.press("u")
    page.wait_for_url(f"**/commit/{worlds.sha(0)}")


def test_search_finds_what_is_not_on_the_page(log: JobLog, show: Show) -> None:
    page = show(LOG)
    page.keyboard.press("/")
    page.keyboard.type("NEEDLE")
    page.keyboard.press("Enter")
    page.wait_for_selector("#L9501.at.hit")
    until(page, "document.getElementById('found').value == '2 of 2'")
    page.keyboard.press("n")  # around the end, to a line that has to be loaded
    page.wait_for_selector("#L30.at.hit")
    assert page.evaluate("document.getElementById('L30').closest('details').open")
    until(page, "document.getElementById('found').value == '1 of 2'")
    page.keyboard.press("n")
    page.wait_for_selector("#L9501.at")
    page.keyboard.press("/")
    page.keyboard.type("no such text")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('found').value == 'Not found'")


def test_earlier_and_later_lines_come_without_moving_what_is_read(log: JobLog, show: Show) -> None:
    page = show(LOG)
    first, last = page.evaluate(
        "[...document.querySelectorAll('.l')].map(l => +l.id.slice(1)).filter((_, n, a) => n == 0 || n == a.length - 1)"
    )
    page.get_by_role("link", name="Later lines").click()
    page.wait_for_selector(f"#L{last + 1}")
    page.get_by_role("link", name="Earlier lines").click()
    page.wait_for_selector(f"#L{first - 1}")
    numbers = page.evaluate("[...document.querySelectorAll('.l')].map(l => +l.id.slice(1))")
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] == min(LINES, last + 2000)


def test_from_the_cell_to_the_log_to_the_failure(log: JobLog, show: Show) -> None:
    page = show(f"/hud/grove/orchard/cell/{worlds.sha(0)}/{log.configuration.slot}")
    page.get_by_text("AssertionError: 3 != 4").click()
    page.wait_for_selector(f"#L{FAILING}.at")
    page.get_by_role("link", name="Same failure elsewhere").click()
    page.wait_for_selector("h1")
    assert "1 job of 1 configuration on 1 commit" in page.locator(".facts").inner_text()


def test_without_script_it_can_be_read_and_searched(log: JobLog, live_server: Any, browser: Any) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{live_server.url}{LOG}?q=needle")
        assert page.locator(".hitlist a").all_inner_texts() == ["30", "9501"]
        with page.expect_navigation():  # a click may return before the page that it leads to is there
            page.get_by_role("link", name="Later lines").click()
        assert page.locator("#L2500").count() == 1
