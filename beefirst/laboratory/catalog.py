"""PostgreSQL's catalogues, and the runner's own list of what was applied, as DataFrames."""

from typing import Any, LiteralString

import pandas as pd
from psycopg import Connection

from beefirst.database.schema_catalogue import ALL, READ, SETTLE, Catalogue, collect, only
from beefirst.machine.waiting import wait_for

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
COLUMNS = """
    SELECT column_name, data_type, character_maximum_length, is_nullable, column_default
      FROM information_schema.columns
     WHERE table_schema = current_schema() AND table_name = %(table)s
     ORDER BY ordinal_position
"""
CONSTRAINTS = """
    SELECT conname AS name,
           CASE contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'c' THEN 'check' ELSE contype::text END
               AS kind,
           ARRAY(SELECT attname::text
                   FROM unnest(conkey) AS key
                   JOIN pg_attribute ON attrelid = conrelid AND attnum = key) AS columns,
           pg_get_constraintdef(oid, true) AS definition
      FROM pg_constraint
     WHERE conrelid = to_regclass(%(table)s)
     ORDER BY contype DESC, conname
"""
HISTORY = """
    SELECT version, name, sha256, applied_at, milliseconds::float8 AS milliseconds
      FROM schema_migrations
     ORDER BY version
"""
MADE = """
    SELECT 'constraint' AS kind, conname::text AS name, oid::int8, xmin::text AS "transaction"
      FROM pg_constraint
     WHERE connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'function', proname::text, oid::int8, xmin::text
      FROM pg_proc
     WHERE pronamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'trigger', tgname::text, oid::int8, xmin::text
      FROM pg_trigger
     WHERE NOT tgisinternal
       AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)
    ORDER BY kind, name
"""
BACKENDS = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %(program)s
"""
CONNECTIONS = """
    SELECT application_name, count(*) AS connections, coalesce(host(min(client_addr)), 'socket') AS "from",
           min(backend_start)::timestamptz(0) AS since
      FROM pg_stat_activity
     WHERE datname = current_database()
     GROUP BY application_name
     ORDER BY application_name
"""


def query(connection: Connection[Any], statement: LiteralString, **parameters: object) -> pd.DataFrame:
    """Return the rows of a statement as a DataFrame with the statement's own column names.

    Args:
        connection: to any database.
        statement: one SQL statement that returns rows, with parameters as %(name)s.
        parameters: their values.
    """
    cursor = connection.execute(statement, parameters)
    return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])


def tables(connection: Connection[Any]) -> list[str]:
    """Return the names of the tables, in alphabetical order."""
    return [str(name) for name in query(connection, TABLES)["tablename"]]


def columns(connection: Connection[Any], table: str = "registrations") -> pd.DataFrame:
    """Return information_schema.columns of one table, in the order of the columns."""
    frame = query(connection, COLUMNS, table=table)
    return frame.astype({"character_maximum_length": "Int64"})


def constraints(connection: Connection[Any], table: str = "registrations") -> pd.DataFrame:
    """Return the constraints of one table from pg_constraint: name, kind, columns, definition."""
    return query(connection, CONSTRAINTS, table=table)


def made(connection: Connection[Any]) -> pd.DataFrame:
    """Return every constraint, function and trigger with the transaction that made it last: kind, name, oid, it."""
    return query(connection, MADE)


def schema(connection: Connection[Any], like: Catalogue | None = None) -> Catalogue:
    """Return the traits of all that the migrations make.

    Args:
        connection: to a migrated database; nothing is written.
        like: what another database has. Foreign tables and functions are left out; where this is left out they are not.
    """
    with connection.transaction():
        connection.execute(SETTLE)
        return collect(connection.execute(READ, ALL if like is None else only(like)).fetchall())


def history(connection: Connection[Any]) -> pd.DataFrame:
    """Return schema_migrations: number and name of what was applied, its checksum, when, and in how many ms."""
    return query(connection, HISTORY)


def connections(connection: Connection[Any]) -> pd.DataFrame:
    """Return who is connected to this database, by application_name."""
    return query(connection, CONNECTIONS)


def backends(connection: Connection[Any], program: str) -> list[int]:
    """Return the server processes that serve a program's connections to this very database."""
    return [int(pid) for pid in query(connection, BACKENDS, program=program)["pid"]]


def wait_for_connections(connection: Connection[Any], program: str, count: int, seconds: float = 10) -> int:
    """Return how many connections a program has to this database, once it has `count` or `seconds` are over.

    Args:
        connection: to the database in question.
        program: the application_name of the connections to count.
    """

    def found() -> int:
        return int(connections(connection).set_index("application_name")["connections"].get(program, 0))

    wait_for(lambda: found() >= count, seconds)
    return found()
