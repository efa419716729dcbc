"""The live schema beside what the migrations make: every kind of difference is named by its object."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, Connection

from beefirst.database.migration_files import Migration
from beefirst.database.schema_drift import read_description, verify
from beefirst.errors import MigrationError
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.conftest import SECRET, Run, change_url
from tests.support.databases import SHIPPED, apply, migrated_database
from tests.support.servers import newest_server
from tests.tools.describe_schema import describe

ALTER = "ALTER TABLE registrations "
GUARD = "registrations_guard_change ON registrations"
NO_GUARD = "CREATE OR REPLACE FUNCTION guard_registration_change() RETURNS trigger LANGUAGE plpgsql AS "
COUNTED = "registrations_attempts_are_counted"
ENDED = "constraint registrations_ended_has_no_hash on registrations"
DUE = "index registrations_claimed_since on registrations"

DIFFERENCES = [
    (f"DROP TRIGGER {GUARD}", ["trigger registrations_guard_change on registrations is missing"]),
    (
        ALTER + "DISABLE TRIGGER registrations_guard_claim",
        ["trigger registrations_guard_claim on registrations: state is disabled and not enabled"],
    ),
    (
        ALTER + "ENABLE REPLICA TRIGGER registrations_guard_claim",
        ["trigger registrations_guard_claim on registrations: state is enabled on replicas alone and not enabled"],
    ),
    (
        "CREATE OR REPLACE TRIGGER registrations_guard_change AFTER UPDATE ON registrations "
        "EXECUTE FUNCTION guard_registration_change()",
        ["trigger registrations_guard_change on registrations: definition is CREATE TRIGGER"],
    ),
    (
        "CREATE TRIGGER mine AFTER INSERT ON registrations EXECUTE FUNCTION guard_registration_claim()",
        ["trigger mine on registrations was added: CREATE TRIGGER mine AFTER INSERT ON registrations"],
    ),
    (NO_GUARD + "'BEGIN RETURN NEW; END'", ["function guard_registration_change() has another body"]),
    (
        "ALTER FUNCTION guard_registration_change() SECURITY DEFINER",
        ["function guard_registration_change(): runs as is its owner and not whoever calls it"],
    ),
    (
        "DROP FUNCTION mails_of_a_day",
        ["function mails_of_a_day(mailed_at timestamp with time zone[]) is missing"],
    ),
    (
        "CREATE FUNCTION mails_of_a_day(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
        ["function mails_of_a_day(text) was added"],
    ),
    ("DROP INDEX registrations_claimed_since", [f"{DUE} is missing"]),
    (
        "DROP INDEX registrations_claimed_since; CREATE INDEX registrations_claimed_since ON registrations (email)",
        [f"{DUE}: definition is CREATE INDEX registrations_claimed_since ON registrations USING btree (email) and not"],
    ),
    (
        "CREATE UNIQUE INDEX one_a_moment ON registrations (created_at)",
        ["index one_a_moment on registrations was added: CREATE UNIQUE INDEX"],
    ),
    (
        ALTER + "ALTER attempt_count SET DEFAULT 1",
        ["column registrations.attempt_count: default is 1 and not 0"],
    ),
    (
        ALTER + "ALTER created_at DROP DEFAULT",
        ["column registrations.created_at: default is none and not now()"],
    ),
    (ALTER + "DROP CONSTRAINT registrations_ended_has_no_hash", [f"{ENDED} is missing"]),
    (
        f"{ALTER} DROP CONSTRAINT {COUNTED}, ADD CONSTRAINT {COUNTED} CHECK (attempt_count BETWEEN 0 AND 10) NOT VALID",
        [
            f"constraint {COUNTED} on registrations: definition is CHECK (attempt_count >= 0 AND attempt_count <= 10) "
            "NOT VALID and not CHECK (attempt_count >= 0 AND attempt_count <= 10)"
        ],
    ),
    (
        ALTER + "DROP CONSTRAINT registrations_email_key",
        ["constraint registrations_email_key on registrations is missing"],
    ),
    (
        ALTER + "ADD CONSTRAINT patience CHECK (attempt_count < 9)",
        ["constraint patience on registrations was added: CHECK (attempt_count < 9)"],
    ),
    (
        "ALTER TABLE address_budgets ALTER wrong_guesses TYPE BIGINT",
        ["column address_budgets.wrong_guesses: type is bigint and not integer"],
    ),
    (
        ALTER + "ALTER email DROP NOT NULL",
        ["column registrations.email: null is allowed and not refused"],
    ),
    (ALTER + "ADD COLUMN phone TEXT", ["column registrations.phone was added"]),
    ("ALTER TABLE address_budgets DROP COLUMN noticed_at", ["column address_budgets.noticed_at is missing"]),
    ("DROP TABLE address_budgets", ["table address_budgets is missing"]),
    ("ALTER TABLE address_budgets SET UNLOGGED", ["table address_budgets: kind is unlogged and not table"]),
    (ALTER + "ENABLE ROW LEVEL SECURITY", ["table registrations: row security is on and not off"]),
    (
        "CREATE POLICY all_of_it ON registrations USING (true)",
        ["policy all_of_it on registrations was added"],
    ),
    (
        "CREATE RULE keep AS ON DELETE TO registrations DO INSTEAD NOTHING",
        ["rule keep on registrations was added: CREATE RULE keep"],
    ),
]
"""What somebody may have done to a database, and how each line that tells it begins."""


@pytest.fixture(scope="module")
def migrated() -> Iterator[ScratchDatabase]:
    with migrated_database() as database:
        yield database


def differences(url: str, change: str = "", migrations: Sequence[Migration] = SHIPPED) -> list[str]:
    """Verify a database with a change that is undone at the end."""

    async def run() -> list[str]:
        async with (
            await AsyncConnection.connect(url, autocommit=True) as connection,
            connection.transaction(force_rollback=True),
        ):
            await connection.execute(change.encode())
            return await verify(connection, migrations)

    return asyncio.run(run())


@pytest.mark.parametrize(("change", "told"), DIFFERENCES)
def test_a_difference_is_named_by_its_object(migrated: ScratchDatabase, change: str, told: list[str]) -> None:
    found = differences(migrated.url, change)

    assert len(found) == len(told), found
    assert all(line.startswith(beginning) for line, beginning in zip(found, told, strict=True)), found
    assert not any("\n" in line for line in found)


def test_several_differences_are_told_one_by_one(migrated: ScratchDatabase) -> None:
    change = f"DROP TRIGGER {GUARD}; DROP INDEX registrations_claimed_since; {ALTER} ADD COLUMN phone TEXT"

    assert len(differences(migrated.url, change)) == 3


@pytest.mark.parametrize(
    "change",
    [
        "",
        "CREATE TABLE mine (id UUID REFERENCES registrations)",
        "CREATE VIEW active AS SELECT email FROM registrations WHERE state = 'ACTIVE'",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE INDEX mine ON registrations (activated_at)",
        "COMMENT ON TABLE registrations IS 'ours'",
        "SET quote_all_identifiers = on",
        "SET search_path = public, pg_catalog",
        "CREATE SCHEMA mine; SET search_path = mine, public; "
        "CREATE FUNCTION guard_registration_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    ],
)
def test_what_is_foreign_or_changes_nothing_is_no_difference(migrated: ScratchDatabase, change: str) -> None:
    assert differences(migrated.url, change) == []


def test_a_file_run_by_hand_with_the_line_ends_of_another_system_is_no_difference(migrated: ScratchDatabase) -> None:
    assert differences(migrated.url, SHIPPED[1].sql.replace("\n", "\r\n")) == []


def test_another_schema_is_compared_within_itself(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA app; CREATE TABLE registrations (id INT)")
    url = f"{database.url}?options=-csearch_path%3Dapp,public"
    apply(url)

    assert differences(url) == []
    assert differences(url, f"DROP TRIGGER {GUARD}") == [DIFFERENCES[0][1][0]]


def test_what_is_expected_is_what_the_applied_files_make(database: ScratchDatabase) -> None:
    apply(database.url, SHIPPED[:2])

    pending = [f"{file.name} is not applied" for file in SHIPPED[2:]]
    assert differences(database.url) == pending
    assert differences(database.url, "DROP INDEX registrations_claimed_since") == [*pending, f"{DUE} is missing"]


def test_a_database_without_a_history_lacks_every_file(database: ScratchDatabase) -> None:
    assert differences(database.url) == [f"{file.name} is not applied" for file in SHIPPED]


def test_a_file_that_the_description_does_not_know_is_told_with_what_to_do(database: ScratchDatabase) -> None:
    migrations = [*SHIPPED, Migration(len(SHIPPED) + 1, "005_new.sql", "CREATE TABLE new (id INT)")]
    apply(database.url, migrations)

    with pytest.raises(MigrationError, match=r"^005_new\.sql is not described in expected_schema\.json: run `python"):
        differences(database.url, migrations=migrations)


def test_the_description_that_is_shipped_is_that_of_the_migrations(database: ScratchDatabase) -> None:
    assert describe(database.url) == read_description()


def test_the_migrations_make_nothing_of_a_kind_that_is_not_described(migrated: ScratchDatabase) -> None:
    with migrated.connect() as connection:
        assert undescribed(connection) == []
        connection.execute("CREATE SEQUENCE mine; CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN place AS TEXT")
        assert len(undescribed(connection)) == 3
        connection.execute("DROP SEQUENCE mine; DROP TYPE mood; DROP DOMAIN place")


def undescribed(connection: Connection[Any]) -> list[str]:
    """Return sequences, types of one's own and domains."""
    statement = """
        SELECT relname FROM pg_class
         WHERE relnamespace = current_schema()::regnamespace AND relkind NOT IN ('r', 'i')
         UNION ALL
        SELECT typname FROM pg_type WHERE typnamespace = current_schema()::regnamespace AND typtype NOT IN ('c', 'b')
    """
    return [str(name) for (name,) in connection.execute(statement).fetchall()]


