"""Raw SQL that the database itself must refuse, whoever asks: the one place that tries it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, errors

REFUSED, TAKEN, NO_SUCH_ROW = "refused", "TAKEN", "no such row"


@dataclass(frozen=True)
class Attempt:
    """What became of a statement.

    Attributes:
        result: REFUSED; TAKEN; or NO_SUCH_ROW where it was taken, and changed nothing.
        by: the name of the constraint that refused it, or PostgreSQL's words where it has none; `nobody`.
    """

    result: str
    by: str


def attempt(
    connection: Connection[Any], statement: str, values: Mapping[str, object] | None = None, setup: str = ""
) -> Attempt:
    """Try a statement in a transaction that is rolled back, whatever comes of it.

    Args:
        connection: in autocommit mode, to a database with the service's tables.
        statement: one that changes rows.
        values: its parameters.
        setup: a statement to run before it in the same transaction, which must succeed.

    Raises:
        psycopg.Error: `setup` failed, or the statement did, and not because of what it would write.
    """
    with connection.transaction(force_rollback=True):
        if setup:
            connection.execute(setup.encode())
        try:
            with connection.transaction():
                changed = connection.execute(statement.encode(), values).rowcount
        except (errors.IntegrityError, errors.DataError) as error:
            return Attempt(REFUSED, _name(error))
    return Attempt(TAKEN if changed else NO_SUCH_ROW, "nobody")


def _name(error: psycopg.Error) -> str:
    return error.diag.constraint_name or error.diag.message_primary or type(error).__name__
