"""Why a mail was not delivered: the server's code, never its text, and what to do where it is ours to mend."""

import os
import re
import socket
import ssl
from typing import NamedTuple

from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPConnectResponseError,
    SMTPConnectTimeoutError,
    SMTPDataError,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from beefirst.mail.smtp import TRY_SECONDS, NoLoginError, NoTlsError, OvercrowdedError

REFUSED: dict[type[SMTPResponseException], tuple[str, str]] = {
    SMTPConnectResponseError: ("the connection", ""),
    OvercrowdedError: ("the connection", ""),
    SMTPHeloError: ("the name in EHLO", "set MAIL_HELO to the full name of this host"),
    SMTPAuthenticationError: ("the login", "put the right user and password into MAIL_URL"),
    SMTPSenderRefused: ("the sender", "set MAIL_FROM to an address that it lets us send from"),
    SMTPRecipientRefused: ("the recipient", ""),
    SMTPDataError: ("the mail", ""),
    SMTPResponseException: ("STARTTLS", ""),
}
"""What a server refuses, and what to do where that is ours to mend, by aiosmtplib's exception."""

NAME_REFUSED = REFUSED[SMTPHeloError]
TOO_MANY = "set MAIL_CONNECTIONS to as many as it allows at once"
ASKS_FOR_LOGIN = "put a user and a password for it into MAIL_URL"
NO_SERVER = "no connection to the server ({}): put its host and port into MAIL_URL"

NO_TLS = (
    "the server offers no TLS, without which the user and password in MAIL_URL are not sent: "
    "name a port where it offers TLS, or use smtps://"
)
NO_LOGIN = (
    "the server offers no login that is known here: leave the user and password out of MAIL_URL, or name its port"
)
NOT_VERIFIED = (
    "the server's certificate is not verified ({}): name its CA in SSL_CERT_FILE, "
    "or the host in MAIL_URL as the certificate has it"
)
NO_TLS_SPOKEN = "the server does not speak TLS from the start: name a port where it does, or use smtp://"
TLS_FAILED = "TLS with the server failed: {}"

ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?!\S)")
"""RFC 3463, at the beginning of a reply's text, as RFC 2034 has it."""

OF_THE_NAME = re.compile(r"(?<![.@\w-])(helo|ehlo)(?![.@\w-])", re.IGNORECASE)
"""A server may put off to the recipient what it has against the name, as Postfix does unless told otherwise."""

CLOSING, ASKS, FINAL, LOWEST = 421, 530, 500, 200


class Failure(NamedTuple):
    """Why a try failed.

    Attributes:
        reason: without the address, and without what the server quotes.
        is_final: another try would fail as well: RFC 5321, 4.2.1, a code of 500 and above, or ours to mend.
    """

    reason: str
    is_final: bool


def explain(error: Exception) -> Failure:
    """Return why a mail was not delivered.

    Args:
        error: what `Connections` raised.
    """
    if isinstance(error, SMTPResponseException):
        return _explain_reply(error)
    if isinstance(error, NoTlsError):
        return Failure(NO_TLS, True)
    if isinstance(error, NoLoginError):
        return Failure(NO_LOGIN, True)
    cause = error.__cause__ if isinstance(error, SMTPConnectError) and error.__cause__ else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failure(NOT_VERIFIED.format(cause.verify_message), True)
    if isinstance(cause, ssl.SSLError):
        spoken = cause.reason != "WRONG_VERSION_NUMBER"
        return Failure(TLS_FAILED.format(cause.reason) if spoken else NO_TLS_SPOKEN, not spoken)
    return Failure(_explain_silence(error, cause), False)


def _explain_reply(error: SMTPResponseException) -> Failure:
    if error.code < LOWEST:
        return Failure("what the server replies is not SMTP: put the port at which it takes mail into MAIL_URL", False)
    enhanced = ENHANCED.match(error.message)
    codes = f"{error.code} {enhanced[1]}" if enhanced else str(error.code)
    what, advice = REFUSED[type(error)]
    if isinstance(error, SMTPSenderRefused | SMTPRecipientRefused) and OF_THE_NAME.search(error.message):
        what, advice = NAME_REFUSED
    elif error.code == ASKS:
        advice = ASKS_FOR_LOGIN
    elif type(error) is SMTPConnectResponseError and error.code == CLOSING:
        advice = TOO_MANY
    elif isinstance(error, SMTPAuthenticationError | SMTPSenderRefused) and error.code < FINAL:
        advice = ""  # it may be right as it is, and be taken later
    return Failure(f"the server refused {what}: {codes}" + (f" ({advice})" if advice else ""), error.code >= FINAL)


def _explain_silence(error: Exception, cause: BaseException) -> str:
    if isinstance(error, SMTPConnectTimeoutError):
        return NO_SERVER.format(f"none within {TRY_SECONDS:g} s")
    if isinstance(error, SMTPTimeoutError):
        return f"the server did not reply within {TRY_SECONDS:g} s"
    if isinstance(cause, SMTPServerDisconnected):
        return "the server hung up"
    if isinstance(error, SMTPConnectError):
        return NO_SERVER.format(_of_the_system(cause))
    return type(error).__name__


def _of_the_system(cause: BaseException) -> str:
    """Return what the system says of a connection that did not come about, without what asyncio adds to it."""
    if isinstance(cause, socket.gaierror) or not isinstance(cause, OSError) or not cause.errno:
        return getattr(cause, "strerror", None) or type(cause).__name__
    return os.strerror(cause.errno)
