"""Connections that rely on nothing that a role, a database, a server or a URL may have preset otherwise."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from math import inf
from typing import Any, Self, TypeGuard, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor, IsolationLevel, sql
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo, TransactionStatus
from psycopg.waiting import wait_async

from beefirst.database.time_limit import Connection
from beefirst.urls import DatabaseUrl

Got = TypeVar("Got")

CONNECT_TIMEOUT_SECONDS = 3

CANCEL_SECONDS = 0.5
"""How long a server may take to hear that nobody waits for its answer any more."""

SPOKEN = {"DateStyle": "ISO, MDY", "TimeZone": "UTC", "standard_conforming_strings": "on"}
"""How both sides understand each other. A server reports these to its client, so that PgBouncer keeps them, too."""

RELIED_ON = {
    "IntervalStyle": "postgres",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "0",
    "quote_all_identifiers": "off",
    "row_security": "on",
    "statement_timeout": "0",
    "synchronous_commit": "on",
}
"""What else is relied on. PgBouncer in transaction mode forgets these from one transaction to the next."""

NEWER = {"transaction_timeout": 170000}
"""Further time limits, and the version of PostgreSQL that first has each: an older one would let nobody in with it."""

TAKES_NO_OPTIONS = re.compile(
    r"unsupported startup parameter|"  # PgBouncer
    r'unrecognized configuration parameter "idle_session_timeout"'  # PostgreSQL before 14, refused by its version
)

BACKEND = sql.SQL("pg_backend_pid()")

OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=((?:\\.|[^\\\s])*)")
"""One setting in libpq's `options`, where a backslash takes a blank along."""


def session_options(url: str, **settings: str) -> str:
    """Return libpq's `options` for a connection: those of the URL, its service or PGOPTIONS, then what is relied on.

    Args:
        url: any that libpq takes.
        settings: of PostgreSQL, in the place of those in RELIED_ON or beside them.
    """
    named = conninfo_to_dict(url)
    own = str(named["options"]) if "options" in named else _preset_options(str(named.get("service", "")))
    ours = (
        f"-c {name}={value.replace(chr(92), chr(92) * 2).replace(' ', chr(92) + ' ')}"
        for name, value in (RELIED_ON | settings).items()
    )
    return " ".join([own, *ours]).strip()


def _preset_options(service: str) -> str:
    """Return the options that libpq takes from PGOPTIONS, or from the file of services for one that a URL names."""
    with _environment("PGSERVICE", service):  # the only way to ask libpq what a service holds
        preset = {option.keyword: option.val for option in Conninfo.get_defaults()}
    return (preset.get(b"options") or b"").decode()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment within the block, if there is a value for it."""
    before = os.environ.get(name)
    try:
        if value:
            os.environ[name] = value
        yield
    finally:
        if value and before is None:
            del os.environ[name]
        elif before is not None:
            os.environ[name] = before


def connection_parameters(url: DatabaseUrl, application_name: str, **settings: str) -> dict[str, Any]:
    """Return what to pass to `Session.connect` beside `url`; what the URL says of name and time limits stays.

    Args:
        url: where to connect to.
        application_name: what pg_stat_activity shows of the connection.
        settings: as for `session_options`.
    """
    defaults: dict[str, Any] = {
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
    }
    text = url.get_secret_value()
    named = conninfo_to_dict(text)
    parameters = {key: value for key, value in defaults.items() if key not in named}
    return parameters | {
        "client_encoding": "UTF8",
        "options": session_options(text, **settings),
        "autocommit": True,
    }


class Session(AsyncConnection[Any]):
    """A connection that knows what it relies on, and whether the server keeps that between two transactions.

    Attributes:
        settings: what is relied on, and what the URL's own options set.
        heard_at: when its server last answered as it should, by the monotonic clock.
        is_pooled: PgBouncer or the like stands between, and may hand every transaction to another server process.
    """

    settings: Mapping[str, str]
    heard_at: float = -inf
    is_pooled: bool = False

    @classmethod
    async def connect(cls, conninfo: str = "", **parameters: Any) -> Self:
        """Connect with the parameters that `connection_parameters` gives."""
        try:
            session = await super().connect(conninfo, **parameters)
        except psycopg.OperationalError as error:
            if not TAKES_NO_OPTIONS.search(str(error)):
                raise
            session = await super().connect(conninfo, **parameters | {"options": ""})
            session.is_pooled = True
        session.settings = _parse_options(parameters["options"])
        return session

    async def wait(self, gen: PQGen[Got], interval: float = 0.1, timeout: float | None = None) -> Got:
        """Wait as psycopg does for what the server is asked; if nobody waits for it any more, the connection ends.

        The server is asked to end the query, too. psycopg waits ten seconds for one that does not answer.
        """
        try:
            return await wait_async(gen, self.fileno(), interval, timeout)
        except asyncio.CancelledError:
            try:
                with suppress(psycopg.Error):
                    await self.cancel_safe(timeout=CANCEL_SECONDS)
            finally:  # also where there is no time even for that
                self.pgconn.finish()
            raise

    async def settle(self) -> None:
        """Agree with the server on how values are written; to be called once, before anything else."""
        cursor = await self._set(SPOKEN, is_local=False)
        process, *_ = await cursor.fetchone() or (None,)
        # A pooler makes up the number that it gives its client.
        self.is_pooled = self.is_pooled or process != self.info.backend_pid
        newer = {name: "0" for name, since in NEWER.items() if self.info.server_version >= since}
        self.settings = {**self.settings, **newer}
        if self.is_pooled:
            # PgBouncer before 1.21 mixes up the prepared statements of those who share a server process.
            self.prepare_threshold = None
            await self.set_isolation_level(IsolationLevel.READ_COMMITTED)
            await self.set_read_only(False)
        else:
            await self._set(newer, is_local=False)

    async def settle_transaction(self) -> None:
        """Let what is relied on hold for the transaction that has just begun."""
        await self._set(self.settings, is_local=True)

    async def _set(self, settings: Mapping[str, str], *, is_local: bool) -> AsyncCursor[Any]:
        changes = [sql.SQL("set_config({}, {}, {})").format(*item, is_local) for item in settings.items()]
        return await self.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join([BACKEND, *changes])))


def settled(connection: Connection) -> AbstractAsyncContextManager[None]:
    """Let all that is relied on hold within the block: by itself, or by a transaction where a pooler forgets it.

    Args:
        connection: a Session that is settled, or any other connection, which is taken as it is.

    Raises:
        psycopg.errors.ReadOnlySqlTransaction: the pooler leads to a server that takes no writes at present.
    """
    if not is_pooled(connection) or connection.info.transaction_status != TransactionStatus.IDLE:
        return nullcontext()
    return _settled_transaction(connection)


@asynccontextmanager
async def _settled_transaction(connection: Session) -> AsyncIterator[None]:
    async with AsyncExitStack() as transaction:
        try:
            await transaction.enter_async_context(connection.transaction())
        except psycopg.errors.FeatureNotSupported as error:
            raise psycopg.errors.ReadOnlySqlTransaction(str(error)) from None
        await connection.settle_transaction()
        yield


def is_pooled(connection: Connection) -> TypeGuard[Session]:
    """Tell whether a pooler may hand every transaction of a connection to another server process."""
    return isinstance(connection, Session) and connection.is_pooled


def _parse_options(options: str) -> dict[str, str]:
    return {name.replace("-", "_"): re.sub(r"\\(.)", r"\1", value) for name, value in OPTION.findall(options)}
