"""What PostgreSQL does for a statement of the service, functions and triggers included: plan, buffers, whole scans.

Each statement runs for real, in a transaction that is undone.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from psycopg import Connection, sql
from psycopg.pq import TransactionStatus

REPEATED = 12
"""psycopg prepares what runs a sixth time, and from the sixth time of that on PostgreSQL may keep one plan for all."""

PREPARED = """
    SELECT name, parameter_types::text[], generic_plans
      FROM pg_prepared_statements
     WHERE NOT from_sql AND statement = %(statement)s
"""

# Counted by PostgreSQL for this transaction alone, whoever scans: the statement, a function that it calls, a trigger.
SCANNED = """
    SELECT relname, coalesce(sum(seq_scan), 0)::int
      FROM pg_stat_xact_user_tables
     WHERE schemaname = current_schema()
     GROUP BY relname
"""


@dataclass(frozen=True)
class Plan:
    """How one statement was carried out.

    Attributes:
        nodes: what each step of the plan is, with the table or the index that it reads.
        scanned: the tables that were read as a whole, by the statement or by what it calls.
        buffers: how many pages of 8 KiB were looked at.
        rows: how many rows it returned.
        milliseconds: that it took on the server, planning left out.
        kept: it ran on a plan that PostgreSQL keeps for all parameters.
    """

    nodes: tuple[str, ...]
    scanned: tuple[str, ...]
    buffers: int
    rows: int
    milliseconds: float
    kept: bool = False


@contextmanager
def undone(connection: Connection[Any]) -> Iterator[None]:
    """Undo what is done within the block.

    Past psycopg, which forgets after a ROLLBACK of its own what it has prepared.

    Args:
        connection: in autocommit mode.
    """
    nested = connection.info.transaction_status == TransactionStatus.INTRANS
    begin, end = (b"SAVEPOINT before", b"ROLLBACK TO before; RELEASE before") if nested else (b"BEGIN", b"ROLLBACK")
    connection.pgconn.exec_(begin)
    try:
        yield
    finally:
        connection.pgconn.exec_(end)


def explain(connection: Connection[Any], statement: str, values: Mapping[str, object]) -> Plan:
    """Return what a statement does with these values, planned for them.

    Args:
        connection: in autocommit mode, to a migrated database.
        statement: with named parameters.
        values: of the parameters, and maybe others.
    """
    return _explain(connection, sql.SQL(statement), values)


def time_undone(connection: Connection[Any], statement: str, values: Mapping[str, object]) -> float:
    """Return how many milliseconds a prepared statement takes, as who asks sees it; what it does is undone.

    Args:
        connection: as for `explain`.
        statement: with named parameters.
        values: of the parameters, and maybe others.
    """
    with undone(connection):
        began = perf_counter()
        connection.execute(statement.encode(), values, prepare=True)
        return (perf_counter() - began) * 1000


def explain_prepared(connection: Connection[Any], statement: str, values: Mapping[str, object]) -> Plan:
    """Return what a statement does where the service has often asked it, on the plan that PostgreSQL keeps then.

    Args:
        connection: as for `explain`; the statement stays prepared on it.
        statement: with named parameters.
        values: of the parameters, and maybe others.
    """
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    text = _as_sent(statement, names)
    for _ in range(0 if _find_prepared(connection, text) else REPEATED):
        with undone(connection):
            connection.execute(statement.encode(), values, prepare=True)
    name, types, generic = _find_prepared(connection, text) or ("", [], 0)
    literals = [
        sql.SQL("{}::{}").format(sql.Literal(values[parameter]), sql.SQL(kind))
        for parameter, kind in zip(names, types, strict=True)
    ]
    execute = sql.SQL("EXECUTE {}({})").format(sql.Identifier(name), sql.SQL(", ").join(literals))
    return replace(_explain(connection, execute, {}), kept=generic > 0)


def _find_prepared(connection: Connection[Any], text: str) -> tuple[str, list[str], int] | None:
    found = connection.execute(PREPARED, {"statement": text}, prepare=False).fetchone()
    return (str(found[0]), list(found[1]), int(found[2])) if found else None


def _as_sent(statement: str, names: list[str]) -> str:
    """Return a statement with the numbers that psycopg puts in the place of names."""
    return re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", statement).replace("%%", "%")


def _explain(connection: Connection[Any], statement: sql.Composable, values: Mapping[str, object]) -> Plan:
    explaining = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ") + statement
    with undone(connection):
        with undone(connection):  # what a connection does for the first time, it reads the catalogues for
            connection.execute(explaining, values, prepare=False)
        before = _scans(connection)
        ((told,),) = connection.execute(explaining, values, prepare=False).fetchall()
        after = _scans(connection)
    top = told[0]["Plan"]
    return Plan(
        nodes=tuple(_describe(node) for node in _walk(top)),
        scanned=tuple(sorted(table for table, scans in after.items() if scans > before.get(table, 0))),
        buffers=int(top["Shared Hit Blocks"] + top["Shared Read Blocks"]),
        rows=int(top["Actual Rows"]),
        milliseconds=float(told[0]["Execution Time"]),
    )


def _scans(connection: Connection[Any]) -> dict[str, int]:
    return dict(connection.execute(SCANNED, prepare=False).fetchall())


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def _describe(node: Mapping[str, Any]) -> str:
    return " ".join(str(node[key]) for key in ("Node Type", "Index Name", "Relation Name") if key in node)
