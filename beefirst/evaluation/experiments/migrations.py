"""Notebook 02: the service's own start runs the migrations, however it is started and whatever happens to it."""

import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from beefirst.database.migration_files import read_migrations
from beefirst.errors import ProcessError
from beefirst.evaluation.display.tables import fields
from beefirst.evaluation.evidence import Evidence, compare, experiment
from beefirst.laboratory import catalog, counted_runs
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.running_service import RunningService, find_service
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS
from beefirst.machine.waiting import wait_until

Start: TypeAlias = Callable[[str], ApiProcess]

FIRST = "001_create_registrations.sql"
APPLIED = "SELECT version, name, sha256, applied_at FROM schema_migrations ORDER BY version"
AT_WORK = """
    SELECT pid
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND pid <> pg_backend_pid()
       AND query LIKE '%%pg_sleep(60)%%'
"""


@experiment
def applied_by_a_start(database: ScratchDatabase, start: Start = start_api) -> Evidence:
    """Start an API on an empty database, and look at what that has applied: nobody runs a migration by hand.

    Args:
        database: an empty one.
        start: what starts an API on a database's URL and returns it once it is ready.
    """
    with database.connect() as connection:
        before = catalog.tables(connection)
        start(database.url).stop()
        history, tables = catalog.history(connection), catalog.tables(connection)
    names = history["name"].tolist()
    holds = not before and names == _shipped() and names[0] == FIRST and "registrations" in tables
    found = f"; the database was not empty, it had {', '.join(before)}" if before else ""
    return Evidence(holds, f"{names[0]} applied by the start, and the {len(names) - 1} after it{found}", history)


def _shipped() -> list[str]:
    return [file.name for file in read_migrations(MIGRATIONS)]


@experiment
def nothing_is_applied_again(database: ScratchDatabase, start: Start = start_api) -> Evidence:
    """Start an API on a database that has every migration: the history must stay, and all that the files made.

    Args:
        database: one that an API has been started on.
        start: as for `applied_by_a_start`.
    """
    with database.connect() as connection:
        before, made_before = catalog.query(connection, APPLIED), catalog.made(connection)
        start(database.url).stop()
        after, made_after = catalog.query(connection, APPLIED), catalog.made(connection)
        history = catalog.history(connection)
    same, kept = _count_same(before, after), _count_same(made_before, made_after)
    summary = (
        f"{same} of {len(before)} rows of the history are as before, times of applying included; "
        f"{len(made_before) - kept} of {len(made_before)} constraints, functions and triggers were made anew"
    )
    return Evidence(len(before) > 0 and after.equals(before) and made_after.equals(made_before), summary, history)


def _count_same(before: pd.DataFrame, after: pd.DataFrame) -> int:
    return len(set(before.itertuples(index=False, name=None)) & set(after.itertuples(index=False, name=None)))


@experiment
def file_runs_again_by_hand(database: ScratchDatabase, folder: Path = MIGRATIONS) -> Evidence:
    """Run the first file of a folder twice, past the runner, where it was applied; the table must stay as it is."""
    said: list[str] = []
    with database.connect() as connection:
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
        before = catalog.columns(connection)
        for _ in range(2):
            connection.execute((folder / FIRST).read_bytes())
        unchanged = len(before) > 0 and catalog.columns(connection).equals(before)
    rows = pd.DataFrame(list(enumerate(said, start=1)), columns=["run", "notice"])
    left = "the table as it was" if unchanged else "another table than before"
    return Evidence(unchanged and len(said) == 2, f"ran twice and left {left}: {'; '.join(said)}", rows)


@experiment
def many_replicas(count: int = 8, copies: type[ProjectCopy] = ProjectCopy) -> Evidence:
    """Start several APIs at once on one empty database: each must become ready, and each file be run once.

    They run a copy whose files count their own runs, and whose first file waits until all replicas have come to it.

    Args:
        count: how many.
        copies: makes the copy.
    """
    with ScratchDatabase() as database, copies() as copy, database.connect() as connection:
        counted_runs.count_runs(copy, connection)
        counted_runs.close_gate(connection)
        with ExitStack() as running:
            replicas = [running.enter_context(copy.start(database)) for _ in range(count)]
            counted_runs.open_gate_for(connection, replicas)
            rows = [(number, *_came_up(replica)) for number, replica in enumerate(replicas, start=1)]
        history = catalog.query(connection, APPLIED)["name"].tolist()
        runs = counted_runs.counted_runs(connection)
    frame = pd.DataFrame(rows, columns=["replica", "ready after (s)", "in migrate (ms)", "result"])
    ready = int((frame["result"] == "ready").sum())
    each = ", ".join(f"{name[:3]}: {times}" for name, times in runs.items())
    summary = f"{ready} of {count} ready; times that each file was run: {each}; {len(history)} rows of history"
    return Evidence(ready == count and history == _shipped() and runs == dict.fromkeys(_shipped(), 1), summary, frame)


