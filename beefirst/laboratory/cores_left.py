"""How much of the cores nobody else needed while a service and its load were at work."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from beefirst.laboratory.bcrypt_alone import CORES

IDLE = {"idle", "iowait", "guest", "guest_nice"}
"""What a core does in these is no work, or is counted as `user` and `nice` already."""


@contextmanager
def cores_left(processes: Sequence[int], shares: list[float]) -> Iterator[None]:
    """Add to `shares`, after the block, the share of the cores that others left to this process and to some more.

    Every PostgreSQL counts as this process's own. Where this process may use only some of the machine's cores, nobody
    can tell which of them others used, and nothing is added.

    Args:
        processes: the numbers of those that work for this one, beside it.
        shares: gets one more, from 0 to 1.
    """
    own = [os.getpid(), *processes, *(it.pid for it in psutil.process_iter(["name"]) if it.info["name"] == "postgres")]
    began, ours, all_of_it = time.perf_counter(), _seconds_of(own), _busy_seconds()
    yield
    elapsed = time.perf_counter() - began
    others = (_busy_seconds() - all_of_it) - (_seconds_of(own) - ours)
    if psutil.cpu_count() == CORES:
        shares.append(min(1.0, max(0.0, 1 - others / (elapsed * CORES))))


def _busy_seconds() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(seconds for name, seconds in times.items() if name not in IDLE))


def _seconds_of(processes: Sequence[int]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(process).cpu_times()
            total += times.user + times.system
    return total
