"""Deliveries: taken in, understood, stored by the road of polling, whatever order, repeat or trouble they meet."""

from __future__ import annotations

import json
import zlib
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hud import ingest, webhooks
from hud.cells import Outcome
from hud.models import Branch, BranchCommit, Commit, CommitCells, Delivery, DeliveryState, Repository, Run, SyncState
from project.github.webhooks import read_delivery
from tests.hud import worlds
from tests.hud.live_site import signed

GITHUB_ID = 4242


@pytest.fixture
def orchard(db: None) -> Repository:
    repository = worlds.repository(github_id=GITHUB_ID)
    worlds.trunk(repository, 4)
    return repository


def job(id: int, of: int, status: str = "completed", conclusion: str | None = "success", **more: Any) -> dict[str, Any]:
    """A `workflow_job` delivery about the n-th commit."""
    return {
        "action": status,
        "workflow_job": {
            "id": id, "run_id": 900 + of, "run_attempt": 1, "workflow_name": "pull", "name": "linux / build",
            "head_sha": worlds.sha(of), "head_branch": "main", "status": status,
            "conclusion": conclusion if status == "completed" else None, "created_at": "2026-01-05T12:00:00Z",
            "started_at": "2026-01-05T12:01:00Z",
            "completed_at": "2026-01-05T12:20:00Z" if status == "completed" else None, "runner_name": "i-1",
            "labels": [], "html_url": "", **more,
        },
        "repository": {"id": GITHUB_ID, "full_name": "grove/orchard"},
    }  # fmt: skip


def push(of: int, before: int, *, forced: bool = False, more: int = 0, at: int = 1_767_618_000) -> dict[str, Any]:
    """A `push` of the n-th commit to main."""
    commits = [
        {"id": worlds.sha(n), "message": f"Change {n}", "timestamp": "2026-01-05T12:00:00Z",
         "author": {"name": "Ash", "username": "ash"}}
        for n in range(of - more, of + 1)
    ]  # fmt: skip
    return {
        "ref": "refs/heads/main", "before": worlds.sha(before), "after": worlds.sha(of), "forced": forced,
        "deleted": False, "created": False, "commits": commits,
        "repository": {"id": GITHUB_ID, "full_name": "grove/orchard", "pushed_at": at},
    }  # fmt: skip


def take_in(event: str, data: dict[str, Any], guid: str = "") -> str:
    """Store a delivery as the view would; returns its GUID."""
    body = json.dumps(data).encode()
    headers = signed(body, event, guid)
    webhooks.take_in([read_delivery(headers, body)])
    return headers["x-github-delivery"]


def process() -> None:
    for github_id in webhooks.waiting():
        webhooks.process(github_id, gather=0)


def square(repository: Repository, of: int) -> str:
    return Outcome(CommitCells.objects.get(commit__sha=worlds.sha(of), commit__repository=repository).cells[0]).name


def test_a_job_that_a_webhook_tells_of_is_stored_as_polling_would_store_it(orchard: Repository) -> None:
    guid = take_in("workflow_job", job(1, 2, conclusion="failure"))
    process()
    assert square(orchard, 2) == "FAILED"
    delivery = Delivery.objects.get(guid=guid)
    assert (delivery.state, bytes(delivery.body)) == (DeliveryState.DONE, b"")
    assert delivery.processed_at is not None


def test_a_repeat_is_taken_in_once(orchard: Repository) -> None:
    guid = take_in("workflow_job", job(1, 2))
    take_in("workflow_job", job(1, 2), guid)
    process()
    take_in("workflow_job", job(1, 2), guid)
    assert Delivery.objects.count() == 1
    assert Delivery.objects.get().state == DeliveryState.DONE


def test_one_that_failed_is_taken_in_again_when_it_is_sent_again(orchard: Repository) -> None:
    broken = job(1, 2)
    del broken["workflow_job"]["run_id"]
    guid = take_in("workflow_job", broken)
    process()
    failed = Delivery.objects.get()
    assert failed.state == DeliveryState.FAILED
    assert failed.reason == "job: run_id is missing"
    take_in("workflow_job", job(1, 2), guid)
    process()
    again = Delivery.objects.get()
    assert (again.state, again.tries) == (DeliveryState.DONE, 2)
    assert square(orchard, 2) == "PASSED"


