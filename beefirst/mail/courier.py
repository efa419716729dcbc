"""Delivering a code or a notice: to the log, for the demo, or over SMTP."""

import asyncio
import logging
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING

from beefirst.errors import MailError
from beefirst.mail.server import MailServer
from beefirst.registration.states import State
from beefirst.settings import Settings

if TYPE_CHECKING:
    from beefirst.mail.connections import Connections
    from beefirst.mail.smtp import Handover, Mail

DELIVERY_SECONDS = 15.0
"""All tries together, and the wait for a connection; after that the claim is released, so that its owner can try again.
That is also what becomes of the mails of a burst which a slower server cannot take in this time."""

PAUSES = (0.5, 1.0, 2.0, 4.0, 6.0)
"""Seconds between one try and the next: soon at first, for a person waits, and spread over DELIVERY_SECONDS, for a
server that has no place for another connection, or says later, may want some."""

UNANSWERED = "a mail counts as sent, though the server has not said what became of it: %s"
"""Sent again it might arrive twice, and a claim that was released would make the code that did arrive worthless."""

SIMULTANEOUS_DELIVERIES = 500
"""Each may take a socket, of which a process commonly has 1,024. A recipient whose server stalls takes a place for
DELIVERY_SECONDS; where over 33 in each second do so, other mail waits for one, as part of its own time."""

NOTICES = {
    State.ACTIVE: (
        "somebody tried to register this address, which already has an active account.\n\n"
        "If that was you, there is nothing to do: your account works with the password it has.\n"
        "If it was not, nothing has changed, and nobody but you has learned that the account exists."
    ),
    State.CLAIMED: (
        "somebody tried to register this address again while an earlier registration is pending.\n\n"
        "The code that was mailed before stays the right one until it runs out. After that, register anew.\n"
        "If it was not you, ignore this mail: without the code nobody can activate an account here."
    ),
}
"""To whoever holds the address that somebody tried to register, by the state of the registration."""

log = logging.getLogger("beefirst.mail")
console = logging.getLogger("beefirst.mail.console")


def create_courier(settings: Settings) -> "Courier":
    """Return what MAIL_URL asks for; nothing is connected yet.

    Args:
        settings: MAIL_URL and all that begin with MAIL_, and TTL_SECONDS, are used.
    """
    url = settings.mail_url.get_secret_value()
    return ConsoleCourier() if url == "console:" else SmtpCourier(MailServer.of(settings), settings)


class ConsoleCourier:
    """Writes what would be mailed to the log. For a demo: whoever reads the log can activate every claim."""

    async def send_code(self, email: str, code: str) -> None:
        """Log a code."""
        console.info("DEMO MAIL to %s: your code is %s (set MAIL_URL to send real mail)", email, code)

    async def send_notice(self, email: str, state: State) -> None:
        """Log that the owner of an address would get a notice."""
        console.info("DEMO MAIL to %s: %s", email, NOTICES[state].partition("\n")[0])

    async def close(self, seconds: float) -> None:
        """Do nothing: there is nothing open."""


class SmtpCourier:
    """Delivers plain text over SMTP: as many tries as DELIVERY_SECONDS hold, on connections that all mail shares.

    Args:
        server: takes the mail.
        settings: MAIL_FROM is the address in From, and TTL_SECONDS is named in the mail.
    """

    def __init__(self, server: MailServer, settings: Settings) -> None:
        self._server = server
        self._sender = settings.mail_from
        self._ttl_seconds = settings.ttl_seconds
        self._places = asyncio.Semaphore(SIMULTANEOUS_DELIVERIES)
        self._connections: Connections | None = None

    async def send_code(self, email: str, code: str) -> None:
        """Mail a code.

        Raises:
            MailError: see `SmtpCourier`.
        """
        text = (
            f"Your code is {code}.\n\n"
            f"Activate your account with this code and your password, within {self._ttl_seconds} seconds "
            "of registering.\n"
            "If you did not register, ignore this mail: without the password the code is worth nothing.\n"
        )
        await self._send(email, "Your code for beefirst", text)

    async def send_notice(self, email: str, state: State) -> None:
        """Mail a notice.

        Raises:
            MailError: see `SmtpCourier`.
        """
        await self._send(email, "An attempt to register your address", f"Hello,\n\n{NOTICES[state]}\n")

    async def close(self, seconds: float) -> None:
        """Take leave of the server, within so many seconds; mail in flight is not waited for."""
        if self._connections:
            await self._connections.close(seconds)

    async def _send(self, email: str, subject: str, text: str) -> None:
        message = EmailMessage(SMTP_POLICY)  # refuses line breaks in a header
        message["From"], message["To"], message["Subject"] = self._sender, email, subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=self._sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine replies
        message.set_content(text)
        from beefirst.mail.smtp import Handover, Mail

        handover = Handover()
        try:
            async with asyncio.timeout(DELIVERY_SECONDS), self._places:
                await self._try_until_sent(Mail(self._sender, email, message.as_bytes()), handover)
        except TimeoutError:
            if not handover.done:
                raise MailError(f"A mail was not delivered within {DELIVERY_SECONDS:g} s.") from None
            log.warning(UNANSWERED, f"no reply within {DELIVERY_SECONDS:g} s")

    async def _try_until_sent(self, mail: "Mail", handover: "Handover") -> None:
        from aiosmtplib import SMTPException

        from beefirst.mail.connections import Connections
        from beefirst.mail.reasons import explain

        self._connections = self._connections or Connections(self._server)
        for number, pause in enumerate((*PAUSES, None), 1):
            try:
                await self._connections.deliver(mail, handover)
                return
            except (SMTPException, OSError, ValueError) as error:
                failure = explain(error)
            if handover.done:
                log.warning(UNANSWERED, failure.reason)
                return
            log.warning("mail not delivered, try %d of %d: %s", number, 1 + len(PAUSES), failure.reason)
            if failure.is_final or pause is None:
                raise MailError(f"A mail was not delivered in {number} tries: {failure.reason}.")
            await asyncio.sleep(pause)


Courier = ConsoleCourier | SmtpCourier
"""What delivers mail, and is closed when the service ends."""
