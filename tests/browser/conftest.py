"""What the tests of pages in a real browser stand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hud.models import Repository


@pytest.fixture
def reference(live_server: Any) -> Repository:
    """The trunk of the design's reference screen."""
    from tests.browser import world  # models can't be imported before Django is set up

    return world.seed()


@pytest.fixture
def show(live_server: Any, page: Any) -> Callable[..., Any]:
    """Call it with an address for the page there, its script running."""

    def goto(address: str = "/hud/pytorch/pytorch/main") -> Any:
        page.goto(live_server.url + address, wait_until="load")
        page.wait_for_selector("html:not(.arriving)")
        return page

    return goto


@pytest.fixture
def refresh(page: Any) -> Callable[[], None]:
    """Call it to let the page ask now what has changed, and wait for what it does with the answer."""

    def ask() -> None:
        # It asks once by itself a second after it was opened; that answer must not be taken for this one.
        with page.expect_response(lambda response: "x-arborist-refresh" in response.request.headers):
            page.wait_for_timeout(50)
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_load_state("networkidle")

    return ask
