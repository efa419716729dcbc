"""A mail server of one's own: real SMTP on a free port of this machine, and every mail that came, to look at."""

import asyncio
import atexit
import logging
import re
import ssl
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from math import inf
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
        self._refuse, self._refusals_left, self._refuse_at = refuse, refuse_times, refuse_at
        self._stall_seconds, self._stall_at, self._vanish = stall_seconds, stall_at, vanish
        self._only, self._credentials = only, credentials
        self._mails: list[tuple[datetime, Sequence[str], EmailMessage]] = []
        self._arrival = threading.Condition()
        self.offered, self.encrypted, self.logins = list[str](), list[bool](), list[str]()
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
        self._server.end()
        atexit.unregister(self.close)

    def _to(self, address: str) -> list[EmailMessage]:
        return [message for _, to, message in self._mails if address in to]

    def _codes(self, address: str) -> list[str]:
        return [code for message in self._to(address) for code in CODE.findall(_text(message))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What follows runs on the server's thread; aiosmtpd finds handle_… by their names.

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, _: Envelope, address: str, __: Sequence[str]
    ) -> Any:
        """Decide on a recipient."""
        assert server.transport  # noqa: S101
        self.offered.append(address)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        await self._stall("RCPT", [address])
        if self._credentials and not session.authenticated:
            return "530 5.7.0 log in first"
        return self._refusal("RCPT", [address]) or MISSING

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail."""
        message = message_from_bytes(envelope.original_content or b"", EmailMessage, policy=policy.default)
        if refusal := self._refusal("DATA", envelope.rcpt_tos):
            return refusal
        with self._arrival:
            self._mails.append((datetime.now(UTC), envelope.rcpt_tos, message))
            self._arrival.notify_all()
        await self._stall("DATA", envelope.rcpt_tos)
        if self._vanish and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        return "250 taken"

    async def _stall(self, at: str, addresses: Sequence[str]) -> None:
        if at == self._stall_at and self._concerns(addresses):
            await asyncio.sleep(self._stall_seconds)

    def _concerns(self, addresses: Sequence[str]) -> bool:
        return self._only is None or self._only in addresses

    def _refusal(self, at: str, addresses: Sequence[str]) -> str | None:
        concerned = at == self._refuse_at and self._concerns(addresses)
        if not self._refuse or not concerned or self._refusals_left <= 0:
            return None
        self._refusals_left -= 1
        return self._refuse

    def _authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, sent: LoginPassword) -> AuthResult:
        user, password = sent.login.decode(), sent.password.decode()
        self.logins.append(user)
        return AuthResult(success=(user, password) == self._credentials, handled=False)


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    return str(body.get_content()).replace("\r\n", "\n") if body else ""


class _Server(Controller):
    """aiosmtpd's server thread, on any free port, which can end while clients are connected."""

    def __init__(self, mailbox: Mailbox, **options: Any) -> None:
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # it would fill a notebook with what is expected
        # The name that it gives itself; left out, it asks the network for one at every connection.
        super().__init__(mailbox, "127.0.0.1", 0, server_hostname="localhost", **options)
        self._connections: WeakSet[SMTP] = WeakSet()

    def factory(self) -> SMTP:
        connection: SMTP = super().factory()  # type: ignore[no-untyped-call]
        self._connections.add(connection)
        return connection

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)  # noqa: S101
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]

    def end(self) -> None:
        if not self.loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result()
            self.stop()

    async def _hang_up(self) -> None:
        for transport in [connection.transport for connection in self._connections]:
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        await asyncio.sleep(0)  # lets them close
