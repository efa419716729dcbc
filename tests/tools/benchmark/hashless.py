"""HTTP, pool and SQL each by itself, and all of them together, with the hash replaced by next to nothing."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from beefirst.database import statements
from beefirst.database.pool import create_pool, open_pool, run_step
from beefirst.database.registrations import MAILS_A_DAY
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.settings import Settings
from tests.support.counting_proxy import counting_proxy
from tests.tools.benchmark import load
from tests.tools.benchmark.cpu import cpu_of
from tests.tools.benchmark.figures import Figure, measured

REQUESTS = 300
CONNECTIONS = 32
"""Enough to hide that each answer comes a fixed 25 ms after its hash."""

WITHOUT_HASH = """
import secrets
import bcrypt
bcrypt.hashpw = lambda *_: b"$2b$10$abcdefghijklmnopqrstuu" + secrets.token_hex(16)[:31].encode()
bcrypt.checkpw = lambda *_: True
"""
"""Read by each Python that starts where it is found."""


class Round(NamedTuple):
    """Requests a second, and milliseconds of CPU for each: in all, and of a service its main thread and PostgreSQL."""

    rate: float
    cpu: float
    main: float = 0
    database: float = 0


def hashless(rounds: int) -> list[Figure]:
    """HTTP, pool and SQL alone, all without a hash, and how often a request waits for the database."""
    with ScratchDatabase() as database, without_hash(database.url) as api, database.connect() as connection:
        kinds: dict[str, Callable[[], Round]] = {
            "HTTP alone (/health/live)": lambda: _send(api, connection, [load.LIVE] * REQUESTS, 200),
            "pool alone (a step that asks nothing)": lambda: _lend(database.url),
            "SQL alone (the statement that claims)": lambda: _claim(connection),
            "registrations without a hash": lambda: _send(api, connection, _registrations(), 202),
            "activations without a hash": lambda: _send(api, connection, load.activations(connection, REQUESTS), 200),
        }
        found: dict[str, list[Round]] = {kind: [] for kind in kinds}
        for number, (kind, measure) in itertools.product(range(rounds + 1), kinds.items()):
            result = measure()
            if number:
                found[kind].append(result)
    whole = [it.cpu for it in found["registrations without a hash"]]
    figures = [
        figure
        for kind, results in found.items()
        for figure in (
            measured(kind, "a second", [it.rate for it in results]),
            measured(f"{kind}, CPU", "ms", [it.cpu for it in results], ("a registration without a hash", whole)),
        )
    ]
    parts = [
        figure
        for kind, results in found.items()
        if kind.endswith("without a hash")
        for figure in (
            measured(f"{kind}, main thread", "ms", [it.main for it in results], goal="1.5 ms"),
            measured(f"{kind}, PostgreSQL", "ms", [it.database for it in results], goal="0.5 ms"),
        )
    ]
    return [*figures, *parts, *_round_trips()]


@contextmanager
def without_hash(url: str, **settings: Any) -> Iterator[ApiProcess]:
    """Start an API whose hash is replaced by next to nothing, with these settings."""
    with tempfile.TemporaryDirectory(prefix="beefirst-benchmark-") as folder:
        Path(folder, "sitecustomize.py").write_text(WITHOUT_HASH)
        with start_api(url, code=Path(folder), ttl_seconds=3600, client_limit=100_000, **settings) as api:
            yield api


def _registrations(count: int = REQUESTS) -> list[bytes]:
    return list(itertools.islice(load.registrations(), count))


def _send(api: ApiProcess, connection: psycopg.Connection[Any], requests: list[bytes], status: int) -> Round:
    before, started = cpu_of(api, connection), time.perf_counter()
    load.check_status(load.send_all(api.url, requests, CONNECTIONS), status)
    seconds, used = time.perf_counter() - started, cpu_of(api, connection).since(before)
    main, threads, backends = (1000 * each / len(requests) for each in used)
    return Round(len(requests) / seconds, main + threads + backends, main, backends)


def _lend(url: str) -> Round:
    async def nothing(_: object) -> None:
        """Ask nothing."""

    async def lend() -> Round:
        async with open_pool(create_pool(Settings.load(database_url=url))) as pool:
            await run_step(pool, nothing)
            cpu, started = time.process_time(), time.perf_counter()
            for _ in range(REQUESTS):
                await run_step(pool, nothing)
            return Round(REQUESTS / (time.perf_counter() - started), 1000 * (time.process_time() - cpu) / REQUESTS)

    return asyncio.run(lend())


def _claim(connection: psycopg.Connection[Any]) -> Round:
    limits = {"ttl_seconds": 3600, "mails_a_day": MAILS_A_DAY}
    claims = [
        limits | {"email": load.new_address(), "password_hash": load.password_hash(), "code": load.CODE}
        for _ in range(REQUESTS)
    ]
    cpu, started = time.process_time(), time.perf_counter()
    for claim in claims:
        connection.execute(statements.CLAIM_ADDRESS, claim)
    seconds = time.perf_counter() - started
    return Round(REQUESTS / seconds, 1000 * (time.process_time() - cpu) / REQUESTS)


def _round_trips() -> list[Figure]:
    with (
        ScratchDatabase() as database,
        counting_proxy(database.url) as proxy,
        database.connect() as connection,
        without_hash(proxy.url, pool_min_size=1, pool_max_size=1, sweep_interval_seconds=3600) as api,
    ):
        load.send_all(api.url, _registrations(2), 1)
        counts = []
        for requests in (_registrations(20), load.activations(connection, 20)):
            before = proxy.round_trips
            load.send_all(api.url, requests, 1)
            counts.append((proxy.round_trips - before) / len(requests))
    return [
        measured("round trips to the database before register's answer", "each", counts[:1], goal="1"),
        measured("round trips to the database for activate", "each", counts[1:], goal="2"),
    ]
