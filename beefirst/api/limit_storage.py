"""Where requests are counted: in this process, or in a Redis that replicas share; no longer than for two windows."""

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from limits.aio.storage import MemoryStorage, RedisStorage

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

COUNTERS_AT_MOST = 100_000
"""Of one replica, some 45 MB. A client needs one, or two where it goes on for longer than a window."""

CONNECTIONS = 16
"""To Redis, of one replica; whoever finds none free waits for one."""

KEY_PREFIX = "beefirst"

ANY_URL = "async+redis://"
"""Where a Redis is found is said by its connections."""


class BoundedMemoryStorage(MemoryStorage):
    """Counters in this process that never are more than so many, however many clients there are.

    limits itself looks at every counter there is, each time that one is incremented, and drops those that have
    expired: among a hundred thousand that takes longer than the request. All of these counters live for the same
    time, so that those to be dropped are the oldest, and stand first.

    Args:
        at_most: how many counters; beyond them the oldest are dropped before they expire.
    """

    def __init__(self, at_most: int = COUNTERS_AT_MOST) -> None:
        super().__init__()
        # Its first is found at once; that of a dict, only past the places of all that were deleted before it.
        self.expirations: OrderedDict[str, float] = OrderedDict()
        self._at_most = at_most

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter, which expires some seconds after it began, and return what it has become."""
        now = time.time()
        self._drop(now, room=key not in self.expirations)
        self.expirations.setdefault(key, now + expiry)
        self.storage[key] += amount
        return self.storage[key]

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a request and tell whether it is within the limit, as limits itself does, with nothing awaited."""
        now = time.time()
        previous_key, current_key = self.sliding_window_keys(key, expiry, now)
        share_left = 1 - (now / expiry) % 1
        if int(self.storage.get(previous_key, 0) * share_left + self.storage.get(current_key, 0)) + amount > limit:
            return False
        await self.incr(current_key, 2 * expiry, amount)
        return True

    def _drop(self, now: float, room: int) -> None:
        """Drop what has expired, and the oldest until there is room for so many more."""
        while self.expirations:
            key, end = next(iter(self.expirations.items()))
            if end > now and len(self.expirations) + room <= self._at_most:
                return
            del self.expirations[key], self.storage[key]


def redis_storage(url: str, seconds: float) -> "tuple[RedisStorage, BlockingConnectionPool]":
    """Return counters in a Redis, and the connections to it, of which none is open yet.

    Args:
        url: of the Redis.
        seconds: how long a connection, or an answer, may take.
    """
    # Loaded where there is a Redis alone: it takes longer than all else of a start but the database.
    from redis.asyncio import BlockingConnectionPool
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        # Once anew, for a connection that a Redis has closed which was restarted.
        retry=Retry(NoBackoff(), 1),
    )
    storage = RedisStorage(
        ANY_URL,
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=KEY_PREFIX,
        connection_pool=pool,  # type: ignore[arg-type]  # limits declares only what a URL could hold
    )
    return storage, pool
