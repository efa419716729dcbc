"""A few connections to one mail server, shared by all mail that goes there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtplib import SMTPResponseException, SMTPSenderRefused, SMTPServerDisconnected

from beefirst.mail.server import MailServer
from beefirst.mail.smtp import QUIT_SECONDS, Connection, Handover, Mail

IDLE_SECONDS = 2.0
"""How long a connection is kept for the next mail: whoever else is short of connections to this server gets it soon."""

LINE_SECONDS = 5.0
"""How long a mail waits for one of the shared connections. Where recipients whose servers stall hold all of them, it
then gets one beyond their number, so that nobody can hold up everybody's mail."""

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
        self._places = asyncio.Semaphore(server.connections)
        self._idle: dict[Connection, asyncio.Task[None]] = {}

    async def deliver(self, mail: Mail, handover: Handover) -> None:
        """Hand a mail over, once.

        Args:
            mail: what to send.
            handover: is told how far the mail has come.

        Raises:
            SMTPException, OSError, ValueError: see `Connection`.
        """
        async with self._place() as shared:
            connection = self._take_idle()
            if not connection or not await self._still_takes(connection, mail, handover):
                connection = Connection(self._server)
                await connection.open()
                await _hand_over(connection, mail, handover)
            if shared:
                self._keep(connection)
            else:
                await connection.take_leave()

    async def close(self, seconds: float) -> None:
        """Take leave of the server on every connection that is idle, within so many seconds."""
        idle, self._idle = self._idle, {}
        for task in idle.values():
            task.cancel()
        await asyncio.gather(*(connection.take_leave(min(seconds, QUIT_SECONDS)) for connection in idle))

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[bool]:
        """Wait for a place, and tell whether it is one of the shared ones."""
        try:
            async with asyncio.timeout(LINE_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._places.release()

    async def _still_takes(self, connection: Connection, mail: Mail, handover: Handover) -> bool:
        """Hand a mail over on a used connection; no where the server is done with that one, and has not got the mail.

        It may have hung up in the very moment, or take only so many mails on a connection.
        """
        try:
            await _hand_over(connection, mail, handover)
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


async def _hand_over(connection: Connection, mail: Mail, handover: Handover) -> None:
    """Hand a mail over, and end a connection on which that fails, politely with a server that answers."""
    try:
        await connection.hand_over(mail, handover)
    except SMTPResponseException:
        await connection.take_leave()
        raise
    except BaseException:
        await connection.abort()
        raise