def test_one_that_cannot_be_stored_stops_no_other(orchard: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ingest.store

    def poisoned(repository_id: int, batch: ingest.Batch) -> ingest.Stored:
        if any(one.id == 2 for one in batch.jobs):
            raise ValueError("poison")
        return store(repository_id, batch)

    monkeypatch.setattr(ingest, "store", poisoned)
    for id, of in ((1, 1), (2, 2), (3, 3)):
        take_in("workflow_job", job(id, of))
    process()
    assert set(Run.objects.values_list("id", flat=True)) == {1 << 2, 3 << 2}
    assert Delivery.objects.get(state=DeliveryState.FAILED).reason.startswith("it could not be stored: ValueError")
    assert Delivery.objects.filter(state=DeliveryState.DONE).count() == 2


def test_a_batch_is_stored_at_once(orchard: Repository, django_assert_max_num_queries: Any) -> None:
    for id in range(40):
        take_in("workflow_job", job(id + 1, 2, name=f"linux-{id} / build"))
    with django_assert_max_num_queries(60):
        webhooks.process(GITHUB_ID, gather=0)
    assert Run.objects.count() == 40


@pytest.mark.parametrize(
    ("event", "change", "reason"),
    [
        ("workflow_job", {"repository": {"id": 1, "full_name": "some/one"}}, "some/one is not watched"),
        ("star", {}, "the event star tells nothing that Arborist shows"),
        ("check_suite", {}, "its check runs and workflow runs are told one by one"),
    ],
)
def test_what_is_not_for_us_is_set_aside_and_counted(
    orchard: Repository, event: str, change: dict[str, Any], reason: str
) -> None:
    take_in(event, job(1, 2) | change)
    process()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.reason) == (DeliveryState.IGNORED, reason)
    assert not Run.objects.exists()


def test_jobs_of_pull_requests_are_not_stored(orchard: Repository) -> None:
    take_in("workflow_job", job(1, 2, head_sha="d" * 40, head_branch="feature"))
    process()
    assert Delivery.objects.get().state == DeliveryState.IGNORED
    assert not Commit.objects.filter(sha="d" * 40).exists()


def test_a_job_told_before_its_push_waits_on_a_held_place(orchard: Repository) -> None:
    take_in("workflow_job", job(1, 4, conclusion="failure"))
    take_in("push", push(4, 3))
    process()
    assert BranchCommit.objects.order_by("-position").first().commit.sha == worlds.sha(4)
    assert square(orchard, 4) == "FAILED"


@pytest.mark.parametrize("extra", [{"more": 1}, {"forced": True}])
def test_a_push_that_does_not_tell_all_has_the_commits_polled(orchard: Repository, extra: dict[str, Any]) -> None:
    SyncState.objects.create(repository=orchard, kind="commits", due_at=timezone.now() + timedelta(hours=1))
    take_in("push", push(5, 3, **extra))
    process()
    assert Branch.objects.get(name="main").head_sha == worlds.sha(3)
    assert SyncState.objects.get(kind="commits").due_at <= timezone.now()


def test_an_older_push_that_comes_later_does_not_move_the_branch_back(orchard: Repository) -> None:
    take_in("push", push(5, 4, at=1_767_618_001))
    process()
    take_in("push", push(4, 3, at=1_767_618_000))
    process()
    assert Branch.objects.get(name="main").head_sha == worlds.sha(5)
    assert BranchCommit.objects.count() == 6


def test_old_deliveries_are_forgotten_but_not_those_that_wait(orchard: Repository) -> None:
    take_in("workflow_job", job(1, 2))
    process()
    take_in("workflow_job", job(2, 2))
    assert webhooks.forget_old(timezone.now() + timedelta(days=8)) == 1
    assert zlib.decompress(bytes(Delivery.objects.get().body))
