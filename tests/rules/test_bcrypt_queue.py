"""What becomes of passwords that wait for a bcrypt thread: how long a wait is expected, refused, and given up."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from beefirst.errors import ClientGoneError, OverloadedError
from beefirst.passwords import BcryptPasswords
from tests.conftest import SECRET


async def in_turn(passwords: BcryptPasswords) -> str:
    with passwords.turn():
        return await passwords.hash(SECRET)


def take_all_turns(passwords: BcryptPasswords, turns: ExitStack) -> int:
    """Take turns until no more are given, and return how many there were."""
    given = 0
    with suppress(OverloadedError):
        for given in itertools.count():  # noqa: B007
            turns.enter_context(passwords.turn())
    return given


@pytest.fixture
def one_thread() -> Iterator[BcryptPasswords]:
    made = BcryptPasswords(10, threads=1)
    yield made
    made.close()


def test_who_would_wait_too_long_is_refused_at_once(one_thread: BcryptPasswords) -> None:
    async def overload() -> tuple[list[bool], list[BaseException | str]]:
        tasks = [asyncio.create_task(in_turn(one_thread)) for _ in range(60)]
        await asyncio.sleep(0)
        done = [task.done() for task in tasks]
        return done, await asyncio.gather(*tasks, return_exceptions=True)

    done, results = asyncio.run(overload())

    assert done == [False] * 41 + [True] * 19  # 2 seconds are 40 times what a hash is expected to take
    assert [type(result) for result in results] == [str] * 41 + [OverloadedError] * 19


def test_there_is_room_again_once_those_that_waited_are_gone(one_thread: BcryptPasswords) -> None:
    with ExitStack() as turns:
        first = take_all_turns(one_thread, turns)

    with ExitStack() as turns:
        assert take_all_turns(one_thread, turns) == first


@pytest.mark.parametrize(
    ("cost", "threads", "waiting"), [(10, 1, 40), (12, 1, 10), (14, 1, 2), (12, 4, 40), (14, 4, 10)]
)
def test_as_many_may_wait_as_fit_into_the_time_at_any_cost(cost: int, threads: int, waiting: int) -> None:
    passwords = BcryptPasswords(cost, threads)

    with ExitStack() as turns:
        assert take_all_turns(passwords, turns) == threads + waiting


def test_a_free_thread_takes_a_password_however_long_a_hash_takes() -> None:
    passwords = BcryptPasswords(16, threads=3, max_wait_seconds=0)

    with ExitStack() as turns:
        assert take_all_turns(passwords, turns) == 3


@pytest.mark.parametrize("cost", [10, 16], ids=["slower than expected", "faster than expected"])
def test_the_wait_that_is_expected_follows_how_long_hashes_take_here(cost: int) -> None:
    async def learn() -> float:
        passwords = BcryptPasswords(cost, threads=1)
        for _ in range(60):
            await passwords._run(lambda: time.sleep(0.1))
        with passwords.turn():
            return passwords.wait_seconds

    assert 0.09 < asyncio.run(learn()) < 1


def test_a_turn_ends_also_where_its_block_fails(one_thread: BcryptPasswords) -> None:
    with pytest.raises(ZeroDivisionError), one_thread.turn():
        _ = 1 / 0

    assert one_thread.wait_seconds == 0


def give_up_waiting(which: Callable[[list[asyncio.Task[str]]], asyncio.Task[str]]) -> list[object]:
    """Return what became of four passwords on one thread, where one of them is given up once a hash has begun."""

    async def give_up() -> list[object]:
        passwords = BcryptPasswords(10, threads=1)
        tasks = [asyncio.create_task(in_turn(passwords)) for _ in range(4)]
        while not any(future.running() for future in passwords._queue.values()):
            await asyncio.sleep(0)
        passwords.give_up(which(tasks))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert passwords.wait_seconds == 0
        passwords.close()
        return [type(result) for result in results]

    return asyncio.run(give_up())


def test_what_waits_can_be_given_up_and_all_others_go_on() -> None:
    assert give_up_waiting(lambda tasks: tasks[2]) == [str, str, ClientGoneError, str]


def test_what_has_begun_is_finished() -> None:
    assert give_up_waiting(lambda tasks: tasks[0]) == [str] * 4


def test_what_was_given_up_costs_no_hash(one_thread: BcryptPasswords) -> None:
    hashed = []

    def work() -> None:
        hashed.append(1)
        time.sleep(0.1)

    async def give_all_up() -> None:
        tasks = [asyncio.create_task(one_thread._run(work)) for _ in range(30)]
        await asyncio.sleep(0)
        for task in tasks[1:]:
            one_thread.give_up(task)
        await asyncio.gather(*tasks, return_exceptions=True)
        await one_thread._run(work)

    asyncio.run(give_all_up())

    assert len(hashed) == 2  # the first, which had begun, and the one after all of them


def test_nothing_happens_to_a_task_that_waits_for_no_thread(one_thread: BcryptPasswords) -> None:
    one_thread.give_up(None)

    assert one_thread.wait_seconds == 0


def test_a_task_that_is_given_up_before_it_has_a_password_costs_no_hash(one_thread: BcryptPasswords) -> None:
    async def match_when_gone() -> list[float]:
        task = asyncio.current_task()
        one_thread.give_up(task)
        with pytest.raises(ClientGoneError):
            await one_thread.match(SECRET, None)
        one_thread.forget(task)
        await one_thread.match(SECRET, None)
        return waited

    waited = list[float]()
    one_thread._on_wait = waited.append

    assert len(asyncio.run(match_when_gone())) == 1
