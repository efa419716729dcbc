"""CPU time of a running service, by thread, and of the PostgreSQL processes that serve it.

It says what work costs also where other programs take most of the machine, and a clock on the wall says little.
"""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from beefirst.laboratory.api_process import ApiProcess

BACKENDS = """
    SELECT pid
      FROM pg_stat_activity
     WHERE application_name = 'beefirst-api'
       AND datname = current_database()
"""

EXACT = re.compile(r"sum_exec_runtime\s*:\s*([\d.]+)")


@dataclass(frozen=True)
class CpuSeconds:
    """CPU time since each of these began.

    Attributes:
        main: the service's main thread, which runs its event loop.
        threads: its other threads, which hash.
        backends: PostgreSQL's processes that serve it, by their numbers.
    """

    main: float
    threads: float
    backends: dict[int, float]

    @classmethod
    def of(cls, pid: int, connection: psycopg.Connection[Any]) -> "CpuSeconds":
        """Return what a service and its database have used up to now.

        Args:
            pid: of the service's process, on this machine, as its database.
            connection: to that database.
        """
        threads = {int(path.name): thread_seconds(path) for path in Path(f"/proc/{pid}/task").iterdir()}
        backends = {row[0]: process_seconds(row[0]) for row in connection.execute(BACKENDS)}
        return cls(threads.pop(pid), sum(threads.values()), backends)

    def since(self, before: "CpuSeconds") -> tuple[float, float, float]:
        """Return what main thread, other threads and PostgreSQL have used since then."""
        backends = sum(seconds - before.backends.get(pid, 0) for pid, seconds in self.backends.items())
        return self.main - before.main, self.threads - before.threads, backends


def cpu_of(api: ApiProcess, connection: psycopg.Connection[Any]) -> CpuSeconds:
    """Return the CPU time of a service up to now."""
    return CpuSeconds.of(api.pid, connection)


def thread_seconds(task: Path) -> float:
    """Return the CPU time of a thread, to the microsecond where the kernel tells, else to the hundredth of a second.

    Args:
        task: its folder in /proc.
    """
    if (exact := task / "sched").exists() and (found := EXACT.search(exact.read_text())) and float(found[1]):
        return float(found[1]) / 1000
    words = (task / "stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python has for threads alone
