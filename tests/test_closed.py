"""A hostile reader's tests: nothing is written without a role, nothing is read by strangers where reading is for
members, and no address makes the site fail, whatever is typed into it."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from hud import live_views, webhook_views, webhooks
from hud.models import (
    Configuration,
    Delivery,
    DeliveryState,
    JobLog,
    Judgement,
    PullRequest,
    Repository,
)
from project import audit, outbox
from project.accounts import roles
from project.accounts.models import User
from project.accounts.roles import Role
from project.audit.models import Entry
from project.github.webhooks import signature
from tests.hud import worlds as w
from tests.hud.live_site import SECRET, signed
from tests.hud.test_breaks import play
from tests.hud.test_log_views import FAILED, failed_job

BASE = "/hud/grove/orchard"


@pytest.fixture
def orchard(db: None, redis_server: Any) -> Repository:
    """Everything that a page can be about, once."""
    import project.celery  # noqa: F401 - so that tasks know their broker

    repository = w.repository()
    w.trunk(repository, 8)
    play(repository, ("build", 0, "success"), ("build", 1, "failure"), ("build", 2, "failure"))
    failed_job(repository, 7, "one", FAILED, of=3)
    w.store(repository, w.workflow_run(7, "failure", of=3))
    PullRequest.objects.create(repository=repository, number=7, title="A change", asked_at=timezone.now())
    outbox.queue(
        kind="comment",
        key="one",
        repository="grove/orchard",
        payload={"number": 7, "body": "Red."},
        by=None,
        subject="a comment",
    )
    audit.record(by=None, action="break.note", target="break 1", repository="grove/orchard")
    return repository


def person(name: str, role: Role | None, repository: str | None = None) -> User:
    found = User.objects.create(username=name)
    if role:
        roles.grant(found, role, by=None, repository=repository)
    return found


def signed_in(client: Client, name: str, role: Role | None, repository: str | None = None) -> Client:
    client.force_login(person(name, role, repository))
    return client


def patterns(resolver: Any = None, before: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every address of the site, as its pattern, and its view. (Django's admin asks for the role ADMIN itself.)"""
    for one in (resolver or get_resolver()).url_patterns:
        whole = before + str(one.pattern)
        if whole.startswith("admin/"):
            continue
        if hasattr(one, "url_patterns"):
            yield from patterns(one, whole)
        else:
            yield whole, one.callback


def filled(pattern: str) -> str:
    """An address of the pattern, about the world above."""
    failure = "0" * 32
    log = JobLog.objects.first()
    values = {
        "<str:owner>": "grove",
        "<str:repo>": "orchard",
        "<owner>": "grove",
        "<name>": "orchard",
        "<sha:sha>": w.sha(1),
        "<sha>": w.sha(1),
        "<int:number>": "1",
        "<number>": "1",
        "<int:slot>": "0",
        "<str:slug>": "linux",
        "<slug:act>": "acknowledge",
        "<int:job_id>": "7",
        "<failure:key>": (log.key if log else "") or failure,
        "<path:branch>": "main",
        "<int:page>": "1",
        "<int:write_id>": str(getattr(outbox.Write.objects.first(), "pk", 1)),
    }
    if "pull/<int:number>" in pattern:
        pattern = pattern.replace("<int:number>", "7")
    for name, value in values.items():
        pattern = pattern.replace(name, value)
    assert "<" not in pattern, f"say in `filled` what {pattern} is about"
    return "/" + pattern


# -- whatever is typed into an address --------------------------------------------------------------------------------

NASTY = ["a%00b", "%ff%fe", "-1", "9" * 30, "x" * 9000, "//[", "%D9%A1"]
PARAMETERS = [
    "q",
    "re",
    "show",
    "author",
    "open",
    "at",
    "page",
    "per_page",
    "branch",
    "to",
    "line",
    "before",
    "after",
    "days",
    "state",
    "head",
    "seen",
    "person",
    "action",
    "repository",
    "target",
    "since",
    "until",
    "act",
    "next",
    "late",
    "path",
    "first",
    "etag",
    "why",
    "classification",
    "config",
    "suspect",
    "name_filter",
    "filter_regex",
]


