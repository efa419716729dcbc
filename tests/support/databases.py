"""Migrated databases for the tests, and a store on one connection."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import AsyncConnection, Connection

from beefirst.database.migration_files import Migration, read_migrations
from beefirst.database.migrations import migrate
from beefirst.database.registrations import BATCH, RegistrationStore
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS

SHIPPED = read_migrations(MIGRATIONS)


def apply(url: str, migrations: Sequence[Migration] = SHIPPED) -> None:
    """Migrate a database."""

    async def run() -> None:
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            await migrate(connection, migrations, 10)

    asyncio.run(run())


@contextmanager
def migrated_database() -> Iterator[ScratchDatabase]:
    """A database with every shipped migration."""
    with ScratchDatabase() as database:
        apply(database.url)
        yield database


def empty(connection: Connection[Any]) -> None:
    """Forget every registration; ten times as fast as a database of its own for each test."""
    connection.execute("DELETE FROM registrations")
    connection.execute("DELETE FROM address_budgets")


def store_on(
    connection: AsyncConnection[Any], ttl_seconds: float = 60, max_attempts: int = 3, batch: int = BATCH
) -> RegistrationStore:
    """Return a store whose every step runs on a connection of the test's own."""
    return RegistrationStore(lambda step: step(connection), ttl_seconds, max_attempts, batch)
