"""The SMTP server behind a mailbox: a thread that takes every mail."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from weakref import WeakSet

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

END_SECONDS = 5


class Handler:
    """Takes mail, on the server's thread; aiosmtpd finds handle_… by their names.

    Attributes:
        mails: when each mail came, for whom, and the mail.
        arrival: notified of each mail.
    """

    def __init__(self) -> None:
        self.mails: list[tuple[datetime, Sequence[str], EmailMessage]] = []
        self.arrival = threading.Condition()

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail."""
        message = message_from_bytes(envelope.original_content or b"", EmailMessage, policy=policy.default)
        with self.arrival:
            self.mails.append((datetime.now(UTC), envelope.rcpt_tos, message))
            self.arrival.notify_all()
        return "250 taken"


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
