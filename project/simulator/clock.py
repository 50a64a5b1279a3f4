"""Simulated time: real time from an anchor on, multiplied by a speed."""

import time
from datetime import UTC, datetime
from functools import lru_cache


class Clock:
    """Counts simulated seconds since the Unix epoch.

    At the real moment `anchor` (by default, now) it shows `start` (by default, the anchor itself). So without either
    it agrees with the real clock for as long as its speed is 1. A speed of 0 stops the world.
    """

    def __init__(self, *, start: float | None = None, speed: float = 1.0, anchor: float | None = None) -> None:
        self._real_anchor = time.time() if anchor is None else anchor
        self._anchor = self._real_anchor if start is None else start
        self._speed = speed

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> float:
        return self._anchor + (time.time() - self._real_anchor) * self._speed

    def set(self, moment: float) -> None:
        self._anchor, self._real_anchor = moment, time.time()

    def advance(self, seconds: float) -> None:
        self.set(self.now() + seconds)

    def set_speed(self, speed: float) -> None:
        # The anchor moves first, so that the time already lived keeps the speed it was lived at.
        self.set(self.now())
        self._speed = speed


def iso(moment: float) -> str:
    """ISO 8601 in UTC with whole seconds, as GitHub writes times."""
    return _iso_second(int(moment))


@lru_cache(maxsize=1 << 16)  # a page writes hundreds of times, and most of them again a minute later
def _iso_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso(text: str) -> float:
    """Seconds since the epoch; a date alone means its first second, a time without a zone means UTC."""
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
