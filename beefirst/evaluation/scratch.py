"""Databases that a notebook makes for itself on the server at hand, and that go when it goes."""

import atexit
import os
import secrets
from functools import cache
from types import TracebackType
from typing import Any, LiteralString, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import Connection, sql

from beefirst.database.embedded import EmbeddedServer
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError
from beefirst.settings import DatabaseUrl

PREFIX = "beefirst_scratch_"
ABANDONED = """
    SELECT datname
      FROM pg_database
     WHERE datname LIKE 'beefirst\\_scratch\\_%'
       AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = pg_database.datname)
"""


@cache
def server_url() -> str:
    """Return the URL of the server for experiments: DATABASE_URL, or an embedded one that ends with this process."""
    if configured := os.environ.get("DATABASE_URL"):
        return configured
    server = EmbeddedServer.start_ephemeral()
    atexit.register(server.stop)
    return server.url


def connect(url: str, **parameters: Any) -> Connection[Any]:
    """Connect to a database in autocommit mode.

    Raises:
        DatabaseUnavailableError: it does not answer; the message says what to do and holds no password.
    """
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5, **parameters)
    except psycopg.OperationalError as error:
        reason = str(error).splitlines()[0].rpartition("failed: ")[2]
        raise DatabaseUnavailableError(
            f"The database {DatabaseUrl(url)} does not answer ({reason}): bring it up with `docker compose up` or "
            "`python -m beefirst up`, or set DATABASE_URL to one that runs."
        ) from None


class ScratchDatabase:
    """An empty database of this process alone, dropped by `drop`, by the end of its `with` block, or with the process.

    Attributes:
        name: of the database.
        url: its connection string, password included.
    """

    def __init__(self, server: str | None = None) -> None:
        server = server or server_url()
        self.name = PREFIX + secrets.token_hex(6)
        self.url = urlsplit(server)._replace(path=f"/{self.name}").geturl()
        # While this connection lives, its name tells other notebooks that the database is not abandoned.
        self._keeper = connect(server, application_name=self.name)
        self._drop_abandoned()
        try:
            self._run("CREATE DATABASE {}", self.name)
        except psycopg.errors.InsufficientPrivilege:
            role = self._keeper.info.user
            raise DatabaseRefusedError(
                f"The role {role} may not create databases: run ALTER ROLE {role} CREATEDB as an administrator."
            ) from None
        atexit.register(self.drop)

    def connect(self) -> Connection[Any]:
        """Return a new connection to the database, in autocommit mode."""
        return connect(self.url, application_name="beefirst-notebook")

    def drop(self) -> None:
        """Drop the database, whoever is still connected to it; doing so again does nothing."""
        if not self._keeper.closed:
            self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)
            self._keeper.close()
            atexit.unregister(self.drop)

    def _run(self, statement: LiteralString, name: str) -> None:
        self._keeper.execute(sql.SQL(statement).format(sql.Identifier(name)))

    def _drop_abandoned(self) -> None:
        for (name,) in self._keeper.execute(ABANDONED).fetchall():
            self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
