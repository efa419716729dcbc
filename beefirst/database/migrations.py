"""The migration runner: numbered SQL files, each applied exactly once, in order, and remembered with its checksum."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from psycopg import AsyncConnection, DatabaseError, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from beefirst.database.migration_files import Migration
from beefirst.database.session import is_pooled, settled
from beefirst.errors import DatabaseRefusedError, MigrationError

ADVISORY_LOCK = 0x62656566697273  # "beefirs" in ASCII: one lock for all runners on a database

CREATE_HISTORY = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version      INT PRIMARY KEY,
        name         TEXT NOT NULL,
        sha256       CHAR(64) NOT NULL,
        applied_at   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
        milliseconds DOUBLE PRECISION NOT NULL
    )
"""
HISTORY_EXISTS = "SELECT to_regclass('schema_migrations') IS NOT NULL"
FETCH_HISTORY = "SELECT version, name, sha256, applied_at, milliseconds FROM schema_migrations ORDER BY version"
INSERT_HISTORY = """
    INSERT INTO schema_migrations (version, name, sha256, milliseconds)
    VALUES (%(version)s, %(name)s, %(sha256)s, %(milliseconds)s)
"""


@dataclass(frozen=True)
class AppliedMigration:
    """One row of schema_migrations."""

    version: int
    name: str
    sha256: str
    applied_at: datetime
    milliseconds: float


async def fetch_history(connection: AsyncConnection[Any]) -> list[AppliedMigration]:
    """Return what has been applied to the database, oldest first; nothing where no runner has been yet."""
    async with settled(connection), connection.cursor(row_factory=class_row(AppliedMigration)) as cursor:
        exists = await (await connection.execute(HISTORY_EXISTS)).fetchone()
        if not exists or not exists[0]:
            return []
        return await (await cursor.execute(FETCH_HISTORY)).fetchall()


def find_pending(migrations: Sequence[Migration], history: Sequence[AppliedMigration]) -> list[Migration]:
    """Return the migrations still to be applied.

    Raises:
        MigrationError: the history holds a file that is not there, or that has changed since, or the database is
            ahead of these files.
    """
    files = {migration.version: migration for migration in migrations}
    for applied in history:
        file = files.pop(applied.version, None)
        if file is None:
            raise MigrationError(_explain_stranger(applied, len(migrations)))
        if file.name != applied.name:
            raise MigrationError(f"{applied.name} was applied and is now called {file.name}: give it its name back.")
        if file.sha256 != applied.sha256:
            raise MigrationError(
                f"{file.name} has changed since it was applied at {applied.applied_at:%Y-%m-%d %H:%M %Z}: "
                "restore it, and put the change into a new migration."
            )
    return list(files.values())


def _explain_stranger(applied: AppliedMigration, newest: int) -> str:
    if applied.version > newest:
        return f"The database is ahead: it has {applied.name}, these files end at {newest:03}. Start a newer release."
    return f"{applied.name} was applied and its file is missing: restore it."


async def migrate(
    connection: AsyncConnection[Any], migrations: Sequence[Migration], lock_timeout_seconds: float
) -> list[AppliedMigration]:
    """Bring the database up to date and return its whole history.

    However many runners start at once, each file is applied once; a runner that dies leaves whole files only.

    Args:
        connection: in autocommit mode, on PostgreSQL 14 or newer.
        migrations: as `read_migrations` gives them.
        lock_timeout_seconds: how long to wait for another runner, and for each lock that a file needs.

    Raises:
        MigrationError: files and history do not fit, a file failed, or a lock was not to be had in time.
        DatabaseRefusedError: the role may not create what a file creates.
    """
    history = await fetch_history(connection)
    if not find_pending(migrations, history):
        return history
    if is_pooled(connection):
        return await _apply_through_pooler(connection, migrations, lock_timeout_seconds)
    try:
        await _limit_waiting(connection, lock_timeout_seconds)
        await connection.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
    except errors.LockNotAvailable:
        raise _other_runner(lock_timeout_seconds) from None
    try:
        return await _apply_pending(connection, migrations)
    finally:
        if not connection.closed:
            await connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


