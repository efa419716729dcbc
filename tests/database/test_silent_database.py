"""A database that is there and says nothing: its processes are stopped, as in a machine that hangs."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import httpx
import psycopg
import pytest

from beefirst.database.pool import create_pool, open_pool, run_step
from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import DatabaseUnavailableError
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.own_server import silence
from beefirst.machine.waiting import wait_until
from beefirst.settings import Settings
from tests.support.http_client import activate, register

ADA = "ada@example.com"
STEP_ENDS_WITHIN = 30
"""For hanging: a client that nobody hangs up on waits for minutes."""

DOCKER_KILLS_AFTER = 10
CLAIMS_THAT_WAIT = """
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO registrations%'
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start_ephemeral() as running:
        yield running


def start(server: EmbeddedServer) -> ApiProcess:
    """Start an API with a connection for its sweeper and two for requests: all are in use when the server is silent."""
    return start_api(server.url, POOL_MAX_SIZE=3, SWEEP_INTERVAL_SECONDS=0.2)


@pytest.fixture(scope="module")
def api(server: EmbeddedServer) -> Iterator[ApiProcess]:
    """For tests that leave it able to serve."""
    with start(server) as running:
        yield running


@contextmanager
def locked_table(server: EmbeddedServer) -> Iterator[None]:
    """Let every statement on registrations wait."""
    with psycopg.connect(server.url) as connection:
        connection.execute("LOCK TABLE registrations")
        yield
        connection.rollback()


def is_asleep(server: EmbeddedServer) -> bool:
    """Tell whether a step sleeps in the server."""
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone()
    return row is not None


def claims_wait(server: EmbeddedServer, count: int) -> bool:
    """Tell whether so many registrations wait for a lock; what the sweeper asks waits, too."""
    with psycopg.connect(server.url) as connection:
        row = connection.execute(CLAIMS_THAT_WAIT).fetchone()
    return row is not None and row[0] >= count


def both_requests(api: ApiProcess) -> list[httpx.Response]:
    """Register and activate at the same time, and return the answers in this order."""
    with ThreadPoolExecutor(2) as clients:
        answers = [clients.submit(register, api, ADA), clients.submit(activate, api, ADA, "0000")]
        return [answer.result() for answer in answers]


def test_requests_to_a_silent_database_are_503_and_the_next_ones_after_it_are_served(
    server: EmbeddedServer, api: ApiProcess
) -> None:
    with silence(server.process.pid):
        answers = both_requests(api)
    wait_until(lambda: api.get("/health/ready").status_code == 200)
    afterwards = both_requests(api)

    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "1")] * 2
    assert max(answer.elapsed.total_seconds() for answer in answers) < STEP_ENDS_WITHIN
    assert [answer.status_code for answer in afterwards] == [202, 401]
    assert "Traceback" not in api.log()


def test_statements_that_were_under_way_when_it_fell_silent_are_503_and_leave_their_connections_usable(
    server: EmbeddedServer, api: ApiProcess
) -> None:
    with locked_table(server), ThreadPoolExecutor(2) as clients:
        under_way = [clients.submit(partial(register, api, f"{number}@example.com")) for number in range(2)]
        wait_until(lambda: claims_wait(server, 2))
        with silence(server.process.pid):
            answers = [request.result() for request in under_way]
    wait_until(lambda: api.get("/health/ready").status_code == 200)
    with ThreadPoolExecutor(6) as clients:
        afterwards = list(clients.map(lambda number: register(api, f"after-{number}@example.com"), range(6)))

    assert [answer.status_code for answer in answers] == [503, 503]
    assert max(answer.elapsed.total_seconds() for answer in answers) < STEP_ENDS_WITHIN
    assert [answer.status_code for answer in afterwards] == [202] * 6
    assert "Traceback" not in api.log()


def test_sigterm_ends_the_service_in_order_while_the_database_is_silent(server: EmbeddedServer) -> None:
    statuses = list[int]()
    with start(server) as ending, locked_table(server):
        client = threading.Thread(target=lambda: statuses.append(register(ending, ADA).status_code))
        client.start()
        wait_until(lambda: claims_wait(server, 1))
        with silence(server.process.pid):
            ending.send_signal(signal.SIGTERM)
            status = ending.wait_for_end(DOCKER_KILLS_AFTER)
            client.join(20)
        log = ending.log()

    assert status == 0
    assert statuses == [503]
    assert "stopped" in log
    assert "Traceback" not in log


def test_whoever_stops_waiting_for_a_step_waits_for_no_silent_server(server: EmbeddedServer) -> None:
    async def give_up() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        settings = Settings.load(database_url=server.url, pool_min_size=1, pool_max_size=1)
        async with open_pool(create_pool(settings)) as pool:
            step = asyncio.create_task(run_step(pool, lambda connection: connection.execute("SELECT pg_sleep(60)")))
            await asyncio.to_thread(wait_until, lambda: is_asleep(server))
            with silence(server.process.pid):
                began = loop.time()
                step.cancel()
                await asyncio.wait({step})
                seconds = loop.time() - began
            row = await run_step(pool, fetch_one)
        return seconds, row

    async def fetch_one(connection: psycopg.AsyncConnection[tuple[int]]) -> int:
        (one,) = await (await connection.execute("SELECT 1")).fetchone() or (0,)
        return one

    seconds, one = asyncio.run(give_up())

    assert seconds < 5  # STEP_SECONDS end after 7, and psycopg alone would wait for 10
    assert one == 1


def test_a_step_is_given_up_though_the_server_goes_on(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beefirst.database.pool.STEP_SECONDS", 0.5)

    async def take_too_long() -> None:
        async with open_pool(create_pool(Settings.load(database_url=server.url))) as pool:
            await run_step(pool, lambda connection: connection.execute("SELECT pg_sleep(3)"))

    with pytest.raises(DatabaseUnavailableError, match="try again"):
        asyncio.run(take_too_long())
