"""Getting to a migrated database: waiting for what time cures, and stopping at once at what it does not."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from beefirst.database.migration_files import Migration
from beefirst.database.migrations import AppliedMigration, migrate
from beefirst.database.session import Session, connection_parameters
from beefirst.database.surroundings import refuse_foreign_tables, warn_of_moved_collation
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.settings import DeploymentSettings, Settings
from beefirst.urls import DatabaseUrl

MINIMUM_SERVER_VERSION = 140000
"""PostgreSQL 14 is the first with client_connection_check_interval, which the migration runner relies on."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.5

# libpq gives no SQLSTATE for a connection that failed. A server that speaks another language than
# English is waited for until the time limit, and its own words are quoted then.
INCURABLE = re.compile(
    r"password authentication failed|no password supplied|authentication failed for user|"
    r"(role|database) \".*\" does not exist|permission denied for database|not permitted to log in|"
    r"no pg_hba\.conf entry|does not support SSL|root certificate file|certificate verify failed|"
    r"channel binding required|method requirement .* failed|GSSAPI encryption required|"
    r"invalid .*value|unrecognized configuration parameter|invalid command-line argument"
)
BEFORE_ITS_WORDS = re.compile(r"^.*(?:FATAL:|\d failed:|is bad:)\s*")

COMPOSED_HOST = "db"
"""What docker-compose.yml calls its database."""

OLD_VOLUME = (
    "A volume keeps the password that its database was made with: set that one in DATABASE_URL in docker-compose.yml, "
    "or begin anew with `docker compose down -v`, which deletes the data and your notebooks."
)

Result = TypeVar("Result")
Action: TypeAlias = Callable[[AsyncConnection[Any], float], Awaitable[Result]]

log = logging.getLogger("beefirst.database")


async def prepare_database(
    settings: Settings, migrations: Sequence[Migration], timeline: StartupTimeline
) -> list[AppliedMigration]:
    """Wait for the database and migrate it.

    Args:
        settings: names the database and how many seconds to keep trying.
        migrations: what is to be applied.
        timeline: learns how long connecting and migrating took.

    Returns:
        The whole history of the database.

    Raises:
        MigrationError: see `migrate`.
        BeefirstError: see `use_database`.
    """

    async def apply(connection: AsyncConnection[Any], seconds_left: float) -> list[AppliedMigration]:
        timeline.finish("connect")
        await warn_of_moved_collation(connection)
        return await migrate(connection, migrations, seconds_left)

    history = await use_database(settings, apply)
    timeline.finish("migrate")
    return history


async def use_database(settings: Settings, action: Action[Result]) -> Result:
    """Connect to the database, the first time at once and then in short steps, and run `action` on the connection.

    Args:
        settings: names the database and how many seconds to keep trying.
        action: takes the connection, which is in autocommit mode, and the seconds that are left; it is run again
            if the connection breaks.

    Returns:
        What `action` returns.

    Raises:
        DatabaseUnavailableError: STARTUP_TIMEOUT_SECONDS have passed.
        DatabaseRefusedError: waiting cannot cure it: wrong password, no such database, no right, a server too old.
    """
    deadline = monotonic() + settings.startup_timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return await _try_once(settings, action, max(1.0, deadline - monotonic()))
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
            reason = _explain(settings.database_url, error)
        except psycopg.Error as error:
            what = error.diag.message_primary or "a parameter of the URL is not what PostgreSQL takes"
            raise DatabaseRefusedError(
                f"The database {settings.database_url} refused: {what}. Let its owner mend it, or set DATABASE_URL."
            ) from None
        if monotonic() + pause > deadline:
            raise DatabaseUnavailableError(
                f"The database {settings.database_url} was not to be had within "
                f"{settings.startup_timeout_seconds:g} s ({reason}): start it, or set DATABASE_URL."
            )
        if pause == FIRST_PAUSE_SECONDS:
            patience = settings.startup_timeout_seconds
            log.info("waiting for the database %s, %g s at most (%s)", settings.database_url, patience, reason)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _try_once(settings: Settings, action: Action[Result], seconds_left: float) -> Result:
    parameters = connection_parameters(settings.database_url, "beefirst-migrations")
    async with await Session.connect(settings.database_url.get_secret_value(), **parameters) as connection:
        _refuse_old_server(connection)
        await connection.settle()
        await refuse_foreign_tables(connection)
        return await action(connection, seconds_left)


def _refuse_old_server(connection: AsyncConnection[Any]) -> None:
    version = connection.info.server_version
    if version < MINIMUM_SERVER_VERSION:
        raise DatabaseRefusedError(
            f"The database runs PostgreSQL {version // 10000}, and beefirst needs "
            f"{MINIMUM_SERVER_VERSION // 10000} or newer: upgrade the server, or set DATABASE_URL to another."
        )


def _explain(url: DatabaseUrl, error: psycopg.Error) -> str:
    """Return in a few words why the database is not to be had, or raise where waiting is no cure."""
    text = str(error)
    hosts = str(conninfo_to_dict(url.get_secret_value()).get("host", ""))
    if (incurable := INCURABLE.search(text)) and "," not in hosts:
        words = next(line for line in text.splitlines() if incurable.group() in line)
        cure = "Set DATABASE_URL to what it accepts."
        is_composed = hosts == COMPOSED_HOST and DeploymentSettings.load().beefirst_container
        if is_composed and "password authentication failed" in words:
            cure = OLD_VOLUME
        raise DatabaseRefusedError(f"The database {url} refused: {BEFORE_ITS_WORDS.sub('', words)}. {cure}")
    # libpq puts its hints on lines of their own, indented; several attempts have a line each.
    lines = [line for line in text.splitlines() if not line.startswith("\t")]
    return lines[-1].rpartition("failed: ")[2] if lines else type(error).__name__
