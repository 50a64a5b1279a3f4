"""Tells the web processes that something shown has changed. They tell the open pages: `hud.live_views`.

A message may be lost, for Redis keeps none: so pages also compare versions now and then, and nothing but speed is lost
with it. Therefore nothing here ever fails or waits long.
"""

from __future__ import annotations

import json
import logging
import os
import time

import redis
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

CHANNEL = "arborist:live"
_TIMEOUT = 0.5  # seconds: whoever stores must not wait for Redis
_PAUSE = 5.0  # seconds without a try after a failure

log = logging.getLogger(__name__)

_clients: dict[tuple[int, str], redis.Redis] = {}
_pause_until = 0.0


def client() -> redis.Redis:
    """This process's client, whose calls are short. A forked worker gets its own."""
    key = os.getpid(), settings.REDIS_URL
    found = _clients.get(key)
    if found is None:
        _clients.clear()
        found = _clients[key] = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )
    return found


def changed(repository_id: int, version: int | None = None) -> None:
    """Pages of this repository show something else, once the transaction is committed. Call it inside of it."""
    transaction.on_commit(lambda: _publish(repository_id, version))


def _publish(repository_id: int, version: int | None) -> None:
    global _pause_until
    if time.monotonic() < _pause_until:
        return
    try:
        client().publish(CHANNEL, json.dumps({"repository": repository_id, "version": version}))
    except redis.RedisError as error:
        _pause_until = time.monotonic() + _PAUSE
        log.warning("a change could not be published: %s", type(error).__name__)
