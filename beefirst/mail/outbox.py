"""Mail in flight: posted after the answer, and waited for when the process ends."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from beefirst.errors import DatabaseUnavailableError, MailError
from beefirst.machine.tracing import span

log = logging.getLogger("beefirst.mail")


class Outbox:
    """Holds each delivery as a task, which nobody waits for until the process ends."""

    def __init__(self) -> None:
        self._in_flight: set[asyncio.Task[object]] = set()

    def post(self, delivery: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Start a delivery, and return at once."""
        task = asyncio.create_task(_report(delivery))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def close(self, seconds: float) -> None:
        """Wait for the mail in flight, at most `seconds`; a claim whose mail is given up frees itself at its TTL."""
        if not self._in_flight:
            return
        _, late = await asyncio.wait(self._in_flight, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if late:
            log.warning("%d mails were given up: the process ends", len(late))


async def _report(delivery: Callable[[], Coroutine[Any, Any, object]]) -> None:
    try:
        with span("mail"):
            await delivery()
    except MailError as error:
        log.error("%s", error)
    except DatabaseUnavailableError as error:
        log.error("%s A claim without its mail frees itself at its TTL.", error)
