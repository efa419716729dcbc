"""What the service reads from its environment, and what it says to values that it cannot take."""

import traceback
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from beefirst.errors import ConfigurationError
from beefirst.machine.folders import CHECKOUT
from beefirst.settings import (
    CLIENT_LIMIT_RULE,
    MAIL_HELO_RULE,
    TRUSTED_PROXIES_RULE,
    DeploymentSettings,
    Settings,
    setting_rules,
)
from beefirst.urls import LIMITS_URL_RULE, DatabaseUrl, LimitsUrl
from tests.conftest import SECRET


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, *DeploymentSettings.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_defaults_are_those_of_the_specification() -> None:
    settings = Settings.load()

    assert settings.database_url.get_secret_value() == "postgresql://beefirst:beefirst@localhost:5432/beefirst"
    assert (settings.ttl_seconds, settings.bcrypt_cost, settings.max_attempts) == (60, 10, 3)
    assert (settings.pool_min_size, settings.pool_max_size, settings.startup_timeout_seconds) == (2, 10, 60)
    assert (settings.log_level, settings.log_format) == ("INFO", "text")


def test_names_in_the_environment_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ttl_seconds", "30")
    monkeypatch.setenv("Log_Level", "debug")

    settings = Settings.load()

    assert (settings.ttl_seconds, settings.log_level) == (30, "DEBUG")


