"""bcrypt on its own bounded threads, so that neither the event loop nor another request waits for a hash."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import bcrypt

from beefirst.errors import OverloadedError

Result = TypeVar("Result")

DUMMY_HASH = "$2b${cost:02}$abcdefghijklmnopqrstuuKUb5mDmPMPXyX3OXYMn.nV7fiiE0wq."
"""Shaped like a hash of any cost; checked where there is no hash, so that the work is the same."""

QUEUE_PER_THREAD = 256
"""Passwords that may wait for a thread at cost 10: the last of them waits about 12 seconds. At each cost above, a
hash takes twice as long, and half as many may wait."""

EVEN_SECONDS = 0.025
"""From the end of the hash work to the answer. A healthy database needs a fraction of it for a claim or a judgement,
the commit included, so that nobody can tell by the clock which of them there was: OWASP ASVS 5.0, 6.3.8."""

NICENESS = 10


class BcryptPasswords:
    """Hashes and checks passwords on as many threads as there are cores.

    Args:
        cost: bcrypt's, the binary logarithm of its rounds; 10 at least (OWASP ASVS 5.0, appendix C).
        threads: as many as this process may use cores, where left out.
    """

    def __init__(self, cost: int, threads: int | None = None) -> None:
        self._cost = cost
        self._dummy = DUMMY_HASH.format(cost=cost).encode()
        self._threads = threads or _cores()
        self._queue_limit = max(1, self._threads * QUEUE_PER_THREAD * 2**10 // 2**cost)
        self._executor = ThreadPoolExecutor(self._threads, "bcrypt", initializer=_yield_to_others)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return a salted hash.

        Args:
            password: at most 72 bytes in UTF-8, without NUL; see `credentials.check_password`.

        Raises:
            OverloadedError: as many passwords are waiting already as could be served in time.
        """
        return (await self._run(lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._cost)))).decode()

    async def match(self, password: str, password_hash: str | None) -> bool:
        """Tell whether they belong together; without a hash the work is the same and the answer is no.

        Raises:
            OverloadedError: as many passwords are waiting already as could be served in time.
        """
        against = password_hash.encode() if password_hash else self._dummy
        matches = await self._run(lambda: bcrypt.checkpw(password.encode(), against))
        return matches and password_hash is not None

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= self._queue_limit + self._threads:
            raise OverloadedError("Too many requests at once: try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def even_out(self) -> AsyncIterator[None]:
        """Let a block that begins when the hash work has ended take EVEN_SECONDS, also where it raises."""
        end = asyncio.get_running_loop().time() + EVEN_SECONDS
        try:
            yield
        finally:
            await asyncio.sleep(end - asyncio.get_running_loop().time())

    def close(self) -> None:
        """Let the threads end; what still waits is not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _yield_to_others() -> None:
    # Hashing takes all cores for as long as there is anything to hash. At a lower priority it leaves the
    # event loop, which needs little and needs it at once, in front. Linux counts niceness by thread.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A service that runs at a lower priority already may not raise it.
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
