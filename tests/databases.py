"""Migrated databases for the tests, and time that passes in them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import AsyncConnection, Connection

from beefirst.database.migration_files import Migration, read_migrations
from beefirst.database.migrations import migrate
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS

SHIPPED = read_migrations(MIGRATIONS)

# An ACTIVE row changes no more, and nothing about it depends on when it was claimed.
MOVE_REGISTRATIONS = """
    UPDATE registrations
       SET created_at = created_at - make_interval(secs => %(seconds)s)
     WHERE state <> 'ACTIVE'
"""
MOVE_BUDGETS = """
    UPDATE address_budgets
       SET guessed_at    = guessed_at    - make_interval(secs => %(seconds)s),
           cooling_until = cooling_until - make_interval(secs => %(seconds)s),
           noticed_at    = noticed_at    - make_interval(secs => %(seconds)s),
           touched_at    = touched_at    - make_interval(secs => %(seconds)s),
           mailed_at     = ARRAY(SELECT at - make_interval(secs => %(seconds)s) FROM unnest(mailed_at) AS at)
"""


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


def pass_time(connection: Connection[Any], seconds: float) -> None:
    """Make all that the database remembers so much older."""
    connection.execute(MOVE_REGISTRATIONS, {"seconds": seconds})
    connection.execute(MOVE_BUDGETS, {"seconds": seconds})