def _came_up(replica: ApiProcess) -> tuple[float, float, str]:
    """Return the seconds until it was ready, the milliseconds of those in `migrate`, and `ready`, or why it is not."""
    try:
        seconds = replica.wait_until_ready().startup().set_index("phase")["seconds"]
    except ProcessError as error:
        return float("nan"), float("nan"), str(error)
    return round(seconds.sum(), 2), round(1000 * seconds["migrate"]), "ready"


@experiment
def file_that_fails_half_way(copies: type[ProjectCopy] = ProjectCopy) -> Evidence:
    """Start a copy whose newest migration creates a table and then divides by zero."""
    with ScratchDatabase() as database, copies() as copy:
        copy.add("CREATE TABLE half_way (id INT);\n\nSELECT 1 / 0;")
        said = copy.refusal(database)
        tables, applied = snapshot(database)
    seen = {"the start says": said, "the table half_way": _is_there(tables), "rows of history": len(applied)}
    holds = _is_one_line_with("changed nothing", said) and "half_way" not in tables and len(applied) == len(_shipped())
    return Evidence(holds, f"half_way {_is_there(tables)}; the start says: {said}", fields(seen, "what"))


def _is_one_line_with(words: str, said: str) -> bool:
    return words in said and "\n" not in said


def _is_there(tables: Sequence[str]) -> str:
    return "is there" if "half_way" in tables else "is not there"


@experiment
def killed_in_the_middle(copies: type[ProjectCopy] = ProjectCopy) -> Evidence:
    """Kill the runner with SIGKILL in the middle of a file, then start the repaired copy on the same database."""
    with ScratchDatabase() as database, copies() as copy:
        slow = copy.add("CREATE TABLE half_way (id INT); SELECT pg_sleep(60);")
        with copy.start(database) as api:
            _wait_for_work(database)
            api.send_signal(signal.SIGKILL)
            api.wait_for_end()
        tables, _ = snapshot(database)
        slow.write_text("CREATE TABLE IF NOT EXISTS half_way (id INT);")
        with copy.start(database) as api:
            seconds = api.wait_until_ready().seconds_until_ready
        repaired, _ = snapshot(database)
    rows = [
        ("the table half_way after the kill", _is_there(tables), "is not there"),
        ("the table half_way after the start of the repaired release", _is_there(repaired), "is there"),
    ]
    return compare(f"half_way {_is_there(tables)} after the kill; repaired release ready in {seconds:.1f} s", rows)


def _wait_for_work(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        wait_until(lambda: len(catalog.query(connection, AT_WORK)), 60)


Change: TypeAlias = tuple[Callable[[ProjectCopy], object], str]

CHANGES: dict[str, Change] = {
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
def files_that_do_not_fit(copies: type[ProjectCopy] = ProjectCopy, changes: Mapping[str, Change] = CHANGES) -> Evidence:
    """Start copies whose migrations do not fit the database's history, each for real.

    Each must end with one line that names the trouble, and leave the database as it was.
    """
    with ScratchDatabase() as database:
        with copies(extra=2) as copy, copy.start(database) as api:
            api.wait_until_ready()
        rows = [(what, *_refuse(copies, database, *change), "refused") for what, change in changes.items()]
    refused = sum(result == "refused" for _, _, result, _ in rows)
    summary = f"{refused} of {len(rows)} starts ended with one such line, nothing changed"
    return compare(summary, rows, ["what is wrong", "what the start says", "result", "expected"])


def _refuse(
    copies: type[ProjectCopy], database: ScratchDatabase, change: Callable[[ProjectCopy], object], words: str
) -> tuple[str, str]:
    """Return what a start says to a change of the files, and `refused` or `FAIL`."""
    before = snapshot(database)
    with copies(extra=2) as copy:
        change(copy)
        try:
            said = copy.refusal(database)
        except ProcessError as error:
            return str(error), "FAIL"
    as_due = _is_one_line_with(words, said) and snapshot(database) == before
    return said, "refused" if as_due else "FAIL"


def snapshot(database: ScratchDatabase) -> tuple[list[str], list[object]]:
    """Return the tables of a database and its migration history, to tell whether anything changed."""
    with database.connect() as connection:
        return catalog.tables(connection), catalog.query(connection, APPLIED).to_numpy().tolist()


@experiment
def service_has_every_migration(service: RunningService | None = None) -> Evidence:
    """Read the history of the running service's own database, and hold it against the files that were shipped.

    Args:
        service: see `find_service` where left out.
    """
    with (service or find_service()).connect() as connection:
        history = catalog.history(connection)
    shipped = {file.name: file.sha256[:12] for file in read_migrations(MIGRATIONS)}
    applied = dict(zip(history["name"], history["sha256"], strict=True))
    same = len(applied.items() & shipped.items())
    summary = f"{same} of {len(shipped)} migrations, with the same checksums; {len(applied) - same} others"
    return Evidence(applied == shipped, summary, history)
