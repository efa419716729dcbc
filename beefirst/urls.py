"""URLs with passwords in them: of the database and of the mail server, checked, and shown without their secrets."""

from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo
from pydantic import SecretStr

DATABASE_URL_RULE = "a PostgreSQL URL such as postgresql://user:password@host:5432/name"

MAIL_URL_RULE = "console:, or an SMTP server such as smtp://user:password@host:587 or smtps://host"


class DatabaseUrl(SecretStr):
    """A libpq URL that shows itself without its password, however it is printed."""

    def _display(self) -> str:
        return mask_password(self.get_secret_value())


def check_database_url(url: SecretStr) -> DatabaseUrl:
    """Return a URL that libpq reads as it was meant.

    Args:
        url: any that libpq takes: with a host, with a socket, with several hosts.

    Raises:
        ValueError: it is none, or a part of its password would be read as something else; the message is the rule.
    """
    text = url.get_secret_value()
    if not text.startswith(("postgresql://", "postgres://")) or not _is_parsed_as_meant(text):
        raise ValueError(DATABASE_URL_RULE)
    return DatabaseUrl(text)


def _is_parsed_as_meant(url: str) -> bool:
    """Tell whether no part of a password that was not percent-encoded has become a port, a host or a name."""
    try:
        options = conninfo_to_dict(url)
    except ProgrammingError:
        return False
    ports = str(options.get("port", "")).split(",")
    names = "".join(str(options.get(name, "")) for name in ("user", "host", "dbname"))
    return all(port.isdigit() or not port for port in ports) and "@" not in names


def mask_password(url: str) -> str:
    """Return where `url` leads, as `user@host:port/name`, leaving out all that libpq itself treats as secret.

    Args:
        url: anything that libpq takes for a connection string.

    Returns:
        The target, with the parameters that a reader may need; a remark where `url` cannot be read as meant.
    """
    if not _is_parsed_as_meant(url):
        return "(not a PostgreSQL URL)"
    options = {
        option.keyword.decode(): option.val.decode()
        for option in Conninfo.parse(url.encode())
        if option.val is not None and option.dispchar != b"*"
    }
    user, name = options.pop("user", ""), options.pop("dbname", "")
    where = "" if options.get("host", "").startswith("/") else _hosts_and_ports(options)
    rest = "&".join(f"{key}={value}" for key, value in options.items())
    return f"postgresql://{user}{'@' if user else ''}{where}/{name}{'?' if rest else ''}{rest}"


def _hosts_and_ports(options: dict[str, str]) -> str:
    hosts, ports = options.pop("host", "").split(","), options.pop("port", "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return ",".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))


class MailUrl(SecretStr):
    """`console:` or the URL of an SMTP server, which shows itself without its user and password."""

    def _display(self) -> str:
        scheme, separator, rest = self.get_secret_value().partition("//")
        return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def check_mail_url(url: MailUrl) -> MailUrl:
    """Return a URL that is `console:` or leads to a mail server.

    Args:
        url: with user and password or with neither, and with nothing behind the port.

    Raises:
        ValueError: it is another; the message is the rule.
    """
    text = url.get_secret_value()
    if text == "console:":
        return url
    parts = urlsplit(text)
    leads_to_a_server = parts.scheme in ("smtp", "smtps") and parts.hostname and parts.port != 0
    if not leads_to_a_server or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(MAIL_URL_RULE)
    if (parts.username is None) != (parts.password is None):
        raise ValueError(MAIL_URL_RULE)
    return url
