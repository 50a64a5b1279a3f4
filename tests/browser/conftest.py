"""What the tests of pages in a real browser stand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.templatetags.static import static

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


ASK = """async (module) => {
    // Its own copy of the page's script would be another one: this is the one that runs. While it asks by itself (it
    // does so a second after it was opened) it begins nothing new, and that answer must not be taken for ours.
    const { check } = await import(module);
    const real = window.fetch;
    for (const began = Date.now(); Date.now() - began < 20000; ) {
        let mine = false;
        window.fetch = (...given) => { mine = true; return real(...given); };
        const done = check();
        window.fetch = real;
        if (mine) return await done, true;
        await new Promise((resume) => setTimeout(resume, 20));
    }
    return false;
}"""


@pytest.fixture
def refresh(page: Any) -> Callable[[], None]:
    """Call it to let the page ask now what has changed; returns when it has done what it does with the answer."""

    def ask() -> None:
        assert page.evaluate(ASK, static("js/refresh.js")), "the page does not ask"

    return ask
