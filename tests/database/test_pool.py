"""The pool of connections as its settings and the server see it."""

import asyncio
from typing import Any, LiteralString

import psycopg
import pytest

from beefirst.database import pool
from beefirst.database.pool import create_pool, open_pool, run_step
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.settings import Settings
from tests.support.counting_proxy import CountingProxy, counting_proxy

SIZES = {"pool_min_size": 2, "pool_max_size": 4}
MINE: LiteralString = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'beefirst-api' AND datname = current_database()"
)


@pytest.fixture
def settings(database: ScratchDatabase) -> Settings:
    return Settings.load(database_url=database.url, **SIZES)


async def ask(connection: Any, question: LiteralString) -> list[Any]:
    return [row[0] for row in await (await connection.execute(question)).fetchall()]


async def ask_nothing(_: Any) -> None:
    """Borrow a connection, and leave it alone."""


def test_it_opens_as_many_connections_as_it_may_and_no_more(settings: Settings) -> None:
    async def run() -> tuple[int, int, set[str]]:
        async with open_pool(create_pool(settings)) as opened:
            await opened.wait(60)
            at_first = await run_step(opened, lambda connection: ask(connection, MINE), 60)
            all_there, out_of_it = asyncio.Barrier(4), list[set[int]]()

            async def meet(connection: Any) -> None:
                await asyncio.wait_for(all_there.wait(), 60)  # all four at once, each on a connection of its own
                out_of_it.append(set(await ask(connection, MINE)))

            await asyncio.gather(*(run_step(opened, meet, 60) for _ in range(4)))
            limits = {
                *await run_step(opened, lambda connection: ask(connection, "SHOW statement_timeout")),
                *await run_step(opened, lambda connection: ask(connection, "SHOW idle_in_transaction_session_timeout")),
            }
            return len(at_first), max(map(len, out_of_it)), limits

    assert asyncio.run(run()) == (2, 4, {"5s", "10s"})


def test_a_step_waits_for_a_free_connection_no_longer_than_it_may(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        monkeypatch.setattr(pool, "WAIT_SECONDS", 0.2)
        async with open_pool(create_pool(settings)) as opened:
            await opened.wait(60)
            enough, held = asyncio.Event(), asyncio.Barrier(5)

            async def hold(_: Any) -> None:
                await asyncio.wait_for(held.wait(), 60)
                await asyncio.wait_for(enough.wait(), 60)

            holders = [asyncio.create_task(run_step(opened, hold, 60)) for _ in range(4)]
            await asyncio.wait_for(held.wait(), 60)
            try:
                with pytest.raises(DatabaseUnavailableError):
                    await asyncio.wait_for(_borrow(opened), 60)
            finally:
                enough.set()
                await asyncio.gather(*holders)

    asyncio.run(run())


async def divide(connection: Any) -> None:
    await connection.execute("SELECT 1 / 0")


async def misuse(_: Any) -> None:
    raise psycopg.ProgrammingError("the value hunter2 does not fit")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (divide, "The database refused (DivisionByZero): division by zero."),
        (misuse, "The database could not be asked (ProgrammingError)."),
    ],
)
def test_a_step_that_is_refused_is_told_without_values_and_leaves_its_connection_fit(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: Any, said: str
) -> None:
    async def run() -> str:
        async with open_pool(create_pool(settings)) as opened:
            with pytest.raises(DatabaseRefusedError) as refusal:
                await run_step(opened, step, 60)
            await run_step(opened, lambda connection: ask(connection, MINE), 60)
            return str(refusal.value)

    monkeypatch.setattr(pool, "TRUSTED_SECONDS", 0)
    assert asyncio.run(run()) == said


@pytest.mark.parametrize(("trusted_seconds", "round_trips"), [(3600, 0), (0, 1)])
def test_a_connection_is_asked_whether_it_works_only_where_it_was_not_heard_of_lately(
    database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch, trusted_seconds: float, round_trips: int
) -> None:
    async def run(proxy: CountingProxy) -> int:
        one = Settings.load(database_url=proxy.url, pool_min_size=1, pool_max_size=1)
        async with open_pool(create_pool(one)) as opened:
            await run_step(opened, lambda connection: ask(connection, MINE), 60)
            before = proxy.round_trips
            await run_step(opened, ask_nothing, 60)
            return proxy.round_trips - before

    monkeypatch.setattr(pool, "TRUSTED_SECONDS", trusted_seconds)
    with counting_proxy(database.url) as proxy:
        assert asyncio.run(run(proxy)) == round_trips


def test_a_connection_that_the_server_has_ended_is_not_lent_however_lately_it_was_heard_of(
    database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> tuple[list[int], list[int]]:
        one = Settings.load(database_url=database.url, pool_min_size=1, pool_max_size=1)
        async with open_pool(create_pool(one)) as opened:
            before = await run_step(opened, lambda connection: ask(connection, MINE), 60)
            with database.connect() as other:
                other.execute("SELECT pg_terminate_backend(%s, 60000)", before)
            return before, await run_step(opened, lambda connection: ask(connection, MINE), 60)

    monkeypatch.setattr(pool, "TRUSTED_SECONDS", 3600)
    before, after = asyncio.run(run())

    assert len(after) == 1
    assert after != before


async def _borrow(opened: pool.Pool) -> None:
    """Take a connection as long as the pool itself lets one wait."""
    try:
        async with opened.connection():
            pass
    except Exception as error:
        raise DatabaseUnavailableError(str(error)) from None
