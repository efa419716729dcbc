"""The parts of one application, in one typed object: what its handlers use, and what its lifespan opens and closes."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from fastapi import Request

from beefirst.api.balancers import Balancers
from beefirst.api.client_limits import ClientLimits
from beefirst.api.metrics import Metrics
from beefirst.api.readiness import Readiness
from beefirst.api.schema_watch import SchemaWatch
from beefirst.api.sweeper import Sweeper
from beefirst.database.migration_files import Migration
from beefirst.database.pool import Pool
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.mail.courier import Courier
from beefirst.mail.outbox import Outbox
from beefirst.passwords import BcryptPasswords
from beefirst.registration.rules import Registration
from beefirst.settings import Settings

if TYPE_CHECKING:
    from beefirst.api.open_telemetry import OpenTelemetry

GRACE_SECONDS = 8.0
"""How long requests and mail in flight may take to finish after SIGTERM; Docker kills 10 seconds after it."""


class Grace:
    """What is left of GRACE_SECONDS, which begin when the service stops listening."""

    def __init__(self) -> None:
        self._ends: float | None = None

    def begin(self) -> None:
        """Let the time run from now."""
        self._ends = monotonic() + GRACE_SECONDS

    @property
    def seconds_left(self) -> float:
        """All of it as long as it has not begun."""
        return GRACE_SECONDS if self._ends is None else max(0, self._ends - monotonic())


@dataclass(frozen=True)
class Services:
    """Built by `create_app`, which opens none of it, and kept as `app.state.services`.

    Attributes:
        settings: of the application.
        client_limits: how many requests each client may make.
        balancers: who is told before the service stops listening.
        timeline: how the start went.
        metrics: the figures for Prometheus.
        readiness: whether the database can be used.
        registration: the use cases.
        outbox: takes mail that is to leave after the answer.
        courier: delivers it, and is closed by the lifespan.
        grace: how long what is in flight may still take.
        migrations: what the lifespan applies before all else.
        pool: the connections, opened and closed by the lifespan.
        passwords: the threads that hash, closed by the lifespan.
        sweeper: runs as long as the lifespan lasts.
        schema_watch: does so, too.
        telemetry: so does what makes traces, where they are asked for.
    """

    settings: Settings
    client_limits: ClientLimits
    balancers: Balancers
    timeline: StartupTimeline
    metrics: Metrics
    readiness: Readiness
    registration: Registration
    outbox: Outbox
    courier: Courier
    grace: Grace
    migrations: Sequence[Migration]
    pool: Pool
    passwords: BcryptPasswords
    sweeper: Sweeper
    schema_watch: SchemaWatch
    telemetry: "OpenTelemetry | None"

    @classmethod
    def of(cls, request: Request) -> "Services":
        """Return those of the application that a request is for.

        Called by the handlers themselves: FastAPI works for each dependency of each request, and sends one that is
        a plain function to a thread.
        """
        services: Services = request.app.state.services
        return services
