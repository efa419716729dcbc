"""A disk so full that PostgreSQL cannot write its own log: it PANICs, and comes back once there is room again."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from beefirst.embedded_postgres.cluster import MAJOR
from beefirst.embedded_postgres.programs import choose_account
from beefirst.errors import DatabaseUnavailableError, ProcessError
from beefirst.evaluation.experiments.failures.stand import TTL_SECONDS
from beefirst.evaluation.experiments.failures.under_fire import (
    UNAVAILABLE,
    Felt,
    failing,
    is_unavailable,
    judge_fire,
    under_fire,
)
from beefirst.laboratory.load import Load
from beefirst.laboratory.own_server import OwnServer
from beefirst.laboratory.small_disk import SmallDisk
from beefirst.laboratory.testbed import Testbed

DISK_MEGABYTES = 16
SMALL_FILES = "--wal-segsize=1"
"""Of the log: soon a new one is needed."""

FEW_FILES = {"min_wal_size": "2MB", "max_wal_size": "2MB"}
LOG_SOMETHING = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 200000))"
PANIC = "PANIC:  could not write to file"
MOST_RECORDS = 100
"""More than the disk has room for."""


def test_a_service_stands_it_when_postgresql_panics_for_want_of_room() -> None:
    with ExitStack() as parts:
        try:
            disk = parts.enter_context(SmallDisk(DISK_MEGABYTES))
        except ProcessError as error:
            pytest.skip(str(error))
        server = parts.enter_context(OwnServer(None, (SMALL_FILES, f"--waldir={place_on(disk)}"), **FEW_FILES))
        testbed = parts.enter_context(Testbed(2, server.url, ttl_seconds=TTL_SECONDS))

        seen = under_fire(testbed, "No room for the log", filled_until_felt(testbed), no_room_for_the_log(disk, server))
        log = log_of(server)

    assert PANIC in log
    assert "database system was not properly shut down; automatic recovery in progress" in log
    evidence = judge_fire(seen, UNAVAILABLE, is_unavailable)
    assert evidence.holds, evidence.summary


def filled_until_felt(testbed: Testbed) -> Felt:
    """Tell whether the clients have felt it, and until then take the room that a recovery finds in old logs."""

    def felt(load: Load, since: float) -> bool:
        with suppress(psycopg.OperationalError, DatabaseUnavailableError), testbed.database.connect() as connection:
            for _ in range(MOST_RECORDS):
                connection.execute(LOG_SOMETHING)
        return failing(load, since)

    return felt


@contextmanager
def no_room_for_the_log(disk: SmallDisk, server: OwnServer) -> Iterator[None]:
    """Fill the disk; whoever runs the server starts it again where it has ended by itself."""
    with disk.full():
        yield
    if server.process.poll() is not None:
        server.kill()
        server.start()


def place_on(disk: SmallDisk) -> Path:
    """Return an empty folder on the disk that belongs to the account of the server."""
    place = disk.folder / "log"
    place.mkdir(mode=0o700)
    account = choose_account(place)
    if account.user is not None:
        shutil.chown(place, account.user, account.group)
    return place


def log_of(server: OwnServer) -> str:
    """Return what the server tells its operator."""
    return (server.folder / f"postgresql-{MAJOR}.log").read_text(errors="replace")
