"""Writes of one credential go one at a time, with a pause between them, across all workers.

GitHub asks for it: "make requests serially" and "wait at least one second between each" that writes. What does not
observe it meets the secondary limits, and in the end a ban. The turn is a key in Redis that expires by itself, so a
worker killed in its turn holds up the others for `HELD` seconds at most. Without Redis each process keeps the pause by
itself.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import redis as redis_client

from .errors import RateLimited

log = logging.getLogger(__name__)

PAUSE: Final = 1.0  # seconds after a write, before the next
HELD: Final = 45.0  # seconds after which a turn ends by itself: longer than the longest write
PATIENCE: Final = 5.0  # seconds to wait for one's turn before coming back later
POLL: Final = 0.05

# Only whoever has the turn may end it: it may have expired, and be somebody else's by now.
_END: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) end"


class Pace:
    """The turns of one credential (`TokenSource.credential`). ``redis`` may be None."""

    def __init__(
        self,
        credential: str,
        redis: redis_client.Redis | None = None,
        *,
        pause: float = PAUSE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._key = f"arborist:github:turn:{credential}"
        self._redis = redis
        self._pause = pause
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0  # monotonic, for this process

    @contextmanager
    def turn(self, asked: str) -> Iterator[None]:
        """Inside, nobody else writes. Raises `RateLimited` if it is not our turn within `PATIENCE` seconds."""
        mine = secrets.token_hex(8)
        deadline = time.monotonic() + PATIENCE
        if not self._lock.acquire(timeout=PATIENCE):
            raise self._later(asked)
        try:
            shared = self._begin(mine, deadline, asked)
            try:
                yield
            finally:
                self._free_at = time.monotonic() + self._pause
                if shared:
                    self._end(mine)
        finally:
            self._lock.release()

    def _begin(self, mine: str, deadline: float, asked: str) -> bool:
        while self._redis is not None:
            try:
                if self._redis.set(self._key, mine, nx=True, px=round(HELD * 1000)):
                    return True
            except redis_client.RedisError as error:
                log.warning(
                    "writes are not paced together: Redis does not answer", extra={"error": type(error).__name__}
                )
                break
            if time.monotonic() > deadline:
                raise self._later(asked)
            self._sleep(POLL)
        wait = self._free_at - time.monotonic()
        if wait > 0:
            self._sleep(wait)
        return False

    def _end(self, mine: str) -> None:
        assert self._redis is not None
        try:
            self._redis.eval(_END, 1, self._key, mine, str(max(1, round(self._pause * 1000))))
        except redis_client.RedisError:
            log.warning("a turn to write ends by itself: Redis does not answer")

    def _later(self, asked: str) -> RateLimited:
        until = datetime.fromtimestamp(time.time() + PATIENCE, UTC)
        return RateLimited(asked, until, secondary=True, reason="Other writes to GitHub go first")