def test_a_dotenv_file_is_read_and_its_foreign_names_are_ignored(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TTL_SECONDS=45\nPOSTGRES_USER=somebody\nAPI_PORT=9000\n")

    settings = Settings.load()

    assert settings.ttl_seconds == 45
    assert DeploymentSettings.load().api_port == 9000


def test_the_environment_wins_over_the_dotenv_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TTL_SECONDS=45\n")
    monkeypatch.setenv("TTL_SECONDS", "30")

    assert Settings.load().ttl_seconds == 30


def test_an_empty_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTL_SECONDS", "")

    assert Settings.load().ttl_seconds == 60


WINDOWS = ["\ufeffTTL_SECONDS=45", "export MAX_ATTEMPTS=5", 'MAIL_FROM="a@example.com"', "LOG_FORMAT='json' # why", ""]


def test_a_dotenv_file_is_read_as_windows_writes_it_and_as_a_shell_sources_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("\r\n".join(WINDOWS).encode())

    settings = Settings.load()

    read = (settings.ttl_seconds, settings.max_attempts, settings.mail_from, settings.log_format)
    assert read == (45, 5, "a@example.com", "json")


def test_a_foreign_name_of_the_dotenv_file_may_be_any(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("npm_config_//registry/:_authToken=abc\nother.log_level=none\nTTL_SECONDS=45\n")

    assert Settings.load().ttl_seconds == 45


UNREADABLE = [
    *("TTL_SECONDS: 45", "$env:TTL_SECONDS='45'", 'TTL_SECONDS="45', "set TTL_SECONDS=45"),
    'MAIL_FROM="a@example.com\nDATABASE_URL=postgresql://u:the-password@h/d\n"',
    'API_NOTE="of somebody else\nDATABASE_URL=postgresql://u:the-password@h/d\n"',
]


@pytest.mark.parametrize("line", UNREADABLE)
def test_a_line_of_the_dotenv_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"API_PORT=9000\n{line}\nDB_PORT=9001\n")

    with pytest.raises(ConfigurationError, match=r"^Line 2 of the file \.env cannot be read: write it as") as refusal:
        Settings.load()

    assert "the-password" not in str(refusal.value)


def test_a_foreign_value_of_the_dotenv_file_may_have_lines(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('KEY="-----BEGIN KEY-----\nttl_seconds in words\n"\nTTL_SECONDS=45\n')

    assert Settings.load().ttl_seconds == 45


@pytest.mark.parametrize("value", ["postgresql://u:the-password@h/d", "a@b\nDATABASE_URL=host=h password=the-password"])
def test_a_value_that_holds_what_belongs_to_another_name_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MAIL_FROM", value)

    with pytest.raises(ConfigurationError, match=r"^MAIL_FROM must be an e-mail .* the value is not shown") as refusal:
        Settings.load()

    assert "the-password" not in str(refusal.value)


@pytest.mark.parametrize("text", [b"A=\xff\n", "A=4".encode("utf-16"), "A=4".encode("utf-16-le")])
def test_a_dotenv_file_that_is_not_text_gets_one_clear_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / ".env").write_bytes(text)

    with pytest.raises(ConfigurationError, match=r"\.env is not UTF-8"):
        Settings.load()


NO_PROXIES = ("*", "proxy.example.com", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1 10.0.0.2", "10.0.0", "10.0.0.1,nginx")

NO_NAMES = (
    "192.0.2.1",
    "[192.0.2]",
    "[2001:db8::1]",
    "[IPv6:fe80::1%eth0]",
    "mail_1.example.com",
    "-mail.example.com",
    "mail..example.com",
    "mail.example.com.",
    "mäil.example.com",
    f"{64 * 'a'}.example.com",
    "mail.example.com x",
)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("TTL_SECONDS", "0", "a whole number from 1 to 3600"),
        ("TTL_SECONDS", "3601", "a whole number from 1 to 3600"),
        ("TTL_SECONDS", "1.5", "a whole number from 1 to 3600"),
        ("BCRYPT_COST", "9", "a whole number from 10 to 16"),
        ("BCRYPT_COST", "17", "a whole number from 10 to 16"),
        ("MAX_ATTEMPTS", "0", "a whole number from 1 to 10"),
        ("MAX_ATTEMPTS", "many", "a whole number from 1 to 10"),
        ("POOL_MIN_SIZE", "0", "a whole number from 1 to 100"),
        ("STARTUP_TIMEOUT_SECONDS", "0", "a number above 0 and up to 3600"),
        ("STARTUP_TIMEOUT_SECONDS", "inf", "a number above 0 and up to 3600"),
        ("MAIL_CONNECTIONS", "0", "a whole number from 1 to 100"),
        *(("MAIL_HELO", name, MAIL_HELO_RULE) for name in NO_NAMES),
        *(("CLIENT_LIMIT", limit, CLIENT_LIMIT_RULE) for limit in ("0", "-1", "1.5", "100001", "none", "120/minute")),
        *(("TRUSTED_PROXIES", proxies, TRUSTED_PROXIES_RULE) for proxies in NO_PROXIES),
        ("LOG_LEVEL", "loud", "one of DEBUG, INFO, WARNING, ERROR"),
        ("LOG_FORMAT", "xml", "one of text, json"),
    ],
)
def test_a_value_outside_its_rule_is_named_with_the_rule_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as refusal:
        Settings.load()

    assert str(refusal.value) == f"{name} must be {rule}, but is '{value}'."


@pytest.mark.parametrize(
    "name", ["mail.example.com", "localhost", "[192.0.2.1]", "[IPv6:2001:db8::1]", "xn--bcher-kva.ch"]
)
def test_a_host_name_or_an_address_in_brackets_is_what_a_mail_server_is_told(name: str) -> None:
    assert Settings.load(mail_helo=name, mail_from="noreply@example.com").helo_name == name


@pytest.mark.parametrize(
    ("sender", "name"),
    [
        ("noreply@example.com", "example.com"),
        ("noreply@[192.0.2.1]", "[192.0.2.1]"),
        ("beefirst@localhost", None),
        ("noreply@mail_1.example.com", None),
    ],
)
def test_left_out_it_is_the_domain_of_the_sender_where_others_may_know_that(sender: str, name: str | None) -> None:
    assert Settings.load(mail_from=sender).helo_name == name


def test_sizes_of_the_pool_that_do_not_fit_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOL_MIN_SIZE", "20")

    with pytest.raises(ConfigurationError, match=r"^POOL_MIN_SIZE must be at most POOL_MAX_SIZE, but is 20 with 10\.$"):
        Settings.load()


