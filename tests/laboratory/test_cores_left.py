"""What others leave of the cores is told, whatever this process and its own need."""

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from beefirst.laboratory import cores_left as module
from beefirst.laboratory.bcrypt_alone import CORES
from beefirst.laboratory.cores_left import cores_left

SECONDS = 0.5


EVERY_CORE = psutil.cpu_count() or 1


@pytest.fixture
def every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be told also where this process may not use every core: those that it may are filled."""
    monkeypatch.setattr(module, "CORES", EVERY_CORE)


@pytest.fixture
def busy() -> Iterator[list[int]]:
    """A process for each core that needs all of it."""
    spin = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES)]
    yield [process.pid for process in spin]
    for process in spin:
        process.kill()
        process.wait()


def share_left(*processes: int) -> float:
    shares = list[float]()
    with cores_left(processes, shares):
        time.sleep(SECONDS)
    return shares[0]


@pytest.mark.usefixtures("every_core")
def test_others_that_need_every_core_leave_little_and_those_of_ones_own_leave_what_they_need(busy: list[int]) -> None:
    as_others, as_own = share_left(), share_left(*busy)

    assert as_others < 1 - 0.7 * CORES / EVERY_CORE
    assert as_own > as_others + 0.1


def test_where_only_some_cores_are_ours_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CORES", EVERY_CORE + 1)
    shares = list[float]()

    with cores_left((), shares):
        pass

    assert shares == []


@pytest.mark.usefixtures("every_core")
def test_a_process_that_has_ended_needs_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert 0 <= share_left(ended.pid) <= 1
