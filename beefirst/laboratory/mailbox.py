"""A mail server of one's own: real SMTP on a free port of this machine, and every mail that came, to look at."""

import re
import ssl
from contextlib import ExitStack
from email.message import EmailMessage
from math import inf
from typing import Literal, Self

import pandas as pd

from beefirst.errors import MailError
from beefirst.laboratory.cleanup import close_with, uninterrupted
from beefirst.laboratory.mail_server import Behaviour, Handler, MailServer

CODE = re.compile(r"\bcode is ([0-9]{4})\b")


class Mailbox:
    """A mail server in this process, for every address; it ends with its `with` block, or when nothing refers to it.

    Args:
        refuse: the reply that refuses a mail, such as "550 no such user" or "451 later".
        refuse_times: how many mails are refused before it takes them; all where left out.
        refuse_at: whether it refuses the recipient, or the mail once it has all of it.
        stall_seconds: how long it is silent before it replies.
        stall_at: whether it is silent at the recipient, or once it has taken the mail.
        vanish: hang up, rather than reply, once it has taken a mail.
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
        stall_at: Literal["RCPT", "DATA"] = "RCPT",
        vanish: bool = False,
        only: str | None = None,
        tls_context: ssl.SSLContext | None = None,
        require_starttls: bool = False,
        implicit_tls: bool = False,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        handler = Handler(
            Behaviour(refuse, refuse_times, refuse_at, stall_seconds, stall_at, vanish, only, credentials)
        )
        self._mails, self._arrival = handler.mails, handler.arrival
        self.offered, self.encrypted, self.logins = handler.offered, handler.encrypted, handler.logins
        server = MailServer(
            handler,
            ssl_context=tls_context if implicit_tls else None,
            tls_context=None if implicit_tls else tls_context,
            require_starttls=require_starttls,
            auth_require_tls=tls_context is not None and not implicit_tls,
            authenticator=handler.authenticate,
        )
        with ExitStack() as unless_started:
            with uninterrupted():
                # The server's thread knows the handler and not the mailbox, which so can go while it runs.
                self._close = close_with(self, server.end)
                unless_started.callback(self._close)
                server.start()
            unless_started.pop_all()
        self.url = f"{'smtps' if implicit_tls else 'smtp'}://127.0.0.1:{server.port}"

    @property
    def messages(self) -> list[EmailMessage]:
        """Every mail that was taken, in order of arrival."""
        return [message for _, _, message in self._mails]

    def wait_for(self, address: str, count: int = 1, seconds: float = 10) -> list[EmailMessage]:
        """Return the mails to an address once there are `count` of them.

        Raises:
            MailError: there were fewer after `seconds`.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._to(address)) >= count, seconds):
                raise MailError(f"{len(self._to(address))} of {count} mails to {address} came within {seconds:g} s.")
            return self._to(address)

    def code_for(self, address: str, count: int = 1, seconds: float = 10) -> str:
        """Return the newest code that was mailed to an address, once there are `count` of them.

        Raises:
            MailError: there were fewer after `seconds`.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._codes(address)) >= count, seconds):
                raise MailError(
                    f"{len(self._codes(address))} of {count} codes for {address} came within {seconds:g} s."
                )
            return self._codes(address)[-1]

    def table(self) -> pd.DataFrame:
        """Return the mails as a table with the columns when, to, subject and text, which is the first line of it."""
        rows = [(at, ", ".join(to), mail["Subject"], _text(mail).split("\n")[0]) for at, to, mail in self._mails]
        return pd.DataFrame(rows, columns=["when", "to", "subject", "text"])

    def close(self) -> None:
        """End the server and every connection to it; doing so again does nothing."""
        self._close()

    def _to(self, address: str) -> list[EmailMessage]:
        return [message for _, to, message in self._mails if address in to]

    def _codes(self, address: str) -> list[str]:
        return [code for message in self._to(address) for code in CODE.findall(_text(message))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    return str(body.get_content()).replace("\r\n", "\n") if body else ""
