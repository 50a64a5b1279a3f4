"""One rate budget per credential, shared by all workers through Redis, slowing down before GitHub stops us.

GitHub counts per credential: so many requests an hour (304 answers are free), and undisclosed limits on
speed. Each answer tells what is left; `Budget` remembers it, and before each request decides to go, to wait a
little, or to refuse with `RateLimited`, which says when to come back. What matters least is refused first:
backfill and logs, then polling; writes that a person waits for may use the last request.

Without Redis, each process goes on with what it knows itself.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import IntEnum
from typing import Any, Final, TypeVar

import redis as redis_client

from .errors import SLOW_DOWN, USED_UP, RateLimited

R = TypeVar("R")
log = logging.getLogger(__name__)

WINDOW: Final = 3600.0  # seconds; GitHub's hour
PATIENCE: Final = 5.0  # seconds that a request may be held back before it is refused instead
SECONDARY_WAIT: Final = 60.0  # seconds, doubled with each strike
SECONDARY_WAIT_MAX: Final = 960.0
STRIKES_FORGOTTEN: Final = 3600.0  # seconds after the last one
REDIS_RETRY: Final = 30.0  # seconds without Redis before it is tried again
KEPT: Final = 7200  # seconds that Redis keeps a budget nobody uses


class Priority(IntEnum):
    """How much a request matters. The lowest is refused first."""

    LOW = 1  # backfill, logs
    NORMAL = 2  # polling the trunk
    HIGH = 3  # writes, and whatever a person waits for


#: The share of the hour's limit that each priority leaves untouched.
RESERVE: Final = {Priority.HIGH: 0.0, Priority.NORMAL: 0.2, Priority.LOW: 0.4}
#: Requests are spread over the hour once less than this share of an even spending is left. A burst at the
#: start of the hour is fine: that is how a new repository's page is filled.
SLACK: Final = {Priority.NORMAL: 0.7, Priority.LOW: 0.85}


@dataclass(frozen=True, slots=True)
class BudgetState:
    """For the status page. All None until GitHub's first answer; ``reason`` says why we are held up."""

    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    blocked_until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Refusal:
    until: float
    reason: str
    secondary: bool = False


@dataclass(frozen=True, slots=True)
class _Bucket:
    """What is known about a credential. Times are seconds since the epoch; nothing here reads a clock."""

    limit: int = 0  # 0: GitHub has not said yet
    remaining: int = 0
    reset: float = 0.0
    blocked_until: float = 0.0
    secondary: bool = False
    reason: str = ""
    strikes: int = 0
    struck_at: float = 0.0
    next_slot: float = 0.0  # while requests are spread: the moment at which the next one may go

    def decide(self, now: float, priority: Priority) -> tuple["_Bucket", float | _Refusal]:
        """Seconds to wait before the request, or a refusal; and the bucket after it."""
        if now < self.blocked_until:
            return self, _Refusal(self.blocked_until, self.reason, self.secondary)
        if not self.limit or now >= self.reset:
            return self, 0.0
        floor = self.limit * RESERVE[priority]
        if self.remaining <= floor:
            return self, _Refusal(self.reset, self._shortage(priority))
        even = self.limit * min(1.0, (self.reset - now) / WINDOW)
        if priority is Priority.HIGH or self.remaining >= even * SLACK[priority]:
            return self, 0.0
        slot = max(now, self.next_slot)
        if slot - now > PATIENCE:
            return self, _Refusal(slot, "Requests are spread so that they last the hour")
        interval = (self.reset - now) / (self.remaining - floor)
        return replace(self, next_slot=slot + interval), slot - now

    def _shortage(self, priority: Priority) -> str:
        if self.remaining <= 0 or priority is Priority.HIGH:
            return USED_UP
        kept_for = "writes" if priority is Priority.NORMAL else "writes and for polling the trunk"
        return f"The last {self.remaining} requests of the hour are kept for {kept_for}"

    def learned(self, now: float, limit: int, remaining: int, reset: float) -> "_Bucket":
        """After an answer's headers. Answers overtake each other: one of the last hour changes nothing."""
        if self.limit == limit and now < self.reset and reset < self.reset - 60:
            return self
        next_slot = self.next_slot if abs(reset - self.reset) <= 60 else 0.0
        return replace(self, limit=limit, remaining=remaining, reset=reset, next_slot=next_slot)

    def exhausted(self, until: float) -> "_Bucket":
        return replace(
            self,
            remaining=0,
            blocked_until=max(self.blocked_until, until),
            secondary=False,
            reason=USED_UP,
        )

    def slowed(self, now: float, wait: float | None) -> "_Bucket":
        """After a secondary limit: ``wait`` seconds if GitHub said so, else a minute and double each time.

        Requests that were under way when the limit struck fail with it; together they are one strike.
        """
        strikes, struck_at = self.strikes, self.struck_at
        if now >= self.blocked_until:
            strikes = strikes + 1 if now - struck_at < STRIKES_FORGOTTEN else 1
            struck_at = now
        if wait is None:
            wait = min(SECONDARY_WAIT * 2 ** (max(strikes, 1) - 1), SECONDARY_WAIT_MAX)
            until = max(self.blocked_until, struck_at + wait)
        else:
            until = max(self.blocked_until, now + wait)
        return replace(
            self,
            blocked_until=until,
            secondary=True,
            reason=SLOW_DOWN,
            strikes=strikes,
            struck_at=struck_at,
        )


