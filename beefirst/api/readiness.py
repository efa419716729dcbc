"""Whether the database can be used for requests, asked once for however many probes.

A database that goes away turns /health/ready to 503 within 2 seconds, and back to 200 by itself; /health/live stays.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from beefirst.database.migration_files import Migration
from beefirst.database.migrations import AppliedMigration, fetch_history
from beefirst.database.pool import Pool, run_step
from beefirst.database.time_limit import Connection
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError

PATIENCE_SECONDS = 1.0
"""A probe is answered within this time, whatever the database does."""

log = logging.getLogger("beefirst.health")


class Ready(BaseModel):
    """Whether requests can be served, and if not, why."""

    status: Literal["ready", "unavailable", "stopping"] = Field(examples=["ready"])
    database: str = Field(examples=["PostgreSQL 16.14"])
    migrations: str = Field(examples=["001_create_registrations.sql"])
    connection: int | None = Field(description="The server process that answered, as in pg_stat_activity")


class Readiness:
    """Asks the database whether requests can be served; however many ask at once, the database is asked once.

    Args:
        pool: the connections that requests use.
        migrations: what the database must have.
    """

    def __init__(self, pool: Pool, migrations: Sequence[Migration]) -> None:
        self._pool = pool
        self._migrations = migrations
        self._asking: asyncio.Task[Ready] | None = None

    async def ask(self) -> Ready:
        """Return the state within PATIENCE_SECONDS; an answer that takes longer counts as no answer."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._look())
        # Waiting beside the task rather than cancelling it: others may wait for it too, and it ends by itself.
        await asyncio.wait({self._asking}, timeout=PATIENCE_SECONDS)
        return self._asking.result() if self._asking.done() else _unavailable("no answer")

    async def _look(self) -> Ready:
        try:
            history, version, pid = await run_step(self._pool, _look_at, wait_seconds=0.8 * PATIENCE_SECONDS)
        except (DatabaseUnavailableError, DatabaseRefusedError) as error:
            log.debug("not ready: %s", error)
            return _unavailable("no connection")
        server = f"PostgreSQL {version.split()[0]}"
        # A database that is ahead is no reason to stop: during a release old replicas serve beside new ones.
        applied = {(row.version, row.sha256) for row in history}
        missing = [file.name for file in self._migrations if (file.version, file.sha256) not in applied]
        if missing:
            return _unavailable(server, f"{missing[0]} is not applied")
        return Ready(status="ready", database=server, migrations=history[-1].name, connection=pid)


async def _look_at(connection: Connection) -> tuple[list[AppliedMigration], str, int]:
    history = await fetch_history(connection)
    return history, connection.info.parameter_status("server_version") or "", connection.info.backend_pid


STOPPING = Ready(status="stopping", database="not asked", migrations="not asked", connection=None)
"""What a replica says that takes no more requests soon."""


def _unavailable(database: str, migrations: str = "unknown") -> Ready:
    return Ready(status="unavailable", database=database, migrations=migrations, connection=None)
