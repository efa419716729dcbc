"""What an experiment observed, as plain data: fit to be kept in a file, and to be judged again from it."""

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pandas as pd

FRAME = {"columns", "rows"}
"""The keys of a table, and of nothing else."""


def to_data(observed: Mapping[str, object]) -> dict[str, Any]:
    """Return observations as JSON knows them.

    Args:
        observed: by name. A table becomes its columns and rows; a time, an id and whatever is no number, text or list
            of such becomes text; what is missing or no number becomes None.

    Raises:
        TypeError: one of them is of a kind that no file can hold; the message names it.
    """
    return {name: _plain(name, value) for name, value in observed.items()}


def from_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return observations as `to_data` was given them, with a DataFrame for each table."""
    return {name: _restored(value) for name, value in data.items()}


def _plain(name: str, value: object) -> Any:
    if isinstance(value, pd.DataFrame):
        rows = [[_plain(name, cell) for cell in row] for row in value.itertuples(index=False, name=None)]
        return {"columns": [str(column) for column in value.columns], "rows": rows}
    if isinstance(value, Mapping):
        return {_key(name, key): _plain(f"{name}.{key}", inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(name, inner) for inner in value]
    return _plain_scalar(name, value)


def _key(name: str, key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{name} has the key {key!r}, which is no text")
    return key


def _plain_scalar(name: str, value: Any) -> Any:
    if hasattr(value, "item"):  # a number of numpy's
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and math.isinf(value):
        raise TypeError(f"{name} is {value}, which no file holds")
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (date, datetime, UUID)):
        return str(value)
    raise TypeError(f"{name} is of the type {type(value).__name__}, which no file holds")


def _restored(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == FRAME:
        frame = pd.DataFrame(value["rows"], columns=value["columns"], dtype=object)
        kinds = {name: frame[name].infer_objects().dtype for name in frame if not _has_gaps_among_integers(frame[name])}
        return frame.astype(kinds)
    if isinstance(value, dict):
        return {name: _restored(inner) for name, inner in value.items()}
    return value


def _has_gaps_among_integers(column: pd.Series) -> bool:
    """Tell whether pandas would make floats of whole numbers, for one is missing."""
    present = [value for value in column if value is not None]
    return len(present) < len(column) and bool(present) and all(isinstance(value, int) for value in present)
