"""The one loop that waits for something to become so."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

PAUSE_SECONDS = 0.02


def wait_for(condition: Callable[[], Answer], seconds: float = 20, pause: float = PAUSE_SECONDS) -> Answer:
    """Ask until the answer is a true one or the time is over, and return the last answer.

    Args:
        condition: is asked at least once.
        seconds: how long to ask.
        pause: between an answer and the next question, in seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(pause)


def wait_until(condition: Callable[[], object], seconds: float = 20, pause: float = PAUSE_SECONDS) -> float:
    """Wait for a condition, and return how many seconds that took; arguments as for `wait_for`.

    Raises:
        TimeoutError: it took longer.
    """
    began = time.monotonic()
    if not wait_for(condition, seconds, pause):
        raise TimeoutError(f"not within {seconds:g} seconds")
    return time.monotonic() - began
