"""`POST /webhooks/github`, beside Django: an ASGI application of its own.

Django reads a request's whole body before anything may look at it; here one that is too long is refused while it
comes. And deliveries that arrive together are written together: the transaction is what costs.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.db import Error, close_old_connections, connection

from hud import webhooks
from project.github.payloads import PayloadError
from project.github.webhooks import BODY_MAX, Delivery, genuine, read_delivery

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_SECONDS = 30.0
AT_ONCE = 100  # deliveries in one statement
PACE = 0.04  # seconds from one statement to the next, at least: in a storm a few bigger ones cost less than many small
WAITING = 2_000  # more than that, and GitHub is told to come again: it keeps failed deliveries for three days


class RefusedError(Exception):
    """The answer is an error, in words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class _Writer:
    """Writes deliveries down, all that have come while it was writing the last ones, in one thread."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Delivery, asyncio.Future[bool]]] = []
        self._task: asyncio.Task[None] | None = None
        self._next = 0.0  # the loop's time before which nothing is written; a delivery that comes alone never waits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webhooks")

    async def write(self, delivery: Delivery) -> bool:
        """Whether it is new. Returns when it is safely stored."""
        if len(self._waiting) >= WAITING:
            raise RefusedError(503, "Too many deliveries wait to be stored. Send it again later.")
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if len(self._waiting) < AT_ONCE and (wait := self._next - loop.time()) > 0:
                await asyncio.sleep(wait)
            self._next = loop.time() + PACE
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                new = await loop.run_in_executor(self._thread, _take_in, [delivery for delivery, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for delivery, future in batch:
                if not future.done():
                    future.set_result((delivery.hook_id, delivery.guid) in new)


def _take_in(deliveries: list[Delivery]) -> set[tuple[int, str]]:
    close_old_connections()
    try:
        new = webhooks.take_in(deliveries)
    finally:
        connection.close()  # back to the pool
    if new:
        webhooks.send_for(one.repository_id for one in deliveries if (one.hook_id, one.guid) in new)
    return new


_writers: dict[int, _Writer] = {}


def _writer() -> _Writer:
    """This event loop's."""
    loop = id(asyncio.get_running_loop())
    if loop not in _writers:
        _writers.clear()
        _writers[loop] = _Writer()
    return _writers[loop]


async def receive(scope: Scope, receive: Receive, send: Send) -> None:
    """Check, store, answer 202. A repeat of what is stored already gets the same answer."""
    try:
        status, words = await _answer(scope, receive)
    except RefusedError as error:
        status, words = error.status, str(error)
    except Error:
        log.exception("a delivery could not be stored")
        status, words = 503, "The database could not be reached. Send it again later."
    body = json.dumps({"message": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"allow", b"POST")] if status == 405 else []
    headers += [(b"retry-after", b"60")] if status == 503 else []
    # What was not read of a body that is too long would otherwise be taken for the next request.
    headers += [(b"connection", b"close")] if status == 413 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(scope: Scope, receive: Receive) -> tuple[int, str]:
    if scope["method"] != "POST":
        raise RefusedError(405, "Deliveries are sent by POST.")
    if not settings.WEBHOOK_SECRETS:
        raise RefusedError(503, "ARBORIST_WEBHOOK_SECRET is not set here, so that no delivery can be believed.")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    body = await _body(headers.get("content-length", ""), receive)
    given = headers.get("x-hub-signature-256", "")
    if not given:
        raise RefusedError(401, "The header X-Hub-Signature-256 is missing: give the webhook its secret.")
    if not genuine(settings.WEBHOOK_SECRETS, body, given):
        raise RefusedError(401, "X-Hub-Signature-256 is not the signature of this body under our secret.")
    if not headers.get("content-type", "application/json").startswith("application/json"):
        raise RefusedError(400, "The body is not JSON: choose the content type application/json for the webhook.")
    try:
        delivery = read_delivery(headers, body)
    except PayloadError as error:
        raise RefusedError(400, f"{error}.") from None
    if delivery.event == "ping":
        return 200, "Well received."
    return (202, "Stored.") if await _writer().write(delivery) else (202, "Known already.")


async def _body(length: str, receive: Receive) -> bytes:
    if length.isascii() and length.isdigit() and (len(length) > 12 or int(length) > BODY_MAX):
        raise RefusedError(413, _TOO_LONG)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(400, "The body ended too early.")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > BODY_MAX:
                    raise RefusedError(413, _TOO_LONG)
                chunks.append(chunk)
                if not message.get("more_body"):
                    return b"".join(chunks)
    except TimeoutError:
        raise RefusedError(408, "The body took too long.") from None


_TOO_LONG = f"The body is longer than {BODY_MAX // 1024 // 1024} MB, the most that GitHub sends."