def test_every_setting_has_a_rule_in_words() -> None:
    rules = setting_rules(Settings)

    assert set(rules) == {name.upper() for name in Settings.model_fields}
    assert all(rules.values())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://u:{SECRET}@h:1/db", "postgresql://u@h:1/db"),
        (f"postgres://u:{SECRET}@h/db", "postgresql://u@h/db"),
        (
            f"postgresql://u:{SECRET}@h1:1,h2:2/db?target_session_attrs=primary",
            "postgresql://u@h1:1,h2:2/db?target_session_attrs=primary",
        ),
        (f"postgresql:///db?host=/run/pg&user=u&password={SECRET}", "postgresql://u@/db?host=/run/pg"),
        (f"postgresql://u@h/db?sslpassword={SECRET}&sslmode=require", "postgresql://u@h/db?sslmode=require"),
        (f"postgresql://u:{SECRET}%40%2F@[::1]:5/db", "postgresql://u@::1:5/db"),
    ],
)
def test_a_database_url_shows_itself_without_its_password(url: str, shown: str) -> None:
    settings = Settings.load(database_url=url)

    assert str(settings.database_url) == f"{settings.database_url}" == shown
    assert settings.database_url.get_secret_value() == url
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json() + str(settings.model_dump())


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{SECRET}@h/db",
        f"postgresql://u:{SECRET}%zz@h/db",
        f"host=h password={SECRET}",
        SECRET,
        f"postgresql://u:s3/{SECRET}@h:1/db",
        f"postgresql://u:s3@{SECRET}@h:1/db",
        f"postgresql://u:{SECRET}/s3@h:1/db",
        f"postgresql://u:@?sslmode={SECRET}@h:1/db",
        f"postgresql://u:s3@h/db?application_name={SECRET}@h:1/db",
    ],
)
def test_a_database_url_that_cannot_be_read_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL must be a PostgreSQL URL such as ") as refusal:
        Settings.load(database_url=url)

    assert SECRET not in "".join(traceback.format_exception(refusal.value))
    assert SECRET not in repr(DatabaseUrl(url))


