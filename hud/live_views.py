"""`GET /hud/<owner>/<repo>/live`: what changes on an open page, as server-sent events.

An ASGI application beside Django: an open page costs a coroutine here, where Django's middleware would hold a thread.
Pages that show the same share one `_Page`, which is made anew once for each change, by the very view that answers a
refresh, in a thread, one after the other. What is sent are the rows that differ from what the page has.

A change becomes known through Redis (`hud.live`). Should Redis be away, or lose a message, the versions in the
database tell as well, a little later. Nothing hangs on a stream: a page that comes back says by its ETag what it has.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import redis.asyncio
from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from hud import live, places, views
from hud.models import Repository
from project.accounts import roles

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

ADDRESS = re.compile(r"/hud/([^/]+)/([^/]+)/live\Z")
THREADS = 2
GAP = 0.15  # seconds between two versions of one page, at least
BUSY = 0.5  # of one thread's time is what all pages together may take
SLOWEST = 3.0
HEARTBEAT = 15.0
RETRY = 2_000  # milliseconds that a browser waits before it connects again
CHECK = 20.0  # seconds between looks at the versions in the database; `CHECK_WITHOUT_REDIS` when only they tell
CHECK_WITHOUT_REDIS = 1.0
MOST = 2_000  # open pages
ADDRESS_MAX = 4_000


@dataclass(frozen=True)
class _Made:
    """A page at one version. `changes` is what a refresh would have got; None for pages that are asked for anew."""

    etag: str
    changes: dict[str, Any] | None
    cost: float = 0.0  # seconds of processor time

    def event(self, since: _Made | None) -> bytes:
        """The event that leads here: from `since` only the rows that differ, else all of them."""
        if self.changes is None:
            return _event("changed", self.etag, {"version": self.etag})
        changes = self.changes
        if since is not None and since.changes is not None and since.changes["layout"] == changes["layout"]:
            before = since.changes["rows"]
            rows = {sha: row for sha, row in changes["rows"].items() if before.get(sha) != row}
            changes = {**changes, "rows": rows}
        return _event("changes", self.etag, changes)


def _event(name: str, id: str, data: object) -> bytes:
    return f"event: {name}\nid: {id}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


@dataclass
class _Page:
    """What is shown at one address from one commit down, and who looks at it. All strangers see the same."""

    repository_id: int
    path: str
    first: str
    user: int | None
    made: _Made | None = None
    step: tuple[str, bytes] = ("", b"")  # the ETag from which the newest event leads on, and that event
    whole: bytes = b""
    watchers: set[asyncio.Event] = field(default_factory=set)
    dirty: bool = True
    task: asyncio.Task[None] | None = None
    cost: float = 0.02
    began_at: float = 0.0  # when the newest one was begun: it holds all that was stored before
    made_at: float = 0.0

    def accept(self, made: _Made, began_at: float) -> None:
        if self.made is None or made.etag != self.made.etag:
            self.step = (self.made.etag, made.event(self.made)) if self.made else ("", b"")
            self.whole = made.event(None)
            self.made = made
        self.began_at = began_at
        for watcher in self.watchers:
            watcher.set()

    def news(self, etag: str) -> tuple[str, bytes] | None:
        """ETag and event for a page that has `etag`; None if it has the newest."""
        if self.made is None or self.made.etag == etag:
            return None
        leads_on = self.step[1] and self.step[0] == etag
        return self.made.etag, self.step[1] if leads_on else self.whole


class _Hub:
    """All open pages of one process. Everything here runs in the event loop, but for `_make`."""

    def __init__(self) -> None:
        self.pages: dict[tuple[int, str, str, int | None], _Page] = {}
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="live")
        self.open = 0
        # One page after the other: two at once would be no sooner ready, would both read what they have in common, and
        # would leave less of the interpreter to whoever opens a page meanwhile.
        self._making = asyncio.Lock()
        self._versions: dict[int, int] = {}
        self._ear: asyncio.Task[None] | None = None
        self._eye: asyncio.Task[None] | None = None
        self._hears = False

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)

    @contextmanager
    def watch(
        self, repository_id: int, path: str, first: str, user: int | None
    ) -> Iterator[tuple[_Page, asyncio.Event]]:
        """The page, and an event that is set when there is something new about it."""
        if self._ear is None or self._ear.done():
            self._ear = asyncio.create_task(self._listen())
        if self._eye is None or self._eye.done():
            self._eye = asyncio.create_task(self._look())
        key = repository_id, path, first, user
        page = self.pages.setdefault(key, _Page(*key))
        news = asyncio.Event()
        page.watchers.add(news)
        self.open += 1
        # What was made for others may be older than what this page has.
        self._touch(page)
        try:
            yield page, news
        finally:
            self.open -= 1
            page.watchers.discard(news)
            if not page.watchers:
                self.pages.pop(key, None)
            if not self.pages:
                for task in (self._ear, self._eye):
                    task.cancel()
                self._ear = self._eye = None
                self._versions.clear()

    # -- making pages -----------------------------------------------------------------------------------------

    def _touch(self, page: _Page) -> None:
        page.dirty = True
        if page.task is None or page.task.done():
            page.task = asyncio.create_task(self._renew(page))

    async def _renew(self, page: _Page) -> None:
        while page.dirty and page.watchers:
            load = sum(one.cost for one in self.pages.values())
            wait = page.made_at + min(max(GAP, load / BUSY), SLOWEST) - time.monotonic()
            if page.made is not None and wait > 0:
                await asyncio.sleep(wait)
            try:
                async with self._making:
                    page.dirty = False
                    began = time.monotonic()
                    made = await self.run(_make, page.repository_id, page.path, page.first, page.user)
                page.accept(made, began)
                # The processor's time, and not how long it took: a busy machine is no reason to be slower still.
                page.cost = 0.7 * page.cost + 0.3 * made.cost
            except Exception:
                log.exception("an open page could not be brought up to date", extra={"path": page.path})
                page.dirty = True
                await asyncio.sleep(2)
            page.made_at = time.monotonic()

    def _changed(self, repository_id: int) -> None:
        for page in self.pages.values():
            if page.repository_id == repository_id:
                self._touch(page)

    # -- hearing of changes -----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pause = 0.5
        while True:
            client = redis.asyncio.Redis.from_url(
                settings.REDIS_URL, socket_connect_timeout=2, health_check_interval=10
            )
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(live.CHANNEL)
                    self._hears, pause = True, 0.5
                    await self._compare()  # what changed while nobody was listening
                    while True:
                        message = await channel.get_message(timeout=5)
                        if message is not None:
                            with suppress(ValueError, KeyError, TypeError):
                                self._changed(int(json.loads(message["data"])["repository"]))
            except (redis.RedisError, OSError) as error:
                if self._hears:
                    log.warning("Redis no longer tells of changes: %s", type(error).__name__)
            finally:
                self._hears = False
                with suppress(Exception):
                    await client.aclose()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 10)

    async def _compare(self) -> None:
        with suppress(Error):
            now = await self.run(_versions)
            for repository_id, version in now.items():
                if self._versions.get(repository_id, version) != version:
                    self._changed(repository_id)
            self._versions = now

    async def _look(self) -> None:
        """Compare the versions in the database with those of the last look: for what Redis did not tell."""
        while True:
            await self._compare()
            until = time.monotonic() + CHECK
            while time.monotonic() < until:
                await asyncio.sleep(CHECK_WITHOUT_REDIS)
                if not self._hears:
                    break


_hubs: dict[int, _Hub] = {}


def hub() -> _Hub:
    """This event loop's."""
    loop = id(asyncio.get_running_loop())
    if loop not in _hubs:
        _hubs.clear()
        _hubs[loop] = _Hub()
    return _hubs[loop]


