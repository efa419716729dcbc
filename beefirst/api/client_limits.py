"""How many requests a client may make: counted by this replica, or in a Redis by all of them."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from beefirst.api.limit_storage import BoundedMemoryStorage, redis_storage
from beefirst.api.metrics import Metrics
from beefirst.urls import LimitsUrl

Answer = TypeVar("Answer")

WINDOW_SECONDS = 60
"""CLIENT_LIMIT counts the requests of a minute, wherever that begins."""

CALL_SECONDS = 0.5
"""A request waits for Redis no longer."""

PAUSE_SECONDS = 1.0
"""From one question to a Redis that does not answer to the next; all other requests do not wait for it."""

TOLD_EVERY_SECONDS = 60.0
"""How often the log tells that clients are refused, however many are."""

log = logging.getLogger("beefirst.limits")


class ClientLimits:
    """Counts the requests of each client in a sliding window.

    While the Redis of LIMITS_URL does not answer, each replica counts by itself: nobody is refused for that, and
    nobody is without a limit.

    Args:
        requests: how many a client may make within the window; None for any number.
        url: memory://, or a Redis that replicas share.
        metrics: learns of the refused, and whether Redis answers.
        window: seconds.
    """

    def __init__(self, requests: int | None, url: LimitsUrl, metrics: Metrics, window: int = WINDOW_SECONDS) -> None:
        self._limit = RateLimitItemPerSecond(requests, window) if requests else None
        self._metrics = metrics
        self._own = SlidingWindowCounterRateLimiter(BoundedMemoryStorage())
        self._redis = _Redis(url, metrics) if self._limit and url.is_redis else None
        self._refused, self._tell_again = 0, -math.inf

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask Redis, if there is one, whether it answers, so that the log tells; and close the connections to it."""
        if self._redis:
            await self._redis.ask(lambda limiter: limiter.storage.get("start"))
        try:
            yield
        finally:
            if self._redis:
                await self._redis.close()

    async def count(self, client: str) -> int:
        """Count one request of a client, and return how many seconds it has to wait; 0 where it is within its limit.

        Args:
            client: see `find_client`.
        """
        if not self._limit:
            return 0
        limit, seconds = self._limit, None
        if self._redis:
            seconds = await self._redis.ask(lambda limiter: _count(limiter, limit, client))
        if seconds is None:
            seconds = await _count(self._own, limit, client)
        if seconds:
            self._tell()
        return seconds

    def _tell(self) -> None:
        self._metrics.limited.inc()
        self._refused += 1
        now = time.monotonic()
        if now >= self._tell_again:
            log.info("limited", extra={"reason": f"over CLIENT_LIMIT, {self._refused} since the last such line"})
            self._refused, self._tell_again = 0, now + TOLD_EVERY_SECONDS


async def _count(limiter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, client: str) -> int:
    if await limiter.hit(limit, client):
        return 0
    window = await limiter.get_window_stats(limit, client)
    return max(1, math.ceil(window.reset_time - time.time()))


class _Redis:
    """The counters that replicas share, and whether they can be reached."""

    def __init__(self, url: LimitsUrl, metrics: Metrics) -> None:
        self._url, self._metrics = url, metrics
        storage, self._connections = redis_storage(url.get_secret_value(), CALL_SECONDS)
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._answers, self._ask_again = True, -math.inf

    async def ask(self, question: Callable[[SlidingWindowCounterRateLimiter], Awaitable[Answer]]) -> Answer | None:
        """Return the answer to a question, or None where there is none in time."""
        now = time.monotonic()
        if not self._answers:
            if now < self._ask_again:
                return None
            self._ask_again = now + PAUSE_SECONDS  # the other requests go on while this one waits
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await question(self._limiter)
        except (StorageError, TimeoutError, OSError) as error:
            reason = error.__cause__ if isinstance(error, StorageError) else error
            self._note(False, type(reason).__name__)
            return None
        self._note(True)
        return answer

    def _note(self, answers: bool, reason: str = "") -> None:
        self._metrics.redis_up.set(answers)
        if answers and not self._answers:
            log.info("%s answers again: all replicas count together", self._url)
        if not answers:
            self._ask_again = time.monotonic() + PAUSE_SECONDS
            if self._answers:
                log.warning("%s does not answer (%s): each replica counts by itself until it does", self._url, reason)
        self._answers = answers

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CALL_SECONDS):
                await self._connections.disconnect()
