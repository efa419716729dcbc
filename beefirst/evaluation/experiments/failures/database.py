"""The database dies, hangs, is crowded out or runs out of disk, and comes back."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg

from beefirst.database.pool import APPLICATION_NAME
from beefirst.errors import EmbeddedServerError, ProcessError
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.failures.stand import TTL_SECONDS, Stand
from beefirst.evaluation.experiments.failures.under_fire import (
    UNAVAILABLE,
    amid,
    failing,
    is_unavailable,
    judge_fire,
    under_fire,
)
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.load import Load
from beefirst.laboratory.own_server import OwnServer
from beefirst.laboratory.small_disk import SmallDisk
from beefirst.laboratory.testbed import Testbed

END_SESSIONS = """
    SELECT count(pg_terminate_backend(pid))
      FROM pg_stat_activity
     WHERE application_name = %(name)s
       AND datname = current_database()
"""

DISK_MEGABYTES = 256
ONE_LOG_FILE = ("--wal-segsize=64",)
"""All that is logged fits into the first file of the log, which is there from the start: data find no place."""


def _judge_killed(**seen: Any) -> Evidence:
    return judge_fire(seen, UNAVAILABLE, is_unavailable, drawn=True)


@experiment(_judge_killed)
def killed(stand: Stand) -> Observed:
    """Kill PostgreSQL with SIGKILL under load, and start it again once that was felt."""
    return stand.missing or under_fire(stand.testbed, "PostgreSQL killed", failing, _dead(stand.server))


@contextmanager
def _dead(server: OwnServer) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


def _judge_silent(**seen: Any) -> Evidence:
    return judge_fire(seen, UNAVAILABLE, is_unavailable)


@experiment(_judge_silent)
def silent(stand: Stand, seconds: float = 0) -> Observed:
    """Stop every process of PostgreSQL where it stands, as in a machine that hangs, and let them go on.

    Args:
        stand: of the service.
        seconds: how long it is silent at least; until that was felt where left out.
    """
    if stand.missing:
        return stand.missing

    def felt(load: Load, since: float) -> bool:
        return load.second - since >= seconds and failing(load, since)

    return under_fire(stand.testbed, "PostgreSQL silent", felt, stand.server.silence())


SESSIONS = 12
"""So many that every connection of every replica is ended again and again."""


def _judge_sessions_ended(**seen: Any) -> Evidence:
    felt = f"sessions ended, {SESSIONS} at least, until a call was answered 503"
    return judge_fire(seen, felt, lambda history: sum(seen["ended_sessions"]) >= SESSIONS and amid(history, 503) > 0)


@experiment(_judge_sessions_ended)
def sessions_ended(testbed: Testbed) -> Observed:
    """End every session of the service in PostgreSQL, and those in their places, until some call has felt it."""
    sessions = list[int]()

    def end_them(load: Load, since: float) -> bool:
        sessions.append(_end_sessions(testbed))
        return sum(sessions) >= SESSIONS and load.count(500, 503, since=since) > 0

    return under_fire(testbed, "Every session ended", end_them, ended_sessions=sessions)


def _end_sessions(testbed: Testbed) -> int:
    with testbed.database.connect() as connection:
        (count,) = connection.execute(END_SESSIONS, {"name": APPLICATION_NAME}).fetchone() or (0,)
    return int(count)


def _judge_crowded_out(**seen: Any) -> Evidence:
    return judge_fire(seen, UNAVAILABLE, is_unavailable)


@experiment(_judge_crowded_out)
def crowded_out(stand: Stand) -> Observed:
    """Let others take every connection that PostgreSQL has, the service's as well, and leave once that was felt."""
    return stand.missing or under_fire(stand.testbed, "Every connection taken", failing, _crowd(stand.testbed))


@contextmanager
def _crowd(testbed: Testbed) -> Iterator[None]:
    with ExitStack() as others:
        first = others.enter_context(testbed.database.connect())
        rounds_without = 0
        while rounds_without < 3:
            _take_all(others, testbed.database.url)
            has_none = first.execute(END_SESSIONS, {"name": APPLICATION_NAME}).fetchone() == (0,)
            rounds_without = rounds_without + 1 if has_none else 0
            time.sleep(0.1)  # a session that is just beginning has its place, and is not seen yet
        yield


def _take_all(others: ExitStack, url: str) -> None:
    while True:
        try:
            others.enter_context(psycopg.connect(url, autocommit=True))
        except psycopg.OperationalError:  # too many clients already
            return


USE_UP = """
    INSERT INTO registrations (email, password_hash, verification_code)
    VALUES (gen_random_uuid() || '@example.net', repeat('x', 60), '0000')
"""
"""Run until there is no place, it takes what is left in the last page of the table."""


def _judge_disk_full(**seen: Any) -> Evidence:
    return judge_fire(seen, UNAVAILABLE, is_unavailable)


@experiment(_judge_disk_full)
def disk_full(**settings: Any) -> Observed:
    """Let the disk of PostgreSQL be full until that was felt.

    Args:
        settings: of the service.
    """
    with ExitStack() as parts:
        try:
            disk = parts.enter_context(SmallDisk(DISK_MEGABYTES))
            server = parts.enter_context(OwnServer(disk.folder, ONE_LOG_FILE))
        except (EmbeddedServerError, ProcessError) as error:
            return {"missing": str(error)}
        testbed = parts.enter_context(Testbed(1, server.url, **{"ttl_seconds": TTL_SECONDS, **settings}))
        return under_fire(testbed, "The disk full", failing, _full(disk, testbed))


@contextmanager
def _full(disk: SmallDisk, testbed: Testbed) -> Iterator[None]:
    with disk.full():
        with testbed.database.connect() as connection, suppress(psycopg.errors.DiskFull):
            while True:
                connection.execute(USE_UP)
        yield
