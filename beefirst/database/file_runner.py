"""One migration file: run whole or not at all, remembered, and out of the way of everybody else while it waits."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic, perf_counter
from typing import Any

from psycopg import AsyncConnection, DatabaseError, errors
from psycopg.pq import TransactionStatus

from beefirst.database.migration_files import NO_TRANSACTION, Migration
from beefirst.database.session import is_pooled
from beefirst.errors import DatabaseRefusedError, MigrationError

Connection = AsyncConnection[Any]

LOCK_SECONDS = 2.0
"""How long a file waits for a lock at a time: whoever comes to the table meanwhile waits behind it. Longer than
PostgreSQL's deadlock_timeout of 1 s, after which an autovacuum that is in the way is ended."""

IN_THE_WAY = (errors.LockNotAvailable, errors.DeadlockDetected)
"""How PostgreSQL ends a statement for which somebody else was in the way."""

PAUSE_SECONDS = 1.0
"""Until the next try; those who have waited behind the last one go on."""

INSERT_HISTORY = """
    INSERT INTO schema_migrations (version, name, sha256, milliseconds)
    VALUES (%(version)s, %(name)s, %(sha256)s, %(milliseconds)s)
"""
# Who has used a table that the file names for longest: whom exactly it waited for is not told afterwards.
LOCK_HOLDER = """
    SELECT format('process %%s (%%s)', pid, coalesce(nullif(application_name, ''), backend_type, 'another program'))
      FROM pg_stat_activity
      JOIN pg_locks USING (pid)
     WHERE locktype = 'relation'
       AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND pid <> pg_backend_pid()
       AND relation IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid)
                                                   AND relnamespace <> 'pg_catalog'::regnamespace
                                                   AND strpos(lower(%(sql)s), relname) > 0)
     ORDER BY xact_start NULLS LAST
     LIMIT 1
"""
INVALID_INDEXES = """
    SELECT relname
      FROM pg_index
      JOIN pg_class ON pg_class.oid = indexrelid
     WHERE NOT indisvalid
       AND pg_table_is_visible(indexrelid)
"""

log = logging.getLogger("beefirst.database")


@dataclass
class _Patience:
    """How long the locks of one file may still be waited for, which it says once."""

    connection: Connection
    migration: Migration
    deadline: float
    holder: str = ""

    async def wait(self, attempt: Callable[[], Awaitable[None]], seconds: float = LOCK_SECONDS) -> None:
        """Make an attempt, and again as long as a lock is not to be had within so many seconds."""
        while True:
            await self._limit_lock_wait(seconds)
            try:
                return await attempt()
            except IN_THE_WAY:
                await self._tell()
                if monotonic() + PAUSE_SECONDS > self.deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _limit_lock_wait(self, seconds: float) -> None:
        limit = f"{round(seconds * 1000)}ms"
        is_local = is_pooled(self.connection)  # for the transaction that is the runner's whole step there
        await self.connection.execute("SELECT set_config('lock_timeout', %s, %s)", (limit, is_local))

    async def _tell(self) -> None:
        is_first = not self.holder
        found = await (await self.connection.execute(LOCK_HOLDER, {"sql": self.migration.sql})).fetchone()
        self.holder = found[0] if found else "another process"
        if is_first:
            log.info("%s waits until %s is done with what it changes", self.migration.name, self.holder)


async def apply_file(connection: Connection, migration: Migration, deadline: float) -> None:
    """Run a migration file and remember it in schema_migrations.

    In one transaction, so that it is run whole or not at all; or where its first line is NO_TRANSACTION, a statement at
    a time, and then remembered.

    A lock is waited for LOCK_SECONDS at a time, for behind a statement that waits every request does, and the file is
    tried again until the deadline. A statement that works CONCURRENTLY is in nobody's way, and waits until then.

    Args:
        connection: in autocommit mode; the caller has the lock of all runners.
        migration: one that is pending.
        deadline: on the clock of `monotonic`; there is one try in any case.

    Raises:
        MigrationError: the file failed, or a lock was not to be had in time.
        DatabaseRefusedError: the role may not do what the file does.
    """
    patience = _Patience(connection, migration, deadline)
    run = _run_whole if migration.in_transaction else _run_one_by_one
    try:
        with explain_no_right(connection):
            await run(connection, migration, patience)
    except IN_THE_WAY:
        raise MigrationError(
            f"{migration.name} {await _describe_rest(connection, migration)}: {patience.holder} still uses what it "
            "changes. Let that finish, or end it with pg_terminate_backend, then start again."
        ) from None


