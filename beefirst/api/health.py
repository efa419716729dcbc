"""Whether the service is alive, whether it is ready, and how its start went."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Depends, Request, Response
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, Field

from beefirst.database.migration_files import Migration
from beefirst.database.migrations import AppliedMigration, fetch_history
from beefirst.database.pool import run_step
from beefirst.database.time_limit import Connection
from beefirst.errors import DatabaseUnavailableError
from beefirst.machine.stopwatch import StartupTimeline

PATIENCE_SECONDS = 1.0
"""A probe is answered within this time, whatever the database does."""

log = logging.getLogger("beefirst.health")
router = APIRouter(prefix="/health", tags=["health"])


class Live(BaseModel):
    """The process serves."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Whether requests can be served, and if not, why."""

    status: Literal["ready", "unavailable"] = Field(examples=["ready"])
    database: str = Field(examples=["PostgreSQL 16.14"])
    migrations: str = Field(examples=["001_create_registrations.sql"])
    connection: int | None = Field(description="The server process that answered, as in pg_stat_activity")


class StartupPhase(BaseModel):
    """One phase of the start."""

    name: str = Field(examples=["connect"])
    seconds: float = Field(examples=[0.012])


class Startup(BaseModel):
    """The start of this process, phase by phase, without gaps."""

    started_at: datetime
    seconds: float = Field(examples=[0.61])
    phases: list[StartupPhase]


class Readiness:
    """Asks the database whether requests can be served; however many ask at once, the database is asked once.

    Args:
        pool: the connections that requests use.
        migrations: what the database must have.
    """

    def __init__(self, pool: AsyncConnectionPool, migrations: Sequence[Migration]) -> None:
        self._pool = pool
        self._migrations = migrations
        self._asking: asyncio.Task[Ready] | None = None

    async def ask(self) -> Ready:
        """Return the state within PATIENCE_SECONDS; an answer that takes longer counts as no answer."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._look())
        # Waiting beside the task rather than cancelling it: others may wait for it too, and it ends by itself.
        await asyncio.wait({self._asking}, timeout=PATIENCE_SECONDS)
        return self._asking.result() if self._asking.done() else _unavailable("no answer")

    async def _look(self) -> Ready:
        try:
            history, version, pid = await run_step(self._pool, _look_at, wait_seconds=0.8 * PATIENCE_SECONDS)
        except (DatabaseUnavailableError, psycopg.Error) as error:
            log.debug("not ready: %s", error)
            return _unavailable("no connection")
        server = f"PostgreSQL {version.split()[0]}"
        # A database that is ahead is no reason to stop: during a release old replicas serve beside new ones.
        applied = {(row.version, row.sha256) for row in history}
        missing = [file.name for file in self._migrations if (file.version, file.sha256) not in applied]
        if missing:
            return _unavailable(server, f"{missing[0]} is not applied")
        return Ready(status="ready", database=server, migrations=history[-1].name, connection=pid)


async def _look_at(connection: Connection) -> tuple[list[AppliedMigration], str, int]:
    history = await fetch_history(connection)
    return history, connection.info.parameter_status("server_version") or "", connection.info.backend_pid


def _unavailable(database: str, migrations: str = "unknown") -> Ready:
    return Ready(status="unavailable", database=database, migrations=migrations, connection=None)


def _readiness(request: Request) -> Readiness:
    readiness: Readiness = request.app.state.readiness
    return readiness


@router.get("/live", summary="Does the process serve?", response_description="It does")
async def live() -> Live:
    """Tell that the process serves, whatever the database does."""
    return Live()


READY = "Can requests be served?"
NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "The database cannot be used"}}


@router.get("/ready", responses=NOT_READY, summary=READY, response_description="They can")
@router.get("", responses=NOT_READY, summary=READY, response_description="They can")
async def ready(readiness: Annotated[Readiness, Depends(_readiness)], response: Response) -> Ready:
    """Tell whether requests can be served: the database answers and has every migration."""
    state = await readiness.ask()
    if state.status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return state


@router.get("/startup", summary="How did this process start?", response_description="Its phases, in order")
async def startup(request: Request) -> Startup:
    """Tell how long each phase of this process's start took."""
    timeline: StartupTimeline = request.app.state.timeline
    return Startup(
        started_at=datetime.fromtimestamp(timeline.started_at, UTC),
        seconds=timeline.seconds,
        phases=[StartupPhase(name=phase.name, seconds=phase.seconds) for phase in timeline.phases],
    )
