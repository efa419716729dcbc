"""Copies of the service with other migrations, started for real to see what it makes of them."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import pandas as pd

from beefirst.errors import ProcessError
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.catalog import query
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
APPLIED = "SELECT version, name, sha256, applied_at FROM schema_migrations ORDER BY version"
SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %(pattern)s"


def snapshot(database: ScratchDatabase) -> tuple[list[object], list[object]]:
    """Return the tables of a database and its migration history, to tell whether anything changed."""
    with database.connect() as connection:
        return query(connection, TABLES).to_numpy().tolist(), query(connection, APPLIED).to_numpy().tolist()


CHANGES: dict[str, tuple[Callable[[ProjectCopy], object], str]] = {
    "an applied file was edited": (
        lambda release: release.file(1).write_text("SELECT 1"),
        "001_create_registrations.sql has changed since it was applied",
    ),
    "an applied file is missing": (lambda release: release.file(release.newest - 1).unlink(), "is missing before"),
    "a file is misnamed": (
        lambda release: (release.migrations / "4 add_table.sql").write_text("SELECT 1"),
        "4 add_table.sql",
    ),
    "two files share a number": (
        lambda release: (release.migrations / "001_twin.sql").write_text("SELECT 1"),
        "Two migrations have the number 001",
    ),
    "the database is ahead": (lambda release: release.file(release.newest).unlink(), "The database is ahead"),
}
"""What can be wrong with the files: how to make it so, and the words that the refusal must hold."""


def refusals() -> pd.DataFrame:
    """Start releases whose migrations do not fit the database's history.

    Returns:
        The columns what is wrong, what the start says, result: `refused` where that is one line which names the
        trouble and the database is unchanged, else `FAIL`.
    """
    rows = []
    with ScratchDatabase() as database:
        with ProjectCopy(extra=2) as release, release.start(database) as api:
            api.wait_until_ready()
        before = snapshot(database)
        for what, (change, words) in CHANGES.items():
            with ProjectCopy(extra=2) as release:
                change(release)
                said = release.refusal(database)
            as_due = words in said and "\n" not in said and snapshot(database) == before
            rows.append((what, said, "refused" if as_due else "FAIL"))
    return pd.DataFrame(rows, columns=["what is wrong", "what the start says", "result"])


def fail_half_way() -> tuple[str, pd.DataFrame]:
    """Start a release whose newest migration creates a table and then divides by zero.

    Returns:
        What the start says, and the tables of the database after it.
    """
    with ScratchDatabase() as database, ProjectCopy() as release:
        release.add("CREATE TABLE half_way (id INT);\n\nSELECT 1 / 0;")
        said = release.refusal(database)
        with database.connect() as connection:
            return said, query(connection, TABLES)


def kill_half_way() -> tuple[pd.DataFrame, float]:
    """Kill the runner with SIGKILL in the middle of a file, then start the repaired release.

    Returns:
        The tables after the kill, and the seconds until the repaired release was ready.
    """
    with ScratchDatabase() as database, ProjectCopy() as release:
        slow = release.add("CREATE TABLE half_way (id INT); SELECT pg_sleep(60);")
        with release.start(database) as api:
            _wait_for_sleeper(database)
            os.kill(api.pid, signal.SIGKILL)
            api.wait_for_end()
        with database.connect() as connection:
            tables = query(connection, TABLES)
        slow.write_text("CREATE TABLE half_way (id INT);")
        started = time.monotonic()
        with release.start(database) as api:
            api.wait_until_ready()
            return tables, time.monotonic() - started


def _wait_for_sleeper(database: ScratchDatabase) -> None:
    deadline = time.monotonic() + 30
    with database.connect() as connection:
        while query(connection, SLEEPERS, pattern="CREATE TABLE half_way%").iloc[0, 0] == 0:
            if time.monotonic() > deadline:
                raise ProcessError("The migration did not begin within 30 seconds.")
            time.sleep(0.02)


def start_replicas(database: ScratchDatabase, count: int = 8) -> pd.DataFrame:
    """Start several APIs at once on one database and wait until all are ready.

    Returns:
        One row a replica: replica, ready after (s), waited in migrate (ms).
    """
    with ExitStack() as running:
        replicas = [running.enter_context(ApiProcess(database.url)) for _ in range(count)]
        starts = [replica.wait_until_ready().startup() for replica in replicas]
    rows = [
        (number, round(start["seconds"].sum(), 2), round(1000 * start.set_index("phase").loc["migrate", "seconds"]))
        for number, start in enumerate(starts, start=1)
    ]
    return pd.DataFrame(rows, columns=["replica", "ready after (s)", "in migrate (ms)"])