# -- in a thread ------------------------------------------------------------------------------------------------------


@contextmanager
def _database() -> Iterator[None]:
    """The connection goes back to the pool afterwards."""
    try:
        yield
    finally:
        connection.close()


def _versions() -> dict[int, int]:
    with _database():
        return dict(Repository.objects.values_list("pk", "version"))


def _make(repository_id: int, path: str, first: str, user: int | None) -> _Made:
    """The page as it is now: what the view answers to a refresh; of pages that know no refresh, the version."""
    began = time.thread_time()
    with _database():
        answer = _refresh(path, first, user) if first else None
        if answer is None:
            version = Repository.objects.values_list("version", flat=True).get(pk=repository_id)
            answer = _Made(str(version), None)
    return replace(answer, cost=time.thread_time() - began)


def _refresh(path: str, first: str, user: int | None) -> _Made | None:
    url = urlsplit(path)
    match = resolve(unquote(url.path))
    if match.func not in (views.grid, views.trunk):
        return None
    request = _request(url.path, url.query, [(b"x-arborist-refresh", first.encode())])
    request.user = AnonymousUser() if user is None else get_user_model().objects.get(pk=user)
    request.htmx = False  # type: ignore[attr-defined]
    try:
        response = match.func(request, *match.args, **match.kwargs)
    except Http404:
        return None
    if response.status_code != 200:
        return None
    return _Made(response["ETag"], json.loads(response.content))


