"""bcrypt on its own bounded threads, so that neither the event loop nor another request waits for a hash."""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeVar

import bcrypt

from beefirst.errors import ClientGoneError, OverloadedError
from beefirst.machine import tracing

Result = TypeVar("Result")

DUMMY_HASH = "$2b${cost:02}$abcdefghijklmnopqrstuuKUb5mDmPMPXyX3OXYMn.nV7fiiE0wq."
"""Shaped like a hash of any cost; checked where there is no hash, so that the work is the same."""

MAX_WAIT_SECONDS = 2.0
"""How long a password may have to wait for a thread, as far as can be told when it comes. Who would wait longer is
served better by an answer at once."""

FIRST_GUESS_SECONDS = 0.05
"""What a hash of cost 10 takes, until one was measured; at each cost above, twice as long."""

NEWEST_SHARE = 0.1
"""Of the last hash in the mean of what hashes take here lately: the last twenty or so make up most of it."""

EVEN_SECONDS = 0.025
"""From the end of the hash work to the answer. A healthy database needs a fraction of it for a claim or a judgement,
the commit included, so that nobody can tell by the clock which of them there was: OWASP ASVS 5.0, 6.3.8."""

NICENESS = 10

GONE = "The client hung up before its turn came."


class BcryptPasswords:
    """Hashes and checks passwords on as many threads as there are cores.

    Args:
        cost: bcrypt's, the binary logarithm of its rounds; 10 at least (OWASP ASVS 5.0, appendix C).
        threads: as many as this process may use cores, where left out.
        max_wait_seconds: beyond this no turn is given.
        on_wait: is told how many seconds each password waited for a thread.
    """

    def __init__(
        self,
        cost: int,
        threads: int | None = None,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
        on_wait: Callable[[float], object] | None = None,
    ) -> None:
        self._cost = cost
        self._dummy = DUMMY_HASH.format(cost=cost).encode()
        self._threads = threads or _cores()
        self._max_wait_seconds = max_wait_seconds
        self._on_wait = on_wait
        self._hash_seconds = FIRST_GUESS_SECONDS * 2.0 ** (cost - 10)
        self._executor = ThreadPoolExecutor(self._threads, "bcrypt", initializer=_yield_to_others)
        self._turns = 0
        self._queue: dict[asyncio.Task[Any] | None, Future[Any]] = {}
        self._given_up = set[asyncio.Task[Any] | None]()

    @property
    def wait_seconds(self) -> float:
        """How long one more password would wait for a thread; none while one is free."""
        ahead = self._turns - self._threads + 1
        return max(0, ahead) * self._hash_seconds / self._threads

    def check_room(self) -> None:
        """Refuse what would wait too long.

        Raises:
            OverloadedError: one more password would have to wait for more than `max_wait_seconds`.
        """
        if self.wait_seconds > self._max_wait_seconds:
            raise OverloadedError("Too many requests at once: try again in a moment.")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn on a thread for one password, which is hashed or matched within the block.

        Raises:
            OverloadedError: see `check_room`.
        """
        self.check_room()
        self._turns += 1
        try:
            yield
        finally:
            self._turns -= 1

    async def hash(self, password: str) -> str:
        """Return a salted hash, in a turn.

        Args:
            password: at most 72 bytes in UTF-8, without NUL; see `credentials.check_password`.

        Raises:
            ClientGoneError: see `give_up`.
        """
        return (await self._run(lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._cost)))).decode()

    async def match(self, password: str, password_hash: str | None) -> bool:
        """Tell, in a turn, whether they belong together; without a hash the work is the same and the answer is no.

        Raises:
            ClientGoneError: see `give_up`.
        """
        against = password_hash.encode() if password_hash else self._dummy
        matches = await self._run(lambda: bcrypt.checkpw(password.encode(), against))
        return matches and password_hash is not None

    def give_up(self, task: asyncio.Task[Any] | None) -> None:
        """Let ClientGoneError end the wait of a task whose password no thread has begun with, now or when it comes."""
        self._given_up.add(task)
        if future := self._queue.get(task):
            future.cancel()

    def forget(self, task: asyncio.Task[Any] | None) -> None:
        """Let a task that was given up, and has ended, be none."""
        self._given_up.discard(task)

    async def _run(self, work: Callable[[], Result]) -> Result:
        task = asyncio.current_task()
        if task in self._given_up:
            raise ClientGoneError(GONE)
        submitted = perf_counter()
        future = self._executor.submit(_timed, work)
        self._queue[task] = future
        try:
            result, began, seconds = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if task and task.cancelling():
                raise
            raise ClientGoneError(GONE) from None
        finally:
            del self._queue[task]
        self._hash_seconds += NEWEST_SHARE * (seconds - self._hash_seconds)
        if self._on_wait:
            self._on_wait(began - submitted)
        if tracer := tracing.tracer.get():
            tracer.note("bcrypt queue", submitted, began)
            tracer.note("bcrypt hash", began, began + seconds)
        return result

    async def even_out(self, work: Awaitable[Result]) -> Result:
        """Return what `work` returns, EVEN_SECONDS from now, also where it raises.

        Args:
            work: what follows the hash work, which has just ended.
        """
        end = asyncio.get_running_loop().time() + EVEN_SECONDS
        with tracing.span("even out"):
            try:
                return await work
            finally:
                await asyncio.sleep(end - asyncio.get_running_loop().time())

    def close(self) -> None:
        """Let the threads end; what still waits is not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _timed(work: Callable[[], Result]) -> tuple[Result, float, float]:
    began = perf_counter()
    return work(), began, perf_counter() - began


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _yield_to_others() -> None:
    # Hashing takes all cores for as long as there is anything to hash. At a lower priority it leaves the
    # event loop, which needs little and needs it at once, in front. Linux counts niceness by thread.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A service that runs at a lower priority already may not raise it.
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
