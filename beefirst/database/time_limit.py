"""A time limit for what is asked of the database that holds without the help of a server that has fallen silent."""

import asyncio
import os
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection

Connection = AsyncConnection[Any]
Result = TypeVar("Result")


async def limited(connection: Connection, work: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """Return what `work` returns; where that takes too long the connection ends.

    Args:
        connection: the one that `work` uses.
        work: waits for nothing else.
        seconds: how long it may take.

    Raises:
        psycopg.OperationalError: it took longer. The connection is broken, and a pool replaces it.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _hang_up, connection)
    try:
        return await work
    finally:
        timer.cancel()


def _hang_up(connection: Connection) -> None:
    # Not `close`: it would take the socket from under the event loop, which still watches it.
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
