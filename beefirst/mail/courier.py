"""Delivering a code or a notice: to the log, for the demo, or over SMTP."""

import asyncio
import logging
import ssl
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from beefirst.errors import MailError
from beefirst.registration.interfaces import Courier
from beefirst.registration.states import State
from beefirst.settings import Settings
from beefirst.urls import MailUrl

if TYPE_CHECKING:
    from beefirst.mail.smtp import Handover

TRIES = 3
DELIVERY_SECONDS = 15.0
"""All tries together; after that the claim is released, so that its owner can try again."""

TRY_SECONDS = 6.0
"""For each reply of a server, but the one that follows the mail's body: it may take what is left of the mail's time."""

PAUSE_SECONDS = 0.5

UNANSWERED = "a mail counts as sent, though the server has not said what became of it: %s"
"""Sent again it might arrive twice, and a claim that was released would make the code that did arrive worthless."""

SIMULTANEOUS_DELIVERIES = 500
"""Each takes a socket, of which a process commonly has 1,024. A recipient whose server stalls takes a place for
DELIVERY_SECONDS; only where over 33 in each second do so does other mail wait, as part of its own time."""

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


def create_courier(settings: Settings) -> Courier:
    """Return what MAIL_URL asks for; nothing is connected yet.

    Args:
        settings: MAIL_URL, MAIL_FROM and TTL_SECONDS are used.
    """
    url = settings.mail_url.get_secret_value()
    return ConsoleCourier() if url == "console:" else SmtpCourier(settings.mail_url, settings.mail_from, settings)


class ConsoleCourier:
    """Writes what would be mailed to the log. For a demo: whoever reads the log can activate every claim."""

    async def send_code(self, email: str, code: str) -> None:
        """Log a code."""
        console.info("DEMO MAIL to %s: your code is %s (set MAIL_URL to send real mail)", email, code)

    async def send_notice(self, email: str, state: State) -> None:
        """Log that the owner of an address would get a notice."""
        console.info("DEMO MAIL to %s: %s", email, NOTICES[state].partition("\n")[0])


class SmtpCourier:
    """Delivers plain text over SMTP: three tries, each on a connection of its own, within DELIVERY_SECONDS.

    STARTTLS is used where the server offers it. With credentials, and for smtps://, TLS is a must and the server's
    certificate is verified; without, encryption to whoever answers is still better than none (RFC 7435).

    Args:
        url: smtp:// or smtps://, with user, password and port if need be.
        sender: the address in From.
        settings: TTL_SECONDS is named in the mail.
    """

    def __init__(self, url: MailUrl, sender: str, settings: Settings) -> None:
        self._url = url
        self._sender = sender
        self._ttl_seconds = settings.ttl_seconds
        self._places = asyncio.Semaphore(SIMULTANEOUS_DELIVERIES)
        self._connection = _connection_parameters(url)

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

    async def _send(self, email: str, subject: str, text: str) -> None:
        message = EmailMessage(SMTP_POLICY)  # refuses line breaks in a header
        message["From"], message["To"], message["Subject"] = self._sender, email, subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=self._sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answering machine replies
        message.set_content(text)
        from beefirst.mail.smtp import Handover

        handover = Handover()
        try:
            async with asyncio.timeout(DELIVERY_SECONDS), self._places:
                await self._try_until_sent(message, email, handover)
        except TimeoutError:
            if not handover.done:
                raise MailError(f"A mail was not delivered within {DELIVERY_SECONDS:g} s.") from None
            log.warning(UNANSWERED, f"no reply within {DELIVERY_SECONDS:g} s")

    async def _try_until_sent(self, message: EmailMessage, email: str, handover: "Handover") -> None:
        from aiosmtplib import SMTPException

        from beefirst.mail.smtp import deliver

        for number in range(1, TRIES + 1):
            try:
                await deliver(message, self._sender, email, handover, self._connection)
                return
            except (SMTPException, OSError, ValueError) as error:
                reason = _explain(error)
                if handover.done:
                    log.warning(UNANSWERED, reason)
                    return
                log.warning("mail not delivered, try %d of %d: %s", number, TRIES, reason)
                if number == TRIES or _is_final(error):
                    raise MailError(f"A mail was not delivered in {number} tries: {reason}.") from None
            await asyncio.sleep(PAUSE_SECONDS)


def _connection_parameters(url: MailUrl) -> dict[str, Any]:
    parts = urlsplit(url.get_secret_value())
    encrypted, credentials = parts.scheme == "smtps", parts.username is not None
    verified = encrypted or credentials
    context = ssl.create_default_context()
    if not verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return {
        "hostname": parts.hostname,
        "port": parts.port or (465 if encrypted else 25),
        "username": unquote(parts.username) if parts.username is not None else None,
        "password": unquote(parts.password) if parts.password is not None else None,
        "use_tls": encrypted,
        "start_tls": False if encrypted else True if credentials else None,
        "tls_context": context,
        "local_hostname": "localhost",
        "timeout": TRY_SECONDS,
    }


def _explain(error: Exception) -> str:
    """Return what went wrong without the address and without what the server quotes."""
    code = getattr(error, "code", None)
    return f"{type(error).__name__} {code}" if isinstance(code, int) else type(error).__name__


def _is_final(error: Exception) -> bool:
    """Tell whether the server refused for good: RFC 5321, 4.2.1, a code of 500 and above."""
    codes = [getattr(error, "code", 0), *(getattr(refused, "code", 0) for refused in getattr(error, "recipients", []))]
    return any(isinstance(code, int) and code >= 500 for code in codes)
