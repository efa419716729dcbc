"""Whether the schema is still what the migrations make, looked at in the background: a start does not wait for it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from beefirst.api.metrics import Metrics
from beefirst.database.migration_files import Migration
from beefirst.database.pool import Pool, run_step
from beefirst.database.schema_drift import verify
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError, MigrationError

LOOK_SECONDS = 60
"""From one look at the catalogues, which takes a few milliseconds, to the next: so old the gauge may be."""

NAMED = 3
"""How many differences the log names; `migrate --verify` tells all."""

log = logging.getLogger("beefirst.schema")


class SchemaWatch:
    """Looks when the service starts, and then every LOOK_SECONDS; says so once where the schema has changed.

    A schema that differs stops nothing: what the service relies on may still hold, and its operator knows better.

    Args:
        pool: the connections that requests use.
        migrations: what the database must have.
        metrics: learns how many differences there are; NaN where the database does not tell, or is ahead.
    """

    def __init__(self, pool: Pool, migrations: Sequence[Migration], metrics: Metrics) -> None:
        self._pool = pool
        self._migrations = migrations
        self._metrics = metrics
        self._known: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch as long as the block lasts."""
        watching = asyncio.create_task(self._run())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except (DatabaseUnavailableError, DatabaseRefusedError, MigrationError) as error:
                self._metrics.schema_differences.set(float("nan"))
                log.debug("the schema was not compared: %s", error)
            except Exception:  # the next look may do better, and nobody else would tell
                self._metrics.schema_differences.set(float("nan"))
                log.exception("the schema could not be compared")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        differences = await run_step(self._pool, partial(verify, migrations=self._migrations))
        self._metrics.schema_differences.set(len(differences))
        if differences and differences != self._known:
            more = [f"and {len(differences) - NAMED} more"] * (len(differences) > NAMED)
            log.warning(
                "the schema is not what the migrations make: %s. See `python -m beefirst migrate --verify`, put back "
                "what they make, and take out what was added",
                "; ".join([*differences[:NAMED], *more]),
            )
        elif self._known and not differences:
            log.info("the schema is what the migrations make again")
        self._known = differences
