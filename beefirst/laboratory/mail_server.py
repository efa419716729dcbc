"""The SMTP server behind a mailbox: a thread that takes mail, or refuses it as it was told to."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal
from weakref import WeakSet

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

END_SECONDS = 5


@dataclass(frozen=True)
class Behaviour:
    """How the server treats what it is offered; the attributes are the arguments of `Mailbox`."""

    refuse: str | None
    refuse_times: float
    refuse_at: Literal["RCPT", "DATA"]
    stall_seconds: float
    stall_at: Literal["RCPT", "DATA"]
    vanish: bool
    only: str | None
    credentials: tuple[str, str] | None

    def concerns(self, addresses: Sequence[str]) -> bool:
        """Tell whether a mail to these addresses is refused or kept waiting."""
        return self.only is None or self.only in addresses


class Handler:
    """Takes mail, on the server's thread; aiosmtpd finds handle_… by their names.

    Attributes:
        mails: when each mail came, for whom, and the mail.
        arrival: notified of each mail.
        offered: every address that a mail was offered for.
        encrypted: whether each of these offers came over TLS.
        logins: the user of every attempt to log in.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._refusals_left = behaviour.refuse_times
        self.mails: list[tuple[datetime, Sequence[str], EmailMessage]] = []
        self.arrival = threading.Condition()
        self.offered, self.encrypted, self.logins = list[str](), list[bool](), list[str]()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, _: Envelope, address: str, __: Sequence[str]
    ) -> Any:
        """Decide on a recipient."""
        assert server.transport  # noqa: S101
        self.offered.append(address)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        await self._stall("RCPT", [address])
        if self._behaviour.credentials and not session.authenticated:
            return "530 5.7.0 log in first"
        return self._refusal("RCPT", [address]) or MISSING

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail."""
        message = message_from_bytes(envelope.original_content or b"", EmailMessage, policy=policy.default)
        if refusal := self._refusal("DATA", envelope.rcpt_tos):
            return refusal
        with self.arrival:
            self.mails.append((datetime.now(UTC), envelope.rcpt_tos, message))
            self.arrival.notify_all()
        await self._stall("DATA", envelope.rcpt_tos)
        if self._behaviour.vanish and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        return "250 taken"

    async def _stall(self, at: str, addresses: Sequence[str]) -> None:
        if at == self._behaviour.stall_at and self._behaviour.concerns(addresses):
            await asyncio.sleep(self._behaviour.stall_seconds)

    def _refusal(self, at: str, addresses: Sequence[str]) -> str | None:
        concerned = at == self._behaviour.refuse_at and self._behaviour.concerns(addresses)
        if not self._behaviour.refuse or not concerned or self._refusals_left <= 0:
            return None
        self._refusals_left -= 1
        return self._behaviour.refuse

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, sent: LoginPassword) -> AuthResult:
        """Decide on an attempt to log in."""
        user, password = sent.login.decode(), sent.password.decode()
        self.logins.append(user)
        return AuthResult(success=(user, password) == self._behaviour.credentials, handled=False)


class MailServer(Controller):
    """aiosmtpd's server thread, on any free port, which can end while clients are connected."""

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