def _request(path: str, query: str, headers: list[tuple[bytes, bytes]]) -> ASGIRequest:
    scope = {
        "type": "http", "method": "GET", "path": unquote(path), "query_string": query.encode(), "headers": headers,
        "server": ("localhost", 80), "scheme": "http",
    }  # fmt: skip
    return ASGIRequest(scope, BytesIO())


def _admit(owner: str, name: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, int | None] | None:
    """Ids of the repository, if it is watched and this visitor may read it, and of the visitor."""
    with _database():
        request = _request("/", "", [(key, value) for key, value in headers if key == b"cookie"])
        session = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(session)
        user = get_user(request) if session else AnonymousUser()
        try:
            repository = places.the_repository(owner, name)
        except Http404:
            return None
        return (repository.pk, user.pk) if roles.allows(user, roles.Role.READER, str(repository)) else None


def without_streams(request: HttpRequest, owner: str, repo: str) -> HttpResponse:
    """The same address where a server can't hold streams open, and the page of a branch that is called like it."""
    if "path" not in request.GET:
        return views.grid(request, owner, repo, "live")
    return HttpResponse(status=204)


def is_stream(scope: Scope) -> bool:
    """Whether a request is for this application."""
    return ADDRESS.match(scope["path"]) is not None and b"path=" in scope["query_string"]


# -- the stream -------------------------------------------------------------------------------------------------------

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
    (b"x-content-type-options", b"nosniff"),
]


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Events for one open page, until it is closed."""
    found = ADDRESS.match(scope["path"])
    assert found is not None
    try:
        query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=10)
        path, first, etag = (query.get(name, [""])[0] for name in ("path", "first", "etag"))
        shown = _canonical(path)
    except ValueError:  # too many fields, or an address that is none
        return await _refuse(send, 400, "path must be the address of a page of this repository.")
    headers = scope["headers"]
    etag = next((value.decode("latin-1") for name, value in headers if name == b"last-event-id"), etag)
    owner, repo = found.groups()
    here = hub()
    if scope["method"] != "GET":
        return await _refuse(send, 405, "Streams are asked for by GET.")
    if not _of_repository(path, owner, repo) or len(first) > 64 or not re.fullmatch(r"[0-9a-f]*", first):
        return await _refuse(send, 400, "path must be the address of a page of this repository.")
    if here.open >= MOST:
        return await _refuse(send, 503, "Too many pages are open.")
    try:
        admitted = await here.run(_admit, owner, repo, headers)
    except Error:
        return await _refuse(send, 503, "The database could not be reached.")
    if admitted is None:
        return await _refuse(send, 404, "There is no such repository here.")
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    gone = asyncio.create_task(_until_gone(receive))
    page = (admitted[0], shown, first, admitted[1])
    telling = asyncio.create_task(_tell(here, page, etag, send))
    try:
        await asyncio.wait((gone, telling), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (gone, telling):
            task.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await task
    return None


async def _tell(here: _Hub, what: tuple[int, str, str, int | None], etag: str, send: Send) -> None:
    async def write(body: bytes) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": True})

    await write(f"retry: {RETRY}\n\n".encode())
    opened = time.monotonic()
    with here.watch(*what) as (page, news):
        while True:
            # What was made for others before this page was opened may be older than what it shows.
            found = page.news(etag) if page.began_at > opened else None
            if found is not None:
                etag, event = found
                await write(event)
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await news.wait()
                news.clear()
            except TimeoutError:
                await write(b": still here\n\n")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _of_repository(path: str, owner: str, repo: str) -> bool:
    if len(path) > ADDRESS_MAX:
        return False
    url = urlsplit(path)
    if url.scheme or url.netloc:
        return False
    try:
        resolve(unquote(url.path))
    except Resolver404:
        return False
    return f"{unquote(url.path)}/".lower().startswith(f"/hud/{owner}/{repo}/".lower())


def _canonical(path: str) -> str:
    """Without what only says where to scroll: `at` changes nothing that changes."""
    url = urlsplit(path)
    query = [(name, value) for name, values in parse_qs(url.query, max_num_fields=50).items() for value in values]
    kept = urlencode([(name, value) for name, value in query if name != "at"])
    return url.path + (f"?{kept}" if kept else "")
