"""The migration runner: numbered SQL files, each applied exactly once, in order, and remembered with its checksum."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import class_row

from beefirst.database.file_runner import apply_file, explain_no_right
from beefirst.database.migration_files import NO_TRANSACTION, Migration
from beefirst.database.session import is_pooled, settled
from beefirst.errors import MigrationError

ADVISORY_LOCK = 0x62656566697273  # "beefirs" in ASCII: one lock for all runners on a database
TURN_SECONDS = 0.05

# Asked for again and again: a statement that waits has a snapshot, and CREATE INDEX CONCURRENTLY, when whoever has
# the lock runs it, waits for all that have one.
LOCK_SESSION = "SELECT pg_try_advisory_lock(%s)"
LOCK_TRANSACTION = "SELECT pg_try_advisory_xact_lock(%s)"

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

    However many runners start at once, each file is applied once; a runner that dies leaves whole files only, unless a
    file says that it runs outside a transaction.

    Args:
        connection: in autocommit mode, on PostgreSQL 14 or newer.
        migrations: as `read_migrations` gives them.
        lock_timeout_seconds: how long to wait for another runner, and for the locks that files need: see `apply_file`.

    Raises:
        MigrationError: files and history do not fit, a file failed, or a lock was not to be had in time.
        DatabaseRefusedError: the role may not create what a file creates.
    """
    history = await fetch_history(connection)
    if not find_pending(migrations, history):
        return history
    turns = _Turns(monotonic() + lock_timeout_seconds, lock_timeout_seconds)
    if is_pooled(connection):
        return await _apply_through_pooler(connection, migrations, turns)
    # The connection check frees the lock soon after a runner was killed in the middle of a long statement.
    await connection.execute("SELECT set_config('client_connection_check_interval', '1s', false)")
    while not await _get_lock(connection, LOCK_SESSION):
        await turns.wait()
    try:
        await _create_history(connection)
        for migration in find_pending(migrations, await fetch_history(connection)):
            await apply_file(connection, migration, turns.deadline)
        return await fetch_history(connection)
    finally:
        if not connection.closed:
            await connection.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


@dataclass(frozen=True)
class _Turns:
    """How long one runner waits for another."""

    deadline: float
    seconds: float

    async def wait(self) -> None:
        if monotonic() > self.deadline:
            raise MigrationError(
                f"Another process has been migrating this database for over {self.seconds:g} seconds: "
                "wait for it or end it, then start again."
            )
        await asyncio.sleep(TURN_SECONDS)


async def _get_lock(connection: AsyncConnection[Any], statement: LiteralString) -> bool:
    return await (await connection.execute(statement, (ADVISORY_LOCK,))).fetchone() == (True,)


async def _create_history(connection: AsyncConnection[Any]) -> None:
    with explain_no_right(connection):
        await connection.execute(CREATE_HISTORY)


async def _apply_through_pooler(
    connection: AsyncConnection[Any], migrations: Sequence[Migration], turns: _Turns
) -> list[AppliedMigration]:
    # A pooler keeps no lock from one transaction to the next: each file takes it anew, and sees what others did.
    while True:
        async with settled(connection):
            if has_lock := await _get_lock(connection, LOCK_TRANSACTION):
                await _create_history(connection)  # first: it also lets this transaction know what others have created
                pending = find_pending(migrations, await fetch_history(connection))
                if not pending:
                    return await fetch_history(connection)
                _refuse_outside_transaction(pending[0])
                await apply_file(connection, pending[0], turns.deadline)
        if not has_lock:
            await turns.wait()


def _refuse_outside_transaction(migration: Migration) -> None:
    if not migration.in_transaction:
        raise MigrationError(
            f"{migration.name} begins with `{NO_TRANSACTION}`, and a pooler keeps no lock outside of one: run "
            "`python -m beefirst migrate` once with a DATABASE_URL that leads to PostgreSQL itself."
        )
