"""Raw SQL that the database itself must refuse."""

from typing import Any, LiteralString

import pandas as pd
import psycopg
from psycopg import Connection, errors

from beefirst.evaluation.promises import SPECIFIED_COLUMNS
from beefirst.laboratory.catalog import columns, constraints

ROW: LiteralString = "INSERT INTO registrations (email, verification_code) VALUES ('reader@example.com', '1234')"
FORBIDDEN: tuple[tuple[str, LiteralString], ...] = (
    ("the same address twice", ROW),
    ("an address that is missing", "INSERT INTO registrations (verification_code) VALUES ('1234')"),
    ("a code that is missing", "INSERT INTO registrations (email) VALUES ('b@example.com')"),
    ("a code of five characters", "UPDATE registrations SET verification_code = '12345'"),
    ("a state that does not exist", "UPDATE registrations SET state = 'PENDING'"),
    ("a state that is missing", "UPDATE registrations SET state = NULL"),
    ("an id that is taken", "INSERT INTO registrations (id, email, verification_code) "
                            "SELECT id, 'c@example.com', '1234' FROM registrations"),
    ("an address of 256 characters", "UPDATE registrations SET email = repeat('a', 256)"),
    ("no count of attempts", "UPDATE registrations SET attempt_count = NULL"),
    ("no time of creation", "UPDATE registrations SET created_at = NULL"),
)  # fmt: skip
"""What AC3 forbids, each as one statement on a table that holds ROW."""


def attempt_forbidden(connection: Connection[Any]) -> pd.DataFrame:
    """Try every forbidden statement, each in a transaction that is rolled back.

    Args:
        connection: to a database of one's own with the table `registrations`.

    Returns:
        The columns attempt, result (`refused` or `FAIL`), refused by.
    """
    rows = [(what, *_attempt(connection, statement)) for what, statement in FORBIDDEN]
    return pd.DataFrame(rows, columns=["attempt", "result", "refused by"])


def _attempt(connection: Connection[Any], statement: LiteralString) -> tuple[str, str]:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(ROW)
            connection.execute(statement)
    except (errors.IntegrityError, errors.DataError) as error:
        return "refused", error.diag.constraint_name or error.diag.message_primary or type(error).__name__
    return "FAIL", "nobody"


def accepted_states(connection: Connection[Any], states: tuple[str, ...]) -> dict[str, bool]:
    """Return for each state whether the table takes a complete row of it; rolled back, whatever the answer."""
    accepted = {}
    for state in states:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(
                    "INSERT INTO registrations (email, verification_code, state, password_hash, activated_at) "
                    "SELECT 's@example.com', '1234', state, hash, activated_at FROM (VALUES "
                    "('CLAIMED', 'x', NULL), ('ACTIVE', 'x', now()), ('EXPIRED', NULL, NULL), ('LOCKED', NULL, NULL)"
                    ") AS complete (state, hash, activated_at) "
                    "RIGHT JOIN (VALUES (%s)) AS tried (state) USING (state)",
                    (state,),
                )
            accepted[state] = True
        except psycopg.IntegrityError:
            accepted[state] = False
    return accepted


def defaulted_row(connection: Connection[Any]) -> dict[str, Any]:
    """Return the row that names only address and code, as the database filled it; rolled back."""
    with connection.transaction(force_rollback=True):
        cursor = connection.execute(ROW + " RETURNING *")
        row = cursor.fetchone() or ()
        return dict(zip((column.name for column in cursor.description or ()), row, strict=True))


def compare_with_specification(connection: Connection[Any]) -> pd.DataFrame:
    """Return one row for each specified or actual column of `registrations`, with what was specified and what is.

    Returns:
        The columns column, specified, actual, result; result is `as specified` or `DIFFERS`.
    """
    specified = {row[0]: _describe(*row[1:]) for row in SPECIFIED_COLUMNS}
    keys = _keys(connection)
    actual = {
        row.column_name: _describe_actual(row, keys.get(row.column_name)) for row in columns(connection).itertuples()
    }
    rows = []
    for name in dict.fromkeys([*specified, *actual]):
        wanted, found = specified.get(name, "no such column"), actual.get(name, "no such column")
        rows.append((name, wanted, found, "as specified" if wanted == found else "DIFFERS"))
    return pd.DataFrame(rows, columns=["column", "specified", "actual", "result"])


def _keys(connection: Connection[Any]) -> dict[str, str]:
    """Return what kind of constraint 001 put on a column; those of later migrations have names of their own."""
    names = {"registrations_pkey", "registrations_email_key", "registrations_state_check"}
    rows = constraints(connection).itertuples()
    return {row.columns[0]: row.kind for row in rows if row.name in names and len(row.columns) == 1}


def _describe_actual(row: Any, key: str | None) -> str:
    length = None if pd.isna(row.character_maximum_length) else int(row.character_maximum_length)
    default = None if pd.isna(row.column_default) else _simplify_default(row.column_default)
    return _describe(row.data_type, length, row.is_nullable == "YES", default, key)


def _simplify_default(expression: str) -> str:
    if expression == "gen_random_uuid()":
        return "generated"
    return expression.partition("::")[0].strip("'")


def _describe(kind: str, length: int | None, nullable: bool, default: str | None, key: str | None) -> str:
    size = f"({length})" if length else ""
    words = [f"{kind}{size}", "nullable" if nullable else "not null", default and f"default {default}", key]
    return ", ".join(word for word in words if word)