async def _run_whole(connection: Connection, migration: Migration, patience: _Patience) -> None:
    await patience.wait(lambda: _run_in_transaction(connection, migration))


async def _run_in_transaction(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            started = perf_counter()
            await _execute(connection, migration)
            await _remember(connection, migration, started)
    except errors.ActiveSqlTransaction as error:
        failure = await _explain_failure(connection, migration, error)
        raise MigrationError(f"{failure} Where that must be, begin the file with `{NO_TRANSACTION}`.") from None
    except DatabaseError as error:
        if _is_for_others(connection, error):
            raise
        raise MigrationError(await _explain_failure(connection, migration, error)) from None


async def _execute(connection: Connection, migration: Migration) -> None:
    try:
        await connection.execute(migration.sql.encode())
    finally:
        # After an error inside our transaction the status is INERROR, and what the file did is undone.
        if connection.info.transaction_status == TransactionStatus.IDLE:
            raise MigrationError(f"{migration.name} ends its own transaction: take BEGIN and COMMIT out of it.")


async def _run_one_by_one(connection: Connection, migration: Migration, patience: _Patience) -> None:
    started = perf_counter()
    for place, statement in migration.statements():
        in_nobodys_way = "CONCURRENTLY" in statement.upper()
        seconds = max(LOCK_SECONDS, patience.deadline - monotonic()) if in_nobodys_way else LOCK_SECONDS
        await patience.wait(partial(_run_statement, connection, migration, place, statement), seconds)
    if connection.info.transaction_status != TransactionStatus.IDLE:
        await connection.rollback()
        raise MigrationError(f"{migration.name} leaves a transaction open: take BEGIN out of it.")
    if invalid := await _find_invalid(connection, migration):
        raise MigrationError(f"{migration.name} is not applied: {invalid}, then start again.")
    await _remember(connection, migration, started)


async def _run_statement(connection: Connection, migration: Migration, place: int, statement: str) -> None:
    try:
        await connection.execute(statement.encode())
    except DatabaseError as error:
        if _is_for_others(connection, error):
            raise
        raise MigrationError(await _explain_failure(connection, migration, error, place)) from None


async def _remember(connection: Connection, migration: Migration, started: float) -> None:
    milliseconds = (perf_counter() - started) * 1000
    await connection.execute(
        INSERT_HISTORY, {**vars(migration), "sha256": migration.sha256, "milliseconds": milliseconds}
    )


def _is_for_others(connection: Connection, error: DatabaseError) -> bool:
    return connection.closed or isinstance(error, (*IN_THE_WAY, errors.InsufficientPrivilege))


@contextmanager
def explain_no_right(connection: Connection) -> Iterator[None]:
    """Raise DatabaseRefusedError, which says what to grant, where the role lacks a right."""
    try:
        yield
    except errors.InsufficientPrivilege as error:
        user, name, words = connection.info.user, connection.info.dbname, error.diag.message_primary or ""
        schema = words.partition("for schema ")[2] or "public"
        raise DatabaseRefusedError(
            f"The role {user} may not migrate the database {name} ({words}): "
            f"let its owner run GRANT CREATE ON SCHEMA {schema} TO {user}."
        ) from None


async def _explain_failure(connection: Connection, migration: Migration, error: DatabaseError, place: int = 0) -> str:
    """Return what failed, at which line, and what is left of it.

    Args:
        connection: on which it failed.
        migration: the file.
        error: what PostgreSQL said.
        place: where in the file the statement begins whose places the error counts.
    """
    position = error.diag.statement_position
    line = f", line {migration.sql.count(chr(10), 0, place + int(position)) + 1}" if position else ""
    rest = await _describe_rest(connection, migration)
    return f"{migration.name} {rest}{line}: {error.diag.message_primary or type(error).__name__}."


async def _describe_rest(connection: Connection, migration: Migration) -> str:
    if migration.in_transaction:
        return "failed and changed nothing"
    invalid = await _find_invalid(connection, migration)
    return "failed, and what it did before stays" + (f" ({invalid})" if invalid else "")


async def _find_invalid(connection: Connection, migration: Migration) -> str:
    """Return what to do about indexes of this file that CONCURRENTLY did not finish, or nothing."""
    await connection.rollback()  # of a transaction that the file itself began, if it did
    rows = await (await connection.execute(INVALID_INDEXES)).fetchall()
    names = [name for (name,) in rows if re.search(rf"\b{re.escape(name)}\b", migration.sql)]
    return ", ".join(f"{name} is left INVALID: run DROP INDEX CONCURRENTLY {name}" for name in names)
