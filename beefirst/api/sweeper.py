"""The sweeper of one replica: it ends claims past their time, and forgets what is a day old."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import perf_counter

from beefirst.api.metrics import Metrics
from beefirst.database.registrations import RegistrationStore
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError
from beefirst.registration.rules import Registration

JITTER = 0.2
"""Replicas that started together drift apart by up to this share of the interval."""

log = logging.getLogger("beefirst.sweeper")


class Sweeper:
    """Sweeps through restarts of the database, too.

    Args:
        registration: knows how a claim ends.
        store: where the rows are.
        metrics: learns of every round.
        interval_seconds: from the end of one round to the beginning of the next, give or take JITTER.
    """

    def __init__(
        self, registration: Registration, store: RegistrationStore, metrics: Metrics, interval_seconds: float
    ) -> None:
        self._registration = registration
        self._store = store
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._unavailable = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sweep as long as the block lasts.

        At its end the sweeper stops between two of its statements or in the middle of one, which the database
        finishes or undoes.
        """
        sweeping = asyncio.create_task(self._run())
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
            started = perf_counter()
            result = await self._sweep_reporting()
            self._metrics.sweeps.labels(result).inc()
            self._metrics.sweep_seconds.observe(perf_counter() - started)

    async def _sweep_reporting(self) -> str:
        try:
            await self._sweep()
        except DatabaseUnavailableError as error:
            self._metrics.overdue.set(float("nan"))
            if not self._unavailable:
                log.warning("sweeping pauses: %s", error)
            self._unavailable = True
            return "unavailable"
        except Exception as error:  # the next round may do better, and nobody else would end the claims
            self._metrics.overdue.set(float("nan"))
            unexplained = error.__cause__ if isinstance(error, DatabaseRefusedError) else error
            log.error("a sweep failed: %s", error, exc_info=unexplained)
            return "failed"
        if self._unavailable:
            log.info("sweeping goes on")
        self._unavailable = False
        return "done"

    async def _sweep(self) -> None:
        while expired := await self._registration.expire():
            for number in expired:
                log.info("expired", extra={"registration": str(number)})
                await asyncio.sleep(0)  # writing a batch of lines at once would hold up every request
            if len(expired) < self._store.batch:
                break
        while await self._store.delete_ended() == self._store.batch:
            pass
        while await self._store.delete_forgotten() == self._store.batch:
            pass
        self._metrics.overdue.set(await self._store.count_overdue())
