"""The composition root: settings go in, a complete application comes out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from beefirst.api import documentation, health
from beefirst.database.migrations import read_migrations
from beefirst.database.pool import create_pool
from beefirst.database.startup import prepare_database
from beefirst.folders import MIGRATIONS
from beefirst.settings import Settings
from beefirst.timeline import StartupTimeline

DESCRIPTION = """Claim an e-mail address with a password, receive a 4-digit code by e-mail, and activate the
account with the code and the password."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; nothing is opened before its lifespan begins.

    Args:
        settings: read from the environment where left out, as for `uvicorn --factory beefirst.api.main:create_app`.

    Raises:
        ConfigurationError: a setting breaks its rule.
    """
    settings = settings or Settings.load()
    app = FastAPIOffline(
        title="beefirst",
        description=DESCRIPTION,
        lifespan=_lifespan,
        static_url="/assets",
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.timeline = StartupTimeline()
    app.include_router(health.router)
    app.include_router(documentation.router)
    app.add_api_route("/", _lead_to_docs, include_in_schema=False)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    timeline: StartupTimeline = app.state.timeline
    timeline.finish("load code")
    migrations = read_migrations(MIGRATIONS)
    await prepare_database(app.state.settings, migrations, timeline)
    async with create_pool(app.state.settings) as pool:
        app.state.pool = pool
        app.state.readiness = health.Readiness(pool, migrations)
        timeline.finish("open pool")
        yield


async def _lead_to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")
