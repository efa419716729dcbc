"""The composition root: settings go in, a complete application comes out."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from beefirst.api import documentation, health, operation, registrations
from beefirst.api.balancers import Balancers
from beefirst.api.body_limit import BodyLimit
from beefirst.api.client_limits import ClientLimits
from beefirst.api.direct_serving import DirectServing
from beefirst.api.errors import ANSWERS_OF_ALL, HANDLERS
from beefirst.api.host_check import HostCheck
from beefirst.api.limiting import Limiting
from beefirst.api.metrics import Metrics
from beefirst.api.observer import Observer
from beefirst.api.readiness import Readiness
from beefirst.api.schema_watch import SchemaWatch
from beefirst.api.services import Grace, Services
from beefirst.api.shedding import Shedding
from beefirst.api.sweeper import Sweeper
from beefirst.api.tracing import Tracing, create_tracing
from beefirst.database.migration_files import read_migrations
from beefirst.database.pool import create_pool, open_pool, run_step
from beefirst.database.registrations import RegistrationStore
from beefirst.database.startup import prepare_database
from beefirst.machine.folders import MIGRATIONS
from beefirst.machine.stopwatch import StartupTimeline
from beefirst.mail.courier import create_courier
from beefirst.mail.outbox import Outbox
from beefirst.passwords import BcryptPasswords
from beefirst.registration.common_passwords import common_passwords
from beefirst.registration.rules import Registration
from beefirst.settings import Settings

DESCRIPTION = """Claim an e-mail address with a password, receive a 4-digit code by e-mail, and activate the
account with the code and the password.

Try it here: send the example of *Claim an address*, take the code from the mail (in the demo, the line `DEMO MAIL` in
the API's log), press *Authorize* with the address and the password, and send the code with *Activate an account*."""

NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own is off: its spans hold paths and queries, its logs the messages of exceptions. See `Tracing`."""

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
        MigrationError: see `read_migrations`.
    """
    services = _build(settings or Settings.load())
    app = FastAPIOffline(
        title="beefirst",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=_lifespan,
        static_url="/assets",
        docs_url=None,
        redoc_url=None,
        responses=ANSWERS_OF_ALL,
        exception_handlers=HANDLERS,
        telemetry=NO_TELEMETRY,
    )
    app.state.services = services
    _wrap(app, services)
    for module in (registrations, health, operation, documentation):
        app.include_router(module.router)
    app.add_api_route("/", _lead_to_docs, include_in_schema=False)
    return app


def _wrap(app: FastAPI, services: Services) -> None:
    """Put around the application what looks at a request before it does: the last one looks first."""
    routes = registrations.NEED_A_HASH
    app.add_middleware(DirectServing, routes=routes, handlers=HANDLERS)
    app.add_middleware(BodyLimit)
    app.add_middleware(
        Limiting, limits=services.client_limits, trusted=services.settings.trusted_proxies, routes=routes
    )
    app.add_middleware(Shedding, passwords=services.passwords, metrics=services.metrics, routes=routes)
    app.add_middleware(HostCheck)
    app.add_middleware(Observer, metrics=services.metrics)
    if services.telemetry:
        app.add_middleware(Tracing, telemetry=services.telemetry)


def _build(settings: Settings) -> Services:
    pool, migrations, metrics = create_pool(settings), read_migrations(MIGRATIONS), Metrics()
    metrics.watch_pool(pool.get_stats)
    store = RegistrationStore(partial(run_step, pool), settings.ttl_seconds, settings.max_attempts)
    passwords = BcryptPasswords(settings.bcrypt_cost, on_wait=metrics.password_wait.observe)
    common_passwords()  # read here, in a millisecond, so that no request waits for it
    courier = create_courier(settings)
    registration = Registration(store, passwords, courier)
    return Services(
        settings=settings,
        client_limits=ClientLimits(settings.client_limit, settings.limits_url, metrics),
        balancers=Balancers(settings.trusted_proxies),
        timeline=StartupTimeline(),
        metrics=metrics,
        readiness=Readiness(pool, migrations),
        registration=registration,
        outbox=Outbox(metrics.mail_taken.set),
        courier=courier,
        grace=Grace(),
        migrations=migrations,
        pool=pool,
        passwords=passwords,
        sweeper=Sweeper(registration, store, metrics, settings.sweep_interval_seconds),
        schema_watch=SchemaWatch(pool, migrations, metrics),
        telemetry=create_tracing(os.environ),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    services.timeline.finish("load code")
    await prepare_database(services.settings, services.migrations, services.timeline)
    async with _sending_traces(services), open_pool(services.pool), services.client_limits.running():
        services.timeline.finish("open pool")
        try:
            async with services.sweeper.running(), services.schema_watch.running():
                yield
        finally:  # what is in flight before the pool that it needs
            await services.outbox.close(services.grace.seconds_left)
            await services.courier.close(services.grace.seconds_left)
            services.passwords.close()


def _sending_traces(services: Services) -> AbstractAsyncContextManager[None]:
    return services.telemetry.running(lambda: services.grace.seconds_left) if services.telemetry else nullcontext()


async def _lead_to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")
