"""How long an answer takes tells nothing of an address: the database's share shows at the store, and not over HTTP."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count, cycle
from statistics import median
from typing import Any

import bcrypt
import httpx
import pytest

from beefirst.api.main import create_app
from beefirst.api.services import Services
from beefirst.passwords import EVEN_SECONDS, BcryptPasswords
from beefirst.settings import Settings
from tests.conftest import SECRET
from tests.support.databases import migrated_database

NOBODY, OWNED = "nobody@example.com", "owned@example.com"
CODE, WRONG = "1234", "4321"
ROUNDS = 24
SLOW_SECONDS = 0.4 * EVEN_SECONDS
SLOW_FUNCTION = f"""
    CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep({SLOW_SECONDS}); RETURN NULL; END $$
"""
SLOW_TRIGGER = "CREATE TRIGGER slow AFTER INSERT OR UPDATE ON registrations FOR EACH ROW EXECUTE FUNCTION be_slow()"

fresh = map("{}@example.com".format, count())


class TimedService:
    """The application and its store in this process, called as if they were not asynchronous."""

    def __init__(self, url: str) -> None:
        self._runner, self._resources = asyncio.Runner(), AsyncExitStack()
        app = create_app(Settings.load(database_url=url, max_attempts=10, ttl_seconds=3600))
        self._enter(app.router.lifespan_context(app))
        # At cost 10 a hash takes longer than all else, and never the same time on a busy machine.
        self._passwords = BcryptPasswords(4)
        services: Services = app.state.services
        registration = replace(services.registration, passwords=self._passwords)
        app.state.services = replace(services, registration=registration)
        self._store = registration.store
        transport = httpx.ASGITransport(app)
        self._client = self._enter(httpx.AsyncClient(transport=transport, base_url="http://beefirst"))

    def claim(self, email: str, password_hash: str = "a hash") -> None:
        self._run(self._store.claim(email, password_hash, CODE))

    def guess(self, email: str) -> None:
        claim = self._run(self._store.find_claim(email))
        if claim:
            self._run(self._store.judge(claim, WRONG))

    def register(self, email: str) -> None:
        body = {"email": email, "password": SECRET}
        assert self._run(self._client.post("/v1/register", json=body)).status_code == 202

    def activate(self, email: str) -> None:
        answer = self._run(self._client.post("/v1/activate", json={"code": WRONG}, auth=(email, SECRET)))
        assert answer.status_code == 401

    def close(self) -> None:
        self._run(self._resources.aclose())
        self._passwords.close()
        self._runner.close()

    def _enter(self, context: Any) -> Any:
        return self._run(self._resources.enter_async_context(context))

    def _run(self, action: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(action)


@pytest.fixture(scope="module")
def service() -> Iterator[TimedService]:
    """A service whose database takes its time for a change, as one that waits for its disk."""
    with migrated_database() as database, database.connect() as connection:
        connection.execute(SLOW_FUNCTION.encode())
        connection.execute(SLOW_TRIGGER)
        service = TimedService(database.url)
        yield service
        service.close()


@pytest.fixture
def claimed(service: TimedService) -> Iterator[str]:
    """Addresses that are claimed with SECRET, in turns."""
    password_hash = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode()
    emails = [next(fresh) for _ in range(5)]
    for email in emails:
        service.claim(email, password_hash)
    return cycle(emails)


Action = Callable[[], object]


def seconds_of(action: Action) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def medians(one: Action, other: Action) -> tuple[float, float]:
    """Return how long each takes, in turns, so that what disturbs the one disturbs the other."""
    pairs = [(seconds_of(one), seconds_of(other)) for _ in range(ROUNDS)]
    return median(first for first, _ in pairs), median(second for _, second in pairs)


def test_at_the_store_a_judged_guess_takes_several_times_as_long(service: TimedService, claimed: Iterator[str]) -> None:
    judged, unjudged = medians(lambda: service.guess(next(claimed)), lambda: service.guess(NOBODY))

    assert judged > 3 * unjudged


def test_at_the_store_a_granted_claim_takes_several_times_as_long(service: TimedService) -> None:
    service.claim(OWNED)

    granted, refused = medians(lambda: service.claim(next(fresh)), lambda: service.claim(OWNED))

    assert granted > 3 * refused


def test_over_http_a_judged_guess_takes_as_long_as_another(service: TimedService, claimed: Iterator[str]) -> None:
    judged, unjudged = medians(lambda: service.activate(next(claimed)), lambda: service.activate(NOBODY))

    assert abs(judged - unjudged) < 0.6 * SLOW_SECONDS


def test_over_http_a_granted_claim_takes_as_long_as_another(service: TimedService) -> None:
    service.register(OWNED)

    granted, refused = medians(lambda: service.register(next(fresh)), lambda: service.register(OWNED))

    assert abs(granted - refused) < 0.6 * SLOW_SECONDS
