"""bcrypt by itself, on as many cores as a service has: the most that the hardware allows, whatever surrounds it."""

import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import bcrypt

from beefirst.passwords import NICENESS

PASSWORD = b"correct horse"

CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
"""How many this process may use."""


@dataclass(frozen=True)
class Alone:
    """What some threads did that hash and nothing else.

    Attributes:
        hashes: when each was begun and how long it took, in seconds of Unix time.
        core_share: of the cores that the threads could have had, what they got; the rest others had.
    """

    hashes: Sequence[tuple[float, float]]
    core_share: float


def hash_for(seconds: float, cost: int, threads: int = CORES) -> Alone:
    """Hash on `threads` threads, each at the priority of the service's own, for `seconds`.

    Args:
        seconds: how long new hashes are begun; those under way are waited for.
        cost: bcrypt's.
        threads: how many.
    """
    deadline, salt = time.perf_counter() + seconds, bcrypt.gensalt(cost)

    def hash_until_then() -> tuple[list[tuple[float, float]], float]:
        be_as_nice_as_the_service()
        hashes, cpu, started = list[tuple[float, float]](), time.thread_time(), time.perf_counter()
        while (began := time.perf_counter()) < deadline:
            at = time.time()
            bcrypt.hashpw(PASSWORD, salt)
            hashes.append((at, time.perf_counter() - began))
        return hashes, (time.thread_time() - cpu) / (time.perf_counter() - started)

    with ThreadPoolExecutor(threads) as pool:
        done = [each.result() for each in [pool.submit(hash_until_then) for _ in range(threads)]]
    return Alone([it for hashes, _ in done for it in hashes], sum(share for _, share in done) / threads)


def be_as_nice_as_the_service() -> None:
    """Give this thread the priority of those on which the service hashes, or a lower one that it has already."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
