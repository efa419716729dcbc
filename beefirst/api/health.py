"""Whether the service is alive, whether it is ready, and how its start went."""

from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from beefirst.api.readiness import STOPPING, Ready
from beefirst.api.services import Services

router = APIRouter(prefix="/health", tags=["health"])


class Live(BaseModel):
    """The process serves."""

    status: Literal["live"] = "live"


class StartupPhase(BaseModel):
    """One phase of the start."""

    name: str = Field(examples=["connect"])
    seconds: float = Field(examples=[0.012])


class Startup(BaseModel):
    """The start of this process, phase by phase, without gaps."""

    started_at: datetime
    seconds: float = Field(examples=[0.61])
    phases: list[StartupPhase]


@router.get("/live", summary="Does the process serve?", response_description="It does")
async def live() -> Live:
    """Tell that the process serves, whatever the database does."""
    return Live()


READY = "Can requests be served?"
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Ready, "description": "The database cannot be used, or this replica stops"}
}


@router.get("/ready", responses=NOT_READY, summary=READY, response_description="They can")
@router.get("", responses=NOT_READY, summary=READY, response_description="They can")
async def ready(request: Request, response: Response) -> Ready:
    """Tell whether requests can be served: the database answers and has every migration."""
    services = Services.of(request)
    services.balancers.note(request.scope)
    state = STOPPING if services.balancers.are_told else await services.readiness.ask()
    if state.status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return state


@router.get("/startup", summary="How did this process start?", response_description="Its phases, in order")
async def startup(request: Request) -> Startup:
    """Tell how long each phase of this process's start took."""
    timeline = Services.of(request).timeline
    return Startup(
        started_at=datetime.fromtimestamp(timeline.started_at, UTC),
        seconds=timeline.seconds,
        phases=[StartupPhase(name=phase.name, seconds=phase.seconds) for phase in timeline.phases],
    )
