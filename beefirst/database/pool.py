"""The API's connection pool."""

from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from beefirst.database.startup import connection_parameters
from beefirst.settings import Settings

APPLICATION_NAME = "beefirst-api"
STATEMENT_TIMEOUT = "5s"
WAIT_SECONDS = 2.0
RECONNECT_SECONDS = 2.0


def create_pool(settings: Settings) -> AsyncConnectionPool:
    """Return the pool, not yet open, whose connections are checked before they are handed out.

    A request waits at most WAIT_SECONDS for a connection and STATEMENT_TIMEOUT for a statement.

    Args:
        settings: names the database and how many connections to keep.
    """
    return AsyncConnectionPool(
        settings.database_url.get_secret_value(),
        kwargs=connection_parameters(settings.database_url, APPLICATION_NAME),
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        open=False,  # opening in a constructor needs a running loop, and importing must open nothing
        name=APPLICATION_NAME,
        configure=_limit_statements,
        check=AsyncConnectionPool.check_connection,
        timeout=WAIT_SECONDS,
        # Past this the pool gives a connection up, and the next request tries anew at once. With the
        # default of 300 s its pauses double, and a database that is back stays unnoticed for minutes.
        reconnect_timeout=RECONNECT_SECONDS,
    )


async def _limit_statements(connection: AsyncConnection[Any]) -> None:
    await connection.execute("SELECT set_config('statement_timeout', %s, false)", (STATEMENT_TIMEOUT,))
