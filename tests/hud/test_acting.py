"""What people do about a break: one effect, told to both, in the audit log; and what they are refused."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from hud import remedies, signals
from hud.models import Break, BreakState, Configuration, Judgement, Repository, RevertWay, Signal
from hud.reverting import Asked, CannotRevert, draft
from project import outbox
from project.accounts import roles
from project.accounts.models import User
from project.accounts.roles import Role
from project.audit.models import Entry
from tests.hud import worlds as w
from tests.hud.test_breaks import play

BASE = "/hud/grove/orchard"


@pytest.fixture
def broken(db) -> Break:
    repository = w.repository()
    w.trunk(repository, 8)
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    return Break.objects.get()


def person(name: str = "ash", role: Role | None = Role.TREE_HUGGER) -> User:
    found = User.objects.create(username=name)
    if role:
        roles.grant(found, role, by=None)
    return found


@pytest.fixture
def ash(db) -> User:
    return person()


@pytest.fixture
def hugger(client, ash):
    client.force_login(ash)
    return client


def press(client, one: Break, act: str, **fields: object):
    return client.post(f"{BASE}/break/{one.number}/{act}", fields, follow=True)


def now(one: Break) -> Break:
    return Break.objects.get(pk=one.pk)


def test_acknowledge_own_note_issue(hugger, ash, broken) -> None:
    assert "Acknowledged." in press(hugger, broken, "acknowledge").content.decode()
    press(hugger, broken, "own")
    press(hugger, broken, "note", note="Looks like a land race.")
    press(hugger, broken, "issue", url="https://github.com/grove/orchard/issues/7")
    one = now(broken)
    assert (one.state, one.acknowledged_by, one.owner) == (BreakState.ACKNOWLEDGED, ash, ash)
    assert one.note == "Looks like a land race."
    assert one.issue_url.endswith("/issues/7")
    assert list(Entry.objects.filter(target="break 1").order_by("pk").values_list("action", flat=True)) == [
        "break.acknowledge", "break.own", "break.note", "break.issue"
    ]  # fmt: skip


def test_who_comes_second_is_told_who_was_first(hugger, client, broken) -> None:
    press(hugger, broken, "acknowledge")
    client.force_login(person("birch"))
    assert "@ash acknowledged this before you." in press(client, broken, "acknowledge").content.decode()
    assert Entry.objects.filter(action="break.acknowledge").count() == 1


def test_a_stale_take_over_loses_politely(hugger, client, broken) -> None:
    seen = broken.version
    press(hugger, broken, "own", version=seen)
    client.force_login(person("birch"))
    assert "@ash took this before you." in press(client, broken, "own", version=seen).content.decode()
    assert now(broken).owner.username == "ash"
    press(client, broken, "own", version=now(broken).version)
    assert now(broken).owner.username == "birch"


@pytest.mark.parametrize(
    "act", ["acknowledge", "own", "note", "issue", "dismiss", "reopen", "opinion", "rerun", "revert"]
)
def test_nobody_acts_without_the_role(client, broken, act) -> None:
    assert client.post(f"{BASE}/break/1/{act}", {"why": "because it broke", "send": 1}).status_code in (302, 401)
    client.force_login(person("elm", Role.TRIAGER))
    answer = client.post(f"{BASE}/break/1/{act}", {"why": "because it broke", "send": 1})
    assert answer.status_code == 403
    assert "tree hugger" in answer.content.decode()
    assert not Entry.objects.filter(target="break 1").exists()
    assert not outbox.Write.objects.exists()


def test_without_csrf_nothing_is_done(broken, ash) -> None:
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ash)
    assert strict.post(f"{BASE}/break/1/acknowledge").status_code == 403
    assert now(broken).acknowledged_at is None


def test_dismissed_and_open_again(hugger, broken) -> None:
    assert "say why" in press(hugger, broken, "dismiss").content.decode()
    press(hugger, broken, "dismiss", why="known, expected")
    assert now(broken).state == BreakState.NOT_A_BREAK
    play(broken.repository, ("build", 3, "failure"), start=30)
    assert now(broken).state == BreakState.NOT_A_BREAK
    press(hugger, broken, "reopen")
    assert now(broken).closed_at is None


def test_an_opinion_decides(hugger, broken) -> None:
    press(hugger, broken, "opinion", says="related", sha=broken.suspect.sha, why="bisected by hand")
    one = now(broken)
    assert one.culprit == broken.suspect
    assert Signal.objects.get().decision == "revert"
    assert "said the same before you" in press(hugger, one, "opinion", says="related").content.decode()
    press(hugger, one, "withdraw", opinion=Judgement.objects.get().pk)
    assert Signal.objects.get().decision == "restart"


def test_a_revert_is_previewed_then_sent_once(hugger, broken) -> None:
    preview = hugger.post(f"{BASE}/break/1/revert", {"classification": "nosignal", "why": "It broke the build"})
    page = preview.content.decode()
    assert "This reverts commit" in page
    assert "Revert &quot;Change 1 (#101)&quot;" in page
    assert not outbox.Write.objects.exists()
    sent = {"classification": "nosignal", "why": "It broke the build", "send": "1"}
    press(hugger, broken, "revert", **sent)
    again = press(hugger, broken, "revert", **sent).content.decode()
    assert "asked for this revert before you" in again
    write = outbox.Write.objects.get()
    assert write.kind == "revert_pull"
    assert write.payload["pull_number"] == 101
    assert (write.due_at - write.created_at).total_seconds() > 50
    one = now(broken)
    assert (one.state, one.revert_write, one.classification) == (BreakState.REVERTING, write.pk, "nosignal")


def test_an_undone_revert_opens_the_break_again(hugger, broken, ash) -> None:
    press(hugger, broken, "revert", classification="weird", why="It broke the build", send="1")
    assert outbox.cancel(outbox.Write.objects.get(), by=ash)
    assert now(broken).state == BreakState.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"classification": "nosignal", "why": "bad"}, "three words"),
        ({"classification": "because", "why": "It broke the build"}, "Choose the kind"),
    ],
)
def test_a_revert_that_says_too_little_is_refused(hugger, broken, fields, words) -> None:
    answer = hugger.post(f"{BASE}/break/1/revert", fields)
    assert answer.status_code == 422
    assert words.replace("three", "3") in answer.content.decode() or words in answer.content.decode()
    press(hugger, broken, "revert", **fields, send="1")
    assert not outbox.Write.objects.exists()


def asked(way: str, **more: object) -> Asked:
    fields = {
        "way": way, "sha": "a" * 40, "title": 'Say "hi" (#7)', "pr_number": 7, "trunk": "main", "head": "b" * 40,
        "classification": "landrace", "why": 'It broke "everything" \n again', "bot": "pytorchbot",
        "evidence": ("3 failures since, 2 successes before.",), "address": "https://arborist.example/hud/o/r/break/1",
    } | more  # fmt: skip
    return Asked(**fields)  # type: ignore[arg-type]


def test_the_command_to_the_merge_bot_is_one_line_of_its_grammar() -> None:
    found = draft(asked(RevertWay.BOT))
    assert found.kind == "merge_bot_comment"
    assert found.payload["number"] == 7
    assert found.body.startswith("@pytorchbot revert -m \"It broke 'everything' again")
    assert found.body.endswith('" -c landrace')
    assert found.body.count('"') == 2
    assert "\n" not in found.body


def test_a_revert_commit_names_trunk_and_head() -> None:
    found = draft(asked(RevertWay.GIT))
    assert found.kind == "revert_commit"
    assert found.payload["onto"] == "b" * 40
    assert outbox.Write  # the payload is one that the outbox takes:
    from project.outbox.kinds import checked

    checked(found.kind, found.payload)
    checked("revert_pull", draft(asked(RevertWay.GITHUB)).payload)


@pytest.mark.parametrize("way", [RevertWay.GITHUB, RevertWay.BOT])
def test_without_a_pull_request_two_ways_are_closed(way) -> None:
    with pytest.raises(CannotRevert):
        draft(asked(way, pr_number=None))


def test_exactly_what_the_verdict_asks_for_is_run_again(hugger, broken) -> None:
    signal = Signal.objects.get()
    assert set(signal.restart) == {w.sha(1), w.sha(0)}
    press(hugger, broken, "rerun")
    press(hugger, broken, "rerun")
    writes = {write.payload["run_id"]: write for write in outbox.Write.objects.all()}
    assert sorted(writes) == [1001, 1002]
    assert writes[1002].kind == "rerun_job"
    assert writes[1002].payload == {"job_id": 2, "run_id": 1002, "expected_attempt": 1}


def test_a_repository_may_have_it_done_by_itself_but_not_impatiently(broken) -> None:
    at = timezone.now()
    repository = broken.repository
    assert remedies.rerun_by_itself(repository=repository, now=at) == 2
    assert remedies.rerun_by_itself(repository=repository, now=at) == 0
    w.store(
        repository,
        w.workflow_run(1001, "success", of=0, attempt=2),
        w.job(20, "build", "success", of=0, run=1001, attempt=2, start=1.5, end=9),
    )
    assert w.sha(0) in Signal.objects.get().restart  # it ran before the failure, so it says nothing about the machines
    assert remedies.rerun_by_itself(repository=repository, now=at + timedelta(minutes=5)) == 0
    assert remedies.rerun_by_itself(repository=repository, now=at + timedelta(minutes=25)) == 1
    assert now(broken).writes == list(outbox.Write.objects.order_by("pk").values_list("pk", flat=True))


def test_what_is_still_running_is_said(hugger, broken) -> None:
    w.store(broken.repository, w.workflow_run(1002, "in_progress", of=1, attempt=2))
    assert f"{w.sha(1)[:7]} is still running." in press(hugger, broken, "rerun").content.decode()


def test_a_configuration_marked_unstable_breaks_nothing(hugger, broken) -> None:
    column = Configuration.objects.get()
    hugger.post(f"{BASE}/column/{column.slot}/unstable", {"why": "flaky machines"})
    column.refresh_from_db()
    assert column.unstable
    assert not Signal.objects.get().red
    one = now(broken)
    assert (one.state, one.code, one.green_at) == (BreakState.NOT_A_BREAK, "unstable", None)
    assert "marked unstable" in hugger.get(f"{BASE}/break/1").content.decode()
    hugger.post(f"{BASE}/column/{column.slot}/unstable", {"off": "1"})
    assert Signal.objects.get().red


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_make_one_revert() -> None:
    repository = w.repository()
    w.trunk(repository, 8)
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    one = Break.objects.get()
    people = [person("ash"), person("birch")]
    told = []
    start = threading.Barrier(2)

    def both(by: User) -> None:
        start.wait()
        told.append(
            remedies.revert(
                repository=Repository.objects.get(), commit=one.suspect, classification="nosignal",
                why="It broke the build", by=by, one=one,
            )
        )  # fmt: skip
        connection.close()

    threads = [threading.Thread(target=both, args=(by,)) for by in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.done for one in told) == [False, True]
    assert outbox.Write.objects.count() == 1
    assert Entry.objects.filter(action="break.revert").count() == 1
    loser = next(one for one in told if not one.done)
    assert f"@{outbox.Write.objects.get().by_login}" in loser.words
    signals.sweep(repository.pk)
