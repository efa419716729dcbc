"""Servers, disks and clocks of one's own: they are harmed as it is said, and nothing is left of them."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from beefirst.errors import EmbeddedServerError, ProcessError
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.false_clock import clock_wrong_by
from beefirst.laboratory.mailbox import Mailbox
from beefirst.laboratory.own_server import OwnServer, Standby
from beefirst.laboratory.scratch_database import connect
from beefirst.laboratory.small_disk import SmallDisk

HOUR = 3600


def may_mount() -> bool:
    try:
        SmallDisk(1).close()
    except ProcessError:
        return False
    return True


def has_faketime() -> bool:
    try:
        return bool(clock_wrong_by(HOUR))
    except ProcessError:
        return False


needs_mount = pytest.mark.skipif(not may_mount(), reason="needs the right to mount: run as root")
needs_faketime = pytest.mark.skipif(not has_faketime(), reason="needs libfaketime: apt install faketime")


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with OwnServer() as running:
        yield running


def test_a_server_that_was_killed_starts_again_where_it_was_with_what_it_had(server: OwnServer) -> None:
    with connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")

    server.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url)
    with pytest.raises(EmbeddedServerError, match="start it again"):
        assert server.process
    server.start()

    with connect(server.url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


def test_a_silent_server_answers_nothing_and_then_goes_on(server: OwnServer) -> None:
    with connect(server.url) as connection:
        with server.silence(), pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(server.url, connect_timeout=2)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_standby_has_what_was_acknowledged_and_takes_over() -> None:
    with OwnServer() as primary, Standby(primary) as standby:
        with connect(primary.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        primary.kill()
        with connect(standby.url) as reader, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("DELETE FROM kept")
        standby.promote()

        with psycopg.connect(f"{primary.url_with(standby)}?target_session_attrs=read-write") as connection:
            assert connection.execute("UPDATE kept SET one = 2 RETURNING one").fetchall() == [(2,)]


def test_nothing_is_left_of_a_server_of_ones_own() -> None:
    with OwnServer() as server:
        process, folder = server.process, Path(server.folder)
        server.kill()
        server.start()
        again = server.process

    assert process.poll() is not None
    assert again.poll() is not None
    assert not folder.exists()


@needs_mount
def test_a_disk_is_full_to_the_last_byte_and_nothing_of_it_is_on_the_machine() -> None:
    with SmallDisk(2) as disk:
        (disk.folder / "written").write_bytes(bytes(1000))
        with disk.full():
            free = shutil.disk_usage(disk.folder).free
            with pytest.raises(OSError, match="No space left"):
                (disk.folder / "more").write_bytes(bytes(5000))
        (disk.folder / "more").write_bytes(bytes(5000))
        place = Path(str(disk.folder).partition("/root")[2])
        outside = list(place.iterdir())

    assert free == 0
    assert outside == []
    assert not disk.folder.exists()


@needs_faketime
@pytest.mark.parametrize("wrong", [HOUR, -HOUR])
def test_a_program_is_told_a_wrong_time_and_measures_as_ever(wrong: int) -> None:
    # libfaketime fails a sleep of Python's that ends at a time of the monotonic clock.
    asks = "import time; at = time.time(); print(at, time.monotonic())"
    said = subprocess.check_output([sys.executable, "-c", asks], env=clean_environment() | clock_wrong_by(wrong))
    told, passed = map(float, said.split())

    assert abs(told - wrong - time.time()) < HOUR / 2
    assert 0 <= time.monotonic() - passed < HOUR / 2


def test_a_mail_server_that_was_away_is_back_on_its_port() -> None:
    with Mailbox() as mailbox:
        with mailbox.away(), pytest.raises(OSError, match="refused"):
            _greet(mailbox)
        assert _greet(mailbox).startswith(b"220 ")


def _greet(mailbox: Mailbox) -> bytes:
    port = int(mailbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        return line.recv(100)
