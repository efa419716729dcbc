"""The columns of a table beside those that the specification asks for."""

from typing import Any

import pandas as pd

from beefirst.evaluation.promises import SPECIFIED_COLUMNS


def compare_with_specification(columns: pd.DataFrame, constraints: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each specified or actual column of `registrations`, with what was specified and what is.

    Returns:
        The columns column, actual, expected, result; result is `as specified` or `DIFFERS`.
    """
    specified = {row[0]: _describe(*row[1:]) for row in SPECIFIED_COLUMNS}
    keys = _keys(constraints)
    actual = {row.column_name: _describe_actual(row, keys.get(row.column_name)) for row in columns.itertuples()}
    rows = []
    for name in dict.fromkeys([*specified, *actual]):
        wanted, found = specified.get(name, "no such column"), actual.get(name, "no such column")
        rows.append((name, found, wanted, "as specified" if wanted == found else "DIFFERS"))
    return pd.DataFrame(rows, columns=["column", "actual", "expected", "result"])


def _keys(constraints: pd.DataFrame) -> dict[str, str]:
    """Return what kind of constraint 001 put on a column; those of later migrations have names of their own."""
    names = {"registrations_pkey", "registrations_email_key", "registrations_state_check"}
    rows = constraints.itertuples()
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
