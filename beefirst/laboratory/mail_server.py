"""The SMTP server behind a mailbox: a thread that takes every mail."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from weakref import WeakSet

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

END_SECONDS = 5


@dataclass(frozen=True)
class Taken:
    """A mail that was taken.

    Attributes:
        at: when.
        client: what the client called itself.
        sender: of the envelope.
        recipients: of the envelope.
        message: the mail.
    """

    at: datetime
    client: str
    sender: str
    recipients: Sequence[str]
    message: EmailMessage


@dataclass(frozen=True)
class Held:
    """A mail that waits to be taken.

    Attributes:
        at: since when.
        port: of the client, which is another for each connection.
    """

    at: datetime
    port: int


class Handler:
    """Takes mail, on the server's thread; aiosmtpd finds handle_… by their names.

    Attributes:
        mails: every mail that was taken, in order.
        held: every mail that had to wait.
        arrival: notified of each mail, taken or held.
        may_take: as long as it is not set, every mail waits.
    """

    def __init__(self) -> None:
        self.mails = list[Taken]()
        self.held = list[Held]()
        self.arrival = threading.Condition()
        self.may_take = asyncio.Event()
        self.may_take.set()

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail."""
        message = message_from_bytes(envelope.original_content or b"", EmailMessage, policy=policy.default)
        if not self.may_take.is_set():
            await self._hold(session)
        client, sender = str(session.host_name), str(envelope.mail_from)
        with self.arrival:
            self.mails.append(Taken(datetime.now(UTC), client, sender, envelope.rcpt_tos, message))
            self.arrival.notify_all()
        return "250 taken"

    async def _hold(self, session: Session) -> None:
        peer: Any = session.peer
        with self.arrival:
            self.held.append(Held(datetime.now(UTC), peer[1]))
            self.arrival.notify_all()
        await self.may_take.wait()


def text_of(message: EmailMessage) -> str:
    """Return the text of a mail; empty where it has none."""
    body = message.get_body(("plain", "html"))  # what is no plain text is for experiments to judge
    return str(body.get_content()).replace("\r\n", "\n") if body else ""


class MailServer(Controller):
    """aiosmtpd's server thread, on any free port of 127.0.0.1, which can end while clients are connected."""

    handler: Handler

    def __init__(self, handler: Handler, **options: Any) -> None:
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # it would fill a notebook with what is expected
        # The name that it gives itself; left out, it asks the network for one at every connection.
        super().__init__(handler, "127.0.0.1", 0, server_hostname="localhost", **options)
        self._connections: WeakSet[SMTP] = WeakSet()

    def factory(self) -> SMTP:
        """Return what serves a new connection."""
        connection: SMTP = super().factory()  # type: ignore[no-untyped-call]
        self._connections.add(connection)
        return connection

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)  # noqa: S101
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]

    @property
    def url(self) -> str:
        """Where it listens, as MAIL_URL has it."""
        return f"{'smtps' if self.ssl_context else 'smtp'}://127.0.0.1:{self.port}"

    def let_wait(self, waiting: bool) -> None:
        """Let every mail wait from now on, or take what has waited."""
        event = self.handler.may_take
        self.loop.call_soon_threadsafe(event.clear if waiting else event.set)

    def go_away(self) -> None:
        """Hang up on every client, and listen no more; the thread goes on."""
        asyncio.run_coroutine_threadsafe(self._go_away(), self.loop).result(END_SECONDS)

    def come_back(self) -> None:
        """Listen again, on the same port."""
        asyncio.run_coroutine_threadsafe(self._come_back(), self.loop).result(END_SECONDS)

    async def _go_away(self) -> None:
        assert self.server  # noqa: S101
        self.server.close()
        await self._hang_up()

    async def _come_back(self) -> None:
        self.server = await self._create_server()

    def end(self) -> None:
        """End the thread, and with it every connection; doing so again does nothing."""
        if threading.current_thread() is self._thread:  # where garbage happened to be collected; it cannot await itself
            threading.Thread(target=self.end).start()
        elif self.loop.is_running():
            asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(END_SECONDS)
            self.stop()

    async def _hang_up(self) -> None:
        for transport in [connection.transport for connection in self._connections]:
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        await asyncio.sleep(0)  # lets them close
