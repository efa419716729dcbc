"""A mail server of one's own: real SMTP on a free port of this machine, and every mail that came, to look at."""

import asyncio
import atexit
import logging
import re
import ssl
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from math import inf
from types import TracebackType
from typing import Any, Literal, Self
from weakref import WeakSet

import pandas as pd
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

from beefirst.errors import MailError

CODE = re.compile(r"\bcode is ([0-9]{4})\b")


class Mailbox:
    """A mail server in this process, for every address; it ends with its `with` block, with `close`, or the process.

    Args:
        refuse: the reply that refuses a mail, such as "550 no such user" or "451 later".
        refuse_times: how many mails are refused before it takes them; all where left out.
        refuse_at: whether it refuses the recipient, or the mail once it has all of it.
        stall_seconds: how long it is silent before it replies to a recipient.
        only: the one address for which it refuses and stalls; every address where left out.
        tls_context: makes it offer STARTTLS.
        require_starttls: take no mail without.
        implicit_tls: speak TLS from the first byte instead, as smtps:// asks for.
        credentials: the user and password without which it takes no mail. Without TLS it takes them in the clear,
            so that it learns who would send them so.

    Attributes:
        url: what MAIL_URL is to be, without user and password.
        offered: every address that a mail was offered for, taken or not, in order.
        encrypted: whether each of these offers came over TLS.
        logins: the user of every attempt to log in.
    """

    def __init__(
        self,
        *,
        refuse: str | None = None,
        refuse_times: float = inf,
        refuse_at: Literal["RCPT", "DATA"] = "RCPT",
        stall_seconds: float = 0,
        only: str | None = None,
        tls_context: ssl.SSLContext | None = None,
        require_starttls: bool = False,
        implicit_tls: bool = False,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self._refuse, self._refusals_left, self._refuse_at = refuse, refuse_times, refuse_at
        self._stall_seconds, self._only, self._credentials = stall_seconds, only, credentials
        self._mails: list[tuple[datetime, Sequence[str], EmailMessage]] = []
        self._arrival = threading.Condition()
        self.offered: list[str] = []
        self.encrypted: list[bool] = []
        self.logins: list[str] = []
        self._server = _Server(
            self,
            ssl_context=tls_context if implicit_tls else None,
            tls_context=None if implicit_tls else tls_context,
            require_starttls=require_starttls,
            auth_require_tls=tls_context is not None and not implicit_tls,
            authenticator=self._authenticate,
        )
        self._server.start()
        self.url = f"{'smtps' if implicit_tls else 'smtp'}://127.0.0.1:{self._server.port}"
        atexit.register(self.close)

    @property
    def messages(self) -> list[EmailMessage]:
        """Every mail that was taken, in order of arrival."""
        return [message for _, _, message in self._mails]

    def wait_for(self, address: str, count: int = 1, seconds: float = 10) -> list[EmailMessage]:
        """Return the mails to an address once there are `count` of them.

        Raises:
            MailError: there were fewer after `seconds`.
        """
        mails = self._wait(lambda: self._mails_to(address), count, seconds)
        if len(mails) < count:
            raise MailError(f"{len(mails)} of {count} mails to {address} came within {seconds:g} s.")
        return mails

    def code_for(self, address: str, seconds: float = 10) -> str:
        """Return the code in the newest mail to an address that holds one, waiting for the first.

        Raises:
            MailError: none came within `seconds`.
        """
        codes = self._wait(lambda: CODE.findall("\n".join(map(_text, self._mails_to(address)))), 1, seconds)
        if not codes:
            raise MailError(f"No code for {address} came within {seconds:g} s.")
        return codes[-1]

    def table(self) -> pd.DataFrame:
        """Return the mails as a table with the columns when, to, subject and text, which is the first line of it."""
        rows = [
            (when, ", ".join(to), message["Subject"], _text(message).partition("\n")[0])
            for when, to, message in self._mails
        ]
        return pd.DataFrame(rows, columns=["when", "to", "subject", "text"])

    def close(self) -> None:
        """End the server and every connection to it; doing so again does nothing."""
        self._server.end()
        atexit.unregister(self.close)

    def _mails_to(self, address: str) -> list[EmailMessage]:
        return [message for _, to, message in self._mails if address in to]

    def _wait[Found](self, look: Callable[[], list[Found]], count: int, seconds: float) -> list[Found]:
        with self._arrival:
            self._arrival.wait_for(lambda: len(look()) >= count, seconds)
            return look()

    # From here on the server's own thread, which finds the hooks by their names.

    def _authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, sent: LoginPassword) -> AuthResult:
        self.logins.append(sent.login.decode())
        return AuthResult(success=(sent.login.decode(), sent.password.decode()) == self._credentials, handled=False)
