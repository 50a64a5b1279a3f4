"""The site's own processes: what comes in at `/webhooks/github`, and what goes out at `…/live`."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

import pytest
import redis
import requests
from django.conf import settings

from hud.models import Delivery, DeliveryState, Repository, Run
from project.github.webhooks import BODY_MAX
from tests.hud import worlds
from tests.hud.live_site import LiveSite, running, signed
from tests.hud.test_webhooks import GITHUB_ID, job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def orchard(transactional_db: None) -> Repository:
    repository = worlds.repository(github_id=GITHUB_ID)
    worlds.trunk(repository, 4)
    worlds.store(repository, *(worlds.job(90 + n, of=n) for n in range(4)))
    return repository


@pytest.fixture
def site(orchard: Repository) -> Iterator[LiveSite]:
    with running() as site:
        yield site


class Stream:
    """An open page: its events as they come."""

    def __init__(self, site: LiveSite, etag: str = "", path: str = "/hud/grove/orchard/main", first: str | None = None):
        query = {"path": path, "first": worlds.sha(3) if first is None else first, "etag": etag}
        self._connection = HTTPConnection(site.url.removeprefix("http://"), timeout=30)
        self._connection.request("GET", f"/hud/grove/orchard/live?{urlencode(query)}")
        self._socket = self._connection.sock  # the connection lets go of it when the answer begins
        self.answer = self._connection.getresponse()
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        one: dict[str, Any] = {}
        try:
            for raw in self.answer:
                line = raw.decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if name in ("event", "id"):
                    one[name] = value
                elif name == "data":
                    one[name] = json.loads(value)
                elif not line and "event" in one:
                    self.events.append(one)
                    one = {}
        except (OSError, HTTPException, ValueError):
            return

    def next(self, seconds: float = 20) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while not self.events:
            assert time.monotonic() < until, "no event came"
            time.sleep(0.01)
        return self.events.pop(0)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # to close it would wait for the thread that reads
        self._thread.join(timeout=5)
        self._connection.close()


@contextmanager
def opened(site: LiveSite, *arguments: Any, **more: Any) -> Iterator[Stream]:
    stream = Stream(site, *arguments, **more)
    try:
        yield stream
    finally:
        stream.close()


def eventually(condition: Any, seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.05)


def done() -> int:
    return Delivery.objects.filter(state=DeliveryState.DONE).count()


def test_what_is_forged_malformed_or_too_long_is_refused_in_words_and_not_stored(site: LiveSite) -> None:
    good = json.dumps(job(1, 2)).encode()
    address = f"{site.url}/webhooks/github"

    def post(body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        answer = requests.post(address, data=body, headers=headers, timeout=10)
        return answer.status_code, answer.json()["message"]

    for headers in (
        signed(good, "workflow_job", secret="another secret"),
        signed(good + b" ", "workflow_job"),
        signed(good, "workflow_job") | {"x-hub-signature-256": "sha256=é"},
    ):
        status, words = post(good, {key: value.encode().decode("latin-1") for key, value in headers.items()})
        assert (status, words) == (401, "X-Hub-Signature-256 is not the signature of this body under our secret.")
    unsigned = signed(good, "workflow_job")
    del unsigned["x-hub-signature-256"]
    assert post(good, unsigned)[0] == 401
    for body, words in (
        (b'{"action": ', "body: is not valid JSON at line 1, column 12: Expecting value."),
        (b"[]", "workflow_job: is not a JSON object but a list."),
        (b"\xff\xfe{", "body"),
        (b"[" * 100_000, "body: is nested too deeply."),
    ):
        status, said = post(body, signed(body, "workflow_job"))
        assert status == 400
        assert said.replace("body is", "body: is").replace("job is", "job: is").startswith(words)
    for name in ("x-github-event", "x-github-delivery", "x-github-hook-id"):
        headers = signed(good, "workflow_job")
        del headers[name]
        status, words = post(good, headers)
        assert status == 400
        assert name in words.lower()
    assert requests.get(address, timeout=10).status_code == 405
    assert _promise_too_much(site) == 413
    assert _send_too_much(site) == 413
    assert not Delivery.objects.exists()


def _promise_too_much(site: LiveSite) -> int:
    """Says that it is too long: refused before a byte of it is read."""
    connection = http.client.HTTPConnection(site.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/webhooks/github")
    connection.putheader("Content-Length", str(BODY_MAX + 1))
    connection.endheaders()
    return connection.getresponse().status


def _send_too_much(site: LiveSite) -> int:
    """Does not say how long it is, and goes on and on."""
    connection = http.client.HTTPConnection(site.url.removeprefix("http://"), timeout=30)
    chunk = b"x" * 1024 * 1024
    connection.putrequest("POST", "/webhooks/github")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    try:
        for _ in range(30):
            connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    except OSError:
        pass  # it has hung up already; its answer is there to be read
    return connection.getresponse().status


def test_a_ping_a_delivery_and_its_repeat(site: LiveSite) -> None:
    assert site.deliver("ping", {"zen": "Keep it logically awesome.", "hook_id": 1}).status_code == 200
    first = site.deliver("workflow_job", job(1, 2), "11111111-2222-3333-4444-555555555555")
    again = site.deliver("workflow_job", job(1, 2), "11111111-2222-3333-4444-555555555555")
    assert [first.status_code, again.status_code] == [202, 202]
    assert again.json()["message"] == "Known already."
    eventually(lambda: done() == 1)


def test_without_a_secret_nothing_is_believed(orchard: Repository) -> None:
    with running(worker=False, ARBORIST_WEBHOOK_SECRET="") as site:
        answer = site.deliver("workflow_job", job(1, 2))
    assert answer.status_code == 503
    assert "ARBORIST_WEBHOOK_SECRET is not set" in answer.json()["message"]


def test_a_change_reaches_an_open_page_and_brings_only_the_row_that_differs(site: LiveSite) -> None:
    with opened(site) as stream:
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        whole = stream.next()
        assert set(whole["data"]["rows"]) == {worlds.sha(n) for n in range(4)}
        began = time.monotonic()
        site.deliver("workflow_job", job(1, 2, conclusion="failure"))
        change = stream.next()
        assert time.monotonic() - began < 10  # other work may go on here; how fast it is, the bench tells
        assert change["event"] == "changes"
        assert list(change["data"]["rows"]) == [worlds.sha(2)]
        assert "X" in change["data"]["rows"][worlds.sha(2)] or "F" in change["data"]["rows"][worlds.sha(2)]


def test_a_page_that_comes_back_gets_what_it_missed_and_one_that_missed_nothing_gets_nothing(site: LiveSite) -> None:
    with opened(site) as stream:
        etag = stream.next()["id"]
    with opened(site, etag) as stream:
        time.sleep(1)
        assert stream.events == []
    site.deliver("workflow_job", job(1, 2, conclusion="failure"))
    eventually(lambda: done() == 1)
    with opened(site, etag) as stream:
        missed = stream.next()
        assert missed["id"] != etag
        assert set(missed["data"]["rows"][worlds.sha(2)]) & {"X", "F"}


def test_changes_arrive_though_redis_lost_the_connection(site: LiveSite) -> None:
    with opened(site) as stream, redis.Redis.from_url(settings.REDIS_URL) as client:
        stream.next()
        eventually(lambda: client.pubsub_numsub("arborist:live")[0][1] == 1)
        client.client_kill_filter(_type="pubsub")
        site.deliver("workflow_job", job(1, 2, conclusion="failure"))
        assert stream.next(30)["event"] == "changes"
        eventually(lambda: client.pubsub_numsub("arborist:live")[0][1] == 1)


def test_a_page_that_is_no_grid_is_told_the_version(site: LiveSite, orchard: Repository) -> None:
    orchard.refresh_from_db()
    path = f"/hud/grove/orchard/commit/{worlds.sha(2)}"
    with opened(site, str(orchard.version), path=path, first="") as stream:
        site.deliver("workflow_job", job(1, 2, conclusion="failure"))
        told = stream.next()
        assert told["event"] == "changed"
        assert int(told["data"]["version"]) > orchard.version


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/hud/grove/orchard/live?path=/hud/grove/other/main", 400),
        ("/hud/grove/orchard/live?path=//example.org/hud/grove/orchard/main", 400),
        ("/hud/grove/orchard/live?path=/hud/grove/orchard/main&first=%27", 400),
        ("/hud/some/one/live?path=/hud/some/one/main", 404),
    ],
)
def test_streams_are_for_pages_of_watched_repositories_only(site: LiveSite, address: str, status: int) -> None:
    assert requests.get(site.url + address, timeout=10).status_code == status


def test_open_pages_hold_no_threads(site: LiveSite) -> None:
    import psutil

    web = psutil.Process(site.processes["web"].pid)
    with opened(site) as stream:
        stream.next()
        before = web.num_threads()
        more = [Stream(site) for _ in range(40)]
        for one in more:
            one.next()
        assert web.num_threads() <= before + 2
        for one in more:
            one.close()


def test_a_worker_that_is_killed_in_the_middle_loses_and_doubles_nothing(orchard: Repository) -> None:
    with running(worker=False) as site:
        for id in range(1, 61):
            assert site.deliver("workflow_job", job(id, id % 4, name=f"linux-{id} / build")).status_code == 202
        for _ in range(3):
            site.start_worker()
            time.sleep(1.5)
            site.stop("live", kill=True)
        site.start_worker()
        site.deliver("workflow_job", job(61, 1, name="linux-61 / build"))
        eventually(lambda: done() == 61, 40)
    assert Run.objects.filter(job_name__name__startswith="linux-").count() == 61
