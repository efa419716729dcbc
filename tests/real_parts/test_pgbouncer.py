"""The service through PgBouncer in transaction mode, which hands every transaction to any of its server processes."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from beefirst.database.migrations import ADVISORY_LOCK
from beefirst.database.session import Session, connection_parameters, settled
from beefirst.database.startup import prepare_database
from beefirst.errors import DatabaseRefusedError, MigrationError
from beefirst.laboratory import catalog
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.scratch_database import ScratchDatabase, connect
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.machine.waiting import wait_until
from beefirst.settings import Settings
from beefirst.urls import DatabaseUrl
from tests.support.databases import SHIPPED
from tests.support.http_client import activate, fetch_row, register
from tests.support.pgbouncer import needs_pgbouncer, pgbouncer

pytestmark = needs_pgbouncer

ADA, BOB = "ada@example.com", "bob@example.com"
SECONDS = 60
TTL = 3600
REPLICAS = 8
LOCKS_LEFT = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database
     WHERE locktype = 'advisory' AND datname = current_database()
"""

MODES = pytest.mark.parametrize(
    "more", ["", "ignore_startup_parameters = options"], ids=["refuses options", "ignores options"]
)


@pytest.fixture
def through(more: str, database: ScratchDatabase) -> Iterator[str]:
    """The URL of a database through a PgBouncer."""
    with pgbouncer(database, more) as url:
        yield url


def migrate(url: str, seconds: float = SECONDS) -> list[Any]:
    settings = Settings.load(database_url=url, startup_timeout_seconds=seconds)
    return list(asyncio.run(prepare_database(settings, SHIPPED, StartupTimeline())))


def claim(api: ApiProcess, email: str) -> str:
    """Register, again where too many others do at once, and return the address."""
    wait_until(lambda: register(api, email).status_code == 202, SECONDS)
    return email


@MODES
def test_the_service_claims_activates_and_sweeps_through_it(through: str, database: ScratchDatabase) -> None:
    with start_api(through, TTL_SECONDS=TTL, SWEEP_INTERVAL_SECONDS=0.1) as api, ThreadPoolExecutor(4) as clients:
        claims = list(clients.map(partial(claim, api), (f"{number}@example.com" for number in range(30))))
        register(api, ADA)
        activated = activate(api, ADA, fetch_row(database, ADA).code)
        with database.connect() as connection:
            let_pass(connection, TTL)
        wait_until(lambda: api.log().count(" expired ") == len(claims), SECONDS)
        log, ready = api.log(), api.get("/health/ready")

    assert activated.status_code == 200
    assert ready.status_code == 200
    assert "WARNING" not in log
    assert "ERROR" not in log


def test_eight_replicas_start_at_once_make_sixty_accounts_and_all_sweep(database: ScratchDatabase) -> None:
    people = [f"{number}@example.com" for number in range(60)]
    with pgbouncer(database) as through, ExitStack() as opened, ThreadPoolExecutor(REPLICAS) as clients:
        replicas = [opened.enter_context(ApiProcess(through, SWEEP_INTERVAL_SECONDS=0.2)) for _ in range(REPLICAS)]
        for api in replicas:
            api.wait_until_ready()

        def make_account(number: int) -> tuple[int, int]:
            """Register at one replica, activate at another."""
            there, then = replicas[number % REPLICAS], replicas[(number + 1) % REPLICAS]
            registered = register(there, people[number])
            code = fetch_row(database, people[number]).code
            return registered.status_code, activate(then, people[number], code).status_code

        made = list(clients.map(make_account, range(len(people))))
        done = [sweeps(api, "done") for api in replicas]
        wait_until(
            lambda: all(sweeps(api, "done") > before for api, before in zip(replicas, done, strict=True)), SECONDS
        )
        failed = [sweeps(api, "failed") for api in replicas]
    with database.connect() as connection:
        applied = catalog.history(connection)["name"].tolist()

    assert made == [(202, 200)] * len(people)
    assert failed == [0] * REPLICAS
    assert applied == [file.name for file in SHIPPED]


def sweeps(api: ApiProcess, result: str) -> float:
    """Return how many rounds of a replica's sweeper ended so."""
    text = api.get("/metrics").text
    found = re.findall(rf'^beefirst_sweeps_total{{result="{result}"}} (\S+)$', text, flags=re.MULTILINE)
    return sum(map(float, found))  # nothing is told of what has not happened yet


@MODES
def test_starts_at_once_through_it_apply_each_file_once_and_leave_no_lock(
    through: str, database: ScratchDatabase
) -> None:
    with ThreadPoolExecutor(6) as runners:
        histories = list(runners.map(migrate, [through] * 6))
    with database.connect() as connection:
        locks = connection.execute(LOCKS_LEFT).fetchone()

    assert [row.name for row in histories[0]] == [file.name for file in SHIPPED]
    assert all(history == histories[0] for history in histories)
    assert locks == (0,)


@MODES
def test_waiting_through_it_for_another_runner_has_a_time_limit(through: str, database: ScratchDatabase) -> None:
    with database.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))

        with pytest.raises(MigrationError, match=r"Another process has been migrating this database for over"):
            migrate(through, seconds=1)


@MODES
def test_a_schema_that_the_url_names_is_used_through_it(through: str, database: ScratchDatabase) -> None:
    with database.connect() as owner:
        owner.execute("CREATE SCHEMA app")
        migrate(f"{through}?options=-csearch_path%3Dapp")
        inside, outside = catalog.tables(owner), owner.execute("SELECT to_regclass('app.registrations')").fetchone()

    assert inside == []
    assert outside == ("app.registrations",)


def test_a_notebook_is_told_to_go_past_it(database: ScratchDatabase) -> None:
    with pgbouncer(database, "") as url, pytest.raises(DatabaseRefusedError, match="reached through a pooler"):
        connect(url)


PRESETS = {
    "DateStyle": ("German", "ISO, MDY"),
    "TimeZone": ("Asia/Tehran", "UTC"),
    "default_transaction_isolation": ("serializable", ""),
    "default_transaction_read_only": ("on", ""),
    "standard_conforming_strings": ("off", "on"),
    "statement_timeout": ("1min", "5s"),
    "transaction_isolation": ("", "read committed"),
    "transaction_read_only": ("", "off"),
}
"""What the database presets, and what a step must have; without a word where it is not preset, or does not matter."""


async def look(url: str) -> dict[str, str]:
    """Return what a step has of what it needs, and the time limit that it leaves behind."""
    parameters = connection_parameters(DatabaseUrl(url), "test", statement_timeout="5s")
    async with await Session.connect(url, **parameters) as session:
        await session.settle()
        async with settled(session):
            names = [name for name, (_, needed) in PRESETS.items() if needed]
            shown = {name: await show(session, name) for name in names}
        return shown | {"left behind": await show(session, "statement_timeout")}


async def show(session: Session, name: str) -> str:
    (value,) = await (await session.execute(f"SHOW {name}".encode())).fetchone() or ("",)
    return str(value)


@MODES
def test_a_step_has_its_settings_through_it_and_leaves_none_behind(database: ScratchDatabase, more: str) -> None:
    with database.connect() as owner:
        for name, (value, _) in PRESETS.items():
            if value:
                owner.execute(f"ALTER DATABASE {database.name} SET {name} TO '{value}'".encode())
    with pgbouncer(database, more) as through:
        shown = asyncio.run(look(through))

    needed = {name: needed for name, (_, needed) in PRESETS.items() if needed}
    assert shown == needed | {"left behind": "1min"}
