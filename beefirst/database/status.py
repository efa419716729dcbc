"""What `python -m beefirst migrate` prints: by default a line for each migration."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from beefirst.database.migration_files import Migration, read_migrations
from beefirst.database.migrations import AppliedMigration, fetch_history, find_pending
from beefirst.database.schema_drift import verify
from beefirst.database.startup import prepare_database, use_database
from beefirst.machine.folders import MIGRATIONS
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.settings import Settings


async def bring_up_to_date(settings: Settings) -> list[str]:
    """Migrate the database and describe what it has now; errors as `prepare_database`."""
    return _describe(await prepare_database(settings, read_migrations(MIGRATIONS), StartupTimeline()), [])


async def describe(settings: Settings) -> list[str]:
    """Describe what the database has and what it lacks, changing nothing; errors as `prepare_database`."""
    migrations = read_migrations(MIGRATIONS)

    async def look(connection: AsyncConnection[Any], _: float) -> list[str]:
        history = await fetch_history(connection)
        return _describe(history, find_pending(migrations, history))

    return await use_database(settings, look)


async def plan(settings: Settings) -> list[str]:
    """Return the SQL of what is pending, changing nothing; errors as `prepare_database`."""
    migrations = read_migrations(MIGRATIONS)

    async def look(connection: AsyncConnection[Any], _: float) -> list[str]:
        pending = find_pending(migrations, await fetch_history(connection))
        return [f"-- {migration.name}\n{migration.sql}" for migration in pending]

    return await use_database(settings, look)


async def compare_schema(settings: Settings) -> list[str]:
    """Return each difference between the live schema and what the migrations make; errors as `prepare_database`."""
    migrations = read_migrations(MIGRATIONS)
    return await use_database(settings, lambda connection, _: verify(connection, migrations))


def _describe(history: Sequence[AppliedMigration], pending: Sequence[Migration]) -> list[str]:
    applied = [
        f"{row.name}  applied {row.applied_at:%Y-%m-%d %H:%M:%S %Z} in {row.milliseconds:.0f} ms" for row in history
    ]
    return [*applied, *(f"{migration.name}  pending" for migration in pending)]
