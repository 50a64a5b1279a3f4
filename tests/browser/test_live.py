"""A webhook comes in, and the cell of an open page changes; what happens to pages when streams break."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from hud.models import Commit, JobName, Repository, Run
from tests.browser.hands import commits, until
from tests.hud.live_site import LiveSite, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]


@pytest.fixture
def reference(transactional_db: None) -> Repository:
    from tests.browser import world

    repository = world.seed()
    Repository.objects.filter(pk=repository.pk).update(github_id=65600975)
    repository.refresh_from_db()
    return repository


@pytest.fixture
def site(reference: Repository) -> Iterator[LiveSite]:
    with running() as site:
        yield site


def job_event(repository: Repository, commit: Commit, name: JobName, run_id: int, conclusion: str, id: int) -> dict:
    """A `workflow_job` delivery: a new attempt of a job has ended."""
    return {
        "action": "completed",
        "workflow_job": {
            "id": id, "run_id": run_id, "run_attempt": 5, "workflow_name": name.configuration.workflow,
            "name": name.name, "head_sha": commit.sha, "head_branch": "main", "status": "completed",
            "conclusion": conclusion, "created_at": "2026-03-04T12:00:00Z", "started_at": "2026-03-04T12:01:00Z",
            "completed_at": "2026-03-04T12:21:00Z", "runner_name": "i-1", "labels": [], "html_url": "",
        },
        "repository": {"id": repository.github_id, "full_name": str(repository)},
    }  # fmt: skip


def pick(commit: Commit) -> tuple[JobName, int]:
    """A job that passed on this commit, in the group CUDA 12.8 sm86, and its workflow run."""
    run = Run.objects.filter(commit=commit, configuration__group="CUDA 12.8 sm86", conclusion=1).first()
    assert run is not None
    return JobName.objects.select_related("configuration").get(pk=run.job_name_id), run.workflow_run_id


def test_a_webhook_changes_a_cell_of_an_open_page_within_a_second(
    reference: Repository, site: LiveSite, page: Any
) -> None:
    page.goto(f"{site.url}/hud/pytorch/pytorch/main?open=cuda-12.8-sm86", wait_until="load")
    page.wait_for_selector("html:not(.arriving)")
    page.wait_for_timeout(1000)
    commit = commits(reference)[7]
    name, run_id = pick(commit)
    slot = name.configuration.slot
    cell = f"document.getElementById('{commit.sha}').cells[{_column(page, slot)}].className"
    before = page.evaluate(cell)
    began = time.monotonic()
    answer = site.deliver("workflow_job", job_event(reference, commit, name, run_id, "failure", 900_000_000_001))
    assert answer.status_code == 202, answer.text
    until(page, f"{cell} !== '{before}'")
    took = time.monotonic() - began
    assert took < 5  # other work may go on here; how fast it is, the bench tells


def _column(page: Any, slot: int) -> int:
    return page.evaluate(
        f"""[...document.querySelectorAll('.names th[data-c]')].findIndex(one => one.dataset.c === '{slot}') + 5"""
    )
