"""What the schema itself refuses, whoever writes to it, and what its migrations make of rows from before."""

import subprocess
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection

from beefirst.database.migration_files import Migration
from beefirst.errors import MigrationError
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import CHECKOUT, MIGRATIONS
from tests.support.databases import SHIPPED, apply, empty

README = CHECKOUT / "README.md"
BY_HAND = ("-v", "ON_ERROR_STOP=1", "-1", "-f")
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


@pytest.fixture
def table(migrated: ScratchDatabase) -> Iterator[Connection[Any]]:
    """A connection to the empty table."""
    with migrated.connect() as connection:
        empty(connection)
        yield connection


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


KEPT = [
    ("id = gen_random_uuid()", "registrations_id_is_kept"),
    ("email = 'b@example.com'", "registrations_email_is_kept"),
]


@pytest.mark.parametrize("state", ["CLAIMED", "EXPIRED", "LOCKED"])
@pytest.mark.parametrize(("change", "constraint"), KEPT)
def test_a_registration_keeps_its_id_and_its_address_in_every_state(
    table: Connection[Any], state: str, change: str, constraint: str
) -> None:
    insert(table, COMPLETE[state])

    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute(f"UPDATE registrations SET {change}")

    assert refusal.value.diag.constraint_name == constraint
    assert refusal.value.diag.table_name == "registrations"


@pytest.mark.parametrize("end", ["CLAIMED", "EXPIRED"])
@pytest.mark.parametrize(("change", "constraint"), KEPT)
def test_a_change_of_state_brings_no_other_id_or_address(
    table: Connection[Any], end: str, change: str, constraint: str
) -> None:
    insert(table, COMPLETE["CLAIMED"])

    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute(f"UPDATE registrations SET {BECOME[end]}, {change}")

    assert refusal.value.diag.constraint_name == constraint


def test_an_account_opens_with_no_other_hash_than_that_of_its_claim(table: Connection[Any]) -> None:
    insert(table, COMPLETE["CLAIMED"])

    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute("UPDATE registrations SET state = 'ACTIVE', password_hash = 'another', activated_at = now()")

    assert refusal.value.diag.constraint_name == "registrations_active_keeps_hash"


@pytest.mark.parametrize("end", ["state = 'CLAIMED'", "state = 'ACTIVE', activated_at = now()"])
@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("verification_code = '9999'", "registrations_claim_keeps_code"),
        ("created_at = created_at + INTERVAL '1 microsecond'", "registrations_claim_gets_no_younger"),
        ("attempt_count = attempt_count - 1", "registrations_claim_forgets_no_attempt"),
    ],
)
def test_a_claim_keeps_its_code_and_gets_neither_younger_nor_more_attempts(
    table: Connection[Any], end: str, change: str, constraint: str
) -> None:
    insert(table, COMPLETE["CLAIMED"])
    table.execute("UPDATE registrations SET attempt_count = 2")

    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute(f"UPDATE registrations SET {end}, {change}")

    assert refusal.value.diag.constraint_name == constraint


def test_a_new_claim_brings_its_own_code_time_and_attempts(table: Connection[Any]) -> None:
    insert(table, COMPLETE["CLAIMED"])
    table.execute("UPDATE registrations SET attempt_count = 2")

    table.execute(f"UPDATE registrations SET {BECOME['CLAIMED']}, verification_code = '9999', attempt_count = 0")

    assert table.execute("SELECT verification_code, attempt_count FROM registrations").fetchall() == [("9999", 0)]


def test_a_claim_may_be_made_older(table: Connection[Any]) -> None:
    insert(table, COMPLETE["CLAIMED"])

    changed = table.execute("UPDATE registrations SET created_at = created_at - INTERVAL '1 hour', attempt_count = 1")

    assert changed.rowcount == 1


@pytest.mark.parametrize("migration", SHIPPED, ids=[migration.name for migration in SHIPPED])
def test_a_file_that_is_run_again_by_itself_takes_no_guard_away(table: Connection[Any], migration: Migration) -> None:
    insert(table, COMPLETE["CLAIMED"])

    table.execute(migration.sql.encode())

    with pytest.raises(psycopg.errors.CheckViolation):
        table.execute("UPDATE registrations SET verification_code = '9999'")


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


def test_run_by_hand_as_the_readme_says_a_file_that_stops_changes_nothing(
    before: Connection[Any], database: ScratchDatabase, psql: str
) -> None:
    insert(before, "('Ada@example.com', '1234', 'CLAIMED', 'x', NULL)")
    insert(before, "('e@example.com', '1234', 'EXPIRED', 'not erased', NULL)")
    file = MIGRATIONS / SHIPPED[1].name

    run = subprocess.run([psql, database.url, *BY_HAND, str(file)], capture_output=True, text=True, check=False)

    assert run.returncode == 3
    assert "mend or delete it" in run.stderr
    assert before.execute("SELECT count(*) FROM registrations WHERE password_hash = 'not erased'").fetchone() == (1,)
    assert before.execute("SELECT count(*) FROM pg_trigger WHERE tgname ~ '^registrations_guard'").fetchone() == (0,)


def test_the_readme_says_how_to_run_a_file_by_hand() -> None:
    assert f"psql postgresql://beefirst:beefirst@localhost:5432/beefirst {' '.join(BY_HAND)} " in README.read_text()
