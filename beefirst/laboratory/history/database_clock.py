"""The database's clock as this process knows it: asked once, and carried on by the clock of this machine."""

import time
from dataclasses import dataclass
from typing import Any, Self

from psycopg import Connection

ASKED = 9
"""How often the clock is asked; the answer that came fastest counts."""

DRIFT = 0.0005
"""How far two clocks may drift apart in a second, in seconds: NTP slews by 500 ppm at most."""

NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


@dataclass(frozen=True)
class DatabaseClock:
    """The database's clock, also while the database is down.

    Attributes:
        offset: what to add to this process's monotonic clock, in seconds.
        wall_offset: what to add to this machine's Unix time, in seconds.
        half_width: how far off that may have been when it was measured, in seconds.
        measured: when that was, by the monotonic clock.
    """

    offset: float
    wall_offset: float
    half_width: float
    measured: float

    @classmethod
    def measure(cls, connection: Connection[Any]) -> Self:
        """Ask the database for its time, some times over.

        Args:
            connection: to the database, in autocommit mode.
        """
        return min((cls._ask(connection) for _ in range(ASKED)), key=lambda clock: clock.half_width)

    @classmethod
    def _ask(cls, connection: Connection[Any]) -> Self:
        before = time.monotonic()
        ((told,),) = connection.execute(NOW).fetchall()
        after, wall = time.monotonic(), time.time()
        return cls(told - (before + after) / 2, told - wall + (after - before) / 2, (after - before) / 2, after)

    def now(self) -> float:
        """Return the database's time, in seconds of Unix time."""
        return time.monotonic() + self.offset

    def of_unix(self, seconds: float) -> float:
        """Return what the database's clock showed when this machine's showed `seconds` of Unix time."""
        return seconds + self.wall_offset

    def uncertainty(self) -> float:
        """Return how far off the time may be by now, in seconds."""
        return self.half_width + DRIFT * (time.monotonic() - self.measured)
