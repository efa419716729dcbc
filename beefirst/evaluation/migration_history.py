"""What a database remembers of its migrations beside the files that are shipped."""

from typing import Any

import pandas as pd
from psycopg import Connection

from beefirst.database.migration_files import read_migrations
from beefirst.evaluation.evidence import Evidence
from beefirst.laboratory import catalog
from beefirst.machine.folders import MIGRATIONS

DIGITS, SECONDS = 12, 19
"""How much of a checksum is shown, and of a time: what comes after the seconds is left out."""

COLUMNS = ["migration", "applied at", "sha256 in the database", "expected"]


def shipped_migrations() -> dict[str, str]:
    """Return the checksum of each file that was shipped, by its name, in the order of their numbers."""
    return {file.name: file.sha256 for file in read_migrations(MIGRATIONS)}


def observe_history(connection: Connection[Any]) -> dict[str, Any]:
    """Return what `judge_history` judges: the history of a database, which is only read, and what was shipped."""
    return {"history": catalog.history(connection), "shipped": shipped_migrations()}


def judge_history(history: pd.DataFrame, shipped: dict[str, str]) -> Evidence:
    """Hold a database's own record of its migrations against the files that were shipped, by their whole checksums.

    Args:
        history: as `catalog.history` returns it.
        shipped: checksums by name.
    """
    applied = dict(zip(history["name"], history["sha256"], strict=True))
    moments = dict(zip(history["name"], history["applied_at"], strict=True))
    rows = [
        (name, moments.get(name, "")[:SECONDS], _start(applied.get(name), "not applied"), _start(due, "not shipped"))
        for name, due in {**dict.fromkeys([*shipped, *applied]), **shipped}.items()
    ]
    same = len(applied.items() & shipped.items())
    summary = (
        f"{same} of {len(shipped)} migrations, with the same checksums; {len(applied) - same} others; "
        f"newest: {list(applied)[-1] if applied else 'none'}"
    )
    holds = len(shipped) > 0 and len(applied) == len(history) and applied == shipped
    return Evidence(holds, summary, pd.DataFrame(rows, columns=COLUMNS))


def _start(checksum: str | None, otherwise: str) -> str:
    return checksum[:DIGITS] if checksum else otherwise


def shortened(history: pd.DataFrame) -> pd.DataFrame:
    """Return a history as readers are shown it: the first 12 digits of a checksum, whole seconds, tenths of a ms."""
    return history.assign(
        sha256=history["sha256"].str[:DIGITS],
        applied_at=history["applied_at"].str[:SECONDS],
        milliseconds=history["milliseconds"].map("{:.1f}".format),
    )
