"""bcrypt on its own bounded threads, so that neither the event loop nor another request waits for a hash."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from beefirst.errors import OverloadedError

Result = TypeVar("Result")

DUMMY_HASH = "$2b${cost:02}$abcdefghijklmnopqrstuuKUb5mDmPMPXyX3OXYMn.nV7fiiE0wq."
"""Shaped like a hash of any cost; checked where there is no hash, so that the work is the same."""

QUEUE_LIMIT = 512
"""Passwords that may wait for a thread; at cost 10 on two cores the last of them waits about 12 seconds."""

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
        self._threads = threads or len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
        self._executor = ThreadPoolExecutor(self._threads, "bcrypt", initializer=_yield_to_others)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return a salted hash.

        Args:
            password: at most 72 bytes in UTF-8, without NUL; see `registration.check_password`.

        Raises:
            OverloadedError: QUEUE_LIMIT passwords are waiting already.
        """
        return (await self._run(lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._cost)))).decode()

    async def match(self, password: str, password_hash: str | None) -> bool:
        """Tell whether they belong together; without a hash the work is the same and the answer is no.

        Raises:
            OverloadedError: QUEUE_LIMIT passwords are waiting already.
        """
        against = password_hash.encode() if password_hash else self._dummy
        matches = await self._run(lambda: bcrypt.checkpw(password.encode(), against))
        return matches and password_hash is not None

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= QUEUE_LIMIT + self._threads:
            raise OverloadedError("Too many requests at once: try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads end; what still waits is not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _yield_to_others() -> None:
    # Hashing takes all cores for as long as there is anything to hash. At a lower priority it leaves the
    # event loop, which needs little and needs it at once, in front. Linux counts niceness by thread.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A service that runs at a lower priority already may not raise it.
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
