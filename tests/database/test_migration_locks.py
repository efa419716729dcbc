"""A migration that has to wait for others lets everybody else go on; and one that runs outside a transaction."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from beefirst.database.file_runner import LOCK_SECONDS
from beefirst.database.migration_files import NO_TRANSACTION, Migration
from beefirst.database.migrations import migrate as run_migrations
from beefirst.database.session import Session, connection_parameters
from beefirst.errors import MigrationError
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from beefirst.urls import DatabaseUrl
from tests.database.test_migrations import apply, write
from tests.support.databases import apply as migrate

NOTE = "ALTER TABLE registrations ADD COLUMN IF NOT EXISTS note TEXT"
TABLE = "CREATE TABLE IF NOT EXISTS a (id INT);"
INDEX = "CREATE INDEX CONCURRENTLY a_id ON a (id);"
UNIQUE = "CREATE UNIQUE INDEX CONCURRENTLY a_id ON a (id);"
DROP = "DROP INDEX CONCURRENTLY IF EXISTS a_id;"
ALONE = f"{NO_TRANSACTION}\n"

RUNNER_WAITS = """
    SELECT count(*) > 0
      FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'beefirst-migrations' AND wait_event_type = 'Lock'
"""
LOCK_IS_WAITED_FOR = """
    SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
INDEX_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_id'::regclass"


@contextmanager
def long_reader(database: ScratchDatabase) -> Iterator[tuple[Connection[Any], int]]:
    """Somebody who reads registrations and does not come to an end, as pg_dump of a large table, and its process."""
    with psycopg.connect(database.url, application_name="a long reader") as reader:
        reader.execute("SELECT FROM registrations")
        yield reader, reader.info.backend_pid


def test_requests_go_on_while_a_migration_waits_for_a_long_reader_and_then_it_goes_through(
    database: ScratchDatabase,
) -> None:
    migrate(database.url)
    with ProjectCopy() as copy, long_reader(database) as (reader, pid), database.connect() as other:
        copy.add(NOTE)
        other.execute("SET statement_timeout = '25s'")  # less than the start's time is
        with copy.start(database) as api:
            for _ in range(3):
                wait_until(lambda: other.execute(RUNNER_WAITS).fetchone() == (True,))
                other.execute("SELECT FROM registrations")
            reader.rollback()
            api.wait_until_ready()
            log = api.log()

    assert log.count(f"waits until process {pid} (a long reader) is done") == 1


@pytest.mark.parametrize("tries", [1, 2])
def test_the_log_says_once_for_whom_a_file_waits(
    database: ScratchDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture, tries: int
) -> None:
    caplog.set_level("INFO", "beefirst.database")
    apply(database.url, write(tmp_path, _001_a=TABLE))
    files = write(tmp_path, _002_b="ALTER TABLE a ADD b INT")

    with psycopg.connect(database.url, application_name="a long reader") as reader:
        reader.execute("SELECT FROM a")
        with pytest.raises(MigrationError):
            apply(database.url, files, lock_timeout_seconds=(tries + 0.5) * LOCK_SECONDS)
        pid = reader.info.backend_pid

    assert caplog.messages == [f"002_b.sql waits until process {pid} (a long reader) is done with what it changes"]


def test_through_a_pooler_a_file_outside_a_transaction_is_refused(database: ScratchDatabase, tmp_path: Path) -> None:
    files = write(tmp_path, _001_a=f"{ALONE}{TABLE}")

    async def run() -> None:
        parameters = connection_parameters(DatabaseUrl(database.url), "beefirst-migrations")
        async with await Session.connect(database.url, **parameters) as session:
            await session.settle()
            session.is_pooled = True
            await run_migrations(session, files, 10)

    with pytest.raises(MigrationError) as refusal:
        asyncio.run(run())

    assert str(refusal.value) == (
        f"001_a.sql begins with `{NO_TRANSACTION}`, and a pooler keeps no lock outside of one: run "
        "`python -m beefirst migrate` once with a DATABASE_URL that leads to PostgreSQL itself."
    )


