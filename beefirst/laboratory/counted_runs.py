"""Migrations that count how often they are run, and gates at which whoever runs one waits for all others to come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from psycopg import Connection

from beefirst.errors import ProcessError
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.catalog import query
from beefirst.laboratory.project_copy import ProjectCopy, has_ended
from beefirst.machine.waiting import wait_for

GATE = 0x67617465
"""`gate` in ASCII: with the number of a file, the advisory lock of whoever keeps that file's gate closed."""

GATHERING_SECONDS = 120
"""How long to wait at a gate for all to come; the replicas themselves must wait for one another longer than that."""

PATIENT = {"startup_timeout_seconds": 1800}
"""The setting of replicas that wait for one another however long the gates are closed."""

WAIT_AT_THE_GATE = """
    DO $$ BEGIN WHILE NOT pg_try_advisory_xact_lock_shared({gate}, {number}) LOOP
        PERFORM pg_sleep(0.01);
    END LOOP; END $$;
"""
RUNNERS = """
    SELECT pid, substring(query FROM 'nextval\\(''"([^"]+)"''\\)') AS file, query LIKE '%%pg_try_advisory_%%' AS asks,
           query_start AS asked_at
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND application_name = 'beefirst-migrations'
"""
RUNS = "SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences WHERE sequencename LIKE '%%.sql'"

AT_WORK, WAITS, HAS_ENDED = "runs it", "waits for its turn", "has ended"

TIMES = 2
"""How often one must ask for its turn while another is at the gate: the first time it may yet be given it."""


def count_runs(copy: ProjectCopy, connection: Connection[Any]) -> None:
    """Let each migration of a copy count its runs and then wait at a gate of its own, which is closed.

    It counts in a sequence, for no rollback takes back what one has counted.

    Args:
        copy: whose files are changed.
        connection: to the database on which the copy is to be started; it keeps the gates closed.
    """
    for number in range(1, copy.newest + 1):
        file = copy.file(number)
        connection.execute(f'CREATE SEQUENCE "{file.name}"'.encode())
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (GATE, number))
        gate = WAIT_AT_THE_GATE.format(gate=GATE, number=number)
        file.write_text(f"SELECT nextval('\"{file.name}\"');\n{gate}{file.read_text()}")


def open_gates(copy: ProjectCopy, connection: Connection[Any], replicas: Sequence[ApiProcess]) -> pd.DataFrame:
    """Open one gate after another, each once all replicas have come, or are too long in coming.

    A replica has come to a gate that waits there itself, asks for its turn again and again meanwhile, or has ended.

    Args:
        copy: as `count_runs` has changed it.
        connection: as for `count_runs`.
        replicas: that were started on the copy.

    Returns:
        The columns file, server process, doing: who was seen to do what just before the gate of that file was opened.
        There is one line for each replica that had come.
    """
    seen = []
    for number in range(1, copy.newest + 1):
        gate = _Gate(connection, copy.file(number).name, replicas)
        wait_for(gate.all_have_come, GATHERING_SECONDS)
        seen += gate.seen
        connection.execute("SELECT pg_advisory_unlock(%s, %s)", (GATE, number))
    return pd.DataFrame(seen, columns=["file", "server process", "doing"], dtype=object)


@dataclass
class _Gate:
    """Who has come to the gate of one file."""

    connection: Connection[Any]
    file: str
    replicas: Sequence[ApiProcess]
    seen: list[tuple[str, int | None, str]] = field(default_factory=list)
    _asked: dict[int, set[object]] = field(default_factory=dict)

    def all_have_come(self) -> bool:
        ended = sum(map(has_ended, self.replicas))
        runners = query(self.connection, RUNNERS)
        at_work = runners[runners["file"] == self.file]
        for runner in runners[runners["asks"] & runners["file"].isna()].itertuples():
            if (at_work["asked_at"] < runner.asked_at).any():
                self._asked.setdefault(runner.pid, set()).add(runner.asked_at)
        waiting = [pid for pid, times in self._asked.items() if len(times) >= TIMES and pid not in set(at_work["pid"])]
        self.seen = [
            *((self.file, int(pid), AT_WORK) for pid in at_work["pid"]),
            *((self.file, int(pid), WAITS) for pid in waiting),
            *[(self.file, None, HAS_ENDED)] * ended,
        ]
        return len(self.seen) >= len(self.replicas)


def counted_runs(connection: Connection[Any]) -> dict[str, int]:
    """Return how often each file was run, by its name."""
    return dict(query(connection, RUNS).sort_values("sequencename").itertuples(index=False, name=None))


def come_up(replica: ApiProcess) -> tuple[float | None, float | None, str]:
    """Return the seconds until it was ready, the milliseconds of those in `migrate`, and `ready`, or why it is not."""
    try:
        seconds = replica.wait_until_ready().startup().set_index("phase")["seconds"]
    except ProcessError as error:
        return None, None, str(error)
    return round(seconds.sum(), 2), round(1000 * seconds["migrate"]), "ready"