async def _apply_through_pooler(
    connection: AsyncConnection[Any], migrations: Sequence[Migration], lock_timeout_seconds: float
) -> list[AppliedMigration]:
    # A pooler keeps no lock from one transaction to the next: each file takes it anew, and sees what others did.
    while True:
        async with settled(connection):
            try:
                await connection.execute(
                    "SELECT set_config('lock_timeout', %s, true)", (_milliseconds(lock_timeout_seconds),)
                )
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
            except errors.LockNotAvailable:
                raise _other_runner(lock_timeout_seconds) from None
            await _create_history(connection)  # first: it also lets this transaction know what others have created
            if not (pending := find_pending(migrations, await fetch_history(connection))):
                return await fetch_history(connection)
            await _apply_pending(connection, [file for file in migrations if file not in pending[1:]])


def _other_runner(seconds: float) -> MigrationError:
    return MigrationError(
        f"Another process has been migrating this database for over {seconds:g} seconds: "
        "wait for it or end it, then start again."
    )


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


async def _limit_waiting(connection: AsyncConnection[Any], lock_timeout_seconds: float) -> None:
    # The connection check frees the lock soon after a runner was killed in the middle of a long statement.
    await connection.execute(
        "SELECT set_config('lock_timeout', %s, false), set_config('client_connection_check_interval', '1s', false)",
        (_milliseconds(lock_timeout_seconds),),
    )


async def _apply_pending(connection: AsyncConnection[Any], migrations: Sequence[Migration]) -> list[AppliedMigration]:
    await _create_history(connection)
    for migration in find_pending(migrations, await fetch_history(connection)):
        await _apply(connection, migration)
    return await fetch_history(connection)


async def _create_history(connection: AsyncConnection[Any]) -> None:
    try:
        await connection.execute(CREATE_HISTORY)
    except errors.InsufficientPrivilege as error:
        raise _no_right(connection, error) from None


async def _apply(connection: AsyncConnection[Any], migration: Migration) -> None:
    try:
        async with connection.transaction():
            started = perf_counter()
            await _execute(connection, migration)
            milliseconds = (perf_counter() - started) * 1000
            await connection.execute(
                INSERT_HISTORY, {**vars(migration), "sha256": migration.sha256, "milliseconds": milliseconds}
            )
    except errors.InsufficientPrivilege as error:
        raise _no_right(connection, error) from None
    except DatabaseError as error:
        if connection.closed:
            raise
        raise MigrationError(_explain_failure(migration, error)) from None


async def _execute(connection: AsyncConnection[Any], migration: Migration) -> None:
    try:
        await connection.execute(migration.sql.encode())
    finally:
        # After an error inside our transaction the status is INERROR, and what the file did is undone.
        if connection.info.transaction_status == TransactionStatus.IDLE:
            raise MigrationError(f"{migration.name} ends its own transaction: take BEGIN and COMMIT out of it.")


def _no_right(connection: AsyncConnection[Any], error: DatabaseError) -> DatabaseRefusedError:
    user, name, words = connection.info.user, connection.info.dbname, error.diag.message_primary or ""
    schema = words.partition("for schema ")[2] or "public"
    return DatabaseRefusedError(
        f"The role {user} may not migrate the database {name} ({words}): "
        f"let its owner run GRANT CREATE ON SCHEMA {schema} TO {user}."
    )


def _explain_failure(migration: Migration, error: DatabaseError) -> str:
    position = error.diag.statement_position
    line = f", line {migration.sql.count(chr(10), 0, int(position)) + 1}" if position else ""
    return f"{migration.name} failed and changed nothing{line}: {error.diag.message_primary or type(error).__name__}."
