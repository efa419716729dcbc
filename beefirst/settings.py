"""Every setting of beefirst: its default, its rule, and the one line that says how a value breaks the rule."""

import re
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from beefirst.dotenv_file import DOTENV, NOT_TEXT, refuse_unreadable_lines
from beefirst.errors import ConfigurationError
from beefirst.machine.ports import local_name
from beefirst.networks import Network, read_networks
from beefirst.urls import (
    DATABASE_URL_RULE,
    LIMITS_URL_RULE,
    MAIL_URL_RULE,
    DatabaseUrl,
    LimitsUrl,
    MailUrl,
    check_database_url,
    check_limits_url,
    check_mail_url,
)

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat = Literal["text", "json"]

LOOPBACK = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "::1": "::1"}  # noqa: S104
"""The address at which this machine itself reaches what listens on another."""

DEFAULT_DATABASE_URL = "postgresql://beefirst:beefirst@localhost:5432/beefirst"
MAIL_FROM_RULE = "an e-mail address such as noreply@example.com"
CLIENT_LIMIT_RULE = "a whole number from 1 to 100000, or off"
TRUSTED_PROXIES_RULE = "addresses or networks with commas between them, such as 10.0.0.0/8,2001:db8::1"
MAIL_HELO_RULE = "a host name such as mail.example.com, or an address in brackets such as [192.0.2.1]"

HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-)(?![0-9]+\Z)[a-z0-9-]{1,63}(?<!-)\Z", re.I)
"""RFC 1123, 2.1: what ends in a number is an address that lacks its brackets."""

NOT_ITS_OWN = re.compile(r"[\r\n]|://")
"""Tells a value that took in a neighbour's, and perhaps its password: a quote left open, a URL under another's name."""


def _is_sender(address: str) -> str:
    # Not registration's rule for an address: a sender need not be reachable, and by default is not.
    try:
        sender = Address(addr_spec=address)
    except (HeaderParseError, ValueError, IndexError):
        raise ValueError(MAIL_FROM_RULE) from None
    if not (sender.username and sender.domain and re.fullmatch("[!-~]+", address)):
        raise ValueError(MAIL_FROM_RULE)
    return address


def _is_helo(name: str) -> str:
    if not (HOST_NAME.match(name) or _is_address_literal(name)):
        raise ValueError(MAIL_HELO_RULE)
    return name


def _is_address_literal(name: str) -> bool:
    """Tell whether a name is an address as RFC 5321, 4.1.3, writes it: [192.0.2.1], or [IPv6:2001:db8::1]."""
    if not (name.startswith("[") and name.endswith("]")):
        return False
    address, prefix = name[1:-1], "ipv6:"
    try:
        if address.lower().startswith(prefix):
            return IPv6Address(address[len(prefix) :]).scope_id is None
        return bool(IPv4Address(address))
    except ValueError:
        return False


def _in_any_case(*choices: str) -> BeforeValidator:
    """Return what takes a choice however it is spelled; anything else stays as it is, for the message to quote."""
    spelled = {choice.lower(): choice for choice in choices}
    return BeforeValidator(lambda value: spelled.get(value.lower(), value) if isinstance(value, str) else value)


_off_as_none = BeforeValidator(lambda value: None if isinstance(value, str) and value.lower() == "off" else value)
_networks = BeforeValidator(lambda value: read_networks(value) if isinstance(value, str) else value)


