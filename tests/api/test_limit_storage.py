"""Counting in this process: how many there may be, until when, and that it does not grow without bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from beefirst.api.client_limits import ClientLimits
from beefirst.api.limit_storage import COUNTERS_AT_MOST, BoundedMemoryStorage
from beefirst.api.metrics import Metrics
from beefirst.urls import LimitsUrl

Count = Callable[[str], Awaitable[int]]


def limits(requests: int | None, window: int) -> Count:
    return ClientLimits(requests, LimitsUrl("memory://"), Metrics(), window).count


async def count(counting: Count, clients: list[str]) -> list[int]:
    """Return how many seconds each has to wait that makes a request, one after the other."""
    return [await counting(client) for client in clients]


def test_each_client_has_its_own_limit_and_who_goes_beyond_it_waits() -> None:
    waits = asyncio.run(count(limits(3, window=10**6), ["one"] * 5 + ["other"] * 3))

    assert [bool(seconds) for seconds in waits] == [False] * 3 + [True] * 2 + [False] * 3
    assert all(seconds in range(10**6 + 1) for seconds in waits)


def test_without_a_limit_nobody_waits() -> None:
    assert set(asyncio.run(count(limits(None, window=60), ["one"] * 1000))) == {0}


def test_whoever_waits_as_long_as_told_is_served() -> None:
    async def run() -> tuple[int, int]:
        counting = limits(3, window=2)
        while not (seconds := await counting("one")):
            pass
        await asyncio.sleep(seconds)
        return seconds, await counting("one")

    told, again = asyncio.run(run())

    assert told in (1, 2)
    assert again == 0


def test_a_limit_holds_over_any_stretch_of_the_window_s_length() -> None:
    async def run() -> list[float]:
        counting, served = limits(5, window=2), []
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if not await counting("one"):
                served.append(time.monotonic())
            await asyncio.sleep(0.01)
        return served

    served = asyncio.run(run())
    most = max(sum(begin <= at < begin + 2 for at in served) for begin in served)

    # The window before counts by its share of this one, as if its requests had come evenly.
    assert most <= 2 * 5
    assert len(served) <= 5 * (5 / 2 + 1)


@pytest.fixture
def storage() -> BoundedMemoryStorage:
    return BoundedMemoryStorage(at_most=1000)


def sizes(storage: BoundedMemoryStorage) -> set[int]:
    return {len(storage.storage), len(storage.expirations), len(storage.events), len(storage.locks)}


def test_counters_of_however_many_clients_are_no_more_than_may_be() -> None:
    storage = BoundedMemoryStorage()

    async def run() -> None:
        for number in range(3 * COUNTERS_AT_MOST):
            await storage.incr(f"LIMITER/2001:db8:{number:x}::/64/120/60/second", 120)

    asyncio.run(run())

    assert sizes(storage) == {COUNTERS_AT_MOST, 0}


def test_the_newest_counters_are_kept(storage: BoundedMemoryStorage) -> None:
    async def run() -> list[int]:
        for number in range(2000):
            await storage.incr(str(number), 120)
        return [await storage.get(key) for key in ("0", "999", "1000", "1999")]

    assert asyncio.run(run()) == [0, 0, 1, 1]


def test_going_on_to_count_drops_nothing(storage: BoundedMemoryStorage) -> None:
    async def run() -> list[int]:
        for number in range(1000):
            await storage.incr(str(number), 120)
        return [await storage.incr(key, 120) for key in ("0", "999", "0", "1")]

    assert asyncio.run(run()) == [2, 2, 3, 2]
    assert sizes(storage) == {1000, 0}


def test_a_counter_that_has_expired_goes_with_the_next_request(storage: BoundedMemoryStorage) -> None:
    async def run() -> int:
        for number in range(500):
            await storage.incr(str(number), 0)
        await storage.incr("last", 120)
        return await storage.incr("last", 120)

    assert asyncio.run(run()) == 2
    assert sizes(storage) == {1, 0}
