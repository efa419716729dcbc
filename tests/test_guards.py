"""What the schema itself refuses, whoever writes to it, and what its migrations make of rows from before."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection

from beefirst.errors import MigrationError
from beefirst.evaluation.scratch import ScratchDatabase
from tests.databases import SHIPPED, apply, empty, migrated_database

COMPLETE = {
    "CLAIMED": "('ada@example.com', '1234', 'CLAIMED', 'a hash', NULL)",
    "ACTIVE": "('ada@example.com', '1234', 'ACTIVE', 'a hash', now())",
    "EXPIRED": "('ada@example.com', '1234', 'EXPIRED', NULL, NULL)",
    "LOCKED": "('ada@example.com', '1234', 'LOCKED', NULL, NULL)",
}
BECOME = {
    "CLAIMED": "state = 'CLAIMED', password_hash = 'another', created_at = created_at + INTERVAL '1 minute'",
    "ACTIVE": "state = 'ACTIVE', password_hash = 'a hash', activated_at = clock_timestamp()",
    "EXPIRED": "state = 'EXPIRED', password_hash = NULL",
    "LOCKED": "state = 'LOCKED', password_hash = NULL",
}
ALLOWED = {
    *(("CLAIMED", end) for end in BECOME),
    ("EXPIRED", "CLAIMED"),
    ("EXPIRED", "EXPIRED"),
    ("LOCKED", "CLAIMED"),
    ("LOCKED", "LOCKED"),
}
FORBIDDEN = sorted({(begin, end) for begin in COMPLETE for end in BECOME} - ALLOWED)


@pytest.fixture(scope="module")
def migrated() -> Iterator[Connection[Any]]:
    with migrated_database() as database, database.connect() as connection:
        yield connection


@pytest.fixture
def table(migrated: Connection[Any]) -> Connection[Any]:
    empty(migrated)
    return migrated


def insert(connection: Connection[Any], values: str) -> UUID:
    row = connection.execute(
        "INSERT INTO registrations (email, verification_code, state, password_hash, activated_at) "
        f"VALUES {values} RETURNING id"
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


@pytest.mark.parametrize("state", COMPLETE)
def test_a_complete_row_of_every_state_is_taken(table: Connection[Any], state: str) -> None:
    insert(table, COMPLETE[state])

    assert table.execute("SELECT state FROM registrations").fetchall() == [(state,)]


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ("('Ada@example.com', '1234', 'CLAIMED', 'x', NULL)", "registrations_email_is_lower_case"),
        ("(' ada@example.com', '1234', 'CLAIMED', 'x', NULL)", "registrations_email_is_trimmed"),
        ("('ada@example.com ', '1234', 'CLAIMED', 'x', NULL)", "registrations_email_is_trimmed"),
        ("('ädä@example.com', '1234', 'CLAIMED', 'x', NULL)", "registrations_email_is_ascii"),
        ("('', '1234', 'CLAIMED', 'x', NULL)", "registrations_email_is_ascii"),
        ("('ada@example.com', '12', 'CLAIMED', 'x', NULL)", "registrations_code_is_four_digits"),
        ("('ada@example.com', '12a4', 'CLAIMED', 'x', NULL)", "registrations_code_is_four_digits"),
        ("('ada@example.com', '\uff11234', 'CLAIMED', 'x', NULL)", "registrations_code_is_four_digits"),
        ("('ada@example.com', '1234', 'ACTIVE', NULL, now())", "registrations_active_has_hash"),
        ("('ada@example.com', '1234', 'ACTIVE', 'x', NULL)", "registrations_active_has_time"),
        ("('ada@example.com', '1234', 'EXPIRED', 'x', NULL)", "registrations_ended_has_no_hash"),
        ("('ada@example.com', '1234', 'LOCKED', 'x', NULL)", "registrations_ended_has_no_hash"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_by_the_name_of_the_rule(
    table: Connection[Any], values: str, constraint: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        insert(table, values)

    assert refusal.value.diag.constraint_name == constraint


@pytest.mark.parametrize("attempts", [-1, 11])
def test_attempts_are_counted_from_0_to_10(table: Connection[Any], attempts: int) -> None:
    insert(table, COMPLETE["CLAIMED"])

    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute("UPDATE registrations SET attempt_count = %s", (attempts,))

    assert refusal.value.diag.constraint_name == "registrations_attempts_are_counted"


@pytest.mark.parametrize(("begin", "end"), sorted(ALLOWED))
def test_a_change_of_state_that_the_rules_know_is_taken(table: Connection[Any], begin: str, end: str) -> None:
    insert(table, COMPLETE[begin])

    table.execute(f"UPDATE registrations SET {BECOME[end]}")

    assert table.execute("SELECT state FROM registrations").fetchall() == [(end,)]


@pytest.mark.parametrize(("begin", "end"), FORBIDDEN)
def test_every_other_change_of_state_is_refused(table: Connection[Any], begin: str, end: str) -> None:
    insert(table, COMPLETE[begin])

    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute(f"UPDATE registrations SET {BECOME[end]}")

    final, anew = "registrations_active_is_final", "registrations_ended_is_claimed_anew"
    assert refusal.value.diag.constraint_name == (final if begin == "ACTIVE" else anew)
    assert refusal.value.diag.table_name == "registrations"


@pytest.mark.parametrize("change", ["password_hash = 'x'", "verification_code = '0000'", "email = 'b@example.com'"])
def test_an_active_row_changes_in_nothing(table: Connection[Any], change: str) -> None:
    insert(table, COMPLETE["ACTIVE"])

    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute(f"UPDATE registrations SET {change}")

    assert refusal.value.diag.constraint_name == "registrations_active_is_final"


def test_a_claim_gets_another_hash_only_as_a_later_claim(table: Connection[Any]) -> None:
    insert(table, COMPLETE["CLAIMED"])

    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute("UPDATE registrations SET password_hash = 'another'")

    assert refusal.value.diag.constraint_name == "registrations_new_claim_is_later"


def test_each_file_may_be_run_again_by_hand(table: Connection[Any]) -> None:
    insert(table, COMPLETE["ACTIVE"])

    for migration in SHIPPED:
        table.execute(migration.sql.encode())

    with pytest.raises(psycopg.errors.CheckViolation):
        table.execute("UPDATE registrations SET email = 'b@example.com'")


@pytest.fixture
def before(database: ScratchDatabase) -> Iterator[Connection[Any]]:
    """A database with the story's table alone."""
    apply(database.url, SHIPPED[:1])
    with database.connect() as connection:
        yield connection


