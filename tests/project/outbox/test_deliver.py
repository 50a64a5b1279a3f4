"""Delivery: one effect a key, whatever fails, and words for the person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from project import outbox
from tests.project.outbox.fake import A, B, Fake

pytestmark = pytest.mark.django_db

Queue = Callable[..., Any]


def deliver(write: Any, times: int = 1) -> str:
    from project.outbox.deliver import deliver as once

    how = [once(write.pk) for _ in range(times)][-1]
    write.refresh_from_db()
    return how


def test_a_comment_is_delivered(github: Fake, queue: Queue) -> None:
    from project.outbox.deliver import due

    write = queue(subject="a word")
    assert due() == [write.pk]
    assert deliver(write) == "done"
    (comment,) = github.comments
    assert comment["body"] == f"Trunk is red.\n\n<!-- arborist:{write.marker} -->\n"
    assert (write.state, write.result) == ("done", {"id": 1, "url": comment["html_url"]})
    assert write.done_at is not None
    assert write.tries == 1
    assert github.asked == [("POST", "/issues/7/comments")]  # it was not looked for: nothing had been sent
    assert deliver(write) == "not due"
    assert due() == []


# -- every kind, done once whatever happens to the answer -----------------------------------------------------------

REVERT = {"title": "Revert it", "body": "It broke trunk."}
KINDS: list[tuple[str, dict[str, Any], Callable[[Fake], int]]] = [
    ("comment", {"number": 7, "body": "Red."}, lambda it: len(it.comments)),
    ("merge_bot_comment", {"number": 7, "body": '@bot revert -m "red" -c weird'}, lambda it: len(it.comments)),
    ("create_issue", {"title": "Red", "labels": ["ci"]}, lambda it: len(it.issues)),
    ("revert_pull", {"pull_number": 9, **REVERT}, lambda it: len(it.pulls)),
    ("revert_pull", {"pull_number": 9, "node_id": "PR_9", "draft": True, **REVERT}, lambda it: len(it.pulls)),
    ("rerun_job", {"job_id": 3, "run_id": 2, "expected_attempt": 1}, lambda it: it.reruns),
    ("rerun_failed", {"run_id": 2, "expected_attempt": 1}, lambda it: it.reruns),
    ("rerun_run", {"run_id": 2, "expected_attempt": 1}, lambda it: it.reruns),
    ("update_ref", {"branch": "viable/strict", "sha": A, "create": True}, lambda it: it.pushes),
    ("update_ref", {"branch": "main", "sha": B}, lambda it: it.pushes),
    ("close_issue", {"number": 7}, lambda it: it.states["7"] == "closed"),
    ("close_pull", {"number": 7}, lambda it: it.states["7"] == "closed"),
    ("add_labels", {"number": 7, "labels": ["ci: flaky", "bug"]}, lambda it: it.labels == {"ci: flaky", "bug"}),
]


@pytest.mark.parametrize("trouble", ["", "cut", "502", "done+cut", "done+502", "limit"])
@pytest.mark.parametrize(("kind", "payload", "effects"), KINDS)
def test_each_kind_takes_effect_once(
    github: Fake,
    queue: Queue,
    impatient: None,
    kind: str,
    payload: dict[str, Any],
    effects: Callable[[Fake], int],
    trouble: str,
) -> None:
    github.trouble = [trouble]
    write = queue(kind, payload)
    deliver(write)
    if trouble == "limit":
        assert write.state == "queued"
        assert not write.unsure
        assert "slow down" in write.problem
        type(write).objects.filter(pk=write.pk).update(due_at=timezone.now())
        forget_limits()
    elif trouble:
        assert write.state == "queued"
        assert write.unsure
        assert write.problem.startswith("GitHub ")
    while deliver(write) != "not due":
        pass
    assert write.state == "done"
    assert write.problem == ""
    assert effects(github) == 1
    assert write.url.startswith("https://github.com/") or kind in ("update_ref", "add_labels", *RERUNS)


RERUNS = ("rerun_job", "rerun_failed", "rerun_run")


def forget_limits() -> None:
    import redis
    from django.conf import settings

    from project.github import factory

    factory._parts.clear()
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()


def test_removals_take_effect_and_may_find_nothing_left(github: Fake, queue: Queue, impatient: None) -> None:
    github.labels = {"a b", "c"}
    github.states["7"] = "closed"
    github.comments = [{"id": 5, "body": "x", "created_at": "2026-01-01T00:00:00Z", "updated_at": ""}]
    for kind, payload in (
        ("remove_label", {"number": 7, "labels": ["a b", "gone"]}),
        ("delete_comment", {"comment_id": 5}),
        ("reopen_issue", {"number": 7}),
    ):
        github.trouble = ["done+cut"]
        write = queue(kind, payload)
        deliver(write, times=2)
        assert (kind, write.state) == (kind, "done")
    assert github.labels == {"c"}
    assert github.comments == []
    assert github.states["7"] == "open"


def test_a_rerun_that_somebody_else_started_is_not_started_again(github: Fake, queue: Queue) -> None:
    github.attempt = 2
    write = queue("rerun_failed", {"run_id": 2, "expected_attempt": 1})
    assert deliver(write) == "done"
    assert github.reruns == 0
    assert write.result["already"] is True
    assert write.result["attempt"] == 2


def test_a_branch_is_not_made_unasked(github: Fake, queue: Queue) -> None:
    write = queue("update_ref", {"branch": "viable/strict", "sha": A})
    assert deliver(write) == "failed"
    assert write.problem == "There is no branch viable/strict on GitHub."
    assert github.writes == []


# -- refusals and faults --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "problem"),
    [
        ("401", {"message": "Bad credentials"}, "GitHub refused (401): GitHub does not accept Arborist's token"),
        (
            "403",
            {"message": "Must have admin rights to Repository."},
            "GitHub refused (403): Must have admin rights to Repository.",
        ),
        (
            "404",
            {"message": "Not Found"},
            "GitHub refused (404): it does not exist, or Arborist's token may not see it",
        ),
        ("409", {"message": "Head branch was modified"}, "GitHub refused (409): Head branch was modified."),
        ("410", {"message": "Issues are disabled for this repo"}, "GitHub refused (410): Issues are disabled for"),
        ("422", {"errors": [{"message": "Body is too long"}]}, "GitHub refused (422): Body is too long."),
        ("400", {"message": "\0<script>\ud800" + "x" * 5000}, "GitHub refused (400): <script>"),
    ],
)
def test_a_refusal_fails_at_once_in_githubs_words(
    github: Fake, queue: Queue, status: str, message: dict[str, Any], problem: str
) -> None:
    github.trouble, github.message = [status, status], message
    write = queue()
    assert deliver(write) == "failed"
    assert write.problem.startswith(problem)
    assert len(write.problem) <= 500
    assert write.http_status == int(status)
    assert not write.unsure
    assert len(github.writes) == 1
    assert deliver(write) == "not due"


def test_a_graphql_refusal_fails_in_githubs_words(github: Fake, queue: Queue) -> None:
    write = queue("revert_pull", {"pull_number": 9, "node_id": "PR_8", **REVERT})
    assert deliver(write) == "failed"
    assert write.problem == "GitHub refused (422): Pull request is not merged."
    other = queue("revert_pull", {"pull_number": 7, **REVERT})
    assert deliver(other) == "failed"
    assert other.problem == "GitHub does not show pull request 7 as merged, so it cannot revert it."


def test_faults_are_tried_again_later_and_later_until_it_is_too_late(github: Fake, queue: Queue) -> None:
    github.trouble = ["502"] * 9
    write = queue()
    waits = []
    for _ in range(3):
        deliver(write)
        assert write.state == "queued"
        waits.append((write.due_at - timezone.now()).total_seconds())
        type(write).objects.update(due_at=timezone.now())
    assert 1 < waits[0] <= 4
    assert 7 < waits[2] <= 16
    type(write).objects.update(give_up_at=timezone.now())
    assert deliver(write) == "failed"
    assert write.problem.startswith("Given up after 4 tries. GitHub has a fault of its own")
    assert "look at GitHub" in write.problem
    assert write.unsure
    assert outbox.retry(write, by=None)  # and what is tried again is first looked for
    github.asked.clear()
    github.trouble = []
    assert deliver(write) == "done"
    assert [method for method, _ in github.asked] == ["GET", "POST"]


def test_a_limit_is_obeyed_by_all(github: Fake, queue: Queue) -> None:
    github.trouble = ["limit"]
    first, second = queue(), queue()
    deliver(first)
    deliver(second)
    assert len(github.writes) == 1  # the second was not even sent
    assert {first.state, second.state} == {"queued"}
    assert not second.unsure
    assert second.due_at > timezone.now()


def test_a_write_redirected_on_the_same_host_arrives_elsewhere_it_does_not(
    github: Fake, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.trouble, github.message = ["302"], {}
    write = queue()
    assert deliver(write) == "failed"  # without a Location
    assert "sends this write elsewhere" in write.problem


def test_our_own_fault_is_told_and_the_effect_looked_for(
    github: Fake, queue: Queue, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    from project.github.writes import Writer

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "create_comment", broken)
        write = queue()
        assert deliver(write) == "failed"
    assert write.problem == "A fault of Arborist's own: ZeroDivisionError. The log says more."
    assert write.unsure


# -- telling --------------------------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    from project.outbox import fates

    # What a test registers is gone after it; what the rooms registered goes on hearing.
    monkeypatch.setattr(
        fates, "_told", defaultdict(list, {kind: list(functions) for kind, functions in fates._told.items()})
    )
    heard: list[tuple[int, str]] = []

    def listen(write: Any) -> None:
        assert transaction.get_connection().in_atomic_block
        heard.append((write.pk, write.state))

    outbox.on_fate("comment", listen)
    outbox.on_fate("comment", listen)  # twice is once
    return heard


def test_fates_are_told(github: Fake, queue: Queue, told: list[tuple[int, str]]) -> None:
    done, failed, cancelled = queue(), queue(), queue()
    deliver(done)
    github.trouble = ["404"]
    deliver(failed)
    assert outbox.cancel(cancelled, by=None)
    assert told == [(done.pk, "done"), (failed.pk, "failed"), (cancelled.pk, "cancelled")]


def test_a_listener_that_raises_loses_no_fate(
    github: Fake, queue: Queue, told: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from project.outbox import deliver as delivery

    raising = [True, True, False]

    def grumpy(write: Any) -> None:
        if raising.pop(0):
            raise RuntimeError("not now")

    outbox.on_fate("comment", grumpy)
    monkeypatch.setattr(delivery, "TELL_AGAIN", timedelta(0))
    write = queue()
    assert deliver(write) == "untold"
    assert write.state == "sending"
    assert deliver(write) == "untold"
    assert deliver(write) == "done"
    assert write.result["id"] == 1
    assert len(github.asked) == 1  # GitHub was not asked again
    assert told[-1] == (write.pk, "done")
