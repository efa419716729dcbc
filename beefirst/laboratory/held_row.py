"""Holding what statements wait for, so that they all meet at one row, however slow the machine is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_for

WAIT_SECONDS = 3
"""How long others are let come; less than the 5 seconds after which the server ends a statement that waits."""

HOLD = "SELECT FROM registrations WHERE email = %(email)s FOR UPDATE"
HOLD_FREE = "INSERT INTO registrations (email, verification_code) VALUES (%(email)s, '0000')"
WAITING = """
    SELECT count(*)
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND wait_event_type = 'Lock'
"""


class HeldRow:
    """A row that its holder alone may change until it is let go.

    Attributes:
        connection: of the holder, in whose transaction the row is held.
    """

    def __init__(self, connection: Connection[Any], watcher: Connection[Any]) -> None:
        self.connection, self._watcher = connection, watcher

    def wait_for(self, statements: int) -> int:
        """Return how many statements wait for the row, once there are so many or WAIT_SECONDS are over."""
        wait_for(lambda: self._waiting() >= statements, WAIT_SECONDS)
        return self._waiting()

    def _waiting(self) -> int:
        ((count,),) = self._watcher.execute(WAITING).fetchall()
        return int(count)


@contextmanager
def held_row(database: ScratchDatabase, email: str) -> Iterator[HeldRow]:
    """Hold the row of an address, or its place where there is none, and let go of it at the end of the block.

    What the holder changes of a row meanwhile is kept; a place is left as it was.

    Args:
        database: with the service's tables.
        email: normalised.
    """
    with database.connect() as connection, database.connect() as watcher:
        connection.execute("BEGIN")
        row_is_held = connection.execute(HOLD, {"email": email}).rowcount > 0
        if not row_is_held:
            connection.execute(HOLD_FREE, {"email": email})
        try:
            yield HeldRow(connection, watcher)
        finally:
            connection.execute("COMMIT" if row_is_held else "ROLLBACK")
