"""What is left of a file that fails or a runner that dies, and what becomes of files that do not fit the history."""

import signal
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from beefirst.errors import ProcessError
from beefirst.evaluation.display.tables import fields
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.migration_history import shipped_migrations
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import catalog
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until

AT_WORK = """
    SELECT pid
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND pid <> pg_backend_pid()
       AND query LIKE '%%pg_sleep(60)%%'
"""

THERE, NOT_THERE = "is there", "is not there"


def _judge_failing_file(said: str, left: Mapping[str, Any], shipped: Mapping[str, str]) -> Evidence:
    there, names = _is_there(left), _names(left)
    seen = {"the start says": said, "the table half_way": there, "rows of history": len(names)}
    intact = there == NOT_THERE and names == [*shipped] != []
    holds = _is_one_line_with("changed nothing", said) and intact
    return Evidence(holds, f"half_way {there}; the start says: {said}", fields(seen, "what"))


@experiment(_judge_failing_file)
def file_that_fails_half_way(copies: type[ProjectCopy] = ProjectCopy) -> Observed:
    """Start a copy whose newest migration creates a table and then divides by zero."""
    with ScratchDatabase() as database, copies() as copy:
        copy.add("CREATE TABLE half_way (id INT);\n\nSELECT 1 / 0;")
        return {"said": copy.refusal(database), "left": snapshot(database), "shipped": shipped_migrations()}


def _is_one_line_with(words: str, said: str) -> bool:
    return words in said and "\n" not in said


def _is_there(left: Mapping[str, Any]) -> str:
    return THERE if "half_way" in left["tables"] else NOT_THERE


def _names(left: Mapping[str, Any]) -> list[str]:
    return [*left["history"]["name"]]


def _judge_kill(
    status: int, seconds: float, killed: Mapping[str, Any], repaired: Mapping[str, Any], shipped: Mapping[str, str]
) -> Evidence:
    there = _is_there(killed)
    rows = [
        ("the signal that ended the runner", -status, int(signal.SIGKILL)),
        ("the table half_way after the kill", there, NOT_THERE),
        ("files in the history after the kill", len(_names(killed)), len(shipped)),
        ("the table half_way after the start of the repaired release", _is_there(repaired), THERE),
        ("files in the history after that", len(_names(repaired)), len(shipped) + 1),
    ]
    return compare(f"half_way {there} after the kill; repaired release ready in {seconds:.1f} s", rows)


@experiment(_judge_kill)
def killed_in_the_middle(copies: type[ProjectCopy] = ProjectCopy) -> Observed:
    """Kill the runner with SIGKILL in the middle of a file, then start the repaired copy on the same database."""
    with ScratchDatabase() as database, copies() as copy:
        slow = copy.add("CREATE TABLE half_way (id INT); SELECT pg_sleep(60);")
        with copy.start(database) as api:
            _wait_for_work(database)
            api.send_signal(signal.SIGKILL)
            status = api.wait_for_end()
        killed = snapshot(database)
        slow.write_text("CREATE TABLE IF NOT EXISTS half_way (id INT);")
        with copy.start(database) as api:
            seconds = api.wait_until_ready().seconds_until_ready
        observed = {"status": status, "seconds": seconds, "killed": killed, "repaired": snapshot(database)}
    return {**observed, "shipped": shipped_migrations()}


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


def _judge_misfits(starts: Mapping[str, Mapping[str, Any]]) -> Evidence:
    rows = [
        (what, starts.get(what, {}).get("said", "not tried"), _was_refused(starts.get(what), words), "refused")
        for what, (_, words) in CHANGES.items()
    ]
    refused = sum(result == "refused" for _, _, result, _ in rows)
    summary = f"{refused} of {len(rows)} starts ended with one such line, nothing changed"
    return compare(summary, rows, ["what is wrong", "what the start says", "result", "expected"])


def _was_refused(start: Mapping[str, Any] | None, words: str) -> str:
    if not start or not start["refused"] or not _is_one_line_with(words, start["said"]):
        return "FAIL"
    before, after = start["before"], start["after"]
    unchanged = before["tables"] == after["tables"] and before["history"].equals(after["history"])
    return "refused" if unchanged and _names(before) else "FAIL"


@experiment(_judge_misfits)
def files_that_do_not_fit(copies: type[ProjectCopy] = ProjectCopy, changes: Mapping[str, Change] = CHANGES) -> Observed:
    """Start copies whose migrations do not fit the database's history, each for real.

    Each must end with one line that names the trouble, and leave the database as it was. What is left out of the
    changes counts as one that did not.
    """
    with ScratchDatabase() as database:
        with copies(extra=2) as copy, copy.start(database) as api:
            api.wait_until_ready()
        return {"starts": {what: _start(copies, database, change) for what, (change, _) in changes.items()}}


def _start(
    copies: type[ProjectCopy], database: ScratchDatabase, change: Callable[[ProjectCopy], object]
) -> dict[str, Any]:
    """Return what a start says to a change of the files, whether it was refused, and the database before and after."""
    before = snapshot(database)
    with copies(extra=2) as copy:
        change(copy)
        try:
            said, refused = copy.refusal(database), True
        except ProcessError as error:
            said, refused = str(error), False
    return {"said": said, "refused": refused, "before": before, "after": snapshot(database)}


def snapshot(database: ScratchDatabase) -> dict[str, Any]:
    """Return the tables of a database and its migration history, to tell whether anything changed."""
    with database.connect() as connection:
        return {"tables": catalog.tables(connection), "history": catalog.history(connection)}
