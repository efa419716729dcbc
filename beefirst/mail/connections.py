"""A few connections to one mail server, shared by all mail that goes there."""

import asyncio
from math import inf
from time import monotonic
from typing import Literal

from aiosmtplib import (
    SMTPConnectResponseError,
    SMTPException,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from beefirst.mail.host_name import HostName
from beefirst.mail.server import MailServer
from beefirst.mail.smtp import QUIT_SECONDS, Connection, Handover, Mail, OvercrowdedError

IDLE_SECONDS = 2.0
"""How long a connection is kept for the next mail: whoever else is short of connections to this server gets it soon."""

LINE_SECONDS = 5.0
"""How long a mail waits for one of the shared connections before it may get one beyond their number.

It gets one only where another mail has held a shared connection for as long. So recipients whose servers stall cannot
hold up everybody's mail; and where the server just takes longer for each mail of a burst, mail waits, and what it
cannot take within the time of a mail is not delivered."""

OPENED_AT_ONCE = 3
"""How many connections beyond the number are tried at once. Where one does not come about, as where the server allows
no more, its mail waits on as if nothing had been tried, and none is begun for LINE_SECONDS."""

ASK_AGAIN_SECONDS = 0.1
"""How often a mail asks whether it may be one of those."""

ABANDONED_SECONDS = 60.0
"""How long a server may count a connection that was given up: it notices when it next has something to say on it."""

CLOSING = 421


class Connections:
    """Hands mail over, each on a connection that has just taken another, or on a new one.

    A connection is kept only if it took its mail: a server slows down, and at last hangs up on, a client to which it
    has said no too often on one connection.

    Args:
        server: where all of them lead.
    """

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._host_name = HostName(server.helo)
        self._places = asyncio.Semaphore(server.connections)
        self._idle: dict[Connection, asyncio.Task[None]] = {}
        self._extras: set[Connection | None] = set()
        self._opening = 0
        self._held_since: dict[asyncio.Task[object] | None, float] = {}
        self._unmoved_since: list[float] = []
        self._refused_at = self._abandoned_at = -inf

    async def deliver(self, mail: Mail, handover: Handover) -> None:
        """Hand a mail over, once.

        Args:
            mail: what to send.
            handover: is told how far the mail has come.

        Raises:
            OvercrowdedError: the server has no place for a shared connection, and may count others beside those.
            SMTPException, OSError, ValueError: see `Connection`.
        """
        while not await self._get_place():
            if extra := await self._open_extra():
                return await self._deliver_on_extra(extra, mail, handover)
        task = asyncio.current_task()
        self._held_since[task] = since = self._unmoved_since.pop() if self._unmoved_since else monotonic()
        try:
            await self._deliver_on_shared(mail, handover)
        except asyncio.CancelledError:  # its time was over, or the service ends: nothing has moved
            self._unmoved_since.append(since)
            raise
        finally:
            del self._held_since[task]
            self._places.release()

    async def close(self, seconds: float) -> None:
        """Take leave of the server on every connection that is idle, within so many seconds."""
        idle, self._idle = self._idle, {}
        for task in idle.values():
            task.cancel()
        await asyncio.gather(*(connection.take_leave(min(seconds, QUIT_SECONDS)) for connection in idle))

    async def _get_place(self) -> bool:
        """Wait for one of the shared places, and tell whether it is one, or else leave to open an extra connection."""
        if not self._places.locked():
            return await self._places.acquire()
        began, place = monotonic(), asyncio.create_task(self._places.acquire())
        try:
            while not place.done():
                if (seconds := self._seconds_to_leave(began)) > 0:
                    await asyncio.wait({place}, timeout=seconds)
                else:
                    self._opening += 1
                    break
        except asyncio.CancelledError:
            self._leave_line(place)
            raise
        if place.done():
            return True
        self._leave_line(place)
        return False

    def _seconds_to_leave(self, began: float) -> float:
        """Return how long whoever is in line since `began` waits before an extra connection may be opened for it."""
        stalls_since = min(self._held_since.values(), default=monotonic())
        seconds = max(began, stalls_since, self._refused_at) + LINE_SECONDS - monotonic()
        return ASK_AGAIN_SECONDS if seconds <= 0 and self._opening >= OPENED_AT_ONCE else seconds

    def _leave_line(self, place: asyncio.Task[Literal[True]]) -> None:
        if not place.cancel():
            self._places.release()

    async def _open_extra(self) -> Connection | None:
        """Return a connection beyond the shared ones, or None where the server has no place for it."""
        connection = None
        try:
            connection = await self._make_connection()
            self._extras.add(connection)
            await connection.open()
        except BaseException as error:
            self._extras.discard(connection)
            self._refused_at = monotonic()
            if not isinstance(error, SMTPException | OSError):
                self._abandoned_at = monotonic()
                raise
            return None
        finally:
            self._opening -= 1
        return connection

    async def _deliver_on_extra(self, extra: Connection, mail: Mail, handover: Handover) -> None:
        try:
            await self._hand_over(extra, mail, handover)
            await extra.take_leave()
        finally:
            self._extras.discard(extra)

    async def _deliver_on_shared(self, mail: Mail, handover: Handover) -> None:
        connection = self._take_idle()
        if not connection or not await self._still_takes(connection, mail, handover):
            connection = await self._open_shared()
            await self._hand_over(connection, mail, handover)
        self._keep(connection)

    async def _open_shared(self) -> Connection:
        connection = await self._make_connection()
        try:
            await connection.open()
        except SMTPConnectResponseError as error:
            counts_more = self._extras or monotonic() - self._abandoned_at < ABANDONED_SECONDS
            if counts_more and error.code == CLOSING:
                raise OvercrowdedError(error.code, error.message) from error
            raise
        return connection

    async def _make_connection(self) -> Connection:
        """Return a connection that knows what to call itself, and is still to be opened."""
        return Connection(self._server, await self._host_name.get())

    async def _still_takes(self, connection: Connection, mail: Mail, handover: Handover) -> bool:
        """Hand a mail over on a used connection; no where the server is done with that one, and has not got the mail.

        It may have hung up in the very moment, or take only so many mails on a connection.
        """
        try:
            await self._hand_over(connection, mail, handover)
        except (SMTPServerDisconnected, SMTPResponseException) as error:
            # A sender that it took before on this connection is refused for the connection's sake.
            over = isinstance(error, SMTPServerDisconnected | SMTPSenderRefused) or error.code == CLOSING
            if handover.done or not over:
                raise
            return False
        return True

    def _take_idle(self) -> Connection | None:
        """Return the connection that was used last, unless the server has hung up on all of them."""
        while self._idle:
            connection, task = self._idle.popitem()
            task.cancel()
            if connection.is_connected:
                return connection
        return None

    def _keep(self, connection: Connection) -> None:
        def drop_unless_taken(_: asyncio.Task[None]) -> None:
            if self._idle.pop(connection, None):
                connection.drop()

        self._idle[connection] = task = asyncio.create_task(self._end_when_idle(connection))
        # Not in the task itself, which runs no step where the loop ends before its first.
        task.add_done_callback(drop_unless_taken)

    async def _end_when_idle(self, connection: Connection) -> None:
        await asyncio.sleep(IDLE_SECONDS)
        self._idle.pop(connection)
        await connection.take_leave()

    async def _hand_over(self, connection: Connection, mail: Mail, handover: Handover) -> None:
        """Hand a mail over, and end a connection on which that fails, politely with a server that answers."""
        try:
            await connection.hand_over(mail, handover)
        except SMTPResponseException:
            await connection.take_leave()
            raise
        except BaseException as error:
            if not isinstance(error, SMTPServerDisconnected):
                self._abandoned_at = monotonic()
            await connection.abort()
            raise
