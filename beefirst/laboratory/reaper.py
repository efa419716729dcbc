"""The process that clears away what a notebook leaves when it is killed: python -m beefirst.laboratory.reaper.

Each notebook that makes something starts one, registers with it over its standard input what was made, and releases
what is gone again. The input ends when the notebook's process does, however that ends; the reaper then clears away the
rest, and ends. Until then it waits, having imported next to nothing.
"""

import json
import select
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from os import close
from typing import LiteralString

if sys.platform == "linux":
    from os import pidfd_open
    from signal import pidfd_send_signal

LIMIT_SECONDS = 60
"""Whatever hangs, the reaper is gone by then."""

STEPS = ((signal.SIGINT, 3), (signal.SIGQUIT, 3), (signal.SIGKILL, 3))
"""How a process is ended that did not end with its parent, and the seconds that it has for it: one that is stopped."""

FOLDER_SECONDS = 10
"""How long an ending server may still write into its folder."""

# CREATE DATABASE goes on after its client has died, and the database appears when it is done.
END_KEEPER: LiteralString = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
DROP: LiteralString = "DROP DATABASE IF EXISTS {} WITH (FORCE)"

Thing = tuple[str, ...]
"""A kind and what identifies one of it: folder and path, process and number, database and server's URL and name."""


def main() -> None:
    """Listen until the input ends, then clear away what was not released."""
    held = listen(sys.stdin.buffer)
    signal.alarm(LIMIT_SECONDS)
    for kind, *what in held:
        if kind == "database":
            _drop(*what)
    _end([handle for handle in held.values() if handle is not None])
    for kind, *what in held:
        if kind == "folder":
            _remove(*what)


def listen(lines: Iterable[bytes]) -> dict[Thing, int | None]:
    """Return what was registered and not released, once the input ends; for a process with a handle on it.

    Args:
        lines: each a JSON list of `register` or `release` and a Thing.
    """
    held: dict[Thing, int | None] = {}
    for line in lines:
        with suppress(ValueError):  # the last one, of a process that died while it wrote
            event, *thing = json.loads(line)
            handle = held.pop(tuple(thing), None)
            if handle is not None:
                close(handle)
            if event == "register":
                held[tuple(thing)] = _handle(*thing)
    return held


def _handle(kind: str, number: str, *_: str) -> int | None:
    # The number may belong to another program by the time that it is needed; the handle never does.
    if kind == "process" and sys.platform == "linux":
        with suppress(OSError):
            return pidfd_open(int(number))
    return None


def _drop(server: str, name: str) -> None:
    import psycopg
    from psycopg import sql

    from beefirst.database.session import session_options

    options = session_options(server, statement_timeout="10s")
    with (
        suppress(psycopg.Error),  # a server that is gone took the database along
        psycopg.connect(server, autocommit=True, connect_timeout=3, options=options) as connection,
    ):
        connection.execute(END_KEEPER, [name])
        connection.execute(sql.SQL(DROP).format(sql.Identifier(name)))


def _end(handles: list[int]) -> None:
    for step, seconds in STEPS if sys.platform == "linux" else ():
        for handle in handles:
            with suppress(ProcessLookupError):
                pidfd_send_signal(handle, step)
        handles = _wait(handles, seconds)


def _wait(handles: list[int], seconds: float) -> list[int]:
    deadline = time.monotonic() + seconds
    while handles and (left := deadline - time.monotonic()) > 0:
        ended = select.select(handles, [], [], left)[0]
        handles = [handle for handle in handles if handle not in ended]
    return handles


def _remove(folder: str) -> None:
    import shutil
    from pathlib import Path

    from beefirst.machine.waiting import wait_for

    def is_gone() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not Path(folder).exists()

    wait_for(is_gone, FOLDER_SECONDS, pause=0.05)


if __name__ == "__main__":
    main()
