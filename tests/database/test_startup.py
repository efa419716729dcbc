"""Getting to a database: what is waited for in vain, and what no waiting cures."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import AsyncConnection

from beefirst.database import startup
from beefirst.database.startup import MINIMUM_SERVER_VERSION, prepare_database, use_database
from beefirst.errors import BeefirstError, DatabaseRefusedError, DatabaseUnavailableError
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.settings import Settings
from tests.conftest import SECRET, change_url
from tests.support.databases import SHIPPED


def refuse(url: str, kind: type[BeefirstError] = DatabaseRefusedError, seconds: float = 10) -> str:
    """Prepare a database that must be refused, and return the one line that says why."""
    settings = Settings.load(database_url=url, startup_timeout_seconds=seconds)
    with pytest.raises(kind) as refusal:
        asyncio.run(prepare_database(settings, SHIPPED, StartupTimeline()))

    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_connecting_and_migrating_are_phases_of_the_start(database: ScratchDatabase) -> None:
    timeline = StartupTimeline()

    history = asyncio.run(prepare_database(Settings.load(database_url=database.url), SHIPPED, timeline))

    assert [phase.name for phase in timeline.phases] == ["connect", "migrate"]
    assert [row.name for row in history] == [file.name for file in SHIPPED]


def test_a_database_that_never_starts_is_given_up_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    address = f"127.0.0.1:{free_port()}/beefirst"
    caplog.set_level("INFO", "beefirst.database")
    began = time.monotonic()

    line = refuse(f"postgresql://beefirst:{SECRET}@{address}", DatabaseUnavailableError, seconds=1)

    assert time.monotonic() - began > 0.4, "it was not waited for; the last pause alone is half a second"
    assert line == (
        f"The database postgresql://beefirst@{address} was not to be had within 1 s (Connection refused): "
        "start it, or set DATABASE_URL."
    )
    assert caplog.messages == [
        f"waiting for the database postgresql://beefirst@{address}, 1 s at most (Connection refused)"
    ]


async def divide(connection: AsyncConnection[Any], _: float) -> None:
    await connection.execute("SELECT 1 / 0")


async def misuse(_connection: AsyncConnection[Any], _: float) -> None:
    raise psycopg.ProgrammingError("no option of that name")


@pytest.mark.parametrize(
    ("action", "reason"),
    [(divide, "division by zero"), (misuse, "a parameter of the URL is not what PostgreSQL takes")],
)
def test_what_the_database_takes_offence_at_stops_the_start_with_its_reason(
    database: ScratchDatabase, action: Any, reason: str
) -> None:
    settings = Settings.load(database_url=database.url)

    with pytest.raises(DatabaseRefusedError) as refusal:
        asyncio.run(use_database(settings, action))

    assert str(refusal.value) == (
        f"The database {settings.database_url} refused: {reason}. Let its owner mend it, or set DATABASE_URL."
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": SECRET}, "password authentication failed for user"),
        ({"user": "nobody_here"}, "password authentication failed for user"),
        ({"name": "no_such_database"}, 'database "no_such_database" does not exist'),
    ],
)
def test_what_waiting_cannot_cure_stops_the_start_at_once(
    database: ScratchDatabase, change: dict[str, str], reason: str
) -> None:
    line = refuse(change_url(database.url, **change))

    assert reason in line
    assert line.endswith("Set DATABASE_URL to what it accepts.")
    assert SECRET not in line


def test_of_several_hosts_one_that_refuses_is_waited_for_since_another_may_take_over(database: ScratchDatabase) -> None:
    parts = urlsplit(change_url(database.url, password=SECRET))
    twice = parts.netloc + "," + parts.netloc.rpartition("@")[2]

    line = refuse(parts._replace(netloc=twice).geturl(), DatabaseUnavailableError, seconds=1)

    assert "within 1 s (FATAL:  password authentication failed for user" in line
    assert SECRET not in line


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("channel_binding=require", "channel binding required, but SSL not in use"),
        ("sslmode=bogus", 'invalid sslmode value: "bogus"'),
        ("require_auth=md5", 'authentication method requirement "md5" failed'),
        ("keepalives_idle=long", 'invalid integer value "long" for connection option "keepalives_idle"'),
        ("options=-cno_such_setting=1", 'unrecognized configuration parameter "no_such_setting"'),
    ],
)
def test_a_parameter_that_no_waiting_heals_stops_the_start_at_once(
    database: ScratchDatabase, parameter: str, reason: str
) -> None:
    line = refuse(f"{database.url}?{parameter}")

    assert f" refused: {reason}" in line
    assert line.endswith("Set DATABASE_URL to what it accepts.")


def test_in_a_container_a_refused_password_names_both_ways_out(
    database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEEFIRST_CONTAINER", "1")
    url = change_url(database.url, password=SECRET)

    elsewhere = refuse(url)
    monkeypatch.setattr(startup, "COMPOSED_HOST", urlsplit(url).hostname)
    line = refuse(url)

    assert elsewhere.endswith("Set DATABASE_URL to what it accepts.")
    assert "password authentication failed" in line
    assert "set that one in DATABASE_URL in docker-compose.yml" in line
    assert "`docker compose down -v`" in line


def test_a_role_without_the_right_to_create_stops_the_start_at_once(database: ScratchDatabase, role: str) -> None:
    line = refuse(change_url(database.url, user=role, password=SECRET))

    assert f"GRANT CREATE ON SCHEMA public TO {role}" in line


@pytest.fixture
def old_server() -> Iterator[str]:
    """Speaks just enough of PostgreSQL's protocol to let a client in and to say that it is version 13."""

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(8)  # asks for encryption
                client.sendall(b"N")
                client.recv(1024)  # asks to be let in
                version = b"server_version\0" + b"13.23\0"
                client.sendall(b"R\0\0\0\x08\0\0\0\0" + b"S" + (4 + len(version)).to_bytes(4, "big") + version)
                client.sendall(b"K\0\0\0\x0c\0\0\0\x01\0\0\0\x01" + b"Z\0\0\0\x05I")
                client.recv(1024)  # until the client leaves

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"postgresql://beefirst:{SECRET}@127.0.0.1:{listener.getsockname()[1]}/beefirst"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_is_too_old_stops_the_start_at_once(old_server: str) -> None:
    line = refuse(old_server)

    needed = MINIMUM_SERVER_VERSION // 10000
    assert f"The database runs PostgreSQL 13, and beefirst needs {needed} or newer" in line