def test_hashes_that_should_be_gone_are_erased(database: ScratchDatabase, before: Connection[Any]) -> None:
    insert(before, "('e@example.com', '1234', 'EXPIRED', 'x', NULL)")
    insert(before, "('l@example.com', '1234', 'LOCKED', 'x', NULL)")
    insert(before, "('a@example.com', '1234', 'ACTIVE', 'kept', now())")

    apply(database.url)

    assert before.execute("SELECT email, password_hash FROM registrations ORDER BY email").fetchall() == [
        ("a@example.com", "kept"),
        ("e@example.com", None),
        ("l@example.com", None),
    ]


@pytest.mark.parametrize(
    "values",
    [
        "('Ada@example.com', '1234', 'CLAIMED', 'x', NULL)",
        "(' ada@example.com', '1234', 'CLAIMED', 'x', NULL)",
        "('ädä@example.com', '1234', 'CLAIMED', 'x', NULL)",
        "('ada@example.com', 'abcd', 'CLAIMED', 'x', NULL)",
        "('ada@example.com', '1234', 'ACTIVE', NULL, now())",
        "('ada@example.com', '1234', 'ACTIVE', 'x', NULL)",
    ],
)
def test_any_other_offending_row_stops_the_migration_by_its_id_and_nothing_changes(
    database: ScratchDatabase, before: Connection[Any], values: str
) -> None:
    number = insert(before, values)
    insert(before, "('e@example.com', '1234', 'EXPIRED', 'not erased', NULL)")

    with pytest.raises(MigrationError, match=str(number)):
        apply(database.url)

    assert before.execute("SELECT count(*) FROM schema_migrations").fetchone() == (1,)
    assert before.execute("SELECT count(*) FROM registrations WHERE password_hash = 'not erased'").fetchone() == (1,)
