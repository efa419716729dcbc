"""The composition root: settings go in, a complete application comes out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline
from psycopg_pool import AsyncConnectionPool

from beefirst.api import documentation, health, metrics, registrations, sweeper
from beefirst.api.body_limit import BodyLimit
from beefirst.api.errors import install_error_handlers
from beefirst.api.observer import Observer
from beefirst.database.migration_files import read_migrations
from beefirst.database.pool import open_pool
from beefirst.database.startup import prepare_database
from beefirst.database.store import RegistrationStore
from beefirst.machine.folders import MIGRATIONS
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.mail.courier import create_courier
from beefirst.mail.outbox import Outbox
from beefirst.passwords import BcryptPasswords
from beefirst.registration.rules import Registration
from beefirst.settings import Settings

GRACE_SECONDS = 8.0
"""How long requests and mail in flight may take to finish after SIGTERM; Docker kills 10 seconds after it."""

DESCRIPTION = """Claim an e-mail address with a password, receive a 4-digit code by e-mail, and activate the
account with the code and the password.

Try it here: send the example of *Claim an address*, take the code from the mail (in the demo, the line `DEMO MAIL` in
the API's log), press *Authorize* with the address and the password, and send the code with *Activate an account*."""

TAGS = [
    {"name": "registration", "description": "From an address to an account"},
    {"name": "health", "description": "For whoever runs the service: is it up, and how did it start?"},
    {"name": "operation", "description": "Figures for Prometheus"},
]


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
        openapi_tags=TAGS,
        lifespan=_lifespan,
        static_url="/assets",
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.timeline = StartupTimeline()
    app.state.metrics = metrics.Metrics()
    app.state.stopped_at = None
    app.add_middleware(BodyLimit)
    app.add_middleware(Observer, metrics=app.state.metrics)
    install_error_handlers(app)
    for module in (registrations, health, metrics, documentation):
        app.include_router(module.router)
    app.add_api_route("/", _lead_to_docs, include_in_schema=False)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    timeline: StartupTimeline = app.state.timeline
    timeline.finish("load code")
    migrations = read_migrations(MIGRATIONS)
    await prepare_database(app.state.settings, migrations, timeline)
    async with open_pool(app.state.settings) as pool:
        app.state.pool = pool
        app.state.readiness = health.Readiness(pool, migrations)
        timeline.finish("open pool")
        async with _registration(app, pool):
            yield


@asynccontextmanager
async def _registration(app: FastAPI, pool: AsyncConnectionPool) -> AsyncIterator[None]:
    """Build what registers, and end it in the order in which nothing is lost: the mail before the pool."""
    settings: Settings = app.state.settings
    store = RegistrationStore(pool, settings.ttl_seconds, settings.max_attempts)
    passwords = BcryptPasswords(settings.bcrypt_cost)
    app.state.outbox = outbox = Outbox()
    app.state.registration = rules = Registration(store, passwords, create_courier(settings))
    sweeping = asyncio.create_task(
        sweeper.Sweeper(rules, store, app.state.metrics, settings.sweep_interval_seconds).run()
    )
    try:
        yield
    finally:
        await sweeper.stop(sweeping)
        since_signal = monotonic() - app.state.stopped_at if app.state.stopped_at else 0
        await outbox.close(max(0, GRACE_SECONDS - since_signal))
        passwords.close()


async def _lead_to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")
