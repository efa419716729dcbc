"""The API's connection pool, and how a step is run on one of its connections."""

import select
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeAlias

import psycopg
from psycopg_pool import AsyncConnectionPool

from beefirst.database.session import Session, connection_parameters, settled
from beefirst.database.time_limit import Connection, Result, limited
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError
from beefirst.settings import Settings

Pool: TypeAlias = AsyncConnectionPool[Session]
Step: TypeAlias = Callable[[Connection], Coroutine[Any, Any, Result]]

APPLICATION_NAME = "beefirst-api"
WAIT_SECONDS = 2.0
"""How long a step waits for a free connection."""

CHECK_SECONDS = 1.0
"""How long a connection may take to show that it still works; another is tried then, within WAIT_SECONDS."""

TRUSTED_SECONDS = 2.0
"""How long after it was last heard of a connection counts as working, while its server has not hung up: a round trip
less before each statement. The sweeper alone lets each be heard of about as often."""

STATEMENT_TIMEOUT = "5s"
"""After this the server ends a statement that waits for a lock, say, and the connection stays."""

STEP_SECONDS = 7.0
"""A step is over after this time, waiting included, whatever the server does: long enough for WAIT_SECONDS and
STATEMENT_TIMEOUT, and less than the 8 seconds that SIGTERM leaves to requests in flight."""

RECONNECT_SECONDS = 2.0

CLOSE_SECONDS = 1.0
"""How long a pool that closes waits for its attempts to connect, which a silent server would draw out."""


IDLE_IN_TRANSACTION = "10s"
"""After this the server ends a transaction whose client stands still. Only behind a pooler is a step one."""

PLANNING = {"enable_seqscan": "off", "jit": "off"}
"""Each statement finds its rows by an index. A connection keeps the plan of a statement that it often runs: one made
while a table was small would read the whole of it until new statistics come, be it a million rows later."""


def create_pool(settings: Settings) -> Pool:
    """Return the pool, not yet open, whose connections are checked before they are handed out.

    The server's own limit on a statement is of use while the server runs. One that has fallen silent (a stopped
    process, a machine that hangs) is hung up on by this side: see `run_step`, which is how connections are used.

    Args:
        settings: names the database and how many connections to keep.
    """
    return Pool(
        settings.database_url.get_secret_value(),
        kwargs=connection_parameters(
            settings.database_url,
            APPLICATION_NAME,
            statement_timeout=STATEMENT_TIMEOUT,
            idle_in_transaction_session_timeout=IDLE_IN_TRANSACTION,
            **PLANNING,
        ),
        connection_class=Session,
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        open=False,  # opening in a constructor needs a running loop, and importing must open nothing
        name=APPLICATION_NAME,
        configure=_settle,
        check=_check,
        timeout=WAIT_SECONDS,
        # Past this the pool gives a connection up, and the next request tries anew at once. With the
        # default of 300 s its pauses double, and a database that is back stays unnoticed for minutes.
        reconnect_timeout=RECONNECT_SECONDS,
    )


@asynccontextmanager
async def open_pool(pool: Pool) -> AsyncIterator[Pool]:
    """Open a pool that `create_pool` has made, and close it at the end of the block."""
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close(CLOSE_SECONDS)


async def run_step(
    pool: Pool,
    step: Step[Result],
    wait_seconds: float = WAIT_SECONDS,
) -> Result:
    """Return what `step` returns on a connection of the pool, within STEP_SECONDS.

    Args:
        pool: lends the connection.
        step: what is to be done on it. One that is given up, or cancelled, may have been done by the server or not.
        wait_seconds: how long to wait for a connection.

    Raises:
        DatabaseUnavailableError: the database does not answer, or took too long.
        DatabaseRefusedError: it answered with any other error, or could not be asked, of which the cause tells why.
            The message has none of the values that the error's own details would show.
    """
    began = monotonic()
    try:
        # Not `pool.connection`, which commits: in autocommit there is nothing to commit, and it costs all the same.
        session = await pool.getconn(wait_seconds)
        try:
            return await limited(session, _run_settled(session, step), STEP_SECONDS - (monotonic() - began))
        finally:
            await pool.putconn(session)
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise DatabaseUnavailableError(
            f"The database does not answer ({type(error).__name__}): try again in a moment."
        ) from None
    except psycopg.Error as error:
        if error.sqlstate is None:  # an error of this side's, whose place in the code is worth knowing
            raise DatabaseRefusedError(f"The database could not be asked ({type(error).__name__}).") from error
        raise DatabaseRefusedError(
            f"The database refused ({type(error).__name__}): {error.diag.message_primary}."
        ) from None


async def _check(session: Session) -> None:
    if monotonic() - session.heard_at > TRUSTED_SECONDS or _has_news(session):
        await limited(session, AsyncConnectionPool.check_connection(session), CHECK_SECONDS)
        session.heard_at = monotonic()


def _has_news(session: Session) -> bool:
    """Tell whether something came unasked: mostly that the server has ended the connection."""
    line = select.poll()
    line.register(session.fileno(), select.POLLIN)
    return bool(line.poll(0))


async def _settle(session: Session) -> None:
    await limited(session, session.settle(), CHECK_SECONDS)
    session.heard_at = monotonic()


async def _run_settled(session: Session, step: Step[Result]) -> Result:
    async with settled(session):
        result = await step(session)
    session.heard_at = monotonic()
    return result
