"""Each experiment of notebook 02 holds for the service, and fails for a copy of it with the very defect."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from beefirst.evaluation.experiments.migrations import automatic, mishaps
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.running_service import RunningService
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS
from tests.support.databases import migrated_database
from tests.support.evidence import fails, judged

COUNT = len(list(MIGRATIONS.glob("*.sql")))

RUNNER = "beefirst/database/migrations.py"
FILE_RUNNER = "beefirst/database/file_runner.py"


ASK_FOR_THE_LOCK = """    while not await _get_lock(connection, LOCK_SESSION):
        await turns.wait()
"""
READ_THE_HISTORY = "        for migration in find_pending(migrations, await fetch_history(connection)):\n"
UNLOCK = 'await connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))\n'
APPLY = "            await apply_file(connection, migration, turns.deadline)\n"

WITHOUT_LOCK = {
    "never taken": [(ASK_FOR_THE_LOCK, "")],
    "asked for, and not waited for": [(ASK_FOR_THE_LOCK, "    await _get_lock(connection, LOCK_SESSION)\n")],
    "said to be had": [("fetchone() == (True,)", "fetchone() != ()")],
    "given back at once": [(ASK_FOR_THE_LOCK, ASK_FOR_THE_LOCK + "    " + UNLOCK)],
    "of a transaction that ends with the statement": [("LOCK_SESSION)", "LOCK_TRANSACTION)")],
    "each runner's own": [
        ("execute(statement, (ADVISORY_LOCK,))", "execute(statement, (connection.info.backend_pid,))")
    ],
    "given back after the first file": [(APPLY, APPLY + " " * 12 + UNLOCK)],
    "taken after the history is read": [
        (ASK_FOR_THE_LOCK, "    pending = find_pending(migrations, history)\n" + ASK_FOR_THE_LOCK),
        (READ_THE_HISTORY, "        for migration in pending:\n"),
    ],
}
"""What of the runner is replaced by what, by what that makes of its lock."""

RUN_TWICE = re.compile(r"00\d: [2-9]|duplicate key value violates unique constraint \"pg_type_typname_nsp_index\"")
"""A file that was run by two; now and then they collide before, where both create the table of the history."""


def copies_with(*changes: tuple[str, str]) -> type[ProjectCopy]:
    """Return what makes copies whose runner is changed."""

    class Changed(ProjectCopy):
        def __init__(self, extra: int = 0) -> None:
            super().__init__(extra)
            for old, new in changes:
                self.replace(RUNNER, old, new)

    return Changed


class WithoutTransaction(ProjectCopy):
    """Its runner commits each statement of the files that are added to it."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__(extra)
        self.replace(FILE_RUNNER, "        async with connection.transaction():\n", "        if True:\n")
        self.replace(FILE_RUNNER, "if connection.info.transaction_status == TransactionStatus.IDLE", "if False")
        self.replace(
            FILE_RUNNER,
            "        await connection.execute(migration.sql.encode())\n",
            "        for part in migration.sql.split(';') if 'extra' in migration.name else [migration.sql]:\n"
            "            await connection.execute(part.encode())\n",
        )


class WithoutChecksum(ProjectCopy):
    """Its runner overlooks that a file was edited."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__(extra)
        self.replace(RUNNER, "if file.sha256 != applied.sha256", "if False")


class WithoutMemory(ProjectCopy):
    """Its runner applies every file at every start, and remembers the first time."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__(extra)
        self.replace(RUNNER, "    return list(files.values())\n", "    return list(migrations)\n")
        self.replace(
            FILE_RUNNER,
            "VALUES (%(version)s, %(name)s, %(sha256)s, %(milliseconds)s)",
            "VALUES (%(version)s, %(name)s, %(sha256)s, %(milliseconds)s) ON CONFLICT DO NOTHING",
        )


class NotStarted:
    """An API that does nothing to the database."""

    def __init__(self, url: str) -> None: ...

    def stop(self) -> None: ...


@pytest.fixture(scope="module")
def migrated() -> Iterator[ScratchDatabase]:
    with migrated_database() as database:
        yield database


def service_on(database: ScratchDatabase) -> RunningService:
    return RunningService("", "", database.url, "a test")


