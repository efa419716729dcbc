"""What the parts send: registrations, activations, probes."""

import asyncio
import itertools
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import bcrypt
import psycopg

from beefirst.laboratory import raw_http
from beefirst.laboratory.raw_http import Answer, Connection

CORES = len(os.sched_getaffinity(0))
PASSWORD, CODE = "correct horse", "0000"
LIVE = raw_http.request("GET", "/health/live")
READY = raw_http.request("GET", "/health/ready")

SEED = """
    INSERT INTO registrations (email, password_hash, verification_code)
    SELECT email, %s, %s
      FROM unnest(%s::text[]) AS email
"""


def registrations() -> Iterator[bytes]:
    """Return requests that claim ever new addresses."""
    return (raw_http.registering(new_address(), PASSWORD) for _ in itertools.count())


def new_address() -> str:
    """Return an address that nobody has used."""
    return f"{secrets.token_hex(8)}@example.com"


@cache
def password_hash() -> str:
    """Return the hash of PASSWORD."""
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()


def activations(connection: psycopg.Connection[Any], count: int) -> list[bytes]:
    """Claim so many addresses by SQL, and return the requests that activate them."""
    addresses = [new_address() for _ in range(count)]
    connection.execute(SEED, (password_hash(), CODE, addresses))
    return [raw_http.activating(address, PASSWORD, CODE) for address in addresses]


def send_all(url: str, requests: Sequence[bytes], connections: int) -> list[Answer]:
    """Send each request once, as many at a time as there are connections."""
    waiting = iter(requests)

    async def send_some() -> list[Answer]:
        async with Connection.open(url) as connection:
            return [await connection.send(content) for content in waiting]

    async def send() -> list[Answer]:
        answers = await asyncio.gather(*(send_some() for _ in range(connections)))
        return list(itertools.chain.from_iterable(answers))

    return raw_http.run(send)


def check_status(answers: Sequence[Answer], status: int) -> None:
    """Refuse to go on where something else was answered.

    Raises:
        RuntimeError: it was.
    """
    strange = {answer.status for answer in answers} - {status}
    if strange:
        raise RuntimeError(f"answered with {strange} rather than {status}")


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Let what is started in this block, and this thread, use so many cores alone."""
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)
