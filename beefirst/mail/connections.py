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

It gets one only if nothing has moved for so long: no mail was done with a shared connection that it had held for
less. So recipients whose servers stall cannot, alone, hold up everybody's mail; and where the server just takes longer
for each mail of a burst, mail waits, and what it cannot take within the time of a mail is not delivered."""

OPENED_AT_ONCE = 3
"""How many connections beyond the number are tried at once. Where one does not come about, as where the server allows
no more, its mail waits on as if nothing had been tried, and none is begun for LINE_SECONDS."""

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
        self._extras: set[Connection] = set()
        self._openings = asyncio.Semaphore(OPENED_AT_ONCE)
        self._moved_at = self._abandoned_at = -inf

    async def deliver(self, mail: Mail, handover: Handover) -> None:
        """Hand a mail over, once.

        Args:
            mail: what to send.
            handover: is told how far the mail has come.

        Raises:
            OvercrowdedError: the server has no place for a shared connection, and may count others beside those.
            SMTPException, OSError, ValueError: see `Connection`.
        """
        if extra := await self._wait_in_line():
            try:
                await self._hand_over(extra, mail, handover)
                await extra.take_leave()
            finally:
                self._extras.discard(extra)
            return
        began = monotonic()
        try:
            await self._deliver_on_shared(mail, handover)
        except asyncio.CancelledError:
            began = -inf  # its time was over, or the service ends: nothing has moved
            raise
        finally:
            self._places.release()
            if monotonic() - began < LINE_SECONDS:
                self._moved_at = monotonic()

    async def close(self, seconds: float) -> None:
        """Take leave of the server on every connection that is idle, within so many seconds."""
        idle, self._idle = self._idle, {}
        for task in idle.values():
            task.cancel()
        await asyncio.gather(*(connection.take_leave(min(seconds, QUIT_SECONDS)) for connection in idle))

    async def _wait_in_line(self) -> Connection | None:
        """Return a connection beyond the shared ones, or None with a place among those, whichever comes first."""
        if not self._places.locked():
            await self._places.acquire()
            return None
        place, extra = asyncio.create_task(self._places.acquire()), asyncio.create_task(self._open_extra())
        try:
            await asyncio.wait((place, extra), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._leave_line(place)
            if not extra.cancel() and not extra.exception():
                self._extras.discard(extra.result())
                extra.result().drop()
            raise
        if extra.done():
            self._leave_line(place)
            return extra.result()
        extra.cancel()
        return None

    def _leave_line(self, place: asyncio.Task[Literal[True]]) -> None:
        if not place.cancel():
            self._places.release()

    async def _open_extra(self) -> Connection:
        """Open a connection beyond the shared ones, once nothing has moved for LINE_SECONDS from now on."""
        began = monotonic()
        while True:
            while (seconds := max(began, self._moved_at) + LINE_SECONDS - monotonic()) > 0:
                await asyncio.sleep(seconds)
            async with self._openings:
                if monotonic() - self._moved_at < LINE_SECONDS:
                    continue
                connection = await self._make_connection()
                self._extras.add(connection)
                try:
                    await connection.open()
                except BaseException as error:
                    self._extras.discard(connection)
                    if not isinstance(error, SMTPException | OSError):
                        raise
                    self._moved_at = monotonic()
                else:
                    return connection

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
        except BaseException:
            self._abandoned_at = monotonic()
            await connection.abort()
            raise
