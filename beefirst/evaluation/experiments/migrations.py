"""Notebook 02: the service's own start runs the migrations, however it is started and whatever happens to it."""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack

import pandas as pd

from beefirst.database.migration_files import read_migrations
from beefirst.evaluation.evidence import Evidence, compare, experiment
from beefirst.laboratory import catalog
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.catalog import query
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.running_service import RunningService
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS
from beefirst.machine.waiting import wait_until

FIRST = "001_create_registrations.sql"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
APPLIED = "SELECT version, name, sha256, applied_at FROM schema_migrations ORDER BY version"
SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %(pattern)s"


@experiment
def applied_by_a_start(database: ScratchDatabase) -> Evidence:
    """Start an API on an empty database, and look at what that has applied: nobody runs a migration by hand."""
    with database.connect() as connection:
        before = query(connection, TABLES)["tablename"].tolist()
        start_api(database.url).stop()
        history = catalog.history(connection)
    names, shipped = history["name"].tolist(), [file.name for file in read_migrations(MIGRATIONS)]
    holds = not before and names == shipped and names[0] == FIRST
    first = names[0] if names else "nothing"
    return Evidence(holds, f"{first} applied by the start, and the {len(names) - 1} after it", history)


@experiment
def nothing_is_applied_again(database: ScratchDatabase) -> Evidence:
    """Start an API on a database that has every migration; its history, times of applying included, must stay."""
    with database.connect() as connection:
        before = catalog.history(connection)
        start_api(database.url).stop()
        after = catalog.history(connection)
    summary = f"the history has the same {len(after)} rows, times of applying included"
    return Evidence(after.equals(before) and len(after) > 0, summary, after)


@experiment
def file_runs_again_by_hand(database: ScratchDatabase) -> Evidence:
    """Run the first file twice in a row, past the runner; PostgreSQL says what it skips, and the table must stay."""
    said: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        before = catalog.columns(connection)
        for _ in range(2):
            connection.execute((MIGRATIONS / FIRST).read_bytes())
        unchanged = catalog.columns(connection).equals(before)
    rows = pd.DataFrame([(number, words) for number, words in enumerate(said, start=1)], columns=["run", "notice"])
    return Evidence(unchanged and len(said) == 2, f"ran twice: {'; '.join(said)}", rows)


@experiment
def many_replicas(count: int = 8) -> Evidence:
    """Start several APIs at once on one empty database; each must become ready, and each file be applied once."""
    with ScratchDatabase() as database, ExitStack() as running:
        replicas = [running.enter_context(ApiProcess(database.url)) for _ in range(count)]
        starts = [replica.wait_until_ready().startup().set_index("phase")["seconds"] for replica in replicas]
        with database.connect() as connection:
            applied = catalog.history(connection)["name"].tolist()
    rows = [
        (number, round(start.sum(), 2), round(1000 * start["migrate"])) for number, start in enumerate(starts, start=1)
    ]
    frame = pd.DataFrame(rows, columns=["replica", "ready after (s)", "in migrate (ms)"])
    holds = len(frame) == count and applied == [file.name for file in read_migrations(MIGRATIONS)]
    return Evidence(holds, f"{len(frame)} ready, {len(applied)} rows of history", frame)


@experiment
def file_that_fails_half_way() -> Evidence:
    """Start a copy whose newest migration creates a table and then divides by zero."""
    with ScratchDatabase() as database, ProjectCopy() as copy:
        copy.add("CREATE TABLE half_way (id INT);\n\nSELECT 1 / 0;")
        said = copy.refusal(database)
        left = _has_half_way(database)
    rows = [
        ("the start ends with status 1 and says", said, "changed nothing" if "changed nothing" not in said else said),
        ("the table half_way exists", left, "no"),
    ]
    return compare(f"half_way exists: {left}", rows)


