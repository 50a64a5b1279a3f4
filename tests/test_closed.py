"""A hostile reader's tests: nothing is written without a role, nothing is read by strangers where reading is for members,
and no address makes the site fail, whatever is typed into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from hud.models import Break, Configuration, Judgement, PullRequest, Repository, Run
from project import audit, outbox
from project.accounts import roles
from project.accounts.models import User
from project.accounts.roles import Role
from project.audit.models import Entry
from tests.hud import worlds as w
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
    PullRequest.objects.create(repository=repository, number=7, title="A change", asked_at=timezone.now())
    outbox.queue(
        kind="comment", key="one", repository="grove/orchard", payload={"number": 7, "body": "Red."}, by=None,
        subject="a comment",
    )  # fmt: skip
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
    from hud.models import JobLog

    log = JobLog.objects.first()
    values = {
        "<str:owner>": "grove", "<str:repo>": "orchard", "<owner>": "grove", "<name>": "orchard",
        "<sha:sha>": w.sha(1), "<sha>": w.sha(1), "<int:number>": "1", "<number>": "1", "<int:slot>": "0",
        "<str:slug>": "linux", "<slug:act>": "acknowledge", "<int:job_id>": "7",
        "<failure:key>": (log.key if log else "") or failure, "<path:branch>": "main", "<int:page>": "1",
        "<int:write_id>": str(getattr(outbox.Write.objects.first(), "pk", 1)),
    }  # fmt: skip
    if "pull/<int:number>" in pattern:
        pattern = pattern.replace("<int:number>", "7")
    for name, value in values.items():
        pattern = pattern.replace(name, value)
    assert "<" not in pattern, f"say in `filled` what {pattern} is about"
    return "/" + pattern


# -- whatever is typed into an address --------------------------------------------------------------------------------

NASTY = ["%00", "a%00b", "%ff%fe", "-1", "9" * 30, "x" * 9000, "%3Cscript%3E", "%F0%9F%8C%B3", "{{7*7}}", "[", "//[", "%ED%A0%80", "", "\u0661".encode().hex() and "%D9%A1", "1e9", "' OR 1=1"]  # fmt: skip
PARAMETERS = [
    "q", "re", "show", "author", "open", "at", "page", "per_page", "branch", "to", "line", "before", "after", "days", "state", "head",
    "seen", "person", "action", "repository", "target", "since", "until", "act", "next", "late", "path", "first", "etag", "why",
    "classification", "config", "suspect", "name_filter", "filter_regex",
]  # fmt: skip


def test_no_query_makes_any_page_fail(orchard: Repository, client: Client) -> None:
    signed_in(client, "oak", Role.ADMIN)
    client.raise_request_exception = False
    failed = []
    for pattern, _ in patterns():
        if pattern.endswith("revert/plan") or pattern.startswith("accounts/github"):
            continue  # those ask GitHub
        address = filled(pattern)
        for headers in ({}, {"HTTP_HX_REQUEST": "true"}, {"HTTP_X_ARBORIST_REFRESH": "1"}):
            for nasty in NASTY:
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
        for one in ("str:owner", "str:repo", "owner", "name", "sha:sha", "sha", "int:number", "number", "int:slot", "str:slug", "slug:act",
                    "int:job_id", "failure:key", "path:branch", "int:page", "int:write_id"):  # fmt: skip
            if f"<{one}>" not in pattern:
                continue
            for nasty in NASTY:
                address = filled(pattern.replace(f"<{one}>", "NASTY")).replace("NASTY", nasty)
                for method in (client.get, client.post):
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
        if answer.status_code not in (302, 401, 403) or (pattern not in OPEN and "accounts" not in pattern and b"orchard" in answer.content):
            read.add(pattern)
        answer = nobody.get(address)
        if answer.status_code not in (302, 401, 403) and pattern not in OPEN:
            read.add(pattern)
        answer = elsewhere.get(address)
        body = b"".join(answer) if answer.streaming else answer.content
        if pattern not in OPEN and answer.status_code == 200 and (b"orchard" in body):
            leaked.add(pattern)
    assert read - {"accounts/login/"} == set(OPEN) - {"accounts/login/"}
    assert not leaked
