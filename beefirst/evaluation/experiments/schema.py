"""Notebook 03: the table beside its specification, and raw SQL that the database itself must refuse."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import pandas as pd
from psycopg import Connection

from beefirst.database.schema_drift import find_differences
from beefirst.evaluation.evidence import Evidence, compare, experiment, measurement
from beefirst.evaluation.promises import SPECIFIED_COLUMNS, SPECIFIED_STATES
from beefirst.laboratory import catalog
from beefirst.laboratory.forbidden_sql import REFUSED, attempt
from beefirst.laboratory.running_service import RunningService, find_service

ROW: str = "INSERT INTO registrations (email, verification_code) VALUES ('reader@example.com', '1234')"
FORBIDDEN: tuple[tuple[str, str], ...] = (
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


UNHEARD_OF_STATE = "PENDING"

COMPLETE_ROW = """
    INSERT INTO registrations (email, verification_code, state, password_hash, activated_at)
    SELECT 's@example.com', '1234', state, hash, activated_at
      FROM (VALUES ('CLAIMED', 'x', NULL), ('ACTIVE', 'x', now()), ('EXPIRED', NULL, NULL), ('LOCKED', NULL, NULL))
           AS complete (state, hash, activated_at)
     RIGHT JOIN (VALUES (%(state)s)) AS tried (state) USING (state)