@experiment
def killed_in_the_middle() -> Evidence:
    """Kill the runner with SIGKILL in the middle of a file, then start the repaired copy on the same database."""
    with ScratchDatabase() as database, ProjectCopy() as copy:
        slow = copy.add("CREATE TABLE half_way (id INT); SELECT pg_sleep(60);")
        with copy.start(database) as api:
            _wait_for_sleeper(database)
            os.kill(api.pid, signal.SIGKILL)
            api.wait_for_end()
        left = _has_half_way(database)
        slow.write_text("CREATE TABLE half_way (id INT);")
        with copy.start(database) as api:
            seconds = api.wait_until_ready().seconds_until_ready
        repaired = _has_half_way(database)
    rows = [
        ("the table half_way exists after the kill", left, "no"),
        ("… and after the start of the repaired copy", repaired, "yes"),
    ]
    return compare(f"half_way exists after the kill: {left}; repaired release ready in {seconds:.1f} s", rows)


def _has_half_way(database: ScratchDatabase) -> str:
    with database.connect() as connection:
        return "yes" if "half_way" in set(query(connection, TABLES)["tablename"]) else "no"


def _wait_for_sleeper(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        wait_until(lambda: query(connection, SLEEPERS, pattern="CREATE TABLE half_way%").iloc[0, 0], 60)


CHANGES: dict[str, tuple[Callable[[ProjectCopy], object], str]] = {
    "an applied file was edited": (
        lambda copy: copy.file(1).write_text("SELECT 1"),
        "001_create_registrations.sql has changed since it was applied",
    ),
    "an applied file is missing": (lambda copy: copy.file(copy.newest - 1).unlink(), "is missing before"),
    "a file is misnamed": (
        lambda copy: (copy.migrations / "4 add_table.sql").write_text("SELECT 1"),
        "4 add_table.sql",
    ),
    "two files share a number": (
        lambda copy: (copy.migrations / "001_twin.sql").write_text("SELECT 1"),
        "Two migrations have the number 001",
    ),
    "the database is ahead": (lambda copy: copy.file(copy.newest).unlink(), "The database is ahead"),
}
"""What can be wrong with the files: how to make it so, and the words that the refusal must hold."""


@experiment
def files_that_do_not_fit() -> Evidence:
    """Start copies whose migrations do not fit the database's history, each for real.

    Each must end with one line that names the trouble, and leave the database as it was.
    """
    with ScratchDatabase() as database:
        with ProjectCopy(extra=2) as copy, copy.start(database) as api:
            api.wait_until_ready()
        rows = [(what, *_refusal(database, change, words)) for what, (change, words) in CHANGES.items()]
    frame = pd.DataFrame(rows, columns=["what is wrong", "what the start says", "result"])
    refused = int((frame["result"] == "refused").sum())
    summary = f"{refused} of {len(frame)} starts ended with one such line, nothing changed"
    return Evidence(refused == len(CHANGES), summary, frame)


def _refusal(database: ScratchDatabase, change: Callable[[ProjectCopy], object], words: str) -> tuple[str, str]:
    before = snapshot(database)
    with ProjectCopy(extra=2) as copy:
        change(copy)
        said = copy.refusal(database)
    as_due = words in said and "\n" not in said and snapshot(database) == before
    return said, "refused" if as_due else "FAIL"


def snapshot(database: ScratchDatabase) -> tuple[list[object], list[object]]:
    """Return the tables of a database and its migration history, to tell whether anything changed."""
    with database.connect() as connection:
        return query(connection, TABLES).to_numpy().tolist(), query(connection, APPLIED).to_numpy().tolist()


@experiment
def service_has_every_migration(service: RunningService) -> Evidence:
    """Read the history of the running service's own database, and hold it against the files that were shipped."""
    with service.connect() as connection:
        history = catalog.history(connection)
    shipped = {file.name: file.sha256[:12] for file in read_migrations(MIGRATIONS)}
    applied = dict(zip(history["name"], history["sha256"], strict=True))
    summary = f"{len(history)} of {len(shipped)} migrations, with the same checksums"
    return Evidence(applied == shipped, summary, history)
