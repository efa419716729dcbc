"""Each experiment of notebook 02 holds for the service, and fails for a copy of it with the very defect."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from beefirst.evaluation.experiments.migrations import automatic, mishaps
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.running_service import RunningService
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS
from tests.support.databases import migrated_database

RUNNER = "beefirst/database/migrations.py"
FILE_RUNNER = "beefirst/database/file_runner.py"


class WithoutLock(ProjectCopy):
    """Its runners do not wait for one another, but to make the table of their history."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__(extra)
        self.replace(RUNNER, '"SELECT pg_try_advisory_lock(%s)"', '"SELECT %s::bigint IS NOT NULL"')
        self.replace(RUNNER, '"SELECT pg_advisory_unlock(%s)"', '"SELECT %s::bigint"')
        self.replace(
            RUNNER,
            "        await connection.execute(CREATE_HISTORY)\n",
            "        await connection.execute('SELECT pg_advisory_xact_lock(1);' + CREATE_HISTORY)\n",
        )


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
    assert "4 of 4 rows of the history are as before" in evidence.summary
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

    assert not evidence.holds
    assert 'relation "registrations" already exists' in evidence.summary


def test_a_file_that_makes_another_table_than_before_cannot_be_run_again(database: ScratchDatabase) -> None:
    evidence = automatic.file_runs_again_by_hand(database)

    assert not evidence.holds
    assert "another table than before" in evidence.summary


def test_replicas_run_each_file_once() -> None:
    evidence = automatic.many_replicas(3)

    assert evidence.holds, evidence.summary
    assert "3 of 3 ready; times that each file was run: 001: 1, 002: 1, 003: 1, 004: 1" in evidence.summary


def test_replicas_that_do_not_wait_for_one_another_run_a_file_several_times() -> None:
    evidence = automatic.many_replicas(2, WithoutLock)

    assert not evidence.holds
    assert "times that each file was run: 001: 2" in evidence.summary
    assert "failed and changed nothing" in evidence.summary


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
    assert "1 of 2" in evidence.summary
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
    assert "0 of 4 migrations, with the same checksums; 1 others" in evidence.summary


def test_a_running_service_that_was_never_migrated_is_found_out(database: ScratchDatabase) -> None:
    evidence = automatic.service_has_every_migration(service_on(database))

    assert not evidence.holds
    assert 'relation "schema_migrations" does not exist' in evidence.summary
