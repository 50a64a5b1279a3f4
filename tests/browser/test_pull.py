"""A pull request's page under a person's hands: the answer, the keys, the pushes, and the page that fills by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hud.models import Commit, JobLog, LogState, PullHead, PullRequest, Repository, Run
from tests.browser.hands import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
PULL = "/hud/pytorch/pytorch/pull/4711"
Show = Callable[[str], Any]


@pytest.fixture
def show(live_server: Any, page: Any) -> Show:
    """Call it with an address for the page there, its script running."""

    def goto(address: str) -> Any:
        page.goto(live_server.url + address, wait_until="load")
        return page

    return goto


def open_pull(repository: Repository, *, read: bool = True) -> PullRequest:
    """A pull request whose head is a commit with failures; its merge base is the one before."""
    commits = list(Commit.objects.filter(repository=repository).order_by("-branchcommit__position")[:9])
    now = timezone.now()
    pull = PullRequest.objects.create(
        repository=repository, number=4711, title="[inductor] Fuse split-K epilogue", author="tsuzuki", base_ref="main",
        head_ref="fuse", head_sha=commits[5].sha, created_at=now - timedelta(hours=5), asked_at=now,
        updated_at=now if read else None, read_at=now if read else None, labels=["module: inductor"],
    )  # fmt: skip
    if not read:
        return pull
    for place, (commit, base, gone) in enumerate([(commits[5], commits[6], False), (commits[4], commits[5], True)]):
        PullHead.objects.create(
            pull=pull, sha=commit.sha, title=commit.title, merge_base=base.sha, read_at=now, pushed_at=now,
            place=None if gone else place, replaced_at=now if gone else None,
        )  # fmt: skip
    failed = Run.objects.filter(commit__in=commits, conclusion=2).select_related("configuration")
    JobLog.objects.bulk_create(
        JobLog(
            run_id=run.pk, repository=repository, commit_id=run.commit_id, configuration_id=run.configuration_id,
            failed_at=run.completed_at, state=LogState.READ, rule="pytest", category="test",
            key=f"split{run.commit_id}" if "sm86" in run.configuration.name else f"key{run.configuration_id}",
            line_number=18204,
            line="FAILED [0.81s] inductor/test_split_k.py::SplitKTests::test_epilogue_fp16 - AssertionError",
            context={
                "before": ['  File "torch/_inductor/select_algorithm.py", line 1284', "    return self.store(acc)"],
                "after": ["  Mismatched elements: 37 / 4096 (0.9%)"],
            },
        )
        for run in failed
    )  # fmt: skip
    return pull


def test_the_answer_and_the_keys(reference: Repository, show: Show) -> None:
    open_pull(reference)
    page = show(PULL)
    assert page.locator("#answer").inner_text().startswith("Yes: ")
    cards = page.locator(".job.full")
    assert cards.first.locator(".tag").inner_text() == "new"
    page.keyboard.press("x")
    assert page.evaluate("document.activeElement === document.querySelector('.job.full')")
    page.keyboard.press("x")
    assert page.evaluate("[...document.querySelectorAll('.job.full, .grp li')].indexOf(document.activeElement)") == 1
    page.keyboard.press("l")
    page.wait_for_url("**/job/*#L18204")
    page.go_back()
    page.keyboard.press("h")
    page.wait_for_url("**/column/*")


def test_one_goes_from_push_to_push(reference: Repository, show: Show) -> None:
    pull = open_pull(reference)
    page = show(PULL)
    page.keyboard.press("j")
    page.wait_for_url("**head=*")
    gone = pull.heads.get(place=None)
    assert gone.sha in page.url
    assert "not its newest commit" in page.locator(".verdict").inner_text()
    page.keyboard.press("k")
    page.wait_for_url(f"**head={pull.head_sha}")
    page.keyboard.press("u")
    page.wait_for_url("**/pytorch/pytorch/main")


def test_the_page_fills_by_itself(reference: Repository, show: Show) -> None:
    waiting = open_pull(reference, read=False)
    page = show(PULL)
    assert "Reading #4711 from GitHub" in page.locator("h1").inner_text()
    waiting.delete()
    open_pull(reference)
    until(page, "document.getElementById('answer')")
    assert page.locator("#answer").inner_text().startswith("Yes: ")


def test_what_stays_the_same_is_not_swapped(reference: Repository, show: Show) -> None:
    open_pull(reference)
    PullRequest.objects.update(read_at=timezone.now() - timedelta(minutes=5), asked_at=timezone.now())
    page = show(PULL)
    page.keyboard.press("x")
    with page.expect_response(lambda response: "seen=" in response.url) as answer:
        pass
    assert answer.value.status == 204
    assert page.evaluate("document.activeElement.matches('.job.full')")


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen(reference: Repository, show: Show, page: Any, width: int) -> None:
    open_pull(reference)
    page.set_viewport_size({"width": width, "height": 844})
    show(PULL)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
