"""How the services of the compose file came up, from the creation of this container on, as its own files tell it."""

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from beefirst.laboratory.running_service import COMPOSE, RunningService
from beefirst.machine.stopwatch import process_age

WRITTEN_AT_CREATION = Path("/.dockerenv")
"""Docker writes it while it creates a container and never again, whatever is started anew; Podman has no such file.

Its other files (/etc/hostname, /etc/hosts, /etc/resolv.conf) are written at every start.
"""

ONE_COMMAND_SECONDS = 120
"""What comes this much later than what it waited for was not brought up by the same command."""

FIRST_MIGRATION = "SELECT extract(epoch FROM min(applied_at))::float8 FROM schema_migrations"
DATABASE_BEGAN = "SELECT extract(epoch FROM pg_postmaster_start_time())::float8"


@dataclass(frozen=True)
class ComposeStart:
    """Moments of a start, in seconds since the epoch; containers share the clock of their host.

    Attributes:
        created: when this container was; the three of one command are within a moment.
        started: when it was started last.
        database_began: when PostgreSQL did.
        migrated: when the database got its first migration.
        api_began: when the API did that answers now.
        api_ready: when that API was ready.
    """

    created: float
    started: float
    database_began: float
    migrated: float
    api_began: float
    api_ready: float

    @property
    def seconds(self) -> float:
        """From the creation of this container to the API ready."""
        return self.api_ready - self.created

    @property
    def is_first(self) -> bool:
        """Whether the API that answers is the one that migrated the database when that was empty."""
        return self.api_began <= self.migrated <= self.api_ready

    def doubt(self, budget: float) -> str:
        """Return why `seconds` is not how long the command took; nothing where it is.

        An API that was ready within the budget from the creation on was so however often it was started since then.
        One that was ready later may be another than the one that the command started.

        Args:
            budget: in seconds.
        """
        for program, began in (("PostgreSQL", self.database_began), ("the API", self.api_began)):
            if began < self.created:
                return f"{program} was up before this container was created: it was not the same command"
        if self.migrated > self.created and not self.is_first:
            return "the API was started again since it migrated the empty database"
        if self.seconds < budget or (self.is_first and self._came_at_once()):
            return ""
        late = f"the API began {self.api_began - self.created:.0f} s after this container was created"
        return f"{late}, and may have been started again since then"

    def _came_at_once(self) -> bool:
        waits = (self.started - self.created, self.api_began - self.database_began)
        return max(waits) < ONE_COMMAND_SECONDS


def look_at_start(service: RunningService) -> ComposeStart | None:
    """Return how the services came up; None where no container's files tell when this one was created.

    Args:
        service: of which this container is a part, where it is one at all.
    """
    if service.way != COMPOSE:
        return None
    try:
        created = WRITTEN_AT_CREATION.stat().st_mtime
    except OSError:
        return None
    with service.connect() as connection:
        ((database_began,),) = connection.execute(DATABASE_BEGAN).fetchall()
        ((migrated,),) = connection.execute(FIRST_MIGRATION).fetchall()
    startup = service.get("/health/startup")
    api_began = datetime.fromisoformat(startup["started_at"]).timestamp()
    return ComposeStart(
        created=created,
        started=time.time() - process_age(1),
        database_began=database_began,
        migrated=migrated,
        api_began=api_began,
        api_ready=api_began + startup["seconds"],
    )
