"""Mailboxes whose servers refuse, stall, vanish, speak TLS or ask who is there; the laboratory's takes every mail."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, Literal
from weakref import WeakSet

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

from beefirst.laboratory.mail_server import Handler, MailServer
from beefirst.laboratory.mailbox import Mailbox

Step = Literal["RCPT", "DATA"]
"""Where a server misbehaves: at the recipient, or once it has all of the mail."""


class WatchedMailbox(Mailbox):
    """Takes what its handler takes, and tells what was offered.

    Attributes:
        offered: every address that a mail was offered for, taken or not, in order.
        encrypted: whether each of these offers came over TLS.
        logins: the user of every attempt to log in.
        connections: the port from which the client came, for each that brought an offer.
        names: what the client called itself, in each of the offers.
    """

    def __init__(self, handler: "_WatchedHandler | None" = None, **options: Any) -> None:
        self._handler, self._options = handler or _WatchedHandler(), options
        self.offered, self.encrypted = self._handler.offered, self._handler.encrypted
        self.logins, self.connections = self._handler.logins, self._handler.connections
        self.names = self._handler.names
        super().__init__()

    def _make_server(self) -> MailServer:
        return MailServer(self._handler, **self._options)

    def go_on(self) -> None:
        """Let a server that stalls reply."""
        self._server.loop.call_soon_threadsafe(self._handler.may_go_on.set)


def refusing(reply: str, *, times: float = inf, at: Step = "RCPT") -> WatchedMailbox:
    """Refuse mail with a reply such as "550 no such user" or "451 later", so many times, and then take it."""
    return WatchedMailbox(_Refusing(reply, times, at))


def stalling(
    *, at: Step = "RCPT", only: str | None = None, seconds: float | None = None, reply: str | None = None
) -> WatchedMailbox:
    """Be silent at every recipient, or once a mail is taken.

    Args:
        at: where it is silent.
        only: the one address for which it is; every address where left out.
        seconds: for how long; until `go_on` where left out.
        reply: refuses the recipient then.
    """
    return WatchedMailbox(_Stalling(at, only, seconds, reply))


def vanishing(*, only: str | None = None) -> WatchedMailbox:
    """Hang up, rather than reply, once a mail is taken: to the only address, or to every one where that is left out."""
    return WatchedMailbox(_Vanishing(only))


def taking_one_mail(reply: str | None) -> WatchedMailbox:
    """Take one mail on a connection, and refuse the sender of the next with a reply, or hang up where there is none."""
    return WatchedMailbox(_TakingOneMail(reply))


def speaking_tls(
    certificate: Path, *, implicit: bool = False, required: bool = False, credentials: tuple[str, str] | None = None
) -> WatchedMailbox:
    """Offer STARTTLS.

    Args:
        certificate: a file with the certificate to show and its key.
        implicit: speak TLS from the first byte instead, as smtps:// asks for.
        required: take no mail without.
        credentials: the user and password without which it takes no mail.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    tls = {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": required}
    if credentials is None:
        return WatchedMailbox(**tls)
    return _asking(credentials, auth_require_tls=not implicit, **tls)


def asking_in_the_clear(credentials: tuple[str, str]) -> WatchedMailbox:
    """Ask for credentials without TLS, and so learn who would send them so."""
    return _asking(credentials, auth_require_tls=False)


def _asking(credentials: tuple[str, str], **options: Any) -> WatchedMailbox:
    handler = _Asking(credentials)
    return WatchedMailbox(handler, authenticator=handler.authenticate, **options)


class _WatchedHandler(Handler):
    def __init__(self) -> None:
        super().__init__()
        self.offered, self.encrypted, self.logins = list[str](), list[bool](), list[str]()
        self.connections, self.names = set[int](), list[str | None]()
        self.may_go_on = asyncio.Event()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, _: Envelope, address: str, __: Sequence[str]
    ) -> Any:
        assert server.transport
        self.offered.append(address)
        self.connections.add(server.transport.get_extra_info("peername")[1])
        self.names.append(session.host_name)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return await self.refusal("RCPT", [address], session) or MISSING

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if refusal := await self.refusal("DATA", envelope.rcpt_tos, session):
            return refusal
        answer = await super().handle_DATA(server, session, envelope)
        await self.before_reply(server, envelope.rcpt_tos)
        return answer

    async def refusal(self, step: Step, addresses: Sequence[str], session: Session) -> str | None:  # noqa: ARG002
        """Return the reply that refuses what is offered."""
        return None

    async def before_reply(self, server: SMTP, addresses: Sequence[str]) -> None:
        """Misbehave with a mail that is taken."""


class _Refusing(_WatchedHandler):
    def __init__(self, reply: str, times: float, at: Step) -> None:
        super().__init__()
        self._reply, self._times_left, self._at = reply, times, at

    async def refusal(self, step: Step, _: Sequence[str], __: Session) -> str | None:
        if step != self._at or self._times_left <= 0:
            return None
        self._times_left -= 1
        return self._reply


class _Stalling(_WatchedHandler):
    def __init__(self, at: Step, only: str | None, seconds: float | None, reply: str | None) -> None:
        super().__init__()
        self._at, self._only, self._seconds, self._reply = at, only, seconds, reply

    async def refusal(self, step: Step, addresses: Sequence[str], _: Session) -> str | None:
        if step == "DATA":
            return None
        await self._stall(step, addresses)
        return self._reply

    async def before_reply(self, _: SMTP, addresses: Sequence[str]) -> None:
        await self._stall("DATA", addresses)

    async def _stall(self, step: Step, addresses: Sequence[str]) -> None:
        if step == self._at and (self._only is None or self._only in addresses):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self.may_go_on.wait()


class _Vanishing(_WatchedHandler):
    def __init__(self, only: str | None) -> None:
        super().__init__()
        self._only = only

    async def before_reply(self, server: SMTP, addresses: Sequence[str]) -> None:
        if self._only is None or self._only in addresses:
            _hang_up(server)


class _TakingOneMail(_WatchedHandler):
    def __init__(self, reply: str | None) -> None:
        super().__init__()
        self._reply, self._served = reply, WeakSet[SMTP]()

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, _: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if server not in self._served:
            self._served.add(server)
            envelope.mail_from = address
            envelope.mail_options.extend(options)
            return "250 go on"
        if self._reply is None:
            _hang_up(server)
        return self._reply or "421 never heard"


def _hang_up(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


class _Asking(_WatchedHandler):
    def __init__(self, credentials: tuple[str, str]) -> None:
        super().__init__()
        self._credentials = credentials

    async def refusal(self, _: Step, __: Sequence[str], session: Session) -> str | None:
        return None if session.authenticated else "530 5.7.0 log in first"

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, sent: LoginPassword) -> AuthResult:
        user, password = sent.login.decode(), sent.password.decode()
        self.logins.append(user)
        return AuthResult(success=(user, password) == self._credentials, handled=False)
