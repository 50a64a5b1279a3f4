"""The whole story: trunk breaks in the simulated world, a person understands it, reverts it by keyboard, and watches it
close.

All real: the simulated GitHub tells the site's webhooks what happens, over HTTP; a worker of its own stores it; the
page hears of it by its stream. What beat would start every ten seconds (reading logs, sending the outbox) is called
here, for simulated hours go by in seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.utils import timezone

from hud.models import Branch, Break, Delivery, DeliveryState, Repository
from project.outbox.models import Write
from project.simulator import oauth_routes
from project.simulator.running import Running, running_simulator
from tests.hud.live_site import SECRET, LiveSite, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

START = "2026-11-10T18:40:00Z"  # a commit that broke two configurations is on trunk, and its jobs still run
HISTORY = 12  # commits
EVENTS = ["workflow_run", "workflow_job", "check_run", "status", "push", "pull_request"]


class World:
    """The simulated GitHub, and what beat would do beside it."""

    def __init__(self, github: Running, site: LiveSite, repository: Repository) -> None:
        self.github = github
        self.site = site
        self.repository = repository

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return datetime.fromtimestamp(self.github.world.now(), UTC)

    def pass_time(self, minutes: int) -> None:
        """Let it go by: webhooks tell of what happens, and logs of failed jobs are read."""
        from hud import logs, polling

        self.github.control("clock", advance=60 * minutes)
        wait(lambda: self.github.hooks.idle() and not Delivery.objects.filter(state=DeliveryState.WAITING).exists())
        # A push has commits polled at once: the branch was last asked for in the real present, after the simulated one.
        if (self.repository.pk, "commits") in polling.due(timezone.now()):
            assert polling.poll(self.repository.pk, "commits") == "done"
        while logs.read(self.repository.pk, now=self.now) == "behind":
            pass

    def send_writes(self, *, hurry: bool = False) -> None:
        """Deliver what the outbox has; with `hurry` without waiting for the time in which it can be undone."""
        from project.outbox import deliver

        waiting = Write.objects.filter(state="queued")
        if hurry:
            waiting.update(due_at=timezone.now())
        while waiting.exists():
            for pk in deliver.due():
                deliver.deliver(pk)
            time.sleep(0.1)

    def truth(self) -> list[tuple[str, str | None]]:
        """Who broke trunk, and what mended it."""
        query = {"since": "2026-11-10T17:00:00Z"}
        told = requests.get(f"{self.github.url}/_simulator/truth", params=query, timeout=10).json()
        return [(one["culprit"], one["fixed_by"]) for one in told["breaks"]]


def wait(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def sees(page: Any, condition: str, seconds: float = 20) -> None:
    """The page comes to show something by itself."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never came true: {condition}\n{page.locator('#main').inner_text()[:3000]}"
        page.wait_for_timeout(50)


def tab_to(page: Any, selector: str) -> None:
    """By the Tab key alone."""
    for _ in range(60):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab never came to {selector}")


@pytest.fixture
def github() -> Iterator[Running]:
    with running_simulator(scale="tiny", seed=1, start=START, speed=0, hourly_limit=100_000) as github:
        yield github


@pytest.fixture
def world(transactional_db: None, redis_server: Any, github: Running, settings: Any) -> Iterator[World]:
    from hud import ingest, polling
    from project.github import pacing

    settings.GITHUB_API_URL = settings.GITHUB_WEB_URL = github.url
    settings.GITHUB_TOKEN = "ghp_story"
    kept = pacing.Pace.__init__.__kwdefaults__
    pacing.Pace.__init__.__kwdefaults__ = {**kept, "pause": 0.01}
    call_command("give_role", "grove/tree-huggers", "tree_hugger")
    repository, _ = ingest.add_repository(*github.full_name.split("/"))
    Repository.objects.filter(pk=repository.pk).update(backfill_commits=HISTORY)
    now = datetime.fromtimestamp(github.world.now(), UTC)
    while todo := polling.due(now):
        for pk, kind in todo:
            polling.poll(pk, kind, now=now)
    repository.refresh_from_db()
    variables = {
        "ARBORIST_GITHUB_API_URL": github.url, "ARBORIST_GITHUB_WEB_URL": github.url,
        "ARBORIST_GITHUB_TOKEN": "ghp_story", "ARBORIST_OAUTH_CLIENT_ID": oauth_routes.CLIENT_ID,
        "ARBORIST_OAUTH_CLIENT_SECRET": oauth_routes.CLIENT_SECRET,
    }  # fmt: skip
    try:
        with running(**variables) as site:
            config = {"url": f"{site.url}/webhooks/github", "secret": SECRET, "content_type": "json"}
            requests.post(
                f"{github.url}/repos/{github.full_name}/hooks", json={"config": config, "events": EVENTS},
                headers={"Authorization": "Bearer ghp_story", "User-Agent": "tests"}, timeout=10,
            ).raise_for_status()  # fmt: skip
            yield World(github, site, repository)
    finally:
        pacing.Pace.__init__.__kwdefaults__ = kept


