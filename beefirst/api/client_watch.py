"""A client that hangs up before its turn costs no hash."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request

from beefirst.passwords import BcryptPasswords


@contextmanager
def while_client_waits(request: Request, passwords: BcryptPasswords) -> Iterator[None]:
    """Give up the password that the block waits to be hashed, as soon as the client is gone.

    Whatever has begun is finished: a hash, and what follows it. Where a thread is free there is nothing to give up, and
    nobody watches.

    Args:
        request: its body was read.
        passwords: where the block waits.

    Raises:
        ClientGoneError: out of the block.
    """
    if not passwords.wait_seconds:
        yield
        return
    task = asyncio.current_task()
    watch = asyncio.create_task(_give_up_when_gone(request, passwords, task))
    try:
        yield
    finally:
        watch.cancel()
        passwords.forget(task)


async def _give_up_when_gone(request: Request, passwords: BcryptPasswords, waiting: asyncio.Task[Any] | None) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    passwords.give_up(waiting)
