"""What a database holds that is not ours and stands in the way, and what of it is about to harm what is ours."""

import logging
from collections.abc import Mapping, Sequence, Set
from typing import Any, LiteralString

from psycopg.rows import args_row

from beefirst.database.migrations import fetch_history
from beefirst.database.session import settled
from beefirst.database.time_limit import Connection
from beefirst.errors import DatabaseRefusedError

HISTORY = "schema_migrations"
OURS: Mapping[str, tuple[int, Set[str]]] = {
    HISTORY: (0, {"version", "name", "sha256", "applied_at", "milliseconds"}),
    "registrations": (
        1,
        {
            "id uuid",
            "email character varying(255)",
            "password_hash character varying(255)",
            "verification_code character(4)",
            "state character varying(20)",
            "attempt_count integer",
            "created_at timestamp with time zone",
            "activated_at timestamp with time zone",
        },
    ),
    "address_budgets": (
        3,
        {"email character varying(255)", "wrong_guesses integer", "touched_at timestamp with time zone"},
    ),
}
"""Each table that a file makes only where there is none: the number of that file, and columns that it has since."""

OTHER_HISTORIES = {
    frozenset({"version", "dirty"}): "golang-migrate",
    frozenset({"version"}): "Rails or dbmate",
    frozenset({"version", "inserted_at"}): "Ecto",
}
"""Programs that keep a table `schema_migrations`, too, by its columns."""

FETCH_SCHEMA = "SELECT current_schema(), current_setting('search_path')"

# What CREATE TABLE IF NOT EXISTS would find, or for the history what is read before.
FETCH_COLUMNS: LiteralString = """
    SELECT attname::text, attname || ' ' || format_type(atttypid, atttypmod)
      FROM pg_attribute
     WHERE attrelid = coalesce(to_regclass(quote_ident(current_schema()) || '.' || %(table)s),
                               CASE WHEN %(table)s = 'schema_migrations' THEN to_regclass(%(table)s) END)
       AND attnum > 0
       AND NOT attisdropped
"""

FETCH_COLLATION = """
    SELECT quote_ident(datname), datcollversion, pg_database_collation_actual_version(oid)
      FROM pg_database
     WHERE datname = current_database()
       AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)
"""
RECORDS_COLLATIONS = 150000
"""The version of PostgreSQL that first records a collation's version for a database."""

log = logging.getLogger("beefirst.database")


async def refuse_foreign_tables(connection: Connection) -> None:
    """Make sure that there is a schema for our tables, and no table of another program where one of ours belongs.

    A table that was made by hand with one of our files is one of ours.

    Raises:
        DatabaseRefusedError: there is no such schema, or there is such a table; nothing was changed.
    """
    async with settled(connection):
        await _refuse_missing_schema(connection)
        await _refuse_if_foreign(connection, HISTORY)
        applied = {row.version for row in await fetch_history(connection)}
        for table, (made_by, _) in OURS.items():
            if made_by not in applied:
                await _refuse_if_foreign(connection, table)


async def _refuse_missing_schema(connection: Connection) -> None:
    schema, path = await (await connection.execute(FETCH_SCHEMA)).fetchone() or (None, "")
    if schema is None:
        raise DatabaseRefusedError(
            f"The database {connection.info.dbname} has no schema for our tables, for the search_path is {path}: "
            "create that schema, or put ?options=-csearch_path=NAME behind DATABASE_URL, with the name of another."
        )


async def _refuse_if_foreign(connection: Connection, table: str) -> None:
    rows = await (await connection.execute(FETCH_COLUMNS, {"table": table})).fetchall()
    names = [name for name, _ in rows]
    if names and not OURS[table][1] <= {*names, *(column for _, column in rows)}:
        raise DatabaseRefusedError(
            f"The database {connection.info.dbname} has a table {table} of {_guess_owner(table, names)}, and nothing "
            "was changed: set DATABASE_URL to a database of our own, or make a schema there (CREATE SCHEMA beefirst) "
            "and put ?options=-csearch_path=beefirst behind it."
        )


def _guess_owner(table: str, names: Sequence[str]) -> str:
    known = OTHER_HISTORIES.get(frozenset(names)) if table == HISTORY else None
    return f"{known or 'another program'} (its columns: {', '.join(names)})"


async def warn_of_moved_collation(connection: Connection) -> None:
    """Log one warning where the order of letters has changed under the indexes, as with another release of glibc."""
    if connection.info.server_version < RECORDS_COLLATIONS:
        return
    async with settled(connection), connection.cursor(row_factory=args_row(_explain_collation)) as cursor:
        for line in await (await cursor.execute(FETCH_COLLATION)).fetchall():
            log.warning(line)


def _explain_collation(name: str, recorded: Any, actual: Any) -> str:
    return (
        f"the collation of the database {name} has changed since its indexes were made (recorded {recorded}, now "
        f"{actual}), and a UNIQUE on text may let twins in: as its owner run REINDEX DATABASE {name}, then "
        f"ALTER DATABASE {name} REFRESH COLLATION VERSION."
    )
