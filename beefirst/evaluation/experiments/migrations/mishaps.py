"""What is left of a file that fails or a runner that dies, and what becomes of files that do not fit the history."""

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import pandas as pd

from beefirst.database.migration_files import read_migrations
from beefirst.errors import ProcessError
from beefirst.evaluation.display.tables import fields
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import catalog
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS
from beefirst.machine.waiting import wait_until

AT_WORK = """
    SELECT pid
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND pid <> pg_backend_pid()
       AND query LIKE '%%pg_sleep(60)%%'
"""


def _judge_failing_file(said: str, tables: Sequence[str], history: Sequence[str], shipped: Sequence[str]) -> Evidence:
    seen = {"the start says": said, "the table half_way": _is_there(tables), "rows of history": len(history)}
    holds = _is_one_line_with("changed nothing", said) and "half_way" not in tables and history == shipped
    return Evidence(holds, f"half_way {_is_there(tables)}; the start says: {said}", fields(seen, "what"))


@experiment(_judge_failing_file)
def file_that_fails_half_way(copies: type[ProjectCopy] = ProjectCopy) -> Observed:
    """Start a copy whose newest migration creates a table and then divides by zero."""
    with ScratchDatabase() as database, copies() as copy:
        copy.add("CREATE TABLE half_way (id INT);\n\nSELECT 1 / 0;")
        said = copy.refusal(database)
        tables, history = snapshot(database)
    return {
        "said": said,
        "tables": tables,
        "history": [*history["name"]],
        "shipped": [file.name for file in read_migrations(MIGRATIONS)],
    }


def _is_one_line_with(words: str, said: str) -> bool:
    return words in said and "\n" not in said


def _is_there(tables: Sequence[str]) -> str:
    return "is there" if "half_way" in tables else "is not there"


def _judge_kill(tables: Sequence[str], repaired: Sequence[str], seconds: float) -> Evidence:
    rows = [
        ("the table half_way after the kill", _is_there(tables), "is not there"),
        ("the table half_way after the start of the repaired release", _is_there(repaired), "is there"),
    ]
    return compare(f"half_way {_is_there(tables)} after the kill; repaired release ready in {seconds:.1f} s", rows)


@experiment(_judge_kill)
def killed_in_the_middle(copies: type[ProjectCopy] = ProjectCopy) -> Observed:
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
    return {"tables": tables, "repaired": repaired, "seconds": seconds}


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


def _judge_misfits(starts: pd.DataFrame, cases: Sequence[str]) -> Evidence:
    rows = [
        (it.wrong, it.said, _refusal_of(it.said, it.words, it.status, it.changed), "refused")
        for it in starts.itertuples()
    ]
    rows += [(case, "", "not tried", "refused") for case in cases if case not in set(starts["wrong"])]
    refused = sum(result == "refused" for _, _, result, _ in rows)
    summary = f"{refused} of {len(rows)} starts ended with one such line, nothing changed"
    return compare(summary, rows, ["what is wrong", "what the start says", "result", "expected"])


def _refusal_of(said: str, words: str, status: str, changed: bool) -> str:
    return "refused" if status == "refused" and _is_one_line_with(words, said) and not changed else "FAIL"


@experiment(_judge_misfits)
def files_that_do_not_fit(copies: type[ProjectCopy] = ProjectCopy, changes: Mapping[str, Change] = CHANGES) -> Observed:
    """Start copies whose migrations do not fit the database's history, each for real.

    Each must end with one line that names the trouble, and leave the database as it was.
    """
    with ScratchDatabase() as database:
        with copies(extra=2) as copy, copy.start(database) as api:
            api.wait_until_ready()
        rows = [(what, words, *_refuse(copies, database, change)) for what, (change, words) in changes.items()]
    return {"starts": pd.DataFrame(rows, columns=["wrong", "words", "said", "status", "changed"]), "cases": [*changes]}


def _refuse(
    copies: type[ProjectCopy], database: ScratchDatabase, change: Callable[[ProjectCopy], object]
) -> tuple[str, str, bool]:
    """Return what a start says to a change of the files, whether it was refused, and whether the database changed."""
    tables, history = snapshot(database)
    with copies(extra=2) as copy:
        change(copy)
        try:
            said, status = copy.refusal(database), "refused"
        except ProcessError as error:
            said, status = str(error), "not refused"
    tables_after, history_after = snapshot(database)
    return said, status, not (tables == tables_after and history.equals(history_after))


def snapshot(database: ScratchDatabase) -> tuple[list[str], pd.DataFrame]:
    """Return the tables of a database and its migration history, to tell whether anything changed."""
    with database.connect() as connection:
        return catalog.tables(connection), catalog.applied(connection)
