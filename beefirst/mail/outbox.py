"""Mail in flight: posted after the answer, and waited for when the process ends."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError, MailError
from beefirst.machine.tracing import span

log = logging.getLogger("beefirst.mail")


class Outbox:
    """Holds each delivery as a task, which nobody waits for until the process ends.

    Args:
        tell: is told after each mail whether it was taken.
    """

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self._tell = tell
        self._in_flight: set[asyncio.Task[None]] = set()

    def post(self, delivery: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Start a delivery, which returns whether a mail was sent, and return at once."""
        task = asyncio.create_task(self._report(delivery))
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

    async def _report(self, delivery: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        try:
            with span("mail"):
                if await delivery():
                    self._tell(True)
        except MailError as error:
            self._tell(False)
            log.error("%s", error)
        except (DatabaseUnavailableError, DatabaseRefusedError) as error:
            log.error("%s A claim without its mail frees itself at its TTL.", error)
