"""The rate budget: shared through a real Redis, or alone without."""

import threading
import time
from datetime import UTC, datetime

import pytest
import redis as redis_client

from project.github.budget import KEPT, PATIENCE, Budget, Priority
from project.github.errors import RateLimited

START = 1_740_000_000.0


class Clock:
    """A clock that only moves when told, or when someone sleeps."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["redis", "alone"])
def budget(request: pytest.FixtureRequest, clock: Clock) -> Budget:
    shared = request.getfixturevalue("redis") if request.param == "redis" else None
    return Budget("credential", shared, clock=clock, sleep=clock.sleep)


def headers(remaining: int, *, left: float = 3600, limit: int = 5000, at: float = START) -> dict[str, str]:
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(int(at + left)),
    }


def test_before_the_first_answer_everything_goes(budget: Budget, clock: Clock) -> None:
    for priority in Priority:
        budget.before(priority)
    assert clock.now == START
    assert budget.snapshot().limit is None


def test_the_last_fifth_is_kept_for_writes(budget: Budget) -> None:
    budget.learn(headers(1000, left=60))
    with pytest.raises(RateLimited, match=r"last 1000 requests of the hour are kept for writes") as caught:
        budget.before(Priority.NORMAL, asked="GET /x")
    assert caught.value.retry_at == datetime.fromtimestamp(START + 60, UTC)
    assert not caught.value.secondary
    budget.before(Priority.HIGH)


def test_what_matters_least_is_refused_first(budget: Budget) -> None:
    budget.learn(headers(2000, left=600))
    with pytest.raises(RateLimited, match="polling the trunk"):
        budget.before(Priority.LOW)
    budget.before(Priority.NORMAL)


def test_nothing_left_is_nothing_left(budget: Budget) -> None:
    budget.learn(headers(0))
    with pytest.raises(RateLimited, match="used up"):
        budget.before(Priority.HIGH)


def test_a_new_hour_is_a_full_one(budget: Budget, clock: Clock) -> None:
    budget.learn(headers(0, left=100))
    clock.now += 101
    budget.before(Priority.LOW)
    assert budget.snapshot().remaining == 5000


def test_a_burst_at_the_start_of_the_hour_is_not_held_back(budget: Budget, clock: Clock) -> None:
    for spent in range(0, 1200, 10):
        budget.learn(headers(5000 - spent))
        budget.before(Priority.NORMAL)
    assert clock.now == START


def test_spending_too_fast_is_spread_over_the_rest_of_the_hour(budget: Budget, clock: Clock) -> None:
    budget.learn(headers(3000))
    for _ in range(20):
        budget.before(Priority.NORMAL)
    # (3000 - 1000 kept) requests in 3600 seconds
    assert clock.now - START == pytest.approx(19 * 1.8, abs=0.5)


def test_nobody_is_held_back_for_long(budget: Budget, clock: Clock) -> None:
    budget.learn(headers(1100))
    budget.before(Priority.NORMAL)
    with pytest.raises(RateLimited, match="spread") as caught:
        budget.before(Priority.NORMAL)
    assert clock.now - START <= PATIENCE
    assert caught.value.retry_at == datetime.fromtimestamp(START + 36, UTC)
    budget.before(Priority.HIGH)
    assert clock.now == START


def test_polling_for_an_hour_at_twice_the_limit_never_reaches_the_reserve(budget: Budget, clock: Clock) -> None:
    remaining, refused = 500, 0
    while clock.now < START + 3600:
        try:
            budget.before(Priority.NORMAL)
        except RateLimited:
            refused += 1
        else:
            remaining -= 1
            budget.learn(headers(remaining, limit=500, left=3600))
        clock.now += 3.6
    assert 100 <= remaining < 130
    assert refused > 0


def test_a_secondary_limit_waits_longer_each_time_up_to_a_bound(budget: Budget, clock: Clock) -> None:
    waits = []
    for _ in range(7):
        error = budget.refused(403, {}, "secondary rate limit")
        assert error is not None
        assert error.secondary
        waits.append(error.retry_at.timestamp() - clock.now)
        clock.now = error.retry_at.timestamp()
    assert waits == [60, 120, 240, 480, 960, 960, 960]
    clock.now += 3601
    error = budget.refused(429, {}, "")
    assert error is not None
    assert error.retry_at.timestamp() - clock.now == 60


def test_requests_under_way_when_the_limit_struck_are_one_strike(budget: Budget, clock: Clock) -> None:
    for _ in range(5):
        error = budget.refused(403, {}, "secondary rate limit")
        clock.now += 0.1
    assert error is not None
    assert error.retry_at.timestamp() == START + 60


def test_a_block_holds_writes_too_and_is_shown(budget: Budget) -> None:
    budget.refused(429, {"retry-after": "90"}, "")
    with pytest.raises(RateLimited) as caught:
        budget.before(Priority.HIGH)
    assert caught.value.secondary
    state = budget.snapshot()
    assert state.blocked_until == datetime.fromtimestamp(START + 90, UTC)
    assert "slow down" in state.reason


def test_a_refusal_that_is_no_rate_limit_is_none_of_ours(budget: Budget) -> None:
    assert budget.refused(403, headers(4000), "Resource not accessible") is None
    budget.before(Priority.LOW)


def test_retry_after_comes_before_the_reset(budget: Budget) -> None:
    error = budget.refused(403, {**headers(0), "retry-after": "10"}, "API rate limit exceeded")
    assert error is not None
    assert error.retry_at.timestamp() == START + 10
    assert not error.secondary


def test_retry_after_may_be_a_date(budget: Budget) -> None:
    said = {"retry-after": "Thu, 20 Feb 2025 12:00:30 GMT", "date": "Thu, 20 Feb 2025 12:00:00 GMT"}
    error = budget.refused(429, said, "")
    assert error is not None
    assert error.retry_at.timestamp() == START + 30


def test_github_s_own_clock_tells_the_reset(budget: Budget) -> None:
    ahead = datetime.fromtimestamp(START + 500, UTC)
    budget.learn({**headers(10, left=560), "date": ahead.strftime("%a, %d %b %Y %H:%M:%S GMT")})
    reset = budget.snapshot().reset_at
    assert reset is not None
    assert reset.timestamp() == START + 60


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"x-ratelimit-limit": "x", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "1"},
        headers(-1),
        headers(6000),
        headers(1, limit=10**12),
        {**headers(0), "x-ratelimit-resource": "search"},
    ],
)
def test_headers_that_make_no_sense_change_nothing(budget: Budget, said: dict[str, str]) -> None:
    budget.learn(said)
    assert budget.snapshot().limit is None


def test_an_answer_that_was_overtaken_by_the_new_hour_changes_nothing(budget: Budget, clock: Clock) -> None:
    budget.learn(headers(4999, left=3600))
    budget.learn(headers(1, left=10))
    assert budget.snapshot().remaining == 4999


# -- shared ---------------------------------------------------------------------------------------------------


def test_workers_share_what_one_of_them_learned(redis: redis_client.Redis, clock: Clock) -> None:
    one, two = (Budget("same", redis, clock=clock) for _ in range(2))
    other = Budget("other", redis, clock=clock)
    one.refused(429, {"retry-after": "60"}, "")
    with pytest.raises(RateLimited):
        two.before()
    other.before()
    assert 0 < int(redis.ttl("arborist:github:budget:same")) <= KEPT


def test_workers_at_once_take_different_moments(redis: redis_client.Redis, clock: Clock) -> None:
    Budget("many", redis, clock=clock).learn(headers(3000))
    waits: list[float] = []

    def work() -> None:
        worker = Budget("many", redis, clock=clock, sleep=waits.append)
        worker.before()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx([1.8, 3.6])


def test_a_redis_that_is_away_costs_neither_knowledge_nor_time(
    redis: redis_client.Redis, redis_away: redis_client.Redis, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget("alone", redis, clock=clock)
    budget.learn(headers(1000, left=60))
    budget._redis = redis_away
    started = time.monotonic()
    for _ in range(50):
        with pytest.raises(RateLimited):
            budget.before()
    assert time.monotonic() - started < 1
    assert [record.message for record in caplog.records] == ["rate budget is not shared: Redis does not answer"]


@pytest.mark.parametrize("junk", ["", "{", "[]", '{"what": 1}', '{"limit": "many"}', "\xff", "null", "7"])
def test_junk_in_redis_is_forgotten(redis: redis_client.Redis, clock: Clock, junk: str) -> None:
    redis.set("arborist:github:budget:junk", junk)
    budget = Budget("junk", redis, clock=clock)
    budget.before(Priority.LOW)
    budget.learn(headers(4000))
    assert budget.snapshot().remaining == 4000