def test_the_first_start_applies_every_file_and_the_second_none(database: ScratchDatabase) -> None:
    first = automatic.applied_by_a_start(database)
    second = automatic.nothing_is_applied_again(database)

    assert first.holds, first.summary
    assert first.rows["name"].iloc[0] == "001_create_registrations.sql"
    assert second.holds, second.summary
    assert "included; 0 of " in second.summary


def test_a_start_on_a_database_that_is_not_empty_shows_nothing(migrated: ScratchDatabase) -> None:
    evidence = automatic.applied_by_a_start(migrated, NotStarted)

    assert not evidence.holds
    assert "the database was not empty, it had address_budgets, registrations" in evidence.summary


def test_a_start_that_applies_nothing_is_found_out(database: ScratchDatabase) -> None:
    evidence = automatic.applied_by_a_start(database, NotStarted)

    assert not evidence.holds
    assert 'relation "schema_migrations" does not exist' in evidence.summary


def test_a_start_that_applies_another_file_is_found_out(database: ScratchDatabase) -> None:
    with ProjectCopy() as copy:
        copy.file(1).rename(copy.migrations / "001_other.sql")
        evidence = automatic.applied_by_a_start(database, lambda url: copy.start(url).wait_until_ready())

    assert not evidence.holds
    assert "001_other.sql applied by the start" in evidence.summary


def test_a_runner_that_applies_all_files_again_is_found_out_although_the_history_stays(
    migrated: ScratchDatabase,
) -> None:
    with WithoutMemory() as copy:
        evidence = automatic.nothing_is_applied_again(migrated, lambda url: copy.start(url).wait_until_ready())

    assert not evidence.holds
    assert f"{COUNT} of {COUNT} rows of the history are as before" in evidence.summary
    assert "included; 0 of " not in evidence.summary


def test_the_file_runs_again_by_hand(migrated: ScratchDatabase) -> None:
    evidence = automatic.file_runs_again_by_hand(migrated)

    assert evidence.holds, evidence.summary
    assert len(evidence.rows) == 2


def test_a_file_that_does_not_mind_an_existing_table_cannot_be_run_again(
    migrated: ScratchDatabase, tmp_path: Path
) -> None:
    text = (MIGRATIONS / automatic.FIRST).read_text()
    (tmp_path / automatic.FIRST).write_text(text.replace("IF NOT EXISTS ", ""))

    evidence = automatic.file_runs_again_by_hand(migrated, tmp_path)

    fails(evidence, '2, failed, relation "registrations" already exists')


def test_a_file_that_makes_another_table_than_before_cannot_be_run_again(database: ScratchDatabase) -> None:
    evidence = automatic.file_runs_again_by_hand(database)

    assert not evidence.holds
    assert "another table than before" in evidence.summary


def test_replicas_run_each_file_once() -> None:
    evidence = automatic.many_replicas(3)

    assert evidence.holds, evidence.summary
    assert "3 of 3 ready; times that each file was run: 001: 1, 002: 1, 003: 1, 004: 1" in evidence.summary
    assert evidence.summary.endswith("at work at once: 1; seen to wait meanwhile: 2")


@pytest.mark.parametrize("lock", WITHOUT_LOCK)
def test_replicas_whose_lock_does_not_keep_them_apart_run_a_file_several_times(lock: str) -> None:
    evidence = automatic.many_replicas(2, copies_with(*WITHOUT_LOCK[lock]))

    fails(evidence, "times that each file was run: ")
    assert RUN_TWICE.search(evidence.summary), evidence.summary


def test_a_file_that_fails_half_way_leaves_nothing() -> None:
    evidence = mishaps.file_that_fails_half_way()

    assert evidence.holds, evidence.summary
    assert "half_way is not there" in evidence.summary
    assert "division by zero" in evidence.summary


def test_without_a_transaction_a_file_leaves_what_it_did_before_it_failed() -> None:
    evidence = mishaps.file_that_fails_half_way(WithoutTransaction)

    assert not evidence.holds
    assert "half_way is there" in evidence.summary


def test_a_runner_that_is_killed_leaves_nothing_half_done() -> None:
    evidence = mishaps.killed_in_the_middle()

    assert evidence.holds, evidence.summary


