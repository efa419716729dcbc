"""Load on an API for some seconds: as much as some connections carry, or one request at a fixed interval."""

import asyncio
import itertools
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from beefirst.laboratory.raw_http import Answer, Connection, registering, run

PASSWORD = "correct horse"  # noqa: S105


def send_for(url: str, seconds: float, connections: int, requests: Iterator[bytes]) -> list[Answer]:
    """Keep `connections` requests in flight for `seconds`, each connection sending its next when it has its answer.

    Args:
        url: of the API.
        seconds: how long new requests are sent; those in flight are waited for.
        connections: how many.
        requests: never ends.
    """

    async def send() -> list[Answer]:
        deadline = time.perf_counter() + seconds
        return list(
            itertools.chain.from_iterable(
                await asyncio.gather(*(_send_until(deadline, url, requests) for _ in range(connections)))
            )
        )

    return run(send)


def send_paced(url: str, seconds: float, interval_seconds: float, requests: Iterator[bytes]) -> list[Answer]:
    """Send one request after the other on one connection, one every `interval_seconds`, for `seconds`.

    Args:
        url: of the API.
        seconds: how long requests are sent.
        interval_seconds: from the beginning of one request to that of the next, or longer if its answer takes longer.
        requests: never ends.
    """

    async def send() -> list[Answer]:
        started, answers = time.perf_counter(), list[Answer]()
        async with Connection.open(url) as connection:
            while (due := len(answers) * interval_seconds) < seconds:
                await asyncio.sleep(max(0, started + due - time.perf_counter()))
                answers.append(await connection.send(next(requests)))
                if time.perf_counter() - started > seconds:
                    break
        return answers

    return run(send)


@contextmanager
def sending_paced(url: str, interval_seconds: float, requests: Iterator[bytes]) -> Iterator[list[Answer]]:
    """Do as `send_paced` for as long as the block lasts, beside it; the list that it gives is complete afterwards."""
    over, answers = threading.Event(), list[Answer]()

    async def send() -> None:
        started = time.perf_counter()
        async with Connection.open(url) as connection:
            while not over.is_set():
                answers.append(await connection.send(next(requests)))
                due = started + len(answers) * interval_seconds
                await asyncio.sleep(max(0, due - time.perf_counter()))

    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(run, send)
        try:
            yield answers
        finally:
            over.set()
        sending.result()


def registrations(name: str = "") -> Iterator[bytes]:
    """Return registrations of ever new addresses without end.

    Args:
        name: with which the addresses begin, so that they can be told from others.
    """
    return (registering(f"{name}{secrets.token_hex(8)}@example.com", PASSWORD) for _ in itertools.count())


async def _send_until(deadline: float, url: str, requests: Iterator[bytes]) -> list[Answer]:
    answers = []
    async with Connection.open(url) as connection:
        while time.perf_counter() < deadline:
            answers.append(await connection.send(next(requests)))
    return answers


def percentile(answers: Sequence[Answer], share: float) -> float:
    """Return the seconds within which `share` of the answers came, 0.99 for the p99."""
    seconds = sorted(answer.seconds for answer in answers)
    return seconds[min(len(seconds) - 1, int(share * len(seconds)))]
