"""Any text in the place of a setting, a line of `.env`, a migration's file name, and X-Forwarded-For."""

import ipaddress
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from beefirst.api.client_address import NOBODY, find_client
from beefirst.database.migration_files import Migration, read_migrations
from beefirst.errors import BeefirstError, ConfigurationError, MigrationError
from beefirst.networks import read_networks
from beefirst.settings import DeploymentSettings, Settings
from tests.conftest import SECRET
from tests.support.fuzzing import Fuzzer

NAUGHTY = "@ : / ? # % %zz %2F & = [ ] , ' \" \\ :// ,but ?sslmode= &host= @h/db?application_name= ;options=-c \u00fc 1"
PARTS = ["", " ", "\n", "\t", ", but ", *NAUGHTY.split()]
"""What a password may hold, and what means something else where a URL takes it for its own."""

NUMBERS = "1 0 -1 1e3 1_0 \u0661\u0662 0x10 inf nan off none null true [ {} 00001 +7 1.0"
NAMES = "debug JSON localhost console: memory:// redis://h smtp://h ::1/64 10.0.0.0/8 a@b a@[::1] [IPv6:::1] xn--a"
WORDS = [" ", ",", "\n", "9" * 5000, *NUMBERS.split(), *NAMES.split()]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*Settings.model_fields, *DeploymentSettings.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)


def is_one_clear_line(refusal: BeefirstError, *names: str) -> bool:
    """Tell whether a refusal can be printed as one line and names what it is about."""
    message = str(refusal)
    return message.isprintable() and message.endswith(".") and all(name in message for name in names)


def load(kind: type[Settings | DeploymentSettings]) -> tuple[str, ConfigurationError | None]:
    """Return all that the settings show of themselves, or their refusal."""
    try:
        settings = kind.load()
    except ConfigurationError as refusal:
        return str(refusal), refusal
    return f"{settings!r} {settings} {settings.model_dump()}", None


plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
named = st.sampled_from([(kind, name.upper()) for kind in (Settings, DeploymentSettings) for name in kind.model_fields])


def test_any_text_is_a_settings_value_or_refused_in_one_line_that_names_it(fuzz: Fuzzer) -> None:
    def is_valid_or_refused(place: tuple[Any, str], text: str) -> None:
        kind, name = place
        with mock.patch.dict(os.environ, {name: text}):
            _, refusal = load(kind)

        assert not refusal or is_one_clear_line(refusal, name), str(refusal)

    fuzz.run(is_valid_or_refused, named, plain | st.lists(st.sampled_from(WORDS), max_size=3).map("".join))


parts = st.lists(st.sampled_from(PARTS), max_size=3).map("".join)
secrets = st.builds("{}{}{}".format, parts, st.just(SECRET), parts)
URLS = {
    "DATABASE_URL": ["postgresql://user:{}@host:1/db", "postgresql://user@host/db?password={}", "postgres://:{}@/db"],
    "MAIL_URL": ["smtp://user:{}@host:587", "smtps://user:{}@host"],
    "LIMITS_URL": ["redis://:{}@host:6379/0", "rediss://user:{}@host"],
}
templates = st.sampled_from([(name, template) for name, some in URLS.items() for template in some])


def test_a_password_in_a_url_is_never_shown_whatever_it_holds(fuzz: Fuzzer) -> None:
    def is_kept(place: tuple[str, str], password: str) -> None:
        name, template = place
        assume("?" not in template or "&" not in password)  # there it begins another parameter, whoever reads it
        with mock.patch.dict(os.environ, {name: template.format(password)}):
            shown, refusal = load(Settings)

        assert not refusal or is_one_clear_line(refusal, name), str(refusal)
        assert SECRET not in shown

    fuzz.run(is_kept, templates, secrets)


