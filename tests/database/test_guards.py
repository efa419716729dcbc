"""What the schema itself refuses, whoever writes to it, and what its migrations make of rows from before."""

import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection
from psycopg.errors import Diagnostic

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


def refuse(table: Connection[Any], change: str) -> Diagnostic:
    """Return what is said of a change of the rows that must be refused."""
    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        table.execute(f"UPDATE registrations SET {change}".encode())
    return refusal.value.diag


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


def test_a_row_of_an_address_and_a_code_is_a_claim_of_this_moment_without_an_attempt(table: Connection[Any]) -> None:
    table.execute("INSERT INTO registrations (email, verification_code) VALUES ('ada@example.com', '1234')")

    row = table.execute(
        "SELECT id IS NOT NULL, password_hash, state, attempt_count, activated_at,"
        " created_at BETWEEN now() - INTERVAL '1 minute' AND now() FROM registrations"
    ).fetchone()
    assert row == (True, None, "CLAIMED", 0, None, True)


@pytest.mark.parametrize("column", ["id", "email", "verification_code", "state", "attempt_count", "created_at"])
def test_no_registration_lacks_what_makes_it_one(table: Connection[Any], column: str) -> None:
    insert(table, COMPLETE["CLAIMED"])

    with pytest.raises(psycopg.errors.NotNullViolation) as refusal:
        table.execute(f"UPDATE registrations SET {column} = NULL")

    assert refusal.value.diag.column_name == column


@pytest.mark.parametrize(
    ("column", "value"), [("id", "(SELECT id FROM registrations)"), ("email", "'ada@example.com'")]
)
def test_no_two_registrations_share_their_id_or_their_address(table: Connection[Any], column: str, value: str) -> None:
    insert(table, COMPLETE["CLAIMED"])
    row = {"id": "gen_random_uuid()", "email": "'b@example.com'", "verification_code": "'1234'"} | {column: value}

    with pytest.raises(psycopg.errors.UniqueViolation):
        table.execute(f"INSERT INTO registrations ({', '.join(row)}) VALUES ({', '.join(row.values())})")


@pytest.mark.parametrize("column", ["email", "password_hash"])
def test_an_address_and_a_hash_have_room_for_255_characters(table: Connection[Any], column: str) -> None:
    row = {"email": "'ada@example.com'", "verification_code": "'1234'"}

    def insert_long(length: int) -> None:
        long = row | {column: f"repeat('a', {length})"}
        table.execute(f"INSERT INTO registrations ({', '.join(long)}) VALUES ({', '.join(long.values())})")

    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        insert_long(256)
    insert_long(255)

    assert table.execute(f"SELECT length({column}) FROM registrations").fetchall() == [(255,)]


def test_a_state_that_is_none_is_refused(table: Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refusal:
        insert(table, "('ada@example.com', '1234', 'PENDING', 'x', NULL)")

    assert refusal.value.diag.constraint_name == "registrations_state_check"


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
    told = refusal.value.diag
    assert told.constraint_name == (final if begin == "ACTIVE" else anew)
    assert (told.schema_name, told.table_name) == ("public", "registrations")
    assert f"from {begin} to {end}" in (told.message_primary or "")


@pytest.mark.parametrize("state", COMPLETE)
def test_an_update_that_changes_nothing_is_taken_in_every_state(table: Connection[Any], state: str) -> None:
    insert(table, COMPLETE[state])

    assert table.execute("UPDATE registrations SET password_hash = password_hash").rowcount == 1


def test_that_an_account_is_final_is_said_before_any_other_fault(table: Connection[Any]) -> None:
    insert(table, COMPLETE["ACTIVE"])

    assert (
        refuse(table, "state = 'EXPIRED', verification_code = 'none'").constraint_name
        == "registrations_active_is_final"
    )


def test_what_a_row_breaks_by_itself_is_said_before_what_it_breaks_of_its_claim(table: Connection[Any]) -> None:
    insert(table, COMPLETE["CLAIMED"])

    assert refuse(table, "verification_code = 'none'").constraint_name == "registrations_code_is_four_digits"


@pytest.mark.parametrize("change", ["password_hash = 'x'", "verification_code = '0000'", "email = 'b@example.com'"])
def test_an_active_row_changes_in_nothing(table: Connection[Any], change: str) -> None:
    insert(table, COMPLETE["ACTIVE"])

    assert refuse(table, change).constraint_name == "registrations_active_is_final"


def test_a_claim_gets_another_hash_only_as_a_later_claim(table: Connection[Any]) -> None:
    insert(table, COMPLETE["CLAIMED"])

    assert refuse(table, "password_hash = 'another'").constraint_name == "registrations_new_claim_is_later"


@pytest.mark.parametrize("state", ["EXPIRED", "LOCKED"])
def test_an_ended_registration_is_claimed_anew_though_the_clock_was_set_back(
    table: Connection[Any], state: str
) -> None:
    insert(table, COMPLETE[state])

    changed = table.execute(
        "UPDATE registrations SET state = 'CLAIMED', password_hash = 'x', created_at = created_at - INTERVAL '1 hour'"
    )

    assert changed.rowcount == 1


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

    refusal = refuse(table, change)

    assert refusal.constraint_name == constraint
    assert refusal.table_name == "registrations"


@pytest.mark.parametrize("end", ["CLAIMED", "EXPIRED"])
@pytest.mark.parametrize(("change", "constraint"), KEPT)
def test_a_change_of_state_brings_no_other_id_or_address(
    table: Connection[Any], end: str, change: str, constraint: str
) -> None:
    insert(table, COMPLETE["CLAIMED"])

    assert refuse(table, f"{BECOME[end]}, {change}").constraint_name == constraint


def test_an_account_opens_with_no_other_hash_than_that_of_its_claim(table: Connection[Any]) -> None:
    insert(table, COMPLETE["CLAIMED"])

    refusal = refuse(table, "state = 'ACTIVE', password_hash = 'another', activated_at = now()")

    assert refusal.constraint_name == "registrations_active_keeps_hash"


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

    refusal = refuse(table, f"{end}, {change}")

    assert refusal.constraint_name == constraint
    became = "ACTIVE" if "ACTIVE" in end else "CLAIMED"
    assert f"from CLAIMED to {became}" in (refusal.message_primary or "")
    assert refusal.schema_name == "public"


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
    ("values", "fault"),
    [
        ("('Ada@example.com', '1234', 'CLAIMED', 'x', NULL)", "not lower-case"),
        ("(' ada@example.com', '1234', 'CLAIMED', 'x', NULL)", "spaces around it"),
        ("('ädä@example.com', '1234', 'CLAIMED', 'x', NULL)", "not printable ASCII"),
        ("('ada@example.com\x7f', '1234', 'CLAIMED', 'x', NULL)", "not printable ASCII"),
        ("('\x1fada@example.com', '1234', 'CLAIMED', 'x', NULL)", "not printable ASCII"),
        ("('ada@example.com', 'abcd', 'CLAIMED', 'x', NULL)", "not four digits"),
        ("('ada@example.com', '123', 'CLAIMED', 'x', NULL)", "not four digits"),
        ("('ada@example.com', '1234', 'ACTIVE', NULL, now())", "ACTIVE without a hash"),
        ("('ada@example.com', '1234', 'ACTIVE', 'x', NULL)", "ACTIVE without activated_at"),
    ],
)
def test_any_other_offending_row_stops_the_migration_by_its_id_and_nothing_changes(
    database: ScratchDatabase, before: Connection[Any], values: str, fault: str
) -> None:
    insert(before, "('b@example.com', '1234', 'CLAIMED', 'x', NULL)")
    number = insert(before, values)
    insert(before, "('e@example.com', '1234', 'EXPIRED', 'not erased', NULL)")

    with pytest.raises(MigrationError, match=f"{number}.*{fault}.*mend or delete it"):
        apply(database.url)

    assert before.execute("SELECT count(*) FROM schema_migrations").fetchone() == (1,)
    assert before.execute("SELECT count(*) FROM registrations WHERE password_hash = 'not erased'").fetchone() == (1,)


