"""What every test stands on: servers of their own, no network, and a browser for those that ask.

PostgreSQL and Redis are started for the whole session in a temporary directory, unless DATABASE_URL and REDIS_URL
name others. This happens while this file is imported, before Django's settings load.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest

from project.embedded.environment import prepare
from tests.chromium import CHROMIUM_ARGUMENTS, chromium_path

# A developer's own configuration must not decide what the tests see.
for _name in [name for name in os.environ if name.startswith("ARBORIST_") and name != "ARBORIST_EMBEDDED"]:
    del os.environ[_name]
_var_dir = Path(tempfile.mkdtemp(prefix="arborist-tests-"))
os.environ["ARBORIST_VAR_DIR"] = str(_var_dir)
os.environ["ARBORIST_SECRET_KEY"] = "only-for-tests"
os.environ["ARBORIST_TESTING"] = "true"
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
# Playwright's sync API keeps an event loop running in the test's thread, which Django takes for async code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
if url := os.environ.get("REDIS_URL"):  # somebody's own Redis: tests empty what they use, so they use its last database
    os.environ["REDIS_URL"] = url.partition("?")[0].rstrip("/").removesuffix("/0") + "/15"
_servers = prepare(durable=False)
(_var_dir / "staticfiles").mkdir()  # WhiteNoise warns without it
if _servers is not None:
    _servers.start()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Tests on several processors: each process has servers and settings of its own, not those of the one that starts
    it."""
    if _servers is not None:
        for name in ("DATABASE_URL", "REDIS_URL", "ARBORIST_EMBEDDED", "DJANGO_SETTINGS_MODULE"):
            os.environ.pop(name, None)


def pytest_unconfigure() -> None:
    if _servers is not None:
        _servers.stop()
        shutil.rmtree(_servers.places.socket_dir, ignore_errors=True)
    shutil.rmtree(_var_dir, ignore_errors=True)


# -- network ----------------------------------------------------------------------------------------------------------


class NetworkBlockedError(RuntimeError):
    """A test tried to reach something outside this machine."""


LOOPBACK = ("127.", "::1", "localhost")


def _check(address: object) -> None:
    host = address[0] if isinstance(address, tuple) else None  # a path: a UNIX socket
    if host is not None and not str(host).startswith(LOOPBACK):
        raise NetworkBlockedError(f"tests may only connect to this machine, not to {host}")


def pytest_configure() -> None:
    """Set Django up on those servers, and guard every socket from before the first test to after the last."""
    django.setup()
    _cheap_passwords()
    _cheap_emptying()
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _check(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _check(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host:  # so that not even a name is asked of a resolver
            _check((host.decode() if isinstance(host, bytes) else host, 0))
        return getaddrinfo(host, *arguments, **options)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign]
    socket.getaddrinfo = guarded_getaddrinfo


# -- what would only cost time ----------------------------------------------------------------------------------------


def _cheap_passwords() -> None:
    """A slow hash guards real people's passwords; here it would only be most of the time of a test that signs in."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


KEPT = {"django_content_type", "auth_permission"}  # what Django itself fills in again after it emptied them
APPEND_ONLY = "audit_entry"  # rows can't be deleted; settings let tests truncate it


def _cheap_emptying() -> None:
    """After a test that commits, empty the tables that have rows instead of truncating all of them.

    Truncating makes new files for every table and index, and Django then writes its content types and permissions
    again: a third of a second, where most of those tests write to a handful of tables.
    """
    from django.db import connection, transaction
    from django.test import TransactionTestCase

    def empty(self: Any) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            names = connection.introspection.django_table_names(only_existing=True, include_views=False)
            quote = connection.ops.quote_name
            asked = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM {quote(name)})" for name in names if name not in KEPT)
            cursor.execute(" UNION ALL ".join(asked))
            for (name,) in cursor.fetchall():  # in any order: our foreign keys are checked at the end
                cursor.execute(f"{'TRUNCATE' if name == APPEND_ONLY else 'DELETE FROM'} {quote(name)}")

    TransactionTestCase._fixture_teardown = empty  # type: ignore[method-assign]


# -- servers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def redis_server() -> Iterator[Any]:
    """A client of the session's Redis, emptied before the test."""
    import redis
    from django.conf import settings

    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Call it for a port that nothing listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


# -- browser ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for the session. Without one its tests fail: a page that nobody looked at has not been tested."""
    path = chromium_path()
    if path is None:
        pytest.fail("Chromium is missing. Install it (Debian: apt-get install chromium) or set CHROMIUM to its path.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page of 1440 × 900. An error on its console, a broken policy included, fails the test at its end."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.expected_problems = []  # a test that provokes errors lists parts of their text here
    yield page
    context.close()
    unexpected = [text for text in problems if not any(part in text for part in page.expected_problems)]
    assert not unexpected, f"errors on the page's console: {unexpected}"
