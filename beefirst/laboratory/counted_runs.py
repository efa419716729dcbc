"""Migrations that count how often they are run, and a gate at which all who would run them come together."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.catalog import query
from beefirst.laboratory.project_copy import ProjectCopy, has_ended
from beefirst.machine.waiting import wait_for

GATE = 0x67617465
"""`gate` in ASCII: the advisory lock of whoever keeps it closed."""

GATHERING_SECONDS = 30
"""How long to wait for all to come; a start waits twice as long for another that migrates."""

WAIT_AT_THE_GATE = f"""
    DO $$ BEGIN WHILE NOT pg_try_advisory_xact_lock_shared({GATE}) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;
"""
AT_THE_GATE = """
    SELECT count(*)
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND application_name = 'beefirst-migrations'
       AND query LIKE '%%pg_try_advisory_%%'
"""
RUNS = "SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences WHERE sequencename LIKE '%%.sql'"


def count_runs(copy: ProjectCopy, connection: Connection[Any]) -> None:
    """Let each migration of a copy count its runs, in a sequence, for no rollback takes back what one has counted.

    Args:
        copy: whose first file also waits at the gate.
        connection: to the database on which the copy is to be started.
    """
    for number in range(1, copy.newest + 1):
        file = copy.file(number)
        connection.execute(f'CREATE SEQUENCE "{file.name}"'.encode())
        gate = WAIT_AT_THE_GATE if number == 1 else ""
        file.write_text(f"SELECT nextval('\"{file.name}\"');\n{gate}{file.read_text()}")


def close_gate(connection: Connection[Any]) -> None:
    """Let whoever runs the first file wait in the midst of it."""
    connection.execute("SELECT pg_advisory_lock(%s)", (GATE,))


def open_gate_for(connection: Connection[Any], replicas: Sequence[ApiProcess]) -> None:
    """Open the gate, once every replica waits there or for another that does, has ended, or is too long in coming."""

    def all_have_come() -> bool:
        waiting = int(query(connection, AT_THE_GATE).iloc[0, 0])
        return waiting + sum(map(has_ended, replicas)) >= len(replicas)

    wait_for(all_have_come, GATHERING_SECONDS)
    connection.execute("SELECT pg_advisory_unlock(%s)", (GATE,))


def counted_runs(connection: Connection[Any]) -> dict[str, int]:
    """Return how often each file was run, by its name."""
    return dict(query(connection, RUNS).sort_values("sequencename").itertuples(index=False, name=None))