def test_without_a_transaction_a_killed_runner_leaves_what_it_did() -> None:
    evidence = mishaps.killed_in_the_middle(WithoutTransaction)

    assert not evidence.holds
    assert "half_way is there after the kill" in evidence.summary


def test_files_that_do_not_fit_stop_the_start() -> None:
    evidence = mishaps.files_that_do_not_fit()

    assert evidence.holds, evidence.summary
    assert "5 of 5" in evidence.summary


def test_without_checksums_an_edited_file_does_not_stop_the_start_and_the_other_case_is_judged() -> None:
    two = ("an applied file was edited", "a file is misnamed")
    changes = {what: mishaps.CHANGES[what] for what in two}

    evidence = mishaps.files_that_do_not_fit(WithoutChecksum, changes)

    assert not evidence.holds
    assert "1 of 5" in evidence.summary
    assert "an applied file was edited, The API started where it was to refuse" in evidence.summary


def test_the_running_service_has_every_migration(migrated: ScratchDatabase) -> None:
    evidence = automatic.service_has_every_migration(service_on(migrated))

    assert evidence.holds, evidence.summary


def test_a_running_service_with_another_file_than_was_shipped_is_found_out(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        connection.execute(
            "CREATE TABLE schema_migrations AS "
            "SELECT 1 AS version, '001_create_registrations.sql' AS name, repeat('0', 64) AS sha256, "
            "now() AS applied_at, 1.0 AS milliseconds"
        )

    evidence = automatic.service_has_every_migration(service_on(database))

    assert not evidence.holds
    assert f"0 of {COUNT} migrations, with the same checksums; 1 others" in evidence.summary


def test_a_running_service_that_was_never_migrated_is_found_out(database: ScratchDatabase) -> None:
    evidence = automatic.service_has_every_migration(service_on(database))

    assert not evidence.holds
    assert 'relation "schema_migrations" does not exist' in evidence.summary


SHIPPED = {"001_create_registrations.sql": "a" * 64, "002_more.sql": "b" * 64}
HISTORY = pd.DataFrame(
    [(number, *file, "2026-01-01 00:00:00.5+00:00", 1.0) for number, file in enumerate(SHIPPED.items(), 1)],
    columns=["version", "name", "sha256", "applied_at", "milliseconds"],
)
NONE = HISTORY.head(0)
LEFT = {"tables": ["registrations"], "history": HISTORY}
HALF_WAY = {"tables": ["half_way", "registrations"], "history": HISTORY}
MADE = pd.DataFrame([("function", "guard", 1, "7")], columns=["kind", "name", "oid", "transaction"])

REPLICAS = pd.DataFrame([(1, 0.5, 9, "ready"), (2, 0.5, 9, "ready")], columns=["replica", "s", "ms", "result"])
GATES = pd.DataFrame(
    [(file, pid, doing) for file in SHIPPED for pid, doing in ((7, "runs it"), (8, "waits for its turn"))],
    columns=["file", "server process", "doing"],
)
TOGETHER = {
    "count": 2,
    "replicas": REPLICAS,
    "gates": GATES,
    "runs": dict.fromkeys(SHIPPED, 1),
    "history": HISTORY,
    "shipped": SHIPPED,
}


def test_the_judge_of_replicas_takes_what_is_as_it_should_be() -> None:
    assert judged(automatic.many_replicas, **TOGETHER).holds


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"runs": dict.fromkeys(SHIPPED, 2)}, "001: 2, 002: 2"),
        ({"runs": {}}, "each file was run: ;"),
        ({"history": NONE}, "0 rows of history"),
        ({"replicas": REPLICAS.head(1)}, "1 of 2 ready"),
        ({"count": 1, "replicas": REPLICAS.head(1)}, "1 of 1 ready"),
        ({"gates": GATES.head(0)}, "at work at once: 0; seen to wait meanwhile: 0"),
        ({"gates": GATES.assign(doing="runs it")}, "at work at once: 2; seen to wait meanwhile: 0"),
        ({"gates": GATES.head(3)}, "seen to wait meanwhile: 0"),
    ],
)
def test_the_judge_of_replicas_misses_none_of_what_was_observed(changed: dict[str, object], words: str) -> None:
    fails(judged(automatic.many_replicas, **TOGETHER | changed), words)