@pytest.mark.parametrize(
    ("url", "read"),
    [
        (f" postgresql://u:{SECRET}@h/db\n", f"postgresql://u:{SECRET}@h/db"),
        (f"'postgresql://u:{SECRET}@h/db'", f"postgresql://u:{SECRET}@h/db"),
        (f'"postgresql://u:{SECRET}@h/db"\r\n', f"postgresql://u:{SECRET}@h/db"),
        ("postgresql+psycopg://u@h/db", "postgresql://u@h/db"),
        ("postgresql+psycopg2://u@h/db", "postgresql://u@h/db"),
        ("postgres+asyncpg://u@h/db", "postgres://u@h/db"),
        ("postgresql://u@h/db?options=-csearch_path=app", "postgresql://u@h/db?options=-csearch_path%3Dapp"),
        ("postgresql://u:a?b=c=d@h/db", "postgresql://u:a?b=c=d@h/db"),
    ],
)
def test_a_database_url_is_taken_as_people_have_it(url: str, read: str) -> None:
    assert Settings.load(database_url=url).database_url.get_secret_value() == read


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"postgresql://u:{SECRET}@h/db?schema=public", "has the parameter schema, which"),
        (f"postgresql://u:{SECRET}@h/db?sslmode=require&schema={SECRET}", "for a schema"),
        (f"postgresql://u:{SECRET}@h/db?pgbouncer={SECRET}", "has the parameter pgbouncer, which"),
        (f"mysql://u:{SECRET}@h/db", "begins with mysql://"),
        (f"postgresql:///db?host=h&user=u&password=abc&{SECRET.replace('-', '_')}", "cannot be read as one"),
        (f"postgresql:///db?password=abc&{SECRET.replace('-', '_')}=1", "cannot be read as one"),
        (f"postgresql://u:s3/x?{SECRET}=1@h/db", "cannot be read as one"),
        (f"postgresql://u:s3/x?{SECRET.replace('-', '_')}=1", "cannot be read as one"),
    ],
)
def test_what_is_not_understood_of_a_database_url_is_named_where_it_holds_no_secret(url: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL must be a PostgreSQL URL such as ") as refusal:
        Settings.load(database_url=url)

    assert named in str(refusal.value)
    assert SECRET not in str(refusal.value)
    assert SECRET.replace("-", "_") not in str(refusal.value)


def test_the_settings_class_itself_never_shows_a_refused_password() -> None:
    with pytest.raises(ValueError, match="database_url") as refusal:
        Settings(database_url=DatabaseUrl(f"mysql://u:{SECRET}@h/db"))

    assert SECRET not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize(("value", "limit"), [("off", None), ("OFF", None), ("1", 1), ("100000", 100_000), ("", 120)])
def test_a_client_has_a_limit_or_none(monkeypatch: pytest.MonkeyPatch, value: str, limit: int | None) -> None:
    monkeypatch.setenv("CLIENT_LIMIT", value)

    assert Settings.load().client_limit == limit


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("10.0.0.1", ["10.0.0.1/32"]),
        ("10.0.0.0/8, 2001:db8::1,::1", ["10.0.0.0/8", "2001:db8::1/128", "::1/128"]),
        ("", []),
    ],
)
def test_trusted_proxies_are_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, value: str, networks: list[str]
) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", value)

    assert Settings.load().trusted_proxies == tuple(map(ip_network, networks))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "memory://"),
        ("redis://h", "redis://h"),
        (f"redis://:{SECRET}@h:1/2", "redis://h:1/2"),
        (f"rediss://u:{SECRET}@h", "rediss://h"),
        (f"redis://:{SECRET}%40%2F@[::1]:5/0", "redis://[::1]:5/0"),
    ],
)
def test_a_url_for_limits_shows_itself_without_its_password(url: str, shown: str) -> None:
    settings = Settings.load(limits_url=url)

    assert str(settings.limits_url) == shown
    assert settings.limits_url.get_secret_value() == url
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json() + str(settings.model_dump())


@pytest.mark.parametrize(
    "url",
    [
        "memory://h",
        "memory:",
        SECRET,
        f"redis://:{SECRET}",
        f"redis://u:{SECRET}/x@h",
        f"redis://:1/{SECRET}@h:2/0",
        f"redis://u:1#{SECRET}@h",
        f"redis://h:1/0?password={SECRET}",
        f"redis://:{SECRET}@h:0/0",
        f"redis://:{SECRET}@h:99999/0",
        f"redis://:{SECRET}@h/name",
        "redis://u@h",
        "redis:///0",
    ],
)
def test_a_url_for_limits_that_cannot_be_read_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Settings.load(limits_url=url)

    said = "cannot be read as one (is the password percent-encoded? The value is not shown)"
    assert str(refusal.value) == f"LIMITS_URL must be {LIMITS_URL_RULE}, but {said}."
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_a_url_for_limits_of_something_else_is_refused_by_how_it_begins() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Settings.load(limits_url=f"memcached://:{SECRET}@h")

    assert str(refusal.value) == f"LIMITS_URL must be {LIMITS_URL_RULE}, but begins with memcached://."
    assert SECRET not in repr(LimitsUrl(f"memcached://:{SECRET}@h"))


def test_the_compose_file_passes_every_setting_through_and_repeats_no_default() -> None:
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    given = services["api"]["environment"]

    assert {name.upper() for name in Settings.model_fields} - {"DATABASE_URL"} <= set(given)


@pytest.mark.parametrize("name", ["MAIL_URL", "LIMITS_URL"])
def test_what_a_library_quotes_of_a_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"{'smtp' if name == 'MAIL_URL' else 'redis'}://user:{SECRET}, but /@host:1")

    with pytest.raises(ConfigurationError, match=f"^{name} must be .* The value is not shown") as refusal:
        Settings.load()

    assert SECRET not in str(refusal.value)
