"""The migration runner against a real PostgreSQL."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from beefirst.database.migration_files import Migration, read_migrations
from beefirst.database.migrations import ADVISORY_LOCK, AppliedMigration, migrate
from beefirst.errors import DatabaseRefusedError, MigrationError
from beefirst.evaluation.experiments import schema
from beefirst.evaluation.experiments.migrations import mishaps
from beefirst.laboratory import catalog
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS
from tests.conftest import SECRET, change_url


def apply(url: str, migrations: list[Migration], lock_timeout_seconds: float = 10) -> list[AppliedMigration]:
    async def run() -> list[AppliedMigration]:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            return await migrate(connection, migrations, lock_timeout_seconds)

    return asyncio.run(run())


def tables(database: ScratchDatabase) -> list[str]:
    with database.connect() as connection:
        return catalog.tables(connection)


def write(folder: Path, **files: str) -> list[Migration]:
    for name, sql in files.items():
        (folder / f"{name[1:]}.sql").write_text(sql)
    return read_migrations(folder)


def test_the_first_migration_is_the_specified_table_to_the_letter() -> None:
    specified = """
        CREATE TABLE IF NOT EXISTS registrations (
            id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
            email VARCHAR(255) UNIQUE NOT NULL,
            password_hash VARCHAR(255),  -- NULLed upon expiration/lockout (Data Stewardship)
            verification_code CHAR(4) NOT NULL,
            state VARCHAR(20) NOT NULL DEFAULT 'CLAIMED'
                CHECK (state IN ('CLAIMED', 'ACTIVE', 'EXPIRED', 'LOCKED')),
            attempt_count INT NOT NULL DEFAULT 0,
            created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
            activated_at TIMESTAMPTZ
        );
    """
    text = (MIGRATIONS / "001_create_registrations.sql").read_text()

    assert text[text.index("CREATE") :].split() == specified.split()


def test_every_shipped_migration_is_applied_and_remembered_once(database: ScratchDatabase) -> None:
    shipped = read_migrations(MIGRATIONS)

    first, second = apply(database.url, shipped), apply(database.url, shipped)

    assert [row.name for row in first] == [file.name for file in shipped]
    assert [row.sha256 for row in first] == [file.sha256 for file in shipped]
    assert second == first


def test_every_shipped_migration_runs_twice_by_hand_with_psql(database: ScratchDatabase, psql: str) -> None:
    for file in [file for file in sorted(MIGRATIONS.glob("*.sql")) for _ in range(2)]:
        subprocess.run(
            [psql, "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={file}", database.url],
            check=True,
            capture_output=True,
        )

    with database.connect() as connection:
        assert schema.columns_are_as_specified(connection).holds


def test_runners_at_once_on_an_empty_database_apply_each_file_once(database: ScratchDatabase, tmp_path: Path) -> None:
    files = write(tmp_path, _001_a="CREATE TABLE a (id INT)", _002_b="CREATE TABLE b (id INT); SELECT pg_sleep(0.2)")

    with ThreadPoolExecutor(8) as runners:
        histories = list(runners.map(lambda _: apply(database.url, files), range(8)))

    assert [row.name for row in histories[0]] == ["001_a.sql", "002_b.sql"]
    assert all(history == histories[0] for history in histories)


def test_a_hidden_file_of_a_desktop_or_an_editor_is_no_migration(tmp_path: Path) -> None:
    write(tmp_path, _001_a="SELECT 1")
    (tmp_path / ".DS_Store").write_bytes(b"\0\xff")
    (tmp_path / ".001_a.sql.swp").write_bytes(b"b0VIM")

    assert [migration.name for migration in read_migrations(tmp_path)] == ["001_a.sql"]


def test_it_is_remembered_how_long_a_file_took(database: ScratchDatabase, tmp_path: Path) -> None:
    began = time.perf_counter()

    [row] = apply(database.url, write(tmp_path, _001_a="SELECT pg_sleep(0.2)"))

    assert 200 <= row.milliseconds <= 1000 * (time.perf_counter() - began)


def test_a_file_that_fails_half_way_changes_nothing_and_names_its_line(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    second = "CREATE TABLE b (id INT);\n\nSELECT nothing;\n\nSELECT 1;\n"
    files = write(tmp_path, _001_a="CREATE TABLE a (id INT)", _002_b=second)

    with pytest.raises(MigrationError, match=r'^002_b\.sql failed .* line 3: column "nothing" does not exist\.$'):
        apply(database.url, files)

    assert tables(database) == ["a", "schema_migrations"]


def test_the_line_is_right_behind_letters_of_many_bytes(database: ScratchDatabase, tmp_path: Path) -> None:
    files = write(tmp_path, _001_a="-- äöü€𝄞\nSELECT 1;\nSELECT nothing;")

    with pytest.raises(MigrationError, match="line 3"):
        apply(database.url, files)


def test_a_repaired_file_is_applied_after_its_failure(database: ScratchDatabase, tmp_path: Path) -> None:
    with pytest.raises(MigrationError):
        apply(database.url, write(tmp_path, _001_a="CREATE TABLE a (id INT); SELECT nothing"))

    history = apply(database.url, write(tmp_path, _001_a="CREATE TABLE a (id INT)"))

    assert [row.name for row in history] == ["001_a.sql"]


@pytest.mark.parametrize("then", ["", "SELECT nothing"])
def test_a_file_that_ends_its_own_transaction_is_refused(database: ScratchDatabase, tmp_path: Path, then: str) -> None:
    files = write(tmp_path, _001_a=f"CREATE TABLE a (id INT); COMMIT; {then}")

    with pytest.raises(MigrationError, match="take BEGIN and COMMIT out of it"):
        apply(database.url, files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("edited", r"001_a\.sql has changed since it was applied at .*: restore it"),
        ("renamed", r"001_a\.sql was applied and is now called 001_c\.sql"),
        ("missing", r"Migration 001 is missing before 002_b\.sql"),
        ("ahead", r"The database is ahead: it has 002_b\.sql, these files end at 001\. Start a newer release\."),
        ("misnamed", r"3 c\.sql in .* is not named like 001_create_table\.sql"),
        ("folder", r"003_c\.sql in .* is not named like"),
        ("unprintable", r"'003_c\\n\\udcff\.sql' in .* is not named like"),
        ("other digits", r" in .* is not named like"),
        ("duplicate", r"Two migrations have the number 001"),
        ("binary", r"003_c\.sql cannot be read as UTF-8 text"),
        ("empty", r"There is no migration in "),
    ],
)
def test_files_that_do_not_fit_stop_the_runner_and_change_nothing(
    database: ScratchDatabase, tmp_path: Path, change: str, message: str
) -> None:
    apply(database.url, write(tmp_path, _001_a="CREATE TABLE a (id INT)", _002_b="CREATE TABLE b (id INT)"))
    before = mishaps.snapshot(database)
    first, second = tmp_path / "001_a.sql", tmp_path / "002_b.sql"
    {
        "edited": lambda: first.write_text("CREATE TABLE c (id INT)"),
        "renamed": lambda: first.rename(tmp_path / "001_c.sql"),
        "missing": lambda: first.unlink(),
        "ahead": lambda: second.unlink(),
        "misnamed": lambda: (tmp_path / "3 c.sql").write_text("CREATE TABLE c (id INT)"),
        "folder": lambda: (tmp_path / "003_c.sql").mkdir(),
        "unprintable": lambda: (tmp_path / "003_c\n\udcff.sql").write_text("CREATE TABLE c (id INT)"),
        "other digits": lambda: (tmp_path / "\u0660\u0660\u0663_c.sql").write_text("CREATE TABLE c (id INT)"),
        "duplicate": lambda: (tmp_path / "001_c.sql").write_text("CREATE TABLE c (id INT)"),
        "binary": lambda: (tmp_path / "003_c.sql").write_bytes(b"\xff"),
        "empty": lambda: (first.unlink(), second.unlink()),
    }[change]()

    with pytest.raises(MigrationError, match=message) as refusal:
        apply(database.url, read_migrations(tmp_path))

    assert "\n" not in str(refusal.value)
    after = mishaps.snapshot(database)
    assert after["tables"] == before["tables"]
    assert after["history"].equals(before["history"])


def test_line_endings_of_another_system_are_no_change(database: ScratchDatabase, tmp_path: Path) -> None:
    apply(database.url, write(tmp_path, _001_a="CREATE TABLE a (id INT);\nSELECT 1;\n"))
    (tmp_path / "001_a.sql").write_bytes(b"CREATE TABLE a (id INT);\r\nSELECT 1;\r\n")

    assert len(apply(database.url, read_migrations(tmp_path))) == 1


@contextmanager
def another_runner(database: ScratchDatabase) -> Iterator[psycopg.Connection[object]]:
    with database.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        yield connection


def test_waiting_for_another_runner_has_a_time_limit(database: ScratchDatabase) -> None:
    with another_runner(database), pytest.raises(MigrationError) as given_up:
        apply(database.url, read_migrations(MIGRATIONS), lock_timeout_seconds=0.2)

    assert str(given_up.value) == (
        "Another process has been migrating this database for over 0.2 seconds: "
        "wait for it or end it, then start again."
    )


def test_a_runner_goes_on_when_the_other_has_finished(database: ScratchDatabase) -> None:
    shipped = read_migrations(MIGRATIONS)
    with another_runner(database) as other:
        threading.Timer(0.3, other.close).start()

        assert len(apply(database.url, shipped)) == len(shipped)


def test_an_up_to_date_database_needs_no_lock(database: ScratchDatabase) -> None:
    shipped = read_migrations(MIGRATIONS)
    apply(database.url, shipped)
    with another_runner(database):
        assert len(apply(database.url, shipped, lock_timeout_seconds=0.2)) == len(shipped)


def test_a_file_that_waits_too_long_for_a_table_changes_nothing(database: ScratchDatabase, tmp_path: Path) -> None:
    files = write(tmp_path, _001_a="CREATE TABLE a (id INT)")
    apply(database.url, files)
    files = write(tmp_path, _002_b="CREATE TABLE b (id INT); ALTER TABLE a ADD COLUMN x INT")
    with psycopg.connect(database.url) as reader:
        reader.execute("SELECT * FROM a")

        with pytest.raises(MigrationError, match=r"^002_b\.sql failed and changed nothing: process .* still uses"):
            apply(database.url, files, lock_timeout_seconds=0.2)

    assert tables(database) == ["a", "schema_migrations"]


def test_a_role_that_may_not_create_is_told_what_to_grant(database: ScratchDatabase, role: str) -> None:
    with pytest.raises(DatabaseRefusedError, match=f"GRANT CREATE ON SCHEMA public TO {role}"):
        apply(change_url(database.url, user=role, password=SECRET), read_migrations(MIGRATIONS))
