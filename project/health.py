"""Whether this process lives (`/healthz`), and whether the whole site does its work (`/readyz`).

Apps add what only they know, in their `AppConfig.ready`: `health.register("data", check)`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

HEARTBEAT_KEY = "arborist:worker:heartbeat"  # written by project.celery
HEARTBEAT_LATE_SECONDS = 60

log = logging.getLogger(__name__)


class NotReadyError(Exception):
    """A check failed; the message says what is wrong, in words fit to be read by anyone."""


Check = Callable[[], str]
"""Returns how things are, in words, or raises NotReadyError."""

_registered: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    """Have `/readyz` ask `check` too. Registering a name again replaces it."""
    _registered[name] = check


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers. Nothing else is looked at, so that a lost database doesn't get the web restarted."""
    return JsonResponse({"ok": True, "checks": {"process": {"ok": True, "says": "answering"}}})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Everything that must work for the pages to be right: database, Redis, worker, and what apps registered."""
    checks = {name: _ask(name, check) for name, check in (_OWN | _registered).items()}
    ok = all(found["ok"] for found in checks.values())
    return JsonResponse({"ok": ok, "checks": checks}, status=200 if ok else 503)


def _ask(name: str, check: Check) -> dict[str, bool | str]:
    try:
        return {"ok": True, "says": check()}
    except NotReadyError as error:
        return {"ok": False, "says": str(error)}
    except Exception:
        # The reason may name hosts and users, and this page is public: it goes to the log.
        log.exception("readiness check %s failed", name)
        return {"ok": False, "says": "could not be checked; the log says why"}


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception as error:
        log.warning("the database does not answer: %s", error)
        raise NotReadyError("does not answer") from error
    return "answers"


def _redis() -> str:
    try:
        with _client() as client:
            client.ping()
    except redis.RedisError as error:
        log.warning("Redis does not answer: %s", error)
        raise NotReadyError("does not answer") from error
    return "answers"


def worker() -> str:
    """How the worker is, in words; raises NotReadyError if beat, broker or worker do not do their part."""
    try:
        with _client() as client:
            value = client.get(HEARTBEAT_KEY)
    except redis.RedisError as error:
        raise NotReadyError("unknown, because Redis does not answer") from error
    try:
        age = max(0, round(time.time() - float(value)))
    except (TypeError, ValueError) as error:
        raise NotReadyError("no heartbeat: no worker or no beat is running, so nothing is polled") from error
    if age > HEARTBEAT_LATE_SECONDS:
        raise NotReadyError(f"last heartbeat {age} s ago: worker or beat has stopped, or tasks are queueing up")
    return f"heartbeat {age} s ago"


def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


_OWN: dict[str, Check] = {"database": _database, "redis": _redis, "worker": worker}
