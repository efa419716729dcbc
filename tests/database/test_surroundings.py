"""Databases in which somebody else has tables already, or whose collation has moved."""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from beefirst.database import status
from beefirst.database.startup import prepare_database
from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import DatabaseRefusedError
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.folders import MIGRATIONS
from beefirst.machine.ports import free_port
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.machine.waiting import wait_until
from beefirst.settings import Settings
from tests.conftest import SECRET, change_url
from tests.support.databases import SHIPPED
from tests.support.folders import open_folder

GOLANG: LiteralString = "CREATE TABLE schema_migrations (version BIGINT PRIMARY KEY, dirty BOOLEAN NOT NULL)"
RAILS: LiteralString = "CREATE TABLE schema_migrations (version VARCHAR PRIMARY KEY)"
OTHER: LiteralString = "CREATE TABLE schema_migrations (id INT, label TEXT)"
CONFERENCE: LiteralString = "CREATE TABLE registrations (id SERIAL PRIMARY KEY, email TEXT, talk TEXT)"
BUDGETS: LiteralString = "CREATE TABLE address_budgets (street TEXT, euros INT)"
LIKE_RAILS: LiteralString = "CREATE TABLE address_budgets (version VARCHAR)"


CONTENT = """
    SELECT table_schema, table_name, column_name, data_type
      FROM information_schema.columns
     WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
     ORDER BY table_schema, table_name, ordinal_position
"""


def content(database: ScratchDatabase) -> list[tuple[Any, ...]]:
    """Return every column of every table."""
    with database.connect() as connection:
        return connection.execute(CONTENT).fetchall()


def start(url: str) -> list[Any]:
    return list(asyncio.run(prepare_database(Settings.load(database_url=url), SHIPPED, StartupTimeline())))


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (GOLANG, "schema_migrations of golang-migrate (its columns: version, dirty)"),
        (RAILS, "schema_migrations of Rails or dbmate (its columns: version)"),
        (OTHER, "schema_migrations of another program (its columns: id, label)"),
        (CONFERENCE, "registrations of another program (its columns: id, email, talk)"),
        (BUDGETS, "address_budgets of another program (its columns: street, euros)"),
        (LIKE_RAILS, "address_budgets of another program (its columns: version)"),
    ],
)
def test_a_table_of_another_program_stops_a_start_that_changes_nothing(
    database: ScratchDatabase, statement: LiteralString, named: str
) -> None:
    with database.connect() as owner:
        owner.execute(statement)
    before = content(database)

    for ask in (start, lambda url: asyncio.run(status.describe(Settings.load(database_url=url)))):
        with pytest.raises(DatabaseRefusedError) as refusal:
            ask(database.url)
        assert str(refusal.value) == (
            f"The database {database.name} has a table {named}, and nothing was changed: "
            "set DATABASE_URL to a database of our own, or make a schema there (CREATE SCHEMA beefirst) "
            "and put ?options=-csearch_path=beefirst behind it."
        )
    assert content(database) == before


@pytest.mark.parametrize("path", ["beefirst", "beefirst,public"])
def test_what_the_refusal_advises_leads_past_the_tables_of_others(database: ScratchDatabase, path: str) -> None:
    with database.connect() as owner:
        owner.execute(CONFERENCE)
        owner.execute("CREATE SCHEMA beefirst")
    url = f"{database.url}?options=-csearch_path={path}"

    history = start(url)

    assert [row.name for row in history] == [file.name for file in SHIPPED]
    assert start(url) == history


def test_a_table_that_a_file_made_by_hand_is_welcome(database: ScratchDatabase, psql: str) -> None:
    for name in ("001_create_registrations.sql", "003_create_address_budgets.sql"):
        subprocess.run([psql, "-X", "-q", f"--file={MIGRATIONS / name}", database.url], check=True, capture_output=True)
    with database.connect() as owner:
        owner.execute("ALTER TABLE registrations ADD COLUMN note TEXT")

    assert len(start(database.url)) == len(SHIPPED)


def test_a_schema_in_which_the_role_may_not_create_is_named(database: ScratchDatabase, role: str) -> None:
    with database.connect() as owner:
        owner.execute("CREATE SCHEMA app")
        owner.execute(f"GRANT USAGE ON SCHEMA app TO {role}".encode())
    url = change_url(database.url, user=role, password=SECRET)

    with pytest.raises(DatabaseRefusedError, match=f"GRANT CREATE ON SCHEMA app TO {role}"):
        start(f"{url}?options=-csearch_path=app")


@pytest.mark.parametrize("how", ["database", "url"])
def test_a_search_path_without_a_schema_stops_the_start_with_one_line(database: ScratchDatabase, how: str) -> None:
    url = database.url if how == "database" else f"{database.url}?options=-csearch_path=elsewhere"
    with database.connect() as owner:
        if how == "database":
            owner.execute(f"ALTER DATABASE {database.name} SET search_path TO elsewhere".encode())

    with pytest.raises(DatabaseRefusedError) as refusal:
        start(url)

    assert str(refusal.value) == (
        f"The database {database.name} has no schema for our tables, for the search_path is elsewhere: "
        "create that schema, or put ?options=-csearch_path=NAME behind DATABASE_URL, with the name of another."
    )


@pytest.fixture
def with_superuser() -> Iterator[tuple[EmbeddedServer, str]]:
    """A server, and a URL of its superuser, who may tamper with what it has recorded."""
    port = free_port()
    with open_folder() as folder, EmbeddedServer.start(folder / "data", port) as server:
        rules = Path(next((folder / "data").glob("postgresql-*/pg_hba.conf")))
        rules.write_text("host all postgres 127.0.0.1/32 trust\n" + rules.read_text())
        os.kill(server.process.pid, signal.SIGHUP)
        yield server, f"postgresql://postgres@127.0.0.1:{port}/beefirst"


def test_a_start_warns_once_of_a_collation_that_has_moved(
    with_superuser: tuple[EmbeddedServer, str], caplog: pytest.LogCaptureFixture
) -> None:
    server, superuser = with_superuser
    wait_until(lambda: is_let_in(superuser))
    start(server.url)
    unwarned = warnings(caplog)
    with psycopg.connect(superuser) as connection:
        connection.execute("UPDATE pg_database SET datcollversion = '1.5' WHERE datname = 'beefirst'")
    start(server.url)

    assert unwarned == []
    assert len(warnings(caplog)) == 1
    assert "collation of the database beefirst has changed" in warnings(caplog)[0]
    assert "run REINDEX DATABASE beefirst, then ALTER DATABASE beefirst REFRESH" in warnings(caplog)[0]


def is_let_in(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_databases_that_we_make_have_a_collation_that_cannot_move(database: ScratchDatabase) -> None:
    with database.connect() as connection:
        row = connection.execute(
            "SELECT datcollate, datcollversion, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = %s",
            [database.name],
        ).fetchone()

    assert row == ("C", None, "UTF8")