@pytest.mark.parametrize(("attempts", "stops"), [(-1, True), (0, False), (10, False), (11, True)])
def test_a_row_of_more_attempts_than_there_can_be_stops_the_migration(
    database: ScratchDatabase, before: Connection[Any], attempts: int, stops: bool
) -> None:
    number = insert(before, COMPLETE["CLAIMED"])
    before.execute("UPDATE registrations SET attempt_count = %s", (attempts,))

    with pytest.raises(MigrationError, match=f"{number}.*outside 0 to 10") if stops else nullcontext():
        apply(database.url)


def test_every_row_that_keeps_the_rules_stays_as_it_is(database: ScratchDatabase, before: Connection[Any]) -> None:
    for state, values in COMPLETE.items():
        insert(before, values.replace("ada@example.com", f"{state.lower()} ~@example.com"))
    rows = before.execute("SELECT * FROM registrations ORDER BY email").fetchall()

    apply(database.url)

    assert before.execute("SELECT * FROM registrations ORDER BY email").fetchall() == rows


BUDGET = "INSERT INTO address_budgets (email) VALUES ('ada@example.com')"


def test_a_budget_begins_with_nothing_in_it(table: Connection[Any]) -> None:
    table.execute(BUDGET)

    row = table.execute(
        "SELECT wrong_guesses, cool_downs, guessed_at, cooling_until, noticed_at, mailed_at,"
        " touched_at BETWEEN now() - INTERVAL '1 minute' AND clock_timestamp() FROM address_budgets"
    ).fetchone()
    assert row == (0, 0, None, None, None, [], True)


@pytest.mark.parametrize("column", ["wrong_guesses", "cool_downs"])
def test_a_budget_counts_up_from_nothing(table: Connection[Any], column: str) -> None:
    table.execute(BUDGET)

    with pytest.raises(psycopg.errors.CheckViolation):
        table.execute(f"UPDATE address_budgets SET {column} = -1")


@pytest.mark.parametrize("column", ["email", "wrong_guesses", "cool_downs", "mailed_at", "touched_at"])
def test_no_budget_lacks_what_its_address_is_judged_by(table: Connection[Any], column: str) -> None:
    table.execute(BUDGET)

    with pytest.raises(psycopg.errors.NotNullViolation):
        table.execute(f"UPDATE address_budgets SET {column} = NULL")


def test_a_budget_has_room_for_every_address_that_can_be_registered(table: Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        table.execute("INSERT INTO address_budgets (email) VALUES (repeat('a', 256))")
    table.execute("INSERT INTO address_budgets (email) VALUES (repeat('a', 255))")


@pytest.mark.parametrize(
    ("index", "search"),
    [
        ("registrations_claimed_since", "registrations WHERE state = 'CLAIMED' AND created_at <= now()"),
        ("registrations_ended_since", "registrations WHERE state IN ('EXPIRED', 'LOCKED') AND created_at <= now()"),
        ("address_budgets_touched", "address_budgets WHERE touched_at <= now()"),
    ],
)
def test_what_the_sweeper_looks_for_every_second_is_found_without_reading_the_table(
    table: Connection[Any], index: str, search: str
) -> None:
    table.execute("SET enable_seqscan = off")

    plan = table.execute(f"EXPLAIN SELECT FROM {search}").fetchall()

    assert index in str(plan)


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
