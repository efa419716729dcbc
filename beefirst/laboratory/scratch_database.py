"""Databases that a notebook makes for itself on the server at hand, and that go when it goes."""

import os
import secrets
from contextlib import suppress
from functools import cache
from typing import Any, LiteralString
from urllib.parse import quote, urlencode, urlsplit

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

from beefirst.database.session import SPOKEN, TAKES_NO_OPTIONS, session_options
from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError
from beefirst.laboratory.cleanup import Owned, close_with, common_folder, register, release, uninterrupted
from beefirst.laboratory.reaper import DROP
from beefirst.settings import Settings
from beefirst.urls import DatabaseUrl

PREFIX = "beefirst_scratch_"
ABANDONED = """
    SELECT datname
      FROM pg_database
     WHERE datname LIKE 'beefirst\\_scratch\\_%'
       AND pg_has_role(datdba, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = pg_database.datname)
"""


def configured_url() -> str | None:
    """Return DATABASE_URL, password included, or None where it is not set.

    Raises:
        ConfigurationError: it is no URL of PostgreSQL; the message does not hold it.
    """
    configured = os.environ.get("DATABASE_URL")
    return Settings.load(database_url=configured).database_url.get_secret_value() if configured else None


@cache
def server_url() -> str:
    """Return the URL of the server for experiments: DATABASE_URL, or an embedded one that ends with this process."""
    if configured := configured_url():
        return configured
    with uninterrupted():
        server = EmbeddedServer.start_ephemeral(parent=common_folder())
        register("process", server.process.pid)
        close_with(server_url, server.stop)  # a function, so at the end of this process
        return server.url


def connect(url: str, application_name: str = "", **settings: str) -> Connection[Any]:
    """Connect to a database in autocommit mode, with settings of PostgreSQL that no role or database presets otherwise.

    Args:
        url: any that libpq takes.
        application_name: what pg_stat_activity shows of the connection.
        settings: of PostgreSQL, in the place of those that every connection has or beside them.

    Raises:
        DatabaseUnavailableError: it does not answer; the message says what to do and holds no password.
        DatabaseRefusedError: a pooler answers.
    """
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=5,
            application_name=application_name or None,
            client_encoding="UTF8",
            options=session_options(url, **SPOKEN, **settings),
        )
    except psycopg.Error as error:
        if TAKES_NO_OPTIONS.search(str(error)):
            raise DatabaseRefusedError(
                f"The database {DatabaseUrl(url)} is reached through a pooler, and notebooks make databases of their "
                "own: let DATABASE_URL lead to PostgreSQL itself."
            ) from None
        reason = str(error).partition("\n")[0].rpartition("failed: ")[2]
        raise DatabaseUnavailableError(
            f"The database {DatabaseUrl(url)} does not answer ({reason}): bring it up with `docker compose up` or "
            "`python -m beefirst up`, or set DATABASE_URL to one that runs."
        ) from None


def on_database(url: str, name: str) -> str:
    """Return the URL of another database on the same server.

    Args:
        url: any URL that libpq takes: with a host, with a socket, or with everything behind the question mark.
        name: of the other database.
    """
    parts = urlsplit(url)
    if parts.netloc and "dbname=" not in parts.query:
        return parts._replace(path=f"/{name}").geturl()
    return "postgresql:///?" + urlencode(conninfo_to_dict(url) | {"dbname": name}, quote_via=quote)


class ScratchDatabase(Owned):
    """An empty database, dropped by `drop`, by the end of its `with` block, or when nothing refers to it.

    Attributes:
        name: of the database.
        url: its connection string, password included.

    Raises:
        DatabaseUnavailableError: the server does not answer.
        DatabaseRefusedError: its role may not create databases; the message says what to do.
    """

    def __init__(self, server: str | None = None) -> None:
        server = server or server_url()
        self.name = PREFIX + secrets.token_hex(6)
        self.url = on_database(server, self.name)
        with self._making() as parts:
            # While this connection lives, its name tells other notebooks that the database is not abandoned.
            keeper = connect(server, application_name=self.name)
            register("database", server, self.name)
            parts.callback(_drop, keeper, server, self.name)
            _drop_abandoned(keeper)
            _create(keeper, self.name)

    def connect(self) -> Connection[Any]:
        """Return a new connection to the database, in autocommit mode."""
        return connect(self.url, application_name="beefirst-notebook")

    def drop(self) -> None:
        """Drop the database, whoever is still connected to it; doing so again does nothing."""
        self.close()


def _create(keeper: Connection[Any], name: str) -> None:
    try:
        _run(keeper, "CREATE DATABASE {}", name)
    except psycopg.errors.InsufficientPrivilege:
        role = keeper.info.user
        raise DatabaseRefusedError(
            f"The role {role} may not create databases: run ALTER ROLE {role} CREATEDB as an administrator."
        ) from None


def _drop(keeper: Connection[Any], server: str, name: str) -> None:
    with suppress(psycopg.OperationalError), keeper:  # a server that is gone took the database along
        try:
            _run(keeper, DROP, name)
        except psycopg.errors.InsufficientPrivilege:  # to end a connection of another role, which may be ending anyway
            _run(keeper, "DROP DATABASE IF EXISTS {}", name)  # waits 5 seconds for it
        release("database", server, name)


def _drop_abandoned(keeper: Connection[Any]) -> None:
    for (name,) in keeper.execute(ABANDONED).fetchall():
        with suppress(psycopg.Error):  # another notebook may be dropping it, too
            _run(keeper, DROP, name)


def _run(keeper: Connection[Any], statement: LiteralString, name: str) -> None:
    keeper.execute(sql.SQL(statement).format(sql.Identifier(name)))
