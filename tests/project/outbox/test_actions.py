"""Asking for a write, undoing it, trying again: by one person, by two, and too late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from project import outbox
from tests.project.outbox.fake import REPO, A, Fake

Queue = Callable[..., Any]


def person(name: str) -> Any:
    from project.accounts.models import User

    return User.objects.create_user(name)


@pytest.mark.django_db
def test_the_same_key_gives_the_same_row_and_says_who_was_first(queue: Queue) -> None:
    ada, sunil = person("ada"), person("sunil")
    first = queue(key="revert:1", by=ada)
    second = queue(key="revert:1", by=sunil, payload={"number": 8, "body": "Mine!"})
    assert first.is_new
    assert not second.is_new
    assert second.pk == first.pk
    assert second.by_login == "ada"
    assert second.payload == {"number": 7, "body": "Trunk is red."}


@pytest.mark.django_db
def test_what_failed_or_was_undone_is_taken_up_again_by_a_person_only(queue: Queue, github: Fake) -> None:
    from project.outbox.deliver import deliver

    ada = person("ada")
    github.trouble = ["404"]
    first = queue(key="k")
    deliver(first.pk)
    assert queue(key="k").state == "failed"  # a machine would ask for ever
    again = queue(key="k", by=ada, payload={"number": 8, "body": "Again."})
    assert again.is_new
    assert (again.pk, again.state, again.by_login) == (first.pk, "queued", "ada")
    assert (again.payload["number"], again.problem, again.http_status, again.done_at) == (8, "", None, None)
    assert outbox.cancel(again, by=None)
    assert queue(key="k", by=ada).state == "queued"


@pytest.mark.django_db
def test_undo_in_time_and_too_late(queue: Queue, github: Fake) -> None:
    from project.audit.models import Entry
    from project.outbox.deliver import deliver, due

    ada = person("ada")
    write = queue(wait=timedelta(seconds=60), by=ada, subject="revert of abc1234")
    assert timedelta(seconds=58) < write.due_at - timezone.now() <= timedelta(seconds=60)
    assert due() == []
    assert deliver(write.pk) == "not due"
    assert outbox.cancel(write, by=ada)
    assert (write.state, write.final) == ("cancelled", True)
    assert not outbox.cancel(write, by=ada)
    entry = Entry.objects.get()
    assert (entry.action, entry.target, entry.repository) == ("write.cancel", f"write {write.pk}", REPO)
    assert entry.detail["subject"] == "revert of abc1234"
    assert outbox.retry(write, by=ada)
    assert not outbox.retry(write, by=ada)
    assert Entry.objects.filter(action="write.retry").count() == 1
    assert deliver(write.pk) == "done"
    assert not outbox.cancel(write, by=ada)
    assert write.state == "done"
    assert len(github.comments) == 1


@pytest.mark.django_db
def test_what_may_have_reached_github_cannot_be_undone(queue: Queue, github: Fake) -> None:
    from project.outbox.deliver import deliver

    github.trouble = ["done+cut"]
    write = queue()
    deliver(write.pk)
    assert not outbox.cancel(write, by=None)
    assert (write.state, write.unsure) == ("queued", True)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("comment", {"number": 7}, "comment: body is missing"),
        ("comment", {"number": "7", "body": "x"}, "comment: number must be a positive whole number, not '7'"),
        ("comment", {"number": 0, "body": "x"}, "number must be a positive whole number"),
        ("comment", {"number": 7, "body": "  "}, "body must be a text that is not empty"),
        ("comment", {"number": 7, "body": "x" * 60_001}, "body has 60001 characters; at most 60000 are possible"),
        ("comment", {"number": 7, "body": "x", "to": 1}, "it has no field 'to'"),
        ("dance", {}, "there is no kind of write named 'dance'"),
        ("update_ref", {"branch": "a..b", "sha": A}, "branch must be the name of a branch"),
        ("update_ref", {"branch": "ok", "sha": "abc"}, "sha must be a full commit sha"),
        ("update_ref", {"branch": "ok", "sha": A, "force": 1}, "force must be true or false"),
        ("add_labels", {"number": 7, "labels": "bug"}, "labels must be a list"),
        ("add_labels", {"number": 7, "labels": ["a"] * 101}, "labels must be a list of at most 100"),
    ],
)
def test_a_bad_payload_is_refused_when_it_is_queued(queue: Queue, kind: str, payload: Any, words: str) -> None:
    with pytest.raises(outbox.BadPayload, match=words.replace("(", r"\(")):
        queue(kind, payload)


@pytest.mark.django_db
@pytest.mark.parametrize("repository", ["tree", "octo/tree/x", "octo/", "o c/t"])
def test_a_repository_is_owner_and_name(queue: Queue, repository: str) -> None:
    with pytest.raises(outbox.BadPayload, match="owner/name"):
        queue(repository=repository)


@pytest.mark.django_db
def test_nul_and_lone_surrogates_do_not_reach_the_database(queue: Queue) -> None:
    write = queue(payload={"number": 7, "body": "a\0b\ud800"}, subject="\0" + "s" * 400)
    write.refresh_from_db()
    assert write.payload["body"].startswith("ab")
    assert "\0" not in write.payload["body"] + write.subject
    write.payload["body"].encode()
    assert len(write.subject) <= 300


@pytest.mark.django_db(transaction=True)
def test_it_belongs_into_a_transaction() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        outbox.queue(kind="comment", key="k", repository=REPO, payload={"number": 1, "body": "x"}, by=None)


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_was_never_asked_for(queue: Queue) -> None:
    def fail() -> None:
        with transaction.atomic():
            queue()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert outbox.summary().queued == 0


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_get_one_row(queue: Queue, broker: Any) -> None:
    start, got = threading.Barrier(2), []

    def ask() -> None:
        try:
            start.wait(5)
            with transaction.atomic():
                write = queue(key="revert:1")
                got.append((write.pk, write.is_new))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({pk for pk, _ in got}) == 1
    assert sorted(is_new for _, is_new in got) == [False, True]
    assert outbox.summary().queued == 1


@pytest.mark.django_db(transaction=True)
def test_a_committed_write_wakes_a_worker(queue: Queue, broker: Any) -> None:
    write = queue()
    (message,) = broker.lrange("outbox", 0, -1)
    assert b"project.outbox.tasks.deliver" in message
    assert outbox.Write.objects.get() == write


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_the_sweep_finds_it(queue: Queue, broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from project.outbox import tasks
    from project.outbox.deliver import due

    def away(*_: Any, **__: Any) -> None:
        raise OSError("no broker")

    with monkeypatch.context() as patch:
        patch.setattr(tasks.deliver, "apply_async", away)
        write = queue()  # and the person notices nothing
    assert broker.llen("outbox") == 0
    assert due() == [write.pk]
    tasks.sweep()
    assert broker.llen("outbox") == 1


@pytest.mark.django_db
def test_the_numbers_for_the_status_page(queue: Queue, github: Fake, django_assert_num_queries: Any) -> None:
    from project.outbox.deliver import deliver

    assert outbox.summary().oldest_queued is None
    deliver(queue().pk)
    queue(wait=timedelta(hours=1))
    assert outbox.summary().oldest_queued is None  # it is not due
    old = queue()
    outbox.Write.objects.filter(pk=old.pk).update(due_at=timezone.now() - timedelta(minutes=3))
    with django_assert_num_queries(1):
        found = outbox.summary()
    assert (found.queued, found.done, found.failed, found.sending, found.cancelled) == (2, 1, 0, 0, 0)
    assert found.oldest_queued == pytest.approx(180, abs=5)