LINES = [
    *("TTL_SECONDS=45", "TTL_SECONDS=", "TTL_SECONDS='4\n5'", "export LOG_LEVEL='debug'", 'MAIL_FROM="a@b', "# note"),
    *(f"DATABASE_URL=postgresql://u:{SECRET}@h/db", f"MAIL_URL: smtp://u:{SECRET}@h", f"JUPYTER_TOKEN={SECRET}"),
    f'"{SECRET}',
]
texts = st.lists(st.sampled_from(LINES) | plain).map("\n".join)
dotenvs = texts.map(str.encode) | st.binary(max_size=60)


def test_any_dotenv_file_is_read_or_refused_in_one_line_that_shows_no_secret(tmp_path: Path, fuzz: Fuzzer) -> None:
    def is_read_or_refused(content: bytes) -> None:
        (tmp_path / ".env").write_bytes(content)
        for shown, refusal in (load(Settings), load(DeploymentSettings)):
            assert not refusal or is_one_clear_line(refusal), str(refusal)
            assert SECRET not in shown

    fuzz.run(is_read_or_refused, dotenvs)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="beefirst-fuzz-") as name:
        yield Path(name)


FILES = "001_a.sql 002_b.sql 1_a.sql 001_A.sql 001-a.sql 001_a.SQL 001_a.sql~ .hidden 010_x.sql"
ODD_FILES = [b"001_a.sql\n", b"001_\xff.sql", b"001_\x1b[1m.sql", "\u0660\u0660\u0661_a.sql".encode()]
names = st.sampled_from([*ODD_FILES, *FILES.encode().split()]) | st.binary(min_size=1, max_size=20)
files = names.filter(lambda name: name not in (b".", b"..") and not set(name) & set(b"/\0"))
folders = st.dictionaries(files, st.binary(max_size=9), max_size=4)


def read(folder: Path) -> tuple[list[Migration], MigrationError | None]:
    try:
        return read_migrations(folder), None
    except MigrationError as refusal:
        return [], refusal


def test_migration_files_of_any_name_are_numbered_from_one_or_refused_in_one_line(folder: Path, fuzz: Fuzzer) -> None:
    def is_read_or_refused(content: dict[bytes, bytes]) -> None:
        for path in folder.iterdir():
            path.unlink()
        for name, text in content.items():
            (folder / os.fsdecode(name)).write_bytes(text)
        migrations, refusal = read(folder)

        assert not refusal or is_one_clear_line(refusal), str(refusal)
        assert [f"{migration.version:03}" for migration in migrations] == [some.name[:3] for some in migrations]
        assert [migration.version for migration in migrations] == list(range(1, len(migrations) + 1))

    fuzz.run(is_read_or_refused, folders)


TRUSTED = read_networks("10.0.0.0/8, fd00::/8")
entries = st.ip_addresses().map(str) | st.sampled_from(
    ["10.1.1.1", "fd00::1", "192.0.2.7:80", "[2001:db8::1]:9", "::ffff:10.0.0.1"]
)
claims = st.lists(entries | st.text("1.:[]%, a\u00fc", max_size=12), max_size=5).map(", ".join)
lines = st.lists(claims.map(lambda some: some.encode("latin-1")) | st.binary(max_size=20), max_size=3)
peers = st.sampled_from(["10.0.0.1", "192.0.2.1", "fd00::2", "2001:db8::2"])


def find(peer: str, forwarded: list[bytes]) -> str:
    scope = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", line) for line in forwarded]}
    return find_client(scope, TRUSTED)


def test_any_x_forwarded_for_leads_to_an_address_which_a_client_cannot_choose(fuzz: Fuzzer) -> None:
    def leads_to_an_address(peer: str, forwarded: list[bytes]) -> None:
        found = find(peer, forwarded)

        assert found != NOBODY
        ipaddress.ip_network(found)
        if peer in ("192.0.2.1", "2001:db8::2"):
            assert found == find(peer, [])
        # The proxy adds whom it saw: nothing that the client has sent before changes that.
        assert find("10.0.0.1", [*forwarded, b"192.0.2.9"]) == "192.0.2.9"

    fuzz.run(leads_to_an_address, peers, lines)