def test_from_a_red_cell_to_a_reverted_commit(world: World, page: Any) -> None:
    # A person opens the site and signs in with the simulated GitHub, as a tree hugger.
    page.goto(f"{world.site.url}/")
    page.wait_for_selector("html:not(.arriving)")
    grid = page.url
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Sign in with GitHub").click()
    page.get_by_role("button", name="oakapple", exact=True).click()
    page.wait_for_url(grid)
    page.wait_for_selector("html:not(.arriving)")
    assert "Trunk is green." in page.locator("#needs").inner_text()
    assert page.locator("#brackets g").count() == 0

    # Trunk breaks while they look on. From here on they have a keyboard only.
    world.pass_time(50)
    world.github.control("overlay", quiet=True)  # nobody else lands anything, so that nobody else mends it
    sees(page, "document.querySelectorAll('#needs tr[data-break]').length === 1")
    culprit = Break.objects.get().suspect.sha
    assert world.truth() == [(culprit, None)]
    sees(page, "document.querySelectorAll('#brackets g').length > 0")
    sees(page, f"document.getElementById('{culprit}').classList.contains('sus')")
    sees(page, "document.querySelector('#needs tr[data-break]').textContent.includes('test_graph_break')")
    line = page.locator("#needs tr[data-break]").inner_text()
    assert culprit[:7] in line
    assert "Likely: " in line

    # They open it; the page says what is missing.
    page.keyboard.press("n")
    sees(page, f"document.activeElement.closest('tr')?.id === '{culprit}'")
    tab_to_break = "#needs tr[data-break] .w a"
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    tab_to(page, tab_to_break)
    page.keyboard.press("Enter")
    page.wait_for_url("**/break/1")
    assert "test_graph_break" in page.locator(".verdict h1").inner_text()
    assert "Why not yet" in page.locator("#main").inner_text()

    # R asks for what would settle it; it runs, and now the verdict is sure.
    page.keyboard.press("r")
    page.wait_for_selector(".told")
    assert "re-run" in page.locator(".told").inner_text()
    assert page.locator(".fates .fate").count() == Write.objects.count() > 0
    world.send_writes()
    sees(page, "[...document.querySelectorAll('.fate .tag')].every(tag => tag.textContent === 'done')")
    for _ in range(4):
        world.pass_time(25)
        if Break.objects.get().decision == "revert":
            break
    sees(page, "document.querySelector('.verdict .say').textContent.includes('Sure.')")
    assert Break.objects.get().culprit.sha == culprit

    # V asks why, shows what would go out, and Enter sends it.
    page.keyboard.press("v")
    tab_to(page, "#revert [name=why]")
    page.keyboard.type("breaks the fusion tests")
    page.keyboard.press("Enter")
    page.wait_for_url("**/break/1/revert")
    draft = page.locator("pre.draft").inner_text()
    assert culprit in draft
    assert "breaks the fusion tests" in draft
    assert "test_graph_break" in draft
    assert not Write.objects.filter(kind="revert_pull").exists()
    page.keyboard.press("Enter")
    page.wait_for_url("**/break/1")
    newest = page.locator(".fates .fate").first
    assert "queued" in newest.inner_text()
    assert newest.get_by_role("button", name="Undo").is_visible()
    assert Write.objects.get(kind="revert_pull").due_at > timezone.now() + timedelta(seconds=30)
    world.send_writes(hurry=True)
    sees(page, "document.querySelector('.fates .fate .tag').textContent === 'done'")
    assert page.locator(".fates .fate").first.get_by_role("link", name="on GitHub").is_visible()

    # The simulated maintainer merges the revert, trunk turns green, and the break closes by itself.
    for _ in range(6):
        world.pass_time(20)
        if Break.objects.get().closed_at:
            break
    assert world.truth() == [(culprit, Branch.objects.get(repository=world.repository, name="main").head_sha)]
    sees(page, "document.querySelector('.verdict .say .tag').textContent === 'fixed'")
    assert page.locator(".life .to-come").count() == 0
    one = Break.objects.get()
    times = (one.broke_at, one.noticed_at, one.acknowledged_at, one.culprit_at, one.revert_asked_at, one.reverted_at,
             one.green_at, one.closed_at)  # fmt: skip
    assert None not in times
    assert one.state == "fixed"
    page.keyboard.press("u")
    page.wait_for_selector("html:not(.arriving)")
    sees(page, "document.querySelector('#needs').textContent.includes('Trunk is green.')")
    assert page.locator("#brackets g").count() == 0

    # Who did what stands in the audit log.
    tab_to(page, ".account summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit")
    told = [row.inner_text() for row in page.locator(".log li").all()]
    revert = next(row for row in told if "break.revert" in row)
    assert "@oakapple" in revert
    assert "breaks the fusion tests" in revert
    assert any("break.rerun" in row and "@oakapple" in row for row in told)
