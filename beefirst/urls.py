"""URLs with passwords in them: of the database and of the mail server, checked, and shown without their secrets."""

import re
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo
from pydantic import SecretStr

DATABASE_URL_RULE = "a PostgreSQL URL such as postgresql://user:password@host:5432/name"

LIMITS_URL_RULE = "memory://, or a Redis such as redis://:password@host:6379/0 or rediss://host"

MAIL_URL_RULE = "console:, or an SMTP server such as smtp://user:password@host:587 or smtps://host"

DRIVER = re.compile(r"^(postgres(?:ql)?)\+[a-z0-9_]+://")
"""How SQLAlchemy names a driver within the scheme, `postgresql+psycopg://`."""

SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,20}://")
SECRETS = {"password", "sslpassword"}
"""Parameters whose value may go on behind an ampersand that was not percent-encoded."""

REDIS_DATABASE = re.compile(r"/?[0-9]{0,5}")

PARAMETER = re.compile(r"[a-z_]{1,40}", re.IGNORECASE)


class DatabaseUrl(SecretStr):
    """A libpq URL that shows itself without its password, however it is printed."""

    def _display(self) -> str:
        return mask_password(self.get_secret_value())


def check_database_url(url: SecretStr) -> DatabaseUrl:
    """Return a URL that libpq reads as it was meant.

    Blanks and quotes around it go, and so does the name of a driver, as in `postgresql+psycopg://`; an equals sign
    within a parameter's value, as in `options=-csearch_path=app`, is percent-encoded for libpq.

    Args:
        url: any that libpq takes: with a host, with a socket, with several hosts.

    Raises:
        ValueError: it is none, or a part of its password would be read as something else; the message is the rule,
            and behind it what is not understood where that is known to hold no secret.
    """
    text = url.get_secret_value().strip()
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        text = text[1:-1].strip()
    text = _encode_values(DRIVER.sub(r"\1://", text))
    if not text.startswith(("postgresql://", "postgres://")):
        scheme = SCHEME.match(text)
        raise ValueError(f"{DATABASE_URL_RULE}, but begins with {scheme.group()}" if scheme else DATABASE_URL_RULE)
    if not _is_parsed_as_meant(text):
        raise ValueError(DATABASE_URL_RULE + _complain_of_parameters(text))
    return DatabaseUrl(text)


def _split_query(url: str) -> tuple[str, list[str]]:
    """Return a URL without its parameters, and each of them; none where the question mark may be a password's."""
    where, _, query = url.partition("?")
    return (url, []) if "@" in query or not query else (where, query.split("&"))


def _encode_values(url: str) -> str:
    where, parameters = _split_query(url)
    pairs = [parameter.partition("=") for parameter in parameters]
    encoded = [name + separator + value.replace("=", "%3D") for name, separator, value in pairs]
    return "?".join([where, "&".join(encoded)]) if encoded else url


def _complain_of_parameters(url: str) -> str:
    where, parameters = _split_query(url)
    names = [parameter.partition("=")[0] for parameter in parameters]
    known = {option.keyword.decode() for option in Conninfo.get_defaults()} | {"ssl"}
    unknown = [name for name in names if name not in known and PARAMETER.fullmatch(name)]
    # Where the rest is not as meant either, what looks like a parameter may be a part of the password.
    if not unknown or SECRETS & {*names} or not _is_parsed_as_meant(where):
        return ""
    advice = "write options=-csearch_path=NAME for a schema" if "schema" in unknown else "leave it out"
    return f", but has the parameter {unknown[0]}, which PostgreSQL's own library does not know: {advice}"


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


class LimitsUrl(SecretStr):
    """`memory://` or the URL of a Redis, which shows itself without its user and password."""

    @property
    def is_redis(self) -> bool:
        """Tell whether it leads to a Redis."""
        return self.get_secret_value() != "memory://"

    def _display(self) -> str:
        scheme, separator, rest = self.get_secret_value().partition("//")
        return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def check_limits_url(url: LimitsUrl) -> LimitsUrl:
    """Return a URL that is `memory://` or leads to a Redis.

    Args:
        url: with a password, with user and password or with neither, and with nothing behind the database's number.

    Raises:
        ValueError: it is another; the message is the rule.
    """
    parts = urlsplit(url.get_secret_value())
    is_known = parts.scheme in ("memory", "redis", "rediss")
    if not is_known and (scheme := SCHEME.match(url.get_secret_value())):
        raise ValueError(f"{LIMITS_URL_RULE}, but begins with {scheme.group()}")
    leads_to_a_redis = parts.scheme.startswith("redis") and parts.hostname and parts.port != 0
    if url.is_redis and not (leads_to_a_redis and REDIS_DATABASE.fullmatch(parts.path)):
        raise ValueError(LIMITS_URL_RULE)
    if parts.query or parts.fragment or (parts.username and not parts.password):
        raise ValueError(LIMITS_URL_RULE)
    return url
