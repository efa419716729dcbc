"""Databases that were not made for us: whatever they, their roles or a URL preset, the service works on them."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from beefirst.database import status
from beefirst.database.pool import create_pool, open_pool, run_step
from beefirst.database.registrations import RegistrationStore
from beefirst.database.session import Session, connection_parameters, session_options
from beefirst.database.startup import prepare_database
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.scratch_database import ScratchDatabase, connect, server_url
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.machine.waiting import wait_until
from beefirst.registration.states import Judgement, State
from beefirst.settings import Settings
from beefirst.urls import DatabaseUrl
from tests.support.databases import SHIPPED
from tests.support.http_client import register
from tests.support.store_under_test import ADA, BOB, CODE, WRONG

PRESETS = {
    "datestyle German": ("DateStyle", "German, DMY"),
    "datestyle SQL": ("DateStyle", "SQL, DMY"),
    "datestyle Postgres": ("DateStyle", "Postgres, MDY"),
    "intervals": ("IntervalStyle", "sql_standard"),
    "time zone": ("TimeZone", "<+0330>-3:30"),
    "encoding": ("client_encoding", "LATIN1"),
    "backslashes": ("standard_conforming_strings", "off"),
    "isolation": ("default_transaction_isolation", "serializable"),
    "read only": ("default_transaction_read_only", "on"),
    "deferrable": ("default_transaction_deferrable", "on"),
    "row security": ("row_security", "off"),
    "bytea": ("bytea_output", "escape"),
    "quotes": ("quote_all_identifiers", "on"),
    "statements": ("statement_timeout", "1ms"),
    "locks": ("lock_timeout", "1ms"),
    "idle in transaction": ("idle_in_transaction_session_timeout", "1ms"),
    "idle": ("idle_session_timeout", "1ms"),
    "commits": ("synchronous_commit", "off"),
}
"""What an administrator may have preset, each otherwise than we need it."""

BY_DATABASE = "ALTER DATABASE {database} SET {name} TO {value}"
BY_ROLE = "ALTER ROLE CURRENT_USER IN DATABASE {database} SET {name} TO {value}"


def preset(database: ScratchDatabase, how: str, *presets: tuple[str, str]) -> None:
    """Preset settings for connections to come; a list has its elements without quotes."""
    with database.connect() as owner:
        for name, value in presets:
            values = sql.SQL(", ").join(value.split(", ")) if name == "DateStyle" else sql.Literal(value)
            words = {"database": sql.Identifier(database.name), "name": sql.Identifier(name), "value": values}
            owner.execute(sql.SQL(how).format(**words))  # type: ignore[arg-type]


async def use_all(settings: Settings) -> list[object]:
    """Start twice, ask for the state, claim, guess, activate and sweep; return what came of it."""
    first = await prepare_database(settings, SHIPPED, StartupTimeline())
    second = await prepare_database(settings, SHIPPED, StartupTimeline())
    pending = [line for line in await status.describe(settings) if "applied" not in line]
    async with open_pool(create_pool(settings)) as pool:
        store = RegistrationStore(partial(run_step, pool), ttl_seconds=3600, max_attempts=3)
        claim, other = await store.claim(ADA, "hash", CODE), await store.claim(BOB, "hash", CODE)
        assert claim
        assert other
        judgements = [await store.judge(claim, code) for code in (WRONG, CODE)]
        await run_step(pool, partial(_let_pass, settings))
        overdue, ended = await store.count_overdue(), await store.expire_due()
    return [first == second, pending, judgements, overdue, ended == [other.id]]


async def _let_pass(settings: Settings, _: object) -> None:
    with connect(settings.database_url.get_secret_value()) as connection:
        await asyncio.to_thread(let_pass, connection, 3600, BOB)


AS_EVER: list[object] = [True, [], [Judgement(State.CLAIMED, 1), Judgement(State.ACTIVE, 1)], 1, True]


def run(database: ScratchDatabase, action: Any = use_all) -> Any:
    running: Coroutine[Any, Any, Any] = action(Settings.load(database_url=database.url, pool_min_size=1))
    return asyncio.run(running)


@pytest.mark.parametrize("how", [BY_DATABASE, BY_ROLE], ids=["database", "role"])
@pytest.mark.parametrize("name", PRESETS)
def test_whatever_a_database_or_a_role_presets_the_service_works_as_ever(
    database: ScratchDatabase, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    preset(database, how, PRESETS[name])

    assert run(database) == AS_EVER
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def what_holds(settings: Settings) -> dict[str, str]:
    """Return what a connection of the service has of each setting that could be preset."""
    parameters = connection_parameters(settings.database_url, "test")
    async with await Session.connect(settings.database_url.get_secret_value(), **parameters) as session:
        await session.settle()
        shown = [await (await session.execute(f"SHOW {name}".encode())).fetchone() for name, _ in PRESETS.values()]
    return {name: row[0] for (name, _), row in zip(PRESETS.values(), shown, strict=True) if row}


def test_a_connection_has_the_same_settings_whatever_is_preset(database: ScratchDatabase) -> None:
    as_it_is = run(database, what_holds)
    preset(database, BY_DATABASE, *(PRESETS[name] for name in PRESETS if name != "bytea"))

    assert run(database, what_holds) == as_it_is


def test_the_api_runs_on_a_database_that_presets_everything_otherwise(database: ScratchDatabase) -> None:
    preset(database, BY_DATABASE, *PRESETS.values())

    with start_api(database.url, TTL_SECONDS=1, SWEEP_INTERVAL_SECONDS=0.1) as api:
        answer = register(api, ADA)
        wait_until(lambda: " expired " in api.log())
        log = api.log()

    assert answer.status_code == 202
    assert "WARNING" not in log
    assert "Traceback" not in log


def test_a_database_that_knows_no_encoding_is_started_on_again_and_again(database: ScratchDatabase) -> None:
    again = "CREATE DATABASE {} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
    with connect(server_url()) as server:
        for statement in ("DROP DATABASE {}", again):
            server.execute(sql.SQL(statement).format(sql.Identifier(database.name)))  # type: ignore[arg-type]

    assert run(database) == AS_EVER


def test_what_a_service_of_libpq_says_stays_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "services").write_text("[prod]\noptions=-csearch_path=app\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))

    assert session_options("postgresql:///?service=prod").startswith("-csearch_path=app ")
    assert "PGSERVICE" not in os.environ


def test_what_the_url_says_of_name_and_patience_stays_and_the_rest_is_ours() -> None:
    url = "postgresql://h/db?application_name=mine&connect_timeout=9&client_encoding=latin1&options=-cstatement_timeout%3D1"

    parameters = connection_parameters(DatabaseUrl(url), "ours", statement_timeout="5s")

    assert {"application_name", "connect_timeout"} & set(parameters) == set()
    assert parameters["client_encoding"] == "UTF8"
    assert parameters["options"].startswith("-cstatement_timeout=1 ")
    assert parameters["options"].rindex("statement_timeout=5s") > 0


def test_an_option_of_the_url_is_known_however_it_is_written(database: ScratchDatabase) -> None:
    async def run() -> dict[str, str]:
        url = f"{database.url}?options=--work-mem%3D5MB"
        async with await Session.connect(url, **connection_parameters(DatabaseUrl(url), "ours")) as session:
            return session.settings

    assert asyncio.run(run())["work_mem"] == "5MB"