"""
"""With what each state needs beside its name, so that only the name can be refused."""

COLUMN_BY_COLUMN = ("column", "seen", "expected")

RANDOM = "a random UUID"

SAME = "no difference"


@experiment
def columns_are_as_specified(connection: Connection[Any]) -> Evidence:
    """Hold the columns of `registrations` against the specification: type, length, nullability, default and key."""
    comparison = compare_with_specification(connection)
    agreeing = int((comparison["result"] == "as specified").sum())
    holds = agreeing == len(comparison) == len(SPECIFIED_COLUMNS)
    return Evidence(holds, f"{agreeing} of {len(comparison)} columns are as specified", comparison)


@experiment
def service_has_the_same_table(service: RunningService | None = None) -> Evidence:
    """Make the same comparison, read-only, on the database that the service uses.

    Args:
        service: see `find_service` where left out.
    """
    with (service or find_service()).connect() as connection:
        return columns_are_as_specified(connection)


@experiment
def service_has_the_same_schema(connection: Connection[Any], service: RunningService | None = None) -> Evidence:
    """Hold all that the catalogues say of the running service's own schema, read-only, against a fresh one.

    Args:
        connection: to a database that was migrated just now.
        service: see `find_service` where left out.
    """
    expected = catalog.schema(connection)
    with (service or find_service()).connect() as own:
        differences = find_differences(catalog.schema(own, expected), expected)
    kinds = dict.fromkeys(name.split()[0] for name in [*sorted(expected), *differences])
    rows = [(kind, _count(kind, expected), _those_of(kind, differences) or SAME, SAME) for kind in kinds]
    summary = f"differences in {len(expected)} entries of the catalogues: {len(differences)}"
    return compare(summary, rows, ["kind", "made by the migrations", "seen", "expected"])


def _count(kind: str, names: Iterable[str]) -> int:
    return sum(name.startswith(f"{kind} ") for name in names)


def _those_of(kind: str, differences: Sequence[str]) -> str:
    return "; ".join(difference for difference in differences if difference.startswith(f"{kind} "))


@experiment
def id_is_primary_key(connection: Connection[Any]) -> Evidence:
    """Look for the primary key among the constraints of the table."""
    found = _describe_keys(connection, "primary key", "id")
    return compare(f"primary key on {found}", [("primary key on", found, "id")])


@experiment
def address_is_unique(connection: Connection[Any]) -> Evidence:
    """Look for the unique constraint on the address among the constraints of the table."""
    found = _describe_keys(connection, "unique", "email")
    return compare(f"unique constraint on {found}", [("unique constraint on", found, "email")])


def _describe_keys(connection: Connection[Any], kind: str, wanted: str) -> str:
    """Return the column that is wanted where a constraint of that kind is on it alone; else what such are on."""
    constraints = catalog.constraints(connection)
    keys = [", ".join(names) for names in constraints.loc[constraints["kind"] == kind, "columns"]]
    return wanted if wanted in keys else "; ".join(keys) or "nothing"


@experiment
def states_are_those_specified(connection: Connection[Any]) -> Evidence:
    """Insert a complete row of each specified state, and one of a state that was never heard of; rolled back."""
    expected = dict.fromkeys(SPECIFIED_STATES, "taken") | {UNHEARD_OF_STATE: REFUSED}
    tried = {state: attempt(connection, COMPLETE_ROW, {"state": state}) for state in expected}
    rows = [(state, tried[state].by, tried[state].result.lower(), due) for state, due in expected.items()]
    summary = ", ".join(f"{state}: {seen}" for state, _, seen, _ in rows)
    return compare(summary, rows, ["state", "refused by", "seen", "expected"])


@measurement
def insert_address_and_code(connection: Connection[Any]) -> dict[str, Any]:
    """Insert a row that names only address and code; rolled back.

    Returns:
        The row as the database filled it, by column, and under `began` the time of the transaction.
    """
    with connection.transaction(force_rollback=True):
        cursor = connection.execute(f"{ROW} RETURNING *, now() AS began".encode())
        row = cursor.fetchone() or ()
        return dict(zip((column.name for column in cursor.description or ()), row, strict=True))


@experiment
def id_is_generated(row: dict[str, Any]) -> Evidence:
    """Look at the id of a row that names none: a random UUID, which is one of version 4.

    Args:
        row: as `insert_address_and_code` returns it.
    """
    found = row.get("id")
    seen = RANDOM if isinstance(found, UUID) and found.version == 4 else _or_null(found)
    return compare(f"generated: {found}", [("id", seen, RANDOM)], COLUMN_BY_COLUMN)


@experiment
def defaults_are_as_specified(row: dict[str, Any]) -> Evidence:
    """Look at what the database filled in to a row that names only address and code.

    Args:
        row: as `insert_address_and_code` returns it.
    """
    expected = {
        "email": "reader@example.com",
        "password_hash": None,
        "verification_code": "1234",
        "state": "CLAIMED",
        "attempt_count": 0,
        "created_at": row["began"],
        "activated_at": None,
    }
    rows = [(name, _or_null(row.get(name, "no such column")), _or_null(value)) for name, value in expected.items()]
    defaults = ", ".join(f"{name} {seen}" for name, seen, _ in rows if name not in ("email", "verification_code"))
    return compare(defaults, rows, COLUMN_BY_COLUMN)


def _or_null(value: object) -> str:
    return "NULL" if value is None else str(value)


@experiment
def forbidden_sql_is_refused(connection: Connection[Any]) -> Evidence:
    """Try every forbidden statement past the API, each in a transaction that is rolled back.

    Args:
        connection: to a database of one's own with the table `registrations`.
    """
    attempts = [(what, attempt(connection, statement, setup=ROW)) for what, statement in FORBIDDEN]
    refused = sum(tried.result == REFUSED for _, tried in attempts)
    rows = [(what, tried.by, tried.result, REFUSED) for what, tried in attempts]
    summary = f"{refused} of {len(rows)} forbidden statements were refused"
    return compare(summary, rows, ["attempt", "refused by", "result", "expected"])


def compare_with_specification(connection: Connection[Any]) -> pd.DataFrame:
    """Return one row for each specified or actual column of `registrations`, with what was specified and what is.

    Returns:
        The columns column, actual, expected, result; result is `as specified` or `DIFFERS`.
    """
    specified = {row[0]: _describe(*row[1:]) for row in SPECIFIED_COLUMNS}
    keys = _keys(connection)
    actual = {
        row.column_name: _describe_actual(row, keys.get(row.column_name))
        for row in catalog.columns(connection).itertuples()
    }
    rows = []
    for name in dict.fromkeys([*specified, *actual]):
        wanted, found = specified.get(name, "no such column"), actual.get(name, "no such column")
        rows.append((name, found, wanted, "as specified" if wanted == found else "DIFFERS"))
    return pd.DataFrame(rows, columns=["column", "actual", "expected", "result"])


def _keys(connection: Connection[Any]) -> dict[str, str]:
    """Return what kind of constraint 001 put on a column; those of later migrations have names of their own."""
    names = {"registrations_pkey", "registrations_email_key", "registrations_state_check"}
    rows = catalog.constraints(connection).itertuples()
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
