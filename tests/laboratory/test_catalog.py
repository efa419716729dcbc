"""The comparison with the specification must see every way in which a table can differ."""

import pytest

from beefirst.evaluation.experiments import schema
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ("ALTER TABLE registrations DROP COLUMN activated_at", "activated_at"),
        ("ALTER TABLE registrations ADD COLUMN phone TEXT", "phone"),
        ("ALTER TABLE registrations ALTER COLUMN email TYPE TEXT", "email"),
        ("ALTER TABLE registrations ALTER COLUMN email TYPE VARCHAR(254)", "email"),
        ("ALTER TABLE registrations ALTER COLUMN email DROP NOT NULL", "email"),
        ("ALTER TABLE registrations DROP CONSTRAINT registrations_email_key", "email"),
        ("ALTER TABLE registrations DROP CONSTRAINT registrations_pkey", "id"),
        ("ALTER TABLE registrations ALTER COLUMN id DROP DEFAULT", "id"),
        ("ALTER TABLE registrations DROP CONSTRAINT registrations_state_check", "state"),
        ("ALTER TABLE registrations ALTER COLUMN state SET DEFAULT 'ACTIVE'", "state"),
        ("ALTER TABLE registrations ALTER COLUMN password_hash SET NOT NULL", "password_hash"),
        ("ALTER TABLE registrations ALTER COLUMN attempt_count SET DEFAULT 1", "attempt_count"),
        ("ALTER TABLE registrations ALTER COLUMN created_at TYPE TIMESTAMP", "created_at"),
    ],
)
def test_a_table_that_differs_is_told_apart(database: ScratchDatabase, change: str, column: str) -> None:
    with database.connect() as connection:
        connection.execute((MIGRATIONS / "001_create_registrations.sql").read_bytes())
        before = schema.compare_with_specification(connection).set_index("column")["result"]
        connection.execute(change.encode())

        after = schema.compare_with_specification(connection).set_index("column")["result"]

    assert (before == "as specified").all()
    assert after[after == "DIFFERS"].index.tolist() == [column]


def test_a_table_that_is_missing_differs_in_every_column(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        comparison = schema.compare_with_specification(connection)

    assert len(comparison) == 8
    assert (comparison["result"] == "DIFFERS").all()