def test_the_judges_of_a_start_take_no_empty_history() -> None:
    nothing = {"history": NONE, "made": MADE.head(0)}

    fails(judged(automatic.applied_by_a_start, before=[], tables=["registrations"], history=NONE, shipped={}))
    fails(judged(automatic.nothing_is_applied_again, before=nothing, after=nothing))


def test_the_judge_of_a_second_start_compares_what_was_made_with_what_is_there() -> None:
    before = {"history": HISTORY, "made": MADE}

    assert judged(automatic.nothing_is_applied_again, before=before, after=before).holds
    for after in (before | {"made": MADE.assign(transaction="8")}, before | {"history": HISTORY.assign(version=3)}):
        fails(judged(automatic.nothing_is_applied_again, before=before, after=after))


def test_the_judge_of_runs_by_hand_counts_them() -> None:
    columns = pd.DataFrame([("id", "uuid")], columns=["column_name", "data_type"])
    twice = pd.DataFrame([(1, "ran", "it exists"), (2, "ran", "it exists")], columns=["run", "result", "said"])
    found = partial(judged, automatic.file_runs_again_by_hand, before=columns, after=columns)

    assert found(runs=twice).holds
    fails(found(runs=twice.head(1)), "run 1 times")
    fails(found(runs=twice.assign(result="failed")), "1, failed, it exists")


def test_the_judge_of_a_file_that_failed_looks_at_what_it_left() -> None:
    said = "005_extra.sql failed and changed nothing"
    found = partial(judged, mishaps.file_that_fails_half_way, shipped=SHIPPED)

    assert found(said=said, left=LEFT).holds
    fails(found(said=said, left=HALF_WAY), "half_way is there")
    fails(found(said=said, left=LEFT | {"history": NONE}))
    fails(found(said=f"Traceback\n{said}", left=LEFT))


def test_the_judge_of_a_kill_asks_whether_there_was_one() -> None:
    more = pd.concat([HISTORY, HISTORY.tail(1)])
    found = partial(judged, mishaps.killed_in_the_middle, seconds=1.0, killed=LEFT, shipped=SHIPPED)

    assert found(status=-9, repaired=HALF_WAY | {"history": more}).holds
    fails(found(status=0, repaired=HALF_WAY | {"history": more}), "the signal that ended the runner, 0, 9")
    fails(found(status=-9, repaired=HALF_WAY), "files in the history after that, 2, 3")


def test_the_judge_of_files_that_do_not_fit_wants_every_case_and_an_unchanged_database() -> None:
    starts = {
        what: {"said": words, "refused": True, "before": LEFT, "after": LEFT}
        for what, (_, words) in mishaps.CHANGES.items()
    }
    edited, bare = "an applied file was edited", {"tables": [], "history": NONE}

    assert judged(mishaps.files_that_do_not_fit, starts=starts).holds
    fails(judged(mishaps.files_that_do_not_fit, starts={}), "0 of 5", f"{edited}, not tried, FAIL, refused")
    for change in ({"after": HALF_WAY}, {"refused": False}, {"said": "Refused."}, {"before": bare, "after": bare}):
        fails(judged(mishaps.files_that_do_not_fit, starts=starts | {edited: starts[edited] | change}), "4 of 5")


@pytest.mark.parametrize("history", [NONE, HISTORY.head(1), HISTORY.assign(sha256="a" * 64)])
def test_the_judge_of_a_history_holds_it_against_every_shipped_file(history: pd.DataFrame) -> None:
    assert judged(automatic.service_has_every_migration, history=HISTORY, shipped=SHIPPED).holds
    fails(judged(automatic.service_has_every_migration, history=history, shipped=SHIPPED))


def test_a_checksum_that_differs_in_its_last_digit_alone_is_another() -> None:
    history = HISTORY.assign(sha256=["a" * 64, "b" * 63 + "c"])

    fails(judged(automatic.service_has_every_migration, history=history, shipped=SHIPPED), "1 of 2 migrations")