def test_the_newest_version_of_postgresql_tells_the_same() -> None:
    with newest_server() as server, ScratchDatabase(server) as database:
        assert describe(database.url) == read_description()
        assert differences(database.url, ALTER + "ALTER email DROP NOT NULL, ADD CHECK (email > '') NOT VALID") == [
            "column registrations.email: null is allowed and not refused",
            "constraint registrations_email_check on registrations was added: CHECK (email::text > ''::text) NOT VALID",
        ]
        unsure = ALTER + "ALTER email DROP NOT NULL, ADD CONSTRAINT later NOT NULL email NOT VALID"
        assert differences(database.url, unsure) == ["column registrations.email: null is allowed and not refused"]


def test_verify_prints_a_line_for_each_difference_and_fails(beefirst: Run, database: ScratchDatabase) -> None:
    apply(database.url)
    with database.connect() as connection:
        connection.execute("DROP TRIGGER registrations_guard_change ON registrations")
        connection.execute("DROP INDEX registrations_claimed_since")

    result = beefirst("migrate", "--verify", DATABASE_URL=database.url)

    assert result.returncode == 1
    assert sorted(result.stdout.splitlines()) == sorted([f"{DUE} is missing", DIFFERENCES[0][1][0]])
    assert result.stderr.count("\n") == 1
    assert "put back what they make" in result.stderr


def test_verify_prints_one_line_where_nothing_differs(beefirst: Run, database: ScratchDatabase, role: str) -> None:
    apply(database.url)
    with database.connect() as connection:
        connection.execute(f"GRANT SELECT ON schema_migrations TO {role}".encode())

    result = beefirst("migrate", "--verify", DATABASE_URL=change_url(database.url, user=role, password=SECRET))

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "The schema is what the migrations make.\n"


def test_verify_changes_nothing(beefirst: Run, database: ScratchDatabase) -> None:
    result = beefirst("migrate", "--verify", DATABASE_URL=database.url)

    assert result.returncode == 1
    with database.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT FROM schema_migrations")