_EMPTY: Final = _Bucket()


class Budget:
    """The rate budget of one credential.

    ``credential`` names it across workers (`TokenSource.credential`; never the token itself). ``redis`` may
    be None.
    """

    def __init__(
        self,
        credential: str,
        redis: redis_client.Redis | None = None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._key = f"arborist:github:budget:{credential}"
        self._redis = redis
        self._redis_back_at = 0.0
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._memory = _Bucket()

    def before(self, priority: Priority = Priority.NORMAL, *, asked: str = "GitHub") -> None:
        """Returns when a request may go, after at most `PATIENCE` seconds.

        Raises `RateLimited` with the moment to come back, if that is further off.
        """
        answer = self._change(lambda bucket, now: bucket.decide(now, priority))
        if isinstance(answer, _Refusal):
            raise RateLimited(asked, _when(answer.until), secondary=answer.secondary, reason=answer.reason)
        if answer > 0:
            log.info("request held back", extra={"asked": asked, "seconds": round(answer, 2)})
            self._sleep(answer)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Remember what an answer's headers say is left. Headers that make no sense are ignored."""
        said = self._said(headers)
        if said is not None:
            limit, remaining, left = said
            self._change(lambda bucket, now: (bucket.learned(now, limit, remaining, now + left), None))

    def refused(
        self, status: int, headers: Mapping[str, str], message: str, *, asked: str = "GitHub"
    ) -> RateLimited | None:
        """The error to raise for a 403 or 429, remembered for all workers; None if it is no rate limit."""
        retry_after = self._retry_after(headers)
        said = self._said(headers)
        exhausted = headers.get("x-ratelimit-remaining") == "0"
        words = message.lower()
        limited = status == 429 or retry_after is not None or exhausted
        if not limited and "rate limit" not in words and "abuse detection" not in words:
            return None
        wait = retry_after if retry_after is not None or said is None else said[2]
        if exhausted and wait is not None and "secondary" not in words:
            bucket = self._change(lambda bucket, now: _twice(bucket.exhausted(now + wait)))
        else:
            bucket = self._change(lambda bucket, now: _twice(bucket.slowed(now, retry_after)))
        return RateLimited(asked, _when(bucket.blocked_until), secondary=bucket.secondary, reason=bucket.reason)

    def snapshot(self) -> BudgetState:
        """What is known now, for the status page. Asks Redis, never GitHub."""
        bucket, now = self._read(), self._clock()
        blocked = now < bucket.blocked_until
        fresh = bucket.limit > 0 and now < bucket.reset
        return BudgetState(
            limit=bucket.limit or None,
            # A window that has passed is full again.
            remaining=(bucket.remaining if fresh else bucket.limit) if bucket.limit else None,
            reset_at=_when(bucket.reset) if fresh else None,
            blocked_until=_when(bucket.blocked_until) if blocked else None,
            reason=bucket.reason if blocked else "",
        )

    # -- what headers say ------------------------------------------------------------------------------------

    def _said(self, headers: Mapping[str, str]) -> tuple[int, int, float] | None:
        """(limit, remaining, seconds until the reset) of the core resource, which is all that we use."""
        if headers.get("x-ratelimit-resource", "core") != "core":
            return None
        try:
            limit = int(headers["x-ratelimit-limit"])
            remaining = int(headers["x-ratelimit-remaining"])
            reset = int(headers["x-ratelimit-reset"])
        except (KeyError, ValueError):
            return None
        if not (0 < limit < 10**9 and 0 <= remaining <= limit and 0 < reset < 10**11):
            return None
        # By GitHub's own clock, if the answer tells it: ours may be wrong.
        left = reset - (_http_date(headers.get("date")) or self._clock())
        return limit, remaining, min(max(left, 1.0), WINDOW + 60)

    def _retry_after(self, headers: Mapping[str, str]) -> float | None:
        """Seconds, between 1 and an hour."""
        text = headers.get("retry-after")
        if text is None:
            return None
        if text.strip().isdecimal() and len(text) < 10:
            seconds = float(text)
        else:
            date = _http_date(text)
            if date is None:
                return None
            seconds = date - (_http_date(headers.get("date")) or self._clock())
        return min(max(seconds, 1.0), WINDOW)

    # -- where it is kept ------------------------------------------------------------------------------------

    def _read(self) -> _Bucket:
        return self._change(lambda bucket, now: _twice(bucket))

    def _change(self, step: Callable[[_Bucket, float], tuple[_Bucket, R]]) -> R:
        """Apply ``step`` to the shared bucket, or to this process's own while Redis is away."""
        if self._redis is not None and time.monotonic() >= self._redis_back_at:
            try:
                return self._change_shared(self._redis, step)
            except redis_client.RedisError as error:
                self._redis_back_at = time.monotonic() + REDIS_RETRY
                log.warning("rate budget is not shared: Redis does not answer", extra={"error": type(error).__name__})
        with self._lock:
            self._memory, answer = step(self._memory, self._clock())
            return answer

    def _change_shared(self, redis: redis_client.Redis, step: Callable[[_Bucket, float], tuple[_Bucket, R]]) -> R:
        with redis.pipeline() as pipe:
            for last in (False, False, False, False, True):
                pipe.watch(self._key)  # type: ignore[no-untyped-call]
                before = _load(pipe.get(self._key))
                after, answer = step(before, self._clock())
                if after != before:
                    pipe.multi()
                    pipe.set(self._key, json.dumps(asdict(after)), ex=KEPT)
                    try:
                        pipe.execute()
                    except redis_client.WatchError:
                        # Another worker was faster. The last try lets it be: a lost update costs one request.
                        if not last:
                            continue
                break
        with self._lock:
            self._memory = after
        return answer


def _load(text: Any) -> _Bucket:
    """The bucket as stored. What a different version of this code has written is forgotten, not trusted."""
    try:
        bucket = _Bucket(**json.loads(text)) if text else _EMPTY
    except (TypeError, ValueError):
        return _EMPTY
    whole = all(type(value) is type(asdict(_EMPTY)[name]) for name, value in asdict(bucket).items())
    return bucket if whole else _EMPTY


def _twice(bucket: _Bucket) -> tuple[_Bucket, _Bucket]:
    return bucket, bucket


def _http_date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
