"""Alerts: told once, over real HTTP, in words; held at night; never with a part of the secret address."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from hud import alert_words, alerts, announcing
from hud.models import Alert, AlertRule, AlertState, Break, Commit, LastGood
from project.audit.models import Entry
from tests.hud import worlds
from tests.hud.worlds import T0

EVERYTHING = ["trunk_broke", "culprit", "last_good_stuck", "write_failed"]


class Receiver:
    """A chat server: keeps what it is told, answers as it is asked to."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []
        self.status = 200
        self.delay = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(receiver.delay)
                if receiver.status == 200:
                    receiver.told.append(json.loads(body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def target(self) -> str:
        return f"json://anna:s3cret-word@127.0.0.1:{self.server.server_address[1]}/hook-t0ken-xyz"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def repository(db):
    found = worlds.repository()
    worlds.trunk(found, 3)
    return found


@pytest.fixture
def rule(db, receiver):
    return AlertRule.objects.create(name="chat", events=EVERYTHING, target=receiver.target)


def a_break(repository, number=7, **fields) -> Break:
    suspect = Commit.objects.get(repository=repository, sha=worlds.sha(2))
    return Break.objects.create(
        **{"repository": repository, "number": number, "title": "linux / build fails in 3 configurations",
           "decision": "revert", "code": "confirmed", "suspect": suspect, "broke_at": timezone.now(),
           "noticed_at": timezone.now(), "failure_line": "error: no member named 'x'", **fields}
    )  # fmt: skip


def only() -> Alert:
    return Alert.objects.get()


def later(**delta):
    return timezone.now() + timedelta(**delta)


class TestTelling:
    def test_a_break_is_told_once_in_words(self, repository, rule, receiver, settings):
        settings.SITE_URL = "https://arborist.example.org"
        broken = a_break(repository)
        for _ in range(3):
            alerts.trunk_broke(broken)
        assert alerts.deliver() == 1
        assert alerts.deliver() == 0
        (told,) = receiver.told
        assert told["title"] == "grove/orchard main is broken"
        assert told["message"].splitlines() == [
            "linux / build fails in 3 configurations",
            "error: no member named 'x'",
            f"Suspect: {worlds.sha(2)[:7]} Change 2 (#102) (by ash)",
            "https://arborist.example.org/hud/grove/orchard/break/7",
        ]
        assert (only().state, only().tries, only().problem) == ("sent", 1, "")

    def test_the_culprit_too(self, repository, rule, receiver):
        broken = a_break(repository)
        alerts.culprit_confirmed(broken)  # and it is taken back before it is told
        assert alerts.deliver() == 0
        assert only().problem.startswith("The culprit was taken back")
        other = a_break(repository, 8, culprit=broken.suspect)
        alerts.culprit_confirmed(other)
        assert alerts.deliver() == 1
        assert receiver.told[0]["title"] == f"{worlds.sha(2)[:7]} broke grove/orchard main"

    def test_a_failed_write(self, repository, rule, receiver):
        alerts.write_failed(repository, 12, "revert of abc1234: GitHub refused (403)")
        alerts.deliver()
        assert receiver.told[0]["title"] == "A write to GitHub of grove/orchard failed"
        assert receiver.told[0]["message"] == "revert of abc1234: GitHub refused (403)"

    def test_only_rules_that_want_to_know(self, repository, receiver):
        other = worlds.repository("grove/meadow")
        for name, fields in {
            "mine": {"repository": repository}, "everybody's": {}, "another's": {"repository": other},
            "other events": {"events": ["write_failed"]}, "off": {"enabled": False},
        }.items():  # fmt: skip
            AlertRule.objects.create(**{"name": name, "events": EVERYTHING, "target": receiver.target, **fields})
        alerts.trunk_broke(a_break(repository))
        assert sorted(Alert.objects.values_list("rule__name", flat=True)) == ["everybody's", "mine"]

    def test_a_break_that_is_over_is_not_told(self, repository, rule, receiver):
        alerts.trunk_broke(a_break(repository, closed_at=timezone.now()))
        assert alerts.deliver() == 0
        assert (only().state, only().problem) == ("dropped", "It was over before it could be told.")
        assert not receiver.told

    def test_merged_breaks_are_told_once(self, repository, rule, receiver):
        root = a_break(repository, 1)
        parts = [a_break(repository, 2, merged_into=root), a_break(repository, 3)]
        parts[1].merged_into = parts[0]  # a chain of them
        parts[1].save()
        for part in parts:
            alerts.trunk_broke(part)
        assert alerts.deliver() == 1
        assert receiver.told[0]["message"].endswith("/break/1")
        alerts.trunk_broke(root)
        assert alerts.deliver() == 0
        assert len(receiver.told) == 1

    def test_nobody_is_called_by_a_strangers_text(self, repository, rule, receiver):
        alerts.trunk_broke(a_break(repository, title="@channel <!everyone> \x1b[31m\nnew line" + "x" * 400))
        alerts.deliver()
        first = receiver.told[0]["message"].splitlines()[0]
        assert "@channel" not in first
        assert "<!everyone" not in first
        assert "\x1b" not in first
        assert len(first) <= alert_words.LONGEST


class TestStuck:
    @pytest.fixture
    def stuck(self, repository):
        LastGood.objects.all().delete()
        return LastGood.objects.create(
            repository=repository, sha=worlds.sha(0), position=0, behind=2, blocking=1, judged_at=timezone.now(),
            stuck_since=later(hours=-5), blocked=[{"name": "pull / linux / build", "still": True}],
        )  # fmt: skip

    def test_after_each_rules_own_hours_and_once(self, repository, rule, receiver, stuck):
        AlertRule.objects.create(name="patient", events=EVERYTHING, target=receiver.target, stuck_hours=24)
        for _ in range(2):
            alerts.watch_last_good()
            alerts.deliver()
        (told,) = receiver.told
        assert told["title"] == "Nothing on grove/orchard main has been good for 5 h 0 min"
        assert "Blocked by pull / linux / build" in told["message"]
        assert told["message"].endswith("/hud/grove/orchard/last-good")

    def test_not_when_it_has_moved_meanwhile_but_again_when_stuck_anew(self, repository, rule, receiver, stuck):
        alerts.watch_last_good()
        LastGood.objects.update(sha=worlds.sha(1))
        assert alerts.deliver() == 0
        alerts.watch_last_good()
        assert alerts.deliver() == 1
        assert receiver.told[0]["message"].startswith(f"Last good is {worlds.sha(1)[:7]}")

    def test_not_before(self, repository, rule, stuck):
        LastGood.objects.update(stuck_since=later(hours=-3))
        alerts.watch_last_good()
        LastGood.objects.update(stuck_since=None)
        alerts.last_good_stuck(repository)
        assert not Alert.objects.exists()


class TestTrouble:
    def test_a_refusal_is_retried_later_and_its_words_hold_no_secret(self, repository, rule, receiver, caplog):
        caplog.set_level(logging.DEBUG)
        receiver.status = 503
        alerts.trunk_broke(a_break(repository))
        assert alerts.deliver() == 0
        found = only()
        assert (found.state, found.tries) == ("waiting", 1)
        assert "503" in found.problem
        assert found.due_at > later(seconds=10)
        assert alerts.deliver() == 0
        receiver.status = 200
        assert alerts.deliver(later(minutes=1)) == 1
        for secret in ("s3cret-word", "t0ken", "anna", str(receiver.server.server_address[1])):
            assert secret not in found.problem
            assert secret not in caplog.text

    def test_after_the_last_try_it_has_failed_and_can_be_taken_up(self, repository, rule, receiver):
        receiver.status = 404
        alerts.trunk_broke(a_break(repository))
        for n in range(20):
            alerts.deliver(later(days=n))
        assert (only().state, only().tries) == ("failed", alerts.MOST_TRIES)
        receiver.status = 200
        assert alerts.retry([only()]) == 1
        assert alerts.deliver() == 1

    def test_nobody_listens(self, repository, rule, free_port):
        AlertRule.objects.update(target=f"json://127.0.0.1:{free_port()}/")
        alerts.trunk_broke(a_break(repository))
        alerts.deliver()
        assert only().state == "waiting"
        assert "127.0.0.1" not in only().problem

    def test_a_lease_that_is_over_is_taken_up_and_says_that_it_may_repeat(self, repository, rule, receiver):
        alerts.trunk_broke(a_break(repository))
        Alert.objects.update(state=AlertState.SENDING, tries=1, due_at=later(seconds=60))
        assert alerts.deliver() == 0  # somebody else has it
        assert alerts.deliver(later(seconds=61)) == 1
        assert alerts.MAYBE_TOLD in receiver.told[0]["message"]

    def test_a_worker_that_comes_back_after_its_lease_changes_nothing(self, repository, rule, receiver):
        alerts.trunk_broke(a_break(repository))
        mine = alerts._take(timezone.now())
        assert alerts.deliver(later(minutes=3)) == 1
        receiver.status = 500
        alerts._send(mine)
        assert only().state == "sent"


@pytest.mark.django_db(transaction=True)
class TestWorkers:
    def test_several_at_once_tell_each_once(self, receiver):
        repository = worlds.repository()
        worlds.trunk(repository, 3)
        AlertRule.objects.create(name="chat", events=EVERYTHING, target=receiver.target)
        for number in range(12):
            alerts.trunk_broke(a_break(repository, number))

        def work(_: int) -> int:
            try:
                return alerts.deliver()
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(work, range(4))) == 12
        assert len({told["message"] for told in receiver.told}) == len(receiver.told) == 12

    def test_one_that_is_killed_while_sending_loses_nothing(self, receiver):
        repository = worlds.repository()
        worlds.trunk(repository, 3)
        AlertRule.objects.create(name="chat", events=EVERYTHING, target=receiver.target)
        alerts.trunk_broke(a_break(repository))
        receiver.delay, receiver.status = 30, 500  # it never answers
        at = connection.settings_dict
        host, port = quote(at["HOST"], safe=""), f":{at['PORT']}" if at["PORT"] else ""
        address = f"postgresql://{at['USER']}:{quote(at['PASSWORD'])}@{host}{port}/{at['NAME']}"
        script = "import django; django.setup(); from hud import alerts; alerts.deliver()"
        environment = {**os.environ, "DATABASE_URL": address}
        worker = subprocess.Popen([sys.executable, "-c", script], env=environment, cwd=os.getcwd())
        try:
            until = time.monotonic() + 30
            while only().state != AlertState.SENDING and time.monotonic() < until:
                time.sleep(0.1)
            assert only().state == AlertState.SENDING
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        receiver.delay, receiver.status = 0, 200
        assert alerts.deliver() == 0
        assert alerts.deliver(later(minutes=3)) == 1
        assert len(receiver.told) == 1
        assert only().state == "sent"


class TestQuietHours:
    def rule(self, begin="22:00", end="07:00", zone="Europe/Paris", **fields) -> AlertRule:
        hours = {"quiet_from": clock.fromisoformat(begin), "quiet_to": clock.fromisoformat(end), "quiet_zone": zone}
        return AlertRule(name="night", **hours, **fields)

    @pytest.mark.parametrize(
        ("now", "until"),
        [
            ("2026-11-23T20:59", None),
            ("2026-11-23T21:00", "2026-11-24T06:00"),  # 22:00 in Paris
            ("2026-11-24T05:59", "2026-11-24T06:00"),
            ("2026-11-24T06:00", None),
            ("2026-03-28T23:00", "2026-03-29T05:00"),  # the night in which summer time begins
            ("2026-10-24T22:00", "2026-10-25T06:00"),  # and ends
        ],
    )
    def test_over_midnight_and_through_daylight_saving(self, now, until):
        moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
        found = alerts.quiet_until(self.rule(), moment)
        assert found == (datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None)

    def test_within_a_day_and_none(self):
        noon = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
        assert alerts.quiet_until(self.rule("12:00", "13:00", "UTC"), noon) == noon.replace(hour=13, minute=0)
        assert alerts.quiet_until(AlertRule(name="none"), noon) is None

    def test_held_until_they_end(self, repository, receiver):
        self.rule("00:00", "23:59", "UTC", events=EVERYTHING, target=receiver.target).save()
        night = T0.replace(hour=3)
        broken = a_break(repository)
        alerts.trunk_broke(broken)
        Alert.objects.update(due_at=night)
        assert alerts.deliver(night) == 0
        assert (only().state, only().due_at) == ("held", T0.replace(hour=23, minute=59))
        assert alerts.deliver(T0.replace(hour=23, minute=59)) == 1

    def test_or_dropped(self, repository, receiver):
        self.rule("00:00", "23:59", "UTC", events=EVERYTHING, target=receiver.target, quiet_does="drop").save()
        alerts.trunk_broke(a_break(repository))
        Alert.objects.update(due_at=T0.replace(hour=3))
        assert alerts.deliver(T0.replace(hour=3)) == 0
        assert (only().state, only().problem) == ("dropped", "It happened in quiet hours.")

    def test_over_by_morning(self, repository, receiver):
        self.rule("00:00", "23:59", "UTC", events=EVERYTHING, target=receiver.target).save()
        broken = a_break(repository)
        alerts.trunk_broke(broken)
        Alert.objects.update(due_at=T0.replace(hour=3))
        alerts.deliver(T0.replace(hour=3))
        Break.objects.update(closed_at=timezone.now())
        assert alerts.deliver(T0.replace(hour=23, minute=59)) == 0
        assert not receiver.told


class TestAddresses:
    @pytest.mark.parametrize(
        "target", ["", "nonsense", "https//x", "foo://bar", "syslog://", "dbus://", "macosx://", "json://", "slack://x"]
    )
    def test_what_nothing_can_be_sent_to_is_refused(self, target):
        with pytest.raises(announcing.BadTarget) as refused:
            announcing.check(target)
        assert not target or target not in str(refused.value)

    def test_its_own_time_limits_are_bounded(self):
        plugin = announcing._plugin("json://127.0.0.1/?rto=300&cto=300&retry=5&optional=yes")
        assert (plugin.socket_read_timeout, plugin.socket_connect_timeout, plugin.retry, plugin.optional) == (
            15,
            5,
            0,
            False,
        )


class TestAdmin:
    @pytest.fixture
    def form(self, receiver):
        return {
            "name": "chat", "enabled": "on", "events": ["trunk_broke", "last_good_stuck"], "stuck_hours": "4",
            "new_target": receiver.target, "quiet_zone": "Europe/Paris", "quiet_does": "hold",
        }  # fmt: skip

    def test_the_target_is_written_and_never_shown(self, admin_client, form, receiver):
        assert admin_client.post("/admin/hud/alertrule/add/", form).status_code == 302
        rule = AlertRule.objects.get()
        assert rule.target == receiver.target
        pages = [admin_client.get(f"/admin/hud/alertrule/{rule.pk}/change/"), admin_client.get("/admin/hud/alertrule/")]
        for page in pages:
            assert page.status_code == 200
            for secret in ("s3cret-word", "t0ken"):
                assert secret not in page.content.decode()
        assert "JSON" in pages[1].content.decode()
        admin_client.post(f"/admin/hud/alertrule/{rule.pk}/change/", {**form, "name": "renamed", "new_target": ""})
        rule.refresh_from_db()
        assert (rule.name, rule.target) == ("renamed", receiver.target)
        assert [entry.action for entry in Entry.objects.order_by("pk")] == ["alert_rule.add", "alert_rule.change"]
        assert "s3cret" not in str(list(Entry.objects.values()))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"new_target": ""}, "A rule needs a target."),
            ({"new_target": "syslog://"}, "not the address of a service"),
            ({"quiet_zone": "Mars/Base"}, "is not a time zone"),
            ({"quiet_from": "22:00"}, "both a beginning and an end"),
            ({"quiet_from": "22:00", "quiet_to": "22:00"}, "leave both empty"),
            ({"events": []}, "This field is required"),
        ],
    )
    def test_what_it_refuses(self, admin_client, form, change, words):
        page = admin_client.post("/admin/hud/alertrule/add/", form | change)
        assert words in page.content.decode()
        assert not AlertRule.objects.exists()

    def test_the_button_sends_a_test(self, admin_client, rule, receiver):
        answer = admin_client.post(f"/admin/hud/alertrule/{rule.pk}/try/", follow=True)
        assert "The test was sent" in answer.content.decode()
        assert receiver.told[0]["title"] == "A test from Arborist"
        receiver.status = 403
        answer = admin_client.post(f"/admin/hud/alertrule/{rule.pk}/try/", follow=True)
        assert "The test was not sent" in answer.content.decode()
        assert "s3cret" not in answer.content.decode()
        assert admin_client.get(f"/admin/hud/alertrule/{rule.pk}/try/").status_code == 405

    def test_staff_without_the_permission_cannot_try(self, client, rule, receiver):
        client.force_login(get_user_model().objects.create_user("staff", is_staff=True))
        assert client.post(f"/admin/hud/alertrule/{rule.pk}/try/").status_code == 403
        assert not receiver.told

    def test_the_list_of_tellings(self, admin_client, repository, rule, receiver):
        receiver.status = 500
        alerts.trunk_broke(a_break(repository))
        for n in range(20):
            alerts.deliver(later(days=n))
        assert "failed" in admin_client.get("/admin/hud/alert/").content.decode()
        data = {"action": "send_again", "_selected_action": [only().pk]}
        assert "1 will be sent again" in admin_client.post("/admin/hud/alert/", data, follow=True).content.decode()
        assert only().state == "waiting"
