"""One mail over one SMTP connection, and whether the server has it, which aiosmtplib does not tell.

`courier` imports this where a mail is sent and not before: aiosmtplib takes its time to load.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtplib import SMTP, SMTPDataError, SMTPResponse, SMTPServerDisconnected

QUIT_SECONDS = 1.0
START_INPUT = 354
LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass
class Handover:
    """How far a mail has come.

    Attributes:
        done: the server has all of it and has not refused it, so that it may be on its way.
    """

    done: bool = False


async def deliver(
    message: EmailMessage, sender: str, recipient: str, handover: Handover, parameters: dict[str, Any]
) -> None:
    """Deliver a mail over a connection of its own.

    Args:
        message: what to send.
        sender: of the envelope.
        recipient: of the envelope.
        handover: is told how far the mail has come. Once it is done, an error tells nothing of what became of it.
        parameters: how to connect, by the names that aiosmtplib.SMTP has for them.

    Raises:
        SMTPException, OSError, ValueError: see aiosmtplib.
    """
    connection = _Connection(handover, parameters)
    # Not `async with`, which takes leave of a server that has stopped answering, and waits for its reply.
    try:
        await connection.connect()
        # Named here rather than read back from the header, which is a parser's idea of the address.
        await connection.send_message(message, sender=sender, recipients=[recipient])
        with suppress(Exception):  # the mail is gone; a failure here must not send it again
            await connection.execute_command(b"QUIT", timeout=QUIT_SECONDS)
    finally:
        if isinstance(transport := connection.transport, asyncio.WriteTransport):
            transport.abort()
        connection.close()
        await asyncio.sleep(0.01)  # lets the transport end, also where the loop does next


class _Connection(SMTP):
    """aiosmtplib's client, which sees the moment in which the body goes out."""

    def __init__(self, handover: Handover, parameters: dict[str, Any]) -> None:
        super().__init__(**parameters)
        self._handover = handover

    async def data(self, message: str | bytes, /, **_: Any) -> SMTPResponse:
        """Send the body; the reply to it may take as long as whoever waits for it."""
        ready = await self.execute_command(b"DATA")
        if ready.code != START_INPUT:
            raise SMTPDataError(ready.code, ready.message)
        if self.protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        body = message.encode("ascii") if isinstance(message, str) else message
        self.protocol.write(LEADING_DOT.sub(b"..", body) + b".\r\n")
        self._handover.done = True
        reply = await self.protocol.read_response(timeout=None)
        self._handover.done = reply.code // 100 not in (4, 5)
        if reply.code // 100 != 2:
            raise SMTPDataError(reply.code, reply.message)
        return reply
