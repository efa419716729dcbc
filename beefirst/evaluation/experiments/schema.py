"""Notebook 03: the table beside its specification, and raw SQL that the database itself must refuse."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pandas as pd
from psycopg import Connection

from beefirst.database.schema_drift import find_differences
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.evaluation.promises import SPECIFIED_COLUMNS, SPECIFIED_STATES
from beefirst.evaluation.specification import compare_with_specification
from beefirst.laboratory import catalog
from beefirst.laboratory.forbidden_sql import REFUSED, Attempt, attempt
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

RANDOM, RANDOM_VERSION = "a random UUID", 4

SAME = "no difference"


def _judge_columns(columns: pd.DataFrame, constraints: pd.DataFrame) -> Evidence:
    comparison = compare_with_specification(columns, constraints)
    agreeing = int((comparison["result"] == "as specified").sum())
    holds = agreeing == len(comparison) == len(SPECIFIED_COLUMNS)
    return Evidence(holds, f"{agreeing} of {len(comparison)} columns are as specified", comparison)


@experiment(_judge_columns)
def columns_are_as_specified(connection: Connection[Any]) -> Observed:
    """Hold the columns of `registrations` against the specification: type, length, nullability, default and key."""
    return _observe_table(connection)


def _observe_table(connection: Connection[Any]) -> Observed:
    return {"columns": catalog.columns(connection), "constraints": catalog.constraints(connection)}


@experiment(_judge_columns)
def service_has_the_same_table(service: RunningService | None = None) -> Observed:
    """Make the same comparison, read-only, on the database that the service uses.

    Args:
        service: see `find_service` where left out.
    """
    with (service or find_service()).connect() as connection:
        return _observe_table(connection)


def _judge_schema(migrated: Mapping[str, Any], service: Mapping[str, Any]) -> Evidence:
    differences = find_differences(service, migrated)
    kinds = dict.fromkeys(name.split()[0] for name in [*sorted(migrated), *differences])
    rows = [(kind, _count(kind, migrated), _those_of(kind, differences) or SAME, SAME) for kind in kinds]
    summary = f"differences in {len(migrated)} entries of the catalogues: {len(differences)}"
    return compare(summary, rows, ["kind", "made by the migrations", "seen", "expected"])


@experiment(_judge_schema)
def service_has_the_same_schema(connection: Connection[Any], service: RunningService | None = None) -> Observed:
    """Hold all that the catalogues say of the running service's own schema, read-only, against a fresh one.

    Args:
        connection: to a database that was migrated just now.
        service: see `find_service` where left out.
    """
    migrated = catalog.schema(connection)
    with (service or find_service()).connect() as own:
        return {"migrated": migrated, "service": catalog.schema(own, migrated)}


def _count(kind: str, names: Iterable[str]) -> int:
    return sum(name.startswith(f"{kind} ") for name in names)


def _those_of(kind: str, differences: Sequence[str]) -> str:
    return "; ".join(difference for difference in differences if difference.startswith(f"{kind} "))


def _judge_primary_key(constraints: pd.DataFrame) -> Evidence:
    found = _describe_keys(constraints, "primary key", "id")
    return compare(f"primary key on {found}", [("primary key on", found, "id")])


@experiment(_judge_primary_key)
def id_is_primary_key(connection: Connection[Any]) -> Observed:
    """Look for the primary key among the constraints of the table."""
    return {"constraints": catalog.constraints(connection)}


def _judge_uniqueness(constraints: pd.DataFrame) -> Evidence:
    found = _describe_keys(constraints, "unique", "email")
    return compare(f"unique constraint on {found}", [("unique constraint on", found, "email")])


@experiment(_judge_uniqueness)
def address_is_unique(connection: Connection[Any]) -> Observed:
    """Look for the unique constraint on the address among the constraints of the table."""
    return {"constraints": catalog.constraints(connection)}


def _describe_keys(constraints: pd.DataFrame, kind: str, wanted: str) -> str:
    """Return the column that is wanted where a constraint of that kind is on it alone; else what such are on."""
    keys = [", ".join(names) for names in constraints.loc[constraints["kind"] == kind, "columns"]]
    return wanted if wanted in keys else "; ".join(keys) or "nothing"


def _judge_states(tried: pd.DataFrame) -> Evidence:
    expected = dict.fromkeys(SPECIFIED_STATES, "taken") | {UNHEARD_OF_STATE: REFUSED}
    results = dict(zip(tried["state"], tried["result"], strict=True))
    by = dict(zip(tried["state"], tried["refused by"], strict=True))
    rows = [(state, by.get(state), results.get(state, "not tried").lower(), due) for state, due in expected.items()]
    summary = ", ".join(f"{state}: {seen}" for state, _, seen, _ in rows)
    return compare(summary, rows, ["state", "refused by", "seen", "expected"])


@experiment(_judge_states)
def states_are_those_specified(connection: Connection[Any]) -> Observed:
    """Insert a complete row of each specified state, and one of a state that was never heard of; rolled back."""
    states = [*SPECIFIED_STATES, UNHEARD_OF_STATE]
    return {"tried": _attempts((state, attempt(connection, COMPLETE_ROW, {"state": state})) for state in states)}


def _attempts(tried: Iterable[tuple[str, Attempt]], name: str = "state") -> pd.DataFrame:
    return pd.DataFrame([(it, seen.by, seen.result) for it, seen in tried], columns=[name, "refused by", "result"])


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


def _judge_id(row: dict[str, Any]) -> Evidence:
    found = row.get("id")
    seen = RANDOM if _is_random(found) else _or_null(found)
    return compare(f"generated: {found}", [("id", seen, RANDOM)], COLUMN_BY_COLUMN)


def _is_random(found: object) -> bool:
    try:
        return UUID(str(found)).version == RANDOM_VERSION
    except ValueError:
        return False


@experiment(_judge_id, insert_address_and_code)
def id_is_generated(row: dict[str, Any]) -> Observed:
    """Look at the id of a row that names none: a random UUID, which is one of version 4.

    Args:
        row: as `insert_address_and_code` returns it.
    """
    return {"row": row}


def _judge_defaults(row: dict[str, Any]) -> Evidence:
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


@experiment(_judge_defaults, insert_address_and_code)
def defaults_are_as_specified(row: dict[str, Any]) -> Observed:
    """Look at what the database filled in to a row that names only address and code.

    Args:
        row: as `insert_address_and_code` returns it.
    """
    return {"row": row}


def _or_null(value: object) -> str:
    return "NULL" if value is None else str(value)


def _judge_refusals(attempts: pd.DataFrame) -> Evidence:
    rows = [(*seen, REFUSED) for seen in attempts.itertuples(index=False, name=None)]
    refused = sum(result == REFUSED for _, _, result, _ in rows)
    summary = f"{refused} of {len(FORBIDDEN)} forbidden statements were refused"
    evidence = compare(summary, rows, ["attempt", "refused by", "result", "expected"])
    return replace(evidence, holds=evidence.holds and refused == len(FORBIDDEN))


@experiment(_judge_refusals)
def forbidden_sql_is_refused(connection: Connection[Any]) -> Observed:
    """Try every forbidden statement past the API, each in a transaction that is rolled back.

    Args:
        connection: to a database of one's own with the table `registrations`.
    """
    tried = [(what, attempt(connection, statement, setup=ROW)) for what, statement in FORBIDDEN]
    return {"attempts": _attempts(tried, "attempt")}