def test_no_query_makes_any_page_fail(orchard: Repository, client: Client) -> None:
    signed_in(client, "oak", Role.ADMIN)
    client.raise_request_exception = False
    failed = []
    for pattern, _ in patterns():
        if pattern.endswith("revert/plan") or pattern.startswith("accounts/github"):
            continue  # those ask GitHub
        address = filled(pattern)
        for headers in ({}, {"HTTP_HX_REQUEST": "true"}, {"HTTP_X_ARBORIST_REFRESH": "1"}):
            for nasty in NASTY[: 1 if headers else None]:
                query = "&".join(f"{name}={nasty}" for name in PARAMETERS)
                answer = client.get(f"{address}?{query}", **headers)
                if answer.status_code >= 500 and answer.status_code != 503:
                    failed.append((pattern, nasty[:20], answer.status_code))
    assert not failed, chr(10).join(map(str, failed))


def test_no_path_makes_any_page_fail(orchard: Repository, client: Client) -> None:
    signed_in(client, "oak", Role.ADMIN)
    client.raise_request_exception = False
    failed = []
    for pattern, _ in patterns():
        for one in (
            "str:owner",
            "str:repo",
            "owner",
            "name",
            "sha:sha",
            "sha",
            "int:number",
            "number",
            "int:slot",
            "str:slug",
            "slug:act",
            "int:job_id",
            "failure:key",
            "path:branch",
            "int:page",
            "int:write_id",
        ):
            if f"<{one}>" not in pattern:
                continue
            for nasty in NASTY:
                address = filled(pattern.replace(f"<{one}>", "NASTY")).replace("NASTY", nasty)
                for method in (client.post,) if pattern in ACTS else (client.get,):
                    answer = method(address)
                    if answer.status_code >= 500 and answer.status_code != 503:
                        failed.append((method.__name__, pattern, one, nasty[:20], answer.status_code))
    assert not failed, chr(10).join(map(str, failed))


# -- where reading is for members -------------------------------------------------------------------------------------

OPEN = {
    "accounts/login/": "signing in",
    "accounts/logout/": "signing out",
    "accounts/inactive/": "says that an account is closed",
    "accounts/github/login/callback/": "signing in",
    "accounts/github/login/cancelled/": "signing in",
    "healthz": "asked by machines, tells nothing of what is watched",
    "readyz": "asked by machines, tells nothing of what is watched",
    "hud/<str:owner>/<str:repo>/last-good.svg": "shown by other sites, which can't sign in",
}


def test_strangers_read_nothing_where_reading_is_for_members(orchard: Repository, settings: Any) -> None:
    settings.PUBLIC = False
    stranger, elsewhere = Client(), signed_in(Client(), "elm", Role.READER, "grove/other")
    nobody = signed_in(Client(), "fir", None)
    read, leaked = set(), set()
    for pattern, _ in patterns():
        address = filled(pattern)
        answer = stranger.get(address)
        if pattern in OPEN or answer.status_code not in (302, 401, 403):
            read.add(pattern)
        answer = nobody.get(address)
        if answer.status_code not in (302, 401, 403) and pattern not in OPEN:
            read.add(pattern)
        answer = elsewhere.get(address)
        body = b"".join(answer) if answer.streaming else answer.content
        if pattern not in OPEN and answer.status_code == 200 and b"orchard" in body:
            leaked.add(pattern)
    assert read == set(OPEN)
    assert leaked == NAMES_ALL


# Whoever may read one repository learns that there are others, and how reading them goes; nothing of what is in them.
NAMES_ALL = {"api/v1/repositories", "api/v1/status", "status"}


def test_the_machines_token_opens_the_metrics_of_a_closed_site(db: None, redis_server: Any, settings: Any) -> None:
    settings.PUBLIC = False
    settings.METRICS_TOKEN = "known to prometheus"
    client = Client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer known to prometheus").status_code == 200
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", HTTP_AUTHORIZATION="Bearer ").status_code in (302, 401, 403)


def test_the_audit_log_of_a_closed_site_tells_nothing_of_other_repositories(orchard: Repository, settings: Any) -> None:
    settings.PUBLIC = False
    client = signed_in(Client(), "elm", Role.TREE_HUGGER, "Grove/Other")
    audit.record(by=None, action="break.note", target="break 9", repository="grove/Other", why="ours")
    audit.record(by=None, action="break.note", target="break 9", repository="grove/orchard", why="theirs")
    for address in ("/audit", "/audit.csv"):
        answer = client.get(address)
        body = b"".join(answer) if answer.streaming else answer.content
        assert b"ours" in body
        assert b"theirs" not in body
    everywhere = signed_in(Client(), "oak", Role.READER)
    assert b"theirs" in everywhere.get("/audit").content


