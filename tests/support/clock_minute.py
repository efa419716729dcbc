"""The minutes of the clock, by which a replica counts requests: one more is served where a new one begins."""

import time

from beefirst.machine.waiting import wait_until

ROOM_SECONDS = 25


def wait_for_room_in_the_minute() -> None:
    """Return where the minute goes on for a while, so that all that a test sends is counted in it."""
    wait_until(lambda: time.time() % 60 < 60 - ROOM_SECONDS, 2 * ROOM_SECONDS)