class _Environment(BaseSettings):
    """Reads the environment and `.env`; the environment wins, and foreign names in `.env` are ignored."""

    model_config = SettingsConfigDict(
        env_file=DOTENV,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the settings, with `values` in the place of whatever the environment says of them.

        Raises:
            ConfigurationError: a value breaks its rule; the message names the setting, the rule and the value. Or
                `.env` cannot be read.
        """
        try:
            refuse_unreadable_lines(cls.model_fields.keys())
            return cls(**values)
        except ValidationError as error:
            raise ConfigurationError(_one_line(cls, error)) from None
        except UnicodeDecodeError:
            raise ConfigurationError(NOT_TEXT) from None
        except OSError as error:
            raise ConfigurationError(
                f"The file .env cannot be read ({error.strerror}): allow it, or remove it."
            ) from None


class Settings(_Environment):
    """What the API reads at its start."""

    database_url: Annotated[DatabaseUrl, AfterValidator(check_database_url)] = Field(
        DatabaseUrl(DEFAULT_DATABASE_URL), description=DATABASE_URL_RULE
    )
    ttl_seconds: int = Field(60, ge=1, le=3600)
    bcrypt_cost: int = Field(10, ge=10, le=16)
    max_attempts: int = Field(3, ge=1, le=10)
    pool_min_size: int = Field(2, ge=1, le=100)
    pool_max_size: int = Field(10, ge=1, le=100)
    startup_timeout_seconds: float = Field(60, gt=0, le=3600, allow_inf_nan=False)
    sweep_interval_seconds: float = Field(1, gt=0, le=3600, allow_inf_nan=False)
    mail_url: Annotated[MailUrl, AfterValidator(check_mail_url)] = Field(MailUrl("console:"), description=MAIL_URL_RULE)
    mail_from: Annotated[str, AfterValidator(_is_sender)] = Field("beefirst@localhost", description=MAIL_FROM_RULE)
    mail_helo: Annotated[str, AfterValidator(_is_helo)] | None = Field(None, description=MAIL_HELO_RULE)
    mail_connections: int = Field(3, ge=1, le=100)
    client_limit: Annotated[int | None, _off_as_none] = Field(120, ge=1, le=100_000, description=CLIENT_LIMIT_RULE)
    limits_url: Annotated[LimitsUrl, AfterValidator(check_limits_url)] = Field(
        LimitsUrl("memory://"), description=LIMITS_URL_RULE
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, _networks] = Field((), description=TRUSTED_PROXIES_RULE)
    log_level: Annotated[LogLevel, _in_any_case(*get_args(LogLevel))] = "INFO"
    log_format: Annotated[LogFormat, _in_any_case(*get_args(LogFormat))] = "text"

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.pool_min_size > self.pool_max_size:
            raise ValueError(
                f"POOL_MIN_SIZE must be at most POOL_MAX_SIZE, but is {self.pool_min_size} with {self.pool_max_size}."
            )
        return self

    @property
    def helo_name(self) -> str | None:
        """What the service calls itself to a mail server; None for this host's full name.

        That is MAIL_HELO, or the domain of MAIL_FROM. One without a dot, as of `beefirst@localhost`, is none by which
        anybody else knows this host, and servers refuse it.
        """
        domain = self.mail_from.rpartition("@")[2]
        usable = _is_address_literal(domain) or ("." in domain and HOST_NAME.match(domain))
        return self.mail_helo or (domain if usable else None)


class DeploymentSettings(_Environment):
    """Where the three programs of an evaluation listen, with Docker and without."""

    bind_address: str = "127.0.0.1"
    db_port: int = Field(5432, ge=1, le=65535)
    api_port: int = Field(8000, ge=1, le=65535)
    notebook_port: int = Field(8888, ge=1, le=65535)
    jupyter_token: SecretStr = SecretStr("")
    jupyter_hostnames: str = ""
    beefirst_container: bool = False

    def listen(self, port: int, in_container: int) -> tuple[str, int]:
        """Return the host and port that a server binds.

        Args:
            port: the port at which a browser reaches the server.
            in_container: the port inside a container, whose engine publishes it as BIND_ADDRESS and `port`.
        """
        return ("0.0.0.0", in_container) if self.beefirst_container else (self.bind_address, port)  # noqa: S104

    def browser_url(self, port: int) -> str:
        """Return the address at which a browser on this machine reaches a server on `port`."""
        # The `localhost` of a container is not that of the machine on which the browser runs.
        if loopback := LOOPBACK.get(self.bind_address):
            return f"http://{'localhost' if self.beefirst_container else local_name(loopback)}:{port}"
        host = f"[{self.bind_address}]" if ":" in self.bind_address else self.bind_address
        return f"http://{host}:{port}"


def setting_rules(settings: type[BaseSettings]) -> Mapping[str, str]:
    """Return the rule of each setting in words, by the name that the environment uses."""
    return {name.upper(): _rule(field) for name, field in settings.model_fields.items()}


def _rule(field: FieldInfo) -> str:
    if field.description:
        return field.description
    limits = {key: getattr(item, key) for item in field.metadata for key in ("ge", "gt", "le") if hasattr(item, key)}
    if limits:
        kind = "a whole number" if field.annotation is int else "a number"
        low = f"from {limits['ge']}" if "ge" in limits else f"above {limits['gt']}"
        return f"{kind} {low} {'to' if 'ge' in limits else 'and up to'} {limits['le']}"
    choices = getattr(field.annotation, "__args__", ())
    return "one of " + ", ".join(choices) if choices else "text"


def _one_line(settings: type[BaseSettings], error: ValidationError) -> str:
    return " ".join(_complaint(settings, problem) for problem in error.errors(include_url=False, include_context=False))


def _complaint(settings: type[BaseSettings], problem: Mapping[str, Any]) -> str:
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    name = str(problem["loc"][0])
    rule, said = _rule(settings.model_fields[name]), str(problem["msg"]).removeprefix("Value error, ")
    secret = settings.model_fields[name].annotation in (DatabaseUrl, LimitsUrl, MailUrl, SecretStr)
    if secret and said.startswith(f"{rule}, but "):  # by a rule of ours, and not by a library that quotes a part
        return f"{name.upper()} must be {said}."
    value = problem["input"]
    if secret:
        found = "cannot be read as one (is the password percent-encoded? The value is not shown)"
    elif isinstance(value, str) and NOT_ITS_OWN.search(value):
        found = "holds more than that (a line break or a URL; the value is not shown)"
    else:
        found = f"is {value!r}"
    return f"{name.upper()} must be {rule}, but {found}."
