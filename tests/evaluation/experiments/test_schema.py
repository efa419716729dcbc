"""Each experiment of notebook 03 holds for the table that the migrations make, and fails for one that lacks something.

A table without a constraint, or with a column of another type, is told in one line, and every other check is made.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import Connection

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments import schema
from beefirst.laboratory.running_service import RunningService
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.support.databases import apply, migrated_database
from tests.support.evidence import fails

ALTER = "ALTER TABLE registrations "
WITHOUT_UNIQUE = ALTER + "DROP CONSTRAINT registrations_email_key"
WITHOUT_PRIMARY_KEY = ALTER + "DROP CONSTRAINT registrations_pkey"
WITHOUT_STATES = ALTER + "DROP CONSTRAINT registrations_state_check"
WITHOUT_TIME_ZONE = ALTER + "ALTER COLUMN created_at TYPE TIMESTAMP"
WITHOUT_COLUMN = ALTER + "DROP COLUMN activated_at CASCADE"


@pytest.fixture(scope="module")
def migrated() -> Iterator[ScratchDatabase]:
    with migrated_database() as database:
        yield database


@pytest.fixture(scope="module")
def connection(migrated: ScratchDatabase) -> Iterator[Connection[Any]]:
    with migrated.connect() as connection:
        yield connection


@contextmanager
def changed(connection: Connection[Any], change: str) -> Iterator[Connection[Any]]:
    """The same database with a change that is rolled back at the end."""
    with connection.transaction(force_rollback=True):
        connection.execute(change.encode())
        yield connection


def judge_all(connection: Connection[Any]) -> Mapping[str, Evidence]:
    """Make each check of the notebook that is about a database of its own."""
    row = schema.insert_address_and_code(connection)
    return {
        "columns": schema.columns_are_as_specified(connection),
        "primary key": schema.id_is_primary_key(connection),
        "unique": schema.address_is_unique(connection),
        "states": schema.states_are_those_specified(connection),
        "id": schema.id_is_generated(row),
        "defaults": schema.defaults_are_as_specified(row),
        "forbidden": schema.forbidden_sql_is_refused(connection),
    }


def test_the_table_that_the_migrations_make_holds_in_all(connection: Connection[Any]) -> None:
    found = judge_all(connection)

    assert {name: evidence.summary for name, evidence in found.items() if not evidence.holds} == {}
    assert found["columns"].summary == "8 of 8 columns are as specified"
    assert found["forbidden"].summary == "10 of 10 forbidden statements were refused"
    assert (found["defaults"].rows["seen"] == found["defaults"].rows["expected"]).all()
    assert len(found["defaults"].rows) + len(found["id"].rows) == 8


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        (
            WITHOUT_UNIQUE,
            {
                "columns": "email, character varying(255), not null, character varying(255), not null, unique, DIFFERS",
                "unique": "unique constraint on nothing",
                "forbidden": "the same address twice, nobody, TAKEN",
            },
        ),
        (
            WITHOUT_PRIMARY_KEY,
            {
                "columns": "id, uuid, not null, default generated, uuid, not null, default generated, primary key",
                "primary key": "primary key on nothing",
                "forbidden": "an id that is taken, nobody, TAKEN",
            },
        ),
        (
            WITHOUT_STATES,
            {
                "columns": "state",
                "states": "PENDING, nobody, taken, refused",
                "forbidden": "a state that does not exist",
            },
        ),
        (WITHOUT_TIME_ZONE, {"columns": "created_at, timestamp without time zone", "defaults": "created_at, 20"}),
        (
            WITHOUT_COLUMN,
            {"columns": "activated_at, no such column", "states": "activated_at", "defaults": "no such column"},
        ),
        (ALTER + "ADD COLUMN phone TEXT", {"columns": "phone, text, nullable, no such column, DIFFERS"}),
        (
            ALTER + "ALTER COLUMN attempt_count SET DEFAULT 1",
            {"columns": "default 1", "defaults": "attempt_count, 1, 0"},
        ),
        (
            ALTER + "ALTER COLUMN id SET DEFAULT '00000000-0000-0000-0000-000000000001'",
            {"columns": "00000000", "id": "a random UUID"},
        ),
    ],
)
def test_a_table_that_differs_fails_the_checks_that_it_breaks_and_no_other(
    connection: Connection[Any], change: str, failing: Mapping[str, str]
) -> None:
    with changed(connection, change):
        found = judge_all(connection)

    assert [name for name, evidence in found.items() if not evidence.holds] == list(failing)
    for name, words in failing.items():
        assert words in found[name].summary
        assert "\n" not in found[name].summary


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (WITHOUT_COLUMN, "activated_at"),
        (ALTER + "ADD COLUMN phone TEXT", "phone"),
        (ALTER + "ALTER COLUMN email TYPE TEXT", "email"),
        (ALTER + "ALTER COLUMN email TYPE VARCHAR(254)", "email"),
        (ALTER + "ALTER COLUMN email DROP NOT NULL", "email"),
        (WITHOUT_UNIQUE, "email"),
        (WITHOUT_PRIMARY_KEY, "id"),
        (ALTER + "ALTER COLUMN id DROP DEFAULT", "id"),
        (WITHOUT_STATES, "state"),
        (ALTER + "ALTER COLUMN state SET DEFAULT 'ACTIVE'", "state"),
        (ALTER + "ALTER COLUMN password_hash SET NOT NULL", "password_hash"),
        (ALTER + "ALTER COLUMN attempt_count SET DEFAULT 1", "attempt_count"),
        (WITHOUT_TIME_ZONE, "created_at"),
    ],
)
def test_the_comparison_sees_every_way_in_which_a_table_can_differ(
    connection: Connection[Any], change: str, column: str
) -> None:
    before = schema.columns_are_as_specified(connection).rows.set_index("column")["result"]
    with changed(connection, change):
        after = schema.columns_are_as_specified(connection).rows.set_index("column")["result"]

    assert (before == "as specified").all()
    assert after[after == "DIFFERS"].index.tolist() == [column]


def test_without_a_table_each_check_fails_for_a_reason_of_one_line(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        found = judge_all(connection)

    assert not any(evidence.holds for evidence in found.values())
    assert "0 of 8 columns are as specified" in found["columns"].summary
    assert len(found["columns"].rows) == 8
    assert 'relation "registrations" does not exist' in found["id"].summary
    assert all(evidence.summary and "\n" not in evidence.summary for evidence in found.values())


def test_an_experiment_leaves_no_row_behind(connection: Connection[Any]) -> None:
    judge_all(connection)

    assert connection.execute("SELECT count(*) FROM registrations").fetchone() == (0,)


def test_the_table_of_the_running_service_is_read_and_not_written(migrated: ScratchDatabase) -> None:
    evidence = schema.service_has_the_same_table(RunningService("", "", migrated.url, "a test"))

    assert evidence.holds, evidence.summary


def test_the_table_of_a_running_service_that_differs_is_found_out(database: ScratchDatabase) -> None:
    evidence = schema.service_has_the_same_table(RunningService("", "", database.url, "a test"))

    assert not evidence.holds
    assert "no such column" in evidence.summary


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "DROP TRIGGER registrations_guard_claim ON registrations",
            "trigger registrations_guard_claim on registrations",
        ),
        (ALTER + "DISABLE TRIGGER registrations_guard_change", "state is disabled and not enabled"),
        ("DROP INDEX registrations_ended_since", "index registrations_ended_since on registrations is missing"),
        (ALTER + "DROP CONSTRAINT registrations_ended_has_no_hash", "constraint registrations_ended_has_no_hash"),
        (
            "CREATE OR REPLACE FUNCTION mails_of_a_day(mailed_at TIMESTAMPTZ[]) RETURNS TIMESTAMPTZ[] LANGUAGE sql "
            "AS 'SELECT mailed_at'",
            "function mails_of_a_day(mailed_at timestamp with time zone[]) has another body",
        ),
        (ALTER + "ADD COLUMN phone TEXT", "column registrations.phone was added"),
        ("CREATE RULE keep AS ON DELETE TO registrations DO INSTEAD NOTHING", "rule keep on registrations was added"),
    ],
)
def test_a_schema_of_the_running_service_that_has_changed_is_found_out(
    connection: Connection[Any], database: ScratchDatabase, change: str, told: str
) -> None:
    apply(database.url)
    with database.connect() as owner:
        owner.execute(change.encode())

    evidence = schema.service_has_the_same_schema(connection, RunningService("", "", database.url, "a test"))

    fails(evidence, "entries of the catalogues: 1)", told)
    assert len(evidence.rows[evidence.rows["seen"] != evidence.rows["expected"]]) == 1


def test_a_schema_of_the_running_service_that_is_as_migrated_holds_beside_foreign_tables(
    connection: Connection[Any], database: ScratchDatabase
) -> None:
    apply(database.url)
    with database.connect() as owner:
        owner.execute("CREATE TABLE mine (id UUID REFERENCES registrations)")

    evidence = schema.service_has_the_same_schema(connection, RunningService("", "", database.url, "a test"))

    assert evidence.holds, evidence.summary
    assert set(evidence.rows["kind"]) == {"column", "constraint", "function", "index", "table", "trigger"}
    assert (evidence.rows["made by the migrations"] > 0).all()


def test_a_running_service_without_a_schema_is_found_out(
    connection: Connection[Any], database: ScratchDatabase
) -> None:
    evidence = schema.service_has_the_same_schema(connection, RunningService("", "", database.url, "a test"))

    fails(evidence, "table registrations is missing")


def test_two_databases_without_a_schema_show_nothing(database: ScratchDatabase) -> None:
    with database.connect() as empty:
        evidence = schema.service_has_the_same_schema(empty, RunningService("", "", database.url, "a test"))

    fails(evidence, "nothing was seen")