def in_a_loop(work: Coroutine[Any, Any, int]) -> int:
    """In a thread of its own: the browser's tests leave a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def asgi(application: Any, path: str, query: str = "", method: str = "GET", body: bytes = b"", **headers: str) -> int:
    """Ask an ASGI application that stands beside Django; returns the status, and hangs up then."""

    async def ask() -> int:
        sent: list[dict[str, Any]] = []
        done = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not done.is_set():
                done.set()
                return {"type": "http.request", "body": body, "more_body": False}
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": lines,
            "scheme": "http",
            "server": ("localhost", 80),
        }
        await application(scope, receive, send)
        return int(sent[0]["status"])

    return in_a_loop(ask())


STREAM = f"{BASE}/live"
SHOWN = "path=/hud/grove/orchard/main&first=" + "0" * 40


@pytest.mark.parametrize(
    "query",
    [
        "path=//[&first=0",
        "path=http://[::1/hud/grove/orchard/main",
        "&".join(f"a{n}=1" for n in range(50)) + "&path=/",
        "path=/hud/grove/orchard/main?" + "%26".join(f"a{n}=1" for n in range(90)),
        "path=%00",
        "path=",
        "first=%FF&path=x",
        "path=/hud/grove/orchard/%00",
        "path=" + "x" * 9000,
    ],
)
@pytest.mark.django_db(transaction=True)
def test_nonsense_asked_of_a_stream_is_refused(query: str) -> None:
    w.repository()
    assert asgi(live_views.stream, STREAM, query) in (400, 404, 200)


@pytest.mark.parametrize("path", ["/hud/a\0b/orchard/live", "/hud/grove/\0/live"])
@pytest.mark.django_db(transaction=True)
def test_a_stream_of_a_repository_that_cannot_be(path: str) -> None:
    assert asgi(live_views.stream, path, f"path={quote(path.removesuffix('live'))}main&first=0") in (400, 404)


@pytest.mark.django_db(transaction=True)
def test_streams_of_a_closed_site_are_for_its_members(settings: Any) -> None:
    w.trunk(w.repository(), 2)
    assert asgi(live_views.stream, STREAM, SHOWN) == 200
    settings.PUBLIC = False

    def cookie(client: Client) -> dict[str, str]:
        return {"cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"}

    assert asgi(live_views.stream, STREAM, SHOWN) == 404
    assert asgi(live_views.stream, STREAM, SHOWN, cookie=f"{settings.SESSION_COOKIE_NAME}=nonsense") == 404
    assert (
        asgi(live_views.stream, STREAM, SHOWN, **cookie(signed_in(Client(), "elm", Role.READER, "grove/other"))) == 404
    )
    member = signed_in(Client(), "ash", Role.READER, "grove/orchard")
    assert asgi(live_views.stream, STREAM, SHOWN, **cookie(member)) == 200
    member.session.flush()
    assert asgi(live_views.stream, STREAM, SHOWN, **cookie(member)) == 404


def delivery(body: bytes, **changes: str) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in (signed(body, "workflow_job") | changes).items()}


WILD = [
    b"{}",
    b"[]",
    b"null",
    b"",
    b"{",
    b"\xff",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"id": ' + b"9" * 10_000 + b"}",
    b'{"repository": {"id": 1e400, "full_name": 7}}',
    b'{"repository": {"id": NaN}}',
    b'{"action": "\\ud800\\u0000", "repository": {"id": 5, "full_name": "\\udfff/\\u0000"}}',
    b'{"action": {}, "repository": []}',
    gzip.compress(b"{}"),
    b'{"repository": {"id": true}}',
    b'{"repository": {"id": 99999999999999999999999}}',
]


@pytest.mark.django_db(transaction=True)
def test_what_is_no_delivery_is_refused_and_never_stored_half(settings: Any, redis_server: Any) -> None:
    import project.celery  # noqa: F401

    settings.WEBHOOK_SECRETS = [SECRET]
    at = "/webhooks/github"
    for body in WILD:
        assert asgi(webhook_views.receive, at, "", "POST", body, **delivery(body)) in (202, 400), body[:50]
    good = b'{"action": "completed"}'
    for changes in (
        {"x-github-hook-id": "0" * 19 + "1" + "9" * 20},
        {"x-github-hook-id": "9" * 30},
        {"x-github-hook-id": "٣"},
        {"x-github-hook-id": "-1"},
        {"x-github-delivery": "x" * 100},
        {"x-github-delivery": "a\0aaaaaaa"},
        {"x-github-event": "A'--"},
        {"content-type": "text/plain"},
    ):
        assert asgi(webhook_views.receive, at, "", "POST", good, **delivery(good, **changes)) == 400, changes
    for given in ("", "sha1=0", "sha256=", "sha256=" + "0" * 64, "ü", signature("another", good)):
        assert (
            asgi(webhook_views.receive, at, "", "POST", good, **delivery(good, **{"x-hub-signature-256": given})) == 401
        )
    assert asgi(webhook_views.receive, at, "", "GET") == 405
    for github_id in webhooks.waiting():
        webhooks.process(github_id, gather=0)
    assert not Delivery.objects.filter(state=DeliveryState.WAITING).exists()


def test_a_delivery_that_is_too_long_is_not_read(settings: Any) -> None:
    settings.WEBHOOK_SECRETS = [SECRET]
    read = 0

    async def ask(headers: list[tuple[bytes, bytes]]) -> int:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            nonlocal read
            read += 1024 * 1024
            return {"type": "http.request", "body": b"x" * 1024 * 1024, "more_body": read < 200 * 1024 * 1024}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await webhook_views.receive({"method": "POST", "headers": headers}, receive, send)
        return int(sent[0]["status"])

    assert in_a_loop(ask([(b"content-length", b"27262976")])) == 413
    assert read == 0
    assert in_a_loop(ask([])) == 413
    assert read <= 26 * 1024 * 1024


# -- who may write ----------------------------------------------------------------------------------------------------

WITHOUT_A_ROLE = {
    "accounts/login/": "begins to sign in",
    "accounts/logout/": "ends one's own session",
    "hud/<str:owner>/<str:repo>/job/<int:job_id>/again": "has a log read again: nothing that others see changes",
    "api/v1/": "documentation, whatever the method",
    "api/v1/docs": "documentation, whatever the method",
    "api/v1/openapi.json": "documentation, whatever the method",
}
# Everything that takes a POST, what it is sent here, and the audit row that it leaves.
ACTS: dict[str, list[tuple[dict[str, str], str, str]]] = {
    "hud/<str:owner>/<str:repo>/break/<int:number>/<slug:act>": [
        ({"act": "rerun"}, "break.rerun", "break 1"),
        ({"act": "acknowledge"}, "break.acknowledge", "break 1"),
        ({"act": "unacknowledge"}, "break.unacknowledge", "break 1"),
        ({"act": "own"}, "break.own", "break 1"),
        ({"act": "own", "release": "1"}, "break.release", "break 1"),
        ({"act": "note", "note": "=1+1"}, "break.note", "break 1"),
        ({"act": "issue", "url": "https://github.com/grove/orchard/issues/3"}, "break.issue", "break 1"),
        ({"act": "dismiss", "why": "known"}, "break.dismiss", "break 1"),
        ({"act": "reopen"}, "break.reopen", "break 1"),
        ({"act": "opinion", "says": "not_related", "why": "I looked"}, "opinion.give", "break 1"),
        ({"act": "withdraw"}, "opinion.withdraw", "commit"),
    ],
    "hud/<str:owner>/<str:repo>/cell/<sha:sha>/<int:slot>/opinion": [({"says": "infra"}, "opinion.give", "commit")],
    "hud/<str:owner>/<str:repo>/cell/<sha:sha>/<int:slot>/rerun": [({}, "rerun", "commit")],
    "hud/<str:owner>/<str:repo>/break/<int:number>/revert": [
        ({"send": "1", "classification": "weird", "why": "It broke the build"}, "break.revert", "break 1")
    ],
    "hud/<str:owner>/<str:repo>/commit/<sha:sha>/revert": [
        ({"send": "1", "classification": "weird", "why": "It broke the build"}, "commit.revert", "commit")
    ],
    "hud/<str:owner>/<str:repo>/column/<int:slot>/unstable": [({"why": "flaky"}, "configuration.unstable", "")],
    "writes/<int:write_id>/cancel": [({}, "write.cancel", "write")],
    "writes/<int:write_id>/retry": [({}, "write.retry", "write")],
}


def posting() -> set[str]:
    """The patterns whose view takes a POST from an admin."""
    client = signed_in(Client(), "admin", Role.ADMIN)
    client.raise_request_exception = False
    sid = transaction.savepoint()
    found = {pattern for pattern, _ in patterns() if client.post(filled(pattern)).status_code != 405}
    transaction.savepoint_rollback(sid)
    return found


def test_whatever_takes_a_post_asks_for_a_role(orchard: Repository) -> None:
    assert posting() == set(WITHOUT_A_ROLE) | set(ACTS)


@pytest.mark.parametrize("role", [None, Role.READER, Role.TRIAGER])
def test_nobody_writes_without_the_role(orchard: Repository, role: Role | None) -> None:
    person = Client() if role is None else signed_in(Client(), "elm", role)
    elsewhere = signed_in(Client(), f"yew{role}", Role.ADMIN, "grove/other")
    before = Entry.objects.count(), outbox.Write.objects.count()
    for pattern, acts in ACTS.items():
        for fields, _, _ in acts:
            address = filled(pattern.replace("<slug:act>", fields.get("act", "")))
            assert person.post(address, fields).status_code in ((302, 401) if role is None else (403,)), (
                pattern,
                fields,
            )
            assert elsewhere.post(address, fields).status_code == 403, (pattern, fields)
    assert (Entry.objects.count(), outbox.Write.objects.count()) == before


@pytest.mark.parametrize("role", [Role.TREE_HUGGER, Role.MAINTAINER, Role.ADMIN])
def test_every_act_leaves_one_row_that_says_who_did_what_where(orchard: Repository, role: Role) -> None:
    client = signed_in(Client(), "ash", role, "grove/orchard")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    for pattern, acts in ACTS.items():
        for fields, action, target in acts:
            if fields.get("act") == "withdraw":
                fields = fields | {"opinion": str(Judgement.objects.latest("pk").pk)}
            address = filled(pattern.replace("<slug:act>", fields.get("act", "")))
            if pattern.endswith("<int:slot>/rerun"):
                linux = Configuration.objects.get(name="linux / build").slot
                address = f"{BASE}/cell/{w.sha(3)}/{linux}/rerun"
            elif pattern.endswith("<sha:sha>/revert"):
                address = f"{BASE}/commit/{w.sha(5)}/revert"
            newest = Entry.objects.latest("pk").pk
            assert strict.post(address, fields).status_code == 403, (pattern, fields)
            assert not Entry.objects.filter(pk__gt=newest).exists()
            answer = client.post(address, fields)
            assert answer.status_code in (302, 303), (pattern, fields, answer.status_code)
            rows = list(Entry.objects.filter(pk__gt=newest))
            said = [str(one) for one in answer.wsgi_request._messages]
            assert [row.action for row in rows] == [action], (pattern, fields, rows, said)
            assert rows[0].actor_login == "ash"
            assert rows[0].repository == "grove/orchard"
            assert rows[0].target.startswith(target), rows[0].target
            assert rows[0].why == fields.get("why", "")


# A pull request that nobody has looked at is read when somebody does; the browser gets a cookie against forged forms.
WRITES_BY_READING = {"hud/<str:owner>/<str:repo>/pull/<int:number>": {"hud_pullrequest"}}


@pytest.mark.parametrize("role", [None, Role.ADMIN])
def test_looking_at_a_page_writes_nothing(orchard: Repository, role: Role | None) -> None:
    PullRequest.objects.update(asked_at=None)
    client = signed_in(Client(), "ash", role) if role else Client()
    writes: dict[str, set[str]] = {}
    pattern = ""

    def look(execute: Any, sql: str, *rest: Any) -> Any:
        found = re.search(r'\b(INSERT INTO|UPDATE|DELETE FROM|TRUNCATE)\s+"?(\w+)', sql, re.IGNORECASE)
        if found:
            writes.setdefault(pattern, set()).add(found[2])
        return execute(sql, *rest)

    with connection.execute_wrapper(look):
        for pattern, _ in patterns():
            if pattern.endswith("revert/plan"):
                continue  # it asks GitHub
            for headers in ({}, {"HTTP_HX_REQUEST": "true"}, {"HTTP_X_ARBORIST_REFRESH": "1"}):
                answer = client.get(filled(pattern), **headers)
                b"".join(answer) if answer.streaming else answer.content
    assert writes == WRITES_BY_READING
