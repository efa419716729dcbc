"""The mail server that MAIL_URL names, as its connections need it."""

import ssl
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from beefirst.settings import Settings


class Credentials(NamedTuple):
    """What a login takes."""

    user: str
    password: str


@dataclass(frozen=True)
class MailServer:
    """Where a mail server listens, and how it is spoken to.

    Attributes:
        host: its name or address.
        port: 465 for smtps:// and else 25, where the URL names none.
        encrypted: TLS is spoken from the first byte on.
        credentials: of the login, if there is one; they never go without TLS and a certificate that is verified.
        tls: with credentials, and for smtps://, the certificate is verified; without, encryption to whoever answers
            is still better than none (RFC 7435).
        helo: what the service calls itself; None for what `HostName` finds.
        connections: how many are shared by all mail; see `Connections` for when there are more.
    """

    host: str | None
    port: int
    encrypted: bool
    credentials: Credentials | None = field(repr=False)
    tls: ssl.SSLContext
    helo: str | None
    connections: int

    @classmethod
    def of(cls, settings: Settings) -> "MailServer":
        """Return the server that settings name by an smtp:// or smtps:// URL."""
        parts = urlsplit(settings.mail_url.get_secret_value())
        encrypted, credentials = parts.scheme == "smtps", None
        if parts.username is not None and parts.password is not None:
            credentials = Credentials(unquote(parts.username), unquote(parts.password))
        tls = ssl.create_default_context()
        if not (encrypted or credentials):
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        return cls(
            host=parts.hostname,
            port=parts.port or (465 if encrypted else 25),
            encrypted=encrypted,
            credentials=credentials,
            tls=tls,
            helo=settings.helo_name,
            connections=settings.mail_connections,
        )
