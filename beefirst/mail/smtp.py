"""One SMTP connection, and whether the server has a mail, which aiosmtplib does not tell.

`courier` imports this where a mail is sent and not before: aiosmtplib takes its time to load.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from aiosmtplib import (
    SMTP,
    SMTPConnectResponseError,
    SMTPDataError,
    SMTPException,
    SMTPResponse,
    SMTPServerDisconnected,
)

from beefirst.mail.server import MailServer

TRY_SECONDS = 6.0
"""For each reply of a server, but the one that follows the mail's body: it may take what is left of the mail's time."""

QUIT_SECONDS = 1.0
START_INPUT = 354
LEADING_DOT = re.compile(rb"(?m)^\.")


class NoTlsError(SMTPException):
    """The server offers no TLS, without which credentials are not sent."""


class NoLoginError(SMTPException):
    """The server offers no way to log in that is known here."""


class OvercrowdedError(SMTPConnectResponseError):
    """The server has no place for another connection, but may count more than are shared: some beside, or given up."""


@dataclass(frozen=True)
class Mail:
    """A mail on its way to one recipient.

    Attributes:
        sender: of the envelope.
        recipient: of the envelope; named here rather than read back from the header, which is a parser's idea of it.
        content: header and body, in lines that end with CR LF.
    """

    sender: str
    recipient: str
    content: bytes


@dataclass
class Handover:
    """How far a mail has come.

    Attributes:
        done: the server has all of it and has not refused it, so that it may be on its way.
    """

    done: bool = False


class Connection(SMTP):
    """aiosmtplib's client, which sees the moment in which the body goes out.

    Args:
        server: where it is to lead.
        name: what the service calls itself.
    """

    def __init__(self, server: MailServer, name: str) -> None:
        super().__init__(
            hostname=server.host,
            port=server.port,
            use_tls=server.encrypted,
            tls_context=server.tls,
            local_hostname=name,
            timeout=TRY_SECONDS,
        )
        self._credentials = server.credentials

    async def open(self) -> None:
        """Connect, with STARTTLS where that is offered, and log in.

        Raises:
            NoTlsError: there is no TLS for the credentials.
            NoLoginError: there is no login for them.
            SMTPException, OSError, ValueError: see aiosmtplib.
        """
        try:
            await self.connect()
            if self._credentials:
                await self._log_in(*self._credentials)
        except BaseException:
            await self.abort()
            raise

    async def _log_in(self, user: str, password: str) -> None:
        await self.ehlo()
        if self.get_transport_info("sslcontext") is None:
            raise NoTlsError("No TLS")
        if not self.supported_auth_methods:
            raise NoLoginError("No login")
        await self.login(user, password)

    async def hand_over(self, mail: Mail, handover: Handover) -> None:
        """Send a mail; where that fails, the connection is worth nothing any more.

        Args:
            mail: what to send.
            handover: is told how far the mail has come. Once it is done, an error tells nothing of what became of it.

        Raises:
            SMTPException, OSError, ValueError: see aiosmtplib.
        """
        await self.mail(mail.sender)
        await self.rcpt(mail.recipient)
        await self._send_body(mail.content, handover)

    async def _send_body(self, content: bytes, handover: Handover) -> SMTPResponse:
        """Send the body; the reply to it may take as long as whoever waits for it."""
        ready = await self.execute_command(b"DATA")
        if ready.code != START_INPUT:
            raise SMTPDataError(ready.code, ready.message)
        if self.protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        self.protocol.write(LEADING_DOT.sub(b"..", content) + b".\r\n")
        handover.done = True
        reply = await self.protocol.read_response(timeout=None)
        handover.done = reply.code // 100 not in (4, 5)
        if reply.code // 100 != 2:
            raise SMTPDataError(reply.code, reply.message)
        return reply

    async def take_leave(self, seconds: float = QUIT_SECONDS) -> None:
        """Say QUIT, wait for the reply at most so long, and end; nothing that fails here matters to anybody."""
        try:
            with suppress(Exception):
                await self.execute_command(b"QUIT", timeout=seconds)
        finally:
            await self.abort()

    async def abort(self) -> None:
        """End without a word, as befits a server that has stopped answering."""
        self.drop()
        await asyncio.sleep(0.01)  # lets the transport end, also where the loop does next

    def drop(self) -> None:
        """Do as `abort`, where nothing can be waited for."""
        if isinstance(transport := self.transport, asyncio.WriteTransport):
            transport.abort()
        self.close()
