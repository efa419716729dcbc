"""bcrypt on threads of its own."""

import asyncio
import threading
import time
from collections.abc import Iterator
from statistics import median

import bcrypt
import pytest

from beefirst import passwords
from beefirst.errors import DatabaseUnavailableError
from beefirst.passwords import DUMMY_HASH, EVEN_SECONDS, BcryptPasswords


@pytest.fixture
def two_threads() -> Iterator[BcryptPasswords]:
    hasher = BcryptPasswords(10, threads=2)
    yield hasher
    hasher.close()


@pytest.mark.parametrize("password", ["correct horse", "é" * 36, "x" * 72])
def test_a_hash_matches_its_password_and_no_other(two_threads: BcryptPasswords, password: str) -> None:
    async def run() -> tuple[str, bool, bool]:
        made = await two_threads.hash(password)
        return made, await two_threads.match(password, made), await two_threads.match(password[1:], made)

    made, right, wrong = asyncio.run(run())

    assert made.startswith("$2b$10$")
    assert (right, wrong) == (True, False)


def test_without_a_hash_nothing_matches_and_the_work_is_that_of_the_cost(two_threads: BcryptPasswords) -> None:
    async def seconds(password_hash: str | None) -> float:
        started = time.perf_counter()
        assert await two_threads.match("wrong horse", password_hash) is False
        return time.perf_counter() - started

    real = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(10)).decode()
    pairs = [(asyncio.run(seconds(real)), asyncio.run(seconds(None))) for _ in range(10)]
    with_hash, without = (min(times) for times in zip(*pairs, strict=True))

    assert 0.5 < without / with_hash < 2


@pytest.mark.parametrize("cost", [10, 16])
def test_the_dummy_hash_is_shaped_like_one_of_any_cost(cost: int) -> None:
    dummy = DUMMY_HASH.format(cost=cost)

    assert dummy.startswith(f"$2b${cost}$")
    assert len(dummy) == 60


def test_the_event_loop_is_served_while_all_threads_hash(two_threads: BcryptPasswords) -> None:
    async def pause_and_hash() -> tuple[float, float]:
        started = time.perf_counter()
        await two_threads.hash("correct horse")
        seconds = time.perf_counter() - started
        hashing = [asyncio.create_task(two_threads.hash("correct horse")) for _ in range(12)]
        pauses = []
        while not all(task.done() for task in hashing):
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            pauses.append(time.perf_counter() - started)
        return median(pauses), seconds

    pause, seconds = asyncio.run(pause_and_hash())

    assert pause < 0.5 * seconds  # a loop that hashed by itself would pause for one hash and longer


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_as_many_threads_hash_as_were_asked_for(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(passwords.sys, "platform", platform)
    before = set(threading.enumerate())
    hasher = BcryptPasswords(10, threads=1)

    async def hash_many() -> list[str]:
        await asyncio.gather(*(hasher.hash("correct horse") for _ in range(4)))
        return [thread.name for thread in set(threading.enumerate()) - before]

    names = asyncio.run(hash_many())
    hasher.close()

    assert names == ["bcrypt_0"]


def test_what_follows_the_hash_work_takes_a_fixed_time_also_where_it_fails(two_threads: BcryptPasswords) -> None:
    async def fail() -> None:
        raise DatabaseUnavailableError

    async def seconds_to_fail() -> float:
        started = time.perf_counter()
        with pytest.raises(DatabaseUnavailableError):
            await two_threads.even_out(fail())
        return time.perf_counter() - started

    assert asyncio.run(seconds_to_fail()) > 0.9 * EVEN_SECONDS