def test_a_migration_that_waits_for_a_reader_in_vain_says_what_to_do(database: ScratchDatabase) -> None:
    migrate(database.url)
    with ProjectCopy() as copy, long_reader(database) as (_, pid):
        file = copy.add(NOTE)
        with copy.start(database, startup_timeout_seconds=3) as api:
            status = api.wait_for_end()
            waiting, refusal = api.log().splitlines()

    assert status == 1
    assert f"{file.name} waits until" in waiting
    assert refusal == (
        f"beefirst: {file.name} failed and changed nothing: process {pid} (a long reader) still "
        "uses what it changes. Let that finish, or end it with pg_terminate_backend, then start again."
    )


def test_a_lock_is_waited_for_until_an_autovacuum_that_is_in_the_way_is_ended(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        is_longer = connection.execute(
            "SELECT make_interval(secs => %s) > current_setting('deadlock_timeout')::interval", [LOCK_SECONDS]
        ).fetchone()

    assert is_longer == (True,)


def test_a_file_whose_time_the_one_before_has_spent_waits_for_a_moment_all_the_same(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    apply(database.url, write(tmp_path, _001_a=TABLE))
    with psycopg.connect(database.url) as writer, database.connect() as other:
        writer.execute("INSERT INTO a VALUES (1)")
        files = write(tmp_path, _002_b="SELECT pg_sleep(0.2)", _003_c="ALTER TABLE a ADD COLUMN b INT")
        with ThreadPoolExecutor(1) as runner:
            history = runner.submit(apply, database.url, files, 0.1)
            wait_until(lambda: other.execute(LOCK_IS_WAITED_FOR).fetchone() == (True,) or history.done())
            writer.commit()

            assert [row.name for row in history.result()] == ["001_a.sql", "002_b.sql", "003_c.sql"]


def test_a_migration_that_comes_into_a_deadlock_is_tried_again(database: ScratchDatabase, tmp_path: Path) -> None:
    apply(database.url, write(tmp_path, _001_a=f"{TABLE} INSERT INTO a VALUES (1);"))
    files = write(tmp_path, _002_b="UPDATE a SET id = 2; ALTER TABLE a ADD COLUMN b INT")
    with psycopg.connect(database.url) as client, database.connect() as other, ThreadPoolExecutor(1) as runner:
        client.execute("SELECT FROM a")
        history = runner.submit(apply, database.url, files, 30)
        wait_until(lambda: other.execute(LOCK_IS_WAITED_FOR).fetchone() == (True,))
        client.execute("UPDATE a SET id = 3")
        client.commit()

        assert [row.name for row in history.result()] == ["001_a.sql", "002_b.sql"]


def test_whoever_uses_other_tables_is_not_blamed(database: ScratchDatabase, tmp_path: Path) -> None:
    files = write(tmp_path, _001_a=f"{TABLE} CREATE TABLE other (id INT);")
    apply(database.url, files)
    with (
        psycopg.connect(database.url, application_name="innocent") as innocent,
        psycopg.connect(database.url, application_name="culprit") as culprit,
    ):
        innocent.execute("SELECT FROM other")
        culprit.execute("SELECT FROM a")

        with pytest.raises(MigrationError, match=r"\(culprit\) still uses what it changes"):
            apply(database.url, write(tmp_path, _002_b="ALTER TABLE a ADD COLUMN b INT"), 0.1)


def test_what_cannot_run_in_a_transaction_is_told_how_it_can(database: ScratchDatabase, tmp_path: Path) -> None:
    apply(database.url, write(tmp_path, _001_a=TABLE))

    with pytest.raises(MigrationError, match=f"changed nothing: .* begin the file with `{NO_TRANSACTION}`") as refusal:
        apply(database.url, write(tmp_path, _002_b=INDEX))

    assert "\n" not in str(refusal.value)


def test_a_file_that_says_so_runs_outside_a_transaction_and_is_remembered(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    files = write(tmp_path, _001_a=f"{ALONE}{TABLE}\n{DROP} {INDEX} -- that; is all")

    history = apply(database.url, files)

    assert [row.name for row in history] == ["001_a.sql"]
    with database.connect() as connection:
        assert connection.execute(INDEX_IS_VALID).fetchone() == (True,)


def test_runners_that_wait_for_one_another_do_not_hold_up_an_index_that_waits_for_everybody(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    files = write(tmp_path, _001_a=TABLE, _002_b=f"{ALONE}{INDEX}")

    with ThreadPoolExecutor(8) as runners:
        histories = list(runners.map(lambda _: apply(database.url, files, 60), range(8)))

    assert all([row.name for row in history] == ["001_a.sql", "002_b.sql"] for history in histories)


def test_an_index_that_is_in_nobodys_way_waits_longer_than_others_may(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    apply(database.url, write(tmp_path, _001_a=TABLE))
    with psycopg.connect(database.url) as writer:
        writer.execute("INSERT INTO a VALUES (1)")
        threading.Timer(2 * LOCK_SECONDS, writer.close).start()

        history = apply(database.url, write(tmp_path, _002_b=f"{ALONE}{INDEX}"), 60)

    assert len(history) == 2


def test_another_statement_of_such_a_file_is_tried_again(database: ScratchDatabase, tmp_path: Path) -> None:
    apply(database.url, write(tmp_path, _001_a=TABLE))
    with psycopg.connect(database.url) as reader:
        reader.execute("SELECT FROM a")
        threading.Timer(2 * LOCK_SECONDS, reader.close).start()

        history = apply(database.url, write(tmp_path, _002_b=f"{ALONE}ALTER TABLE a ADD x INT; {INDEX}"), 60)

    assert len(history) == 2


def test_an_index_that_fails_is_said_to_be_left_invalid_and_the_file_runs_again(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    files = write(tmp_path, _001_a=f"{ALONE}{TABLE}\n{DROP}\n{UNIQUE}")
    with database.connect() as connection:
        connection.execute(f"{TABLE} INSERT INTO a VALUES (1), (1)".encode())

        with pytest.raises(MigrationError, match=r"what it did before stays \(a_id is left INVALID: run DROP INDEX"):
            apply(database.url, files)
        connection.execute("TRUNCATE a")
        history = apply(database.url, files)

        assert [row.name for row in history] == ["001_a.sql"]
        assert connection.execute(INDEX_IS_VALID).fetchone() == (True,)


def test_a_file_that_passes_over_an_invalid_index_is_not_taken_for_applied(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    files = write(tmp_path, _001_a=f"{ALONE}{UNIQUE.replace('CONCURRENTLY', 'CONCURRENTLY IF NOT EXISTS')}")
    with database.connect() as connection:
        connection.execute(f"{TABLE} INSERT INTO a VALUES (1), (1)".encode())
        with pytest.raises(MigrationError):
            apply(database.url, files)

    with pytest.raises(MigrationError, match=r"^001_a\.sql is not applied: a_id is left INVALID: run DROP INDEX"):
        apply(database.url, files)


def test_a_file_that_fails_outside_a_transaction_names_its_line(database: ScratchDatabase, tmp_path: Path) -> None:
    files = write(tmp_path, _001_a=f"{ALONE}{TABLE}\n\nSELECT nothing; SELECT 1")

    with pytest.raises(MigrationError, match=r'stays, line 4: column "nothing" does not exist\.$'):
        apply(database.url, files)


def test_a_file_outside_a_transaction_that_leaves_one_open_is_refused(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    files = write(tmp_path, _001_a=f"{ALONE}BEGIN; {TABLE}")

    with pytest.raises(MigrationError, match="leaves a transaction open: take BEGIN out of it"):
        apply(database.url, files)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT ';'",
        "SELECT 'it''s;'",
        "SELECT E'it\\';'",
        'SELECT 1 AS ";"',
        "SELECT $$;$$",
        "DO $body$ BEGIN PERFORM '$$;'; END $body$",
        "SELECT 1 -- not; here",
        "SELECT /* nor;\n here */ 1",
    ],
)
def test_a_semicolon_within_a_statement_does_not_end_it(database: ScratchDatabase, statement: str) -> None:
    parts = [text for _, text in Migration(1, "001_a.sql", f"{statement}\n;\nSELECT 2;\n").statements()]

    assert parts == [f"{statement}\n;", "\nSELECT 2;"]
    with database.connect() as connection:
        connection.execute(parts[0].encode())
