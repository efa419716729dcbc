"""How long an answer takes tells nothing of an address: the database's share shows at the store, and not over HTTP."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count, cycle
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
LITTLE_SECONDS = 0.6 * SLOW_SECONDS
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
        app = create_app(Settings.load(database_url=url, max_attempts=10, ttl_seconds=3600, client_limit=None))
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
    """Addresses that are claimed with SECRET, in turns; enough that none is locked before the last round."""
    password_hash = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode()
    emails = [next(fresh) for _ in range(30)]
    for email in emails:
        service.claim(email, password_hash)
    return cycle(emails)


Action = Callable[[], object]


def seconds_of(action: Action) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def difference(one: Action, other: Action, rounds: int = ROUNDS) -> float:
    """Return by how many seconds the one takes longer, each at its quickest: all else is a busy machine's doing.

    They take turns, for ROUNDS at least. If there is more than a little between them then, it may still be the
    machine's: only after `rounds` it is theirs.
    """
    quickest = [seconds_of(one), seconds_of(other)]
    for turn in range(1, rounds):
        quickest = list(map(min, quickest, (seconds_of(one), seconds_of(other))))
        if turn >= ROUNDS and abs(quickest[0] - quickest[1]) < LITTLE_SECONDS:
            break
    return quickest[0] - quickest[1]


def test_at_the_store_a_judged_guess_takes_longer_by_what_the_database_takes(
    service: TimedService, claimed: Iterator[str]
) -> None:
    longer = difference(lambda: service.guess(next(claimed)), lambda: service.guess(NOBODY))

    assert longer > LITTLE_SECONDS


def test_at_the_store_a_granted_claim_takes_longer_by_what_the_database_takes(service: TimedService) -> None:
    service.claim(OWNED)

    longer = difference(lambda: service.claim(next(fresh)), lambda: service.claim(OWNED))

    assert longer > LITTLE_SECONDS


def test_over_http_a_judged_guess_takes_as_long_as_another(service: TimedService, claimed: Iterator[str]) -> None:
    longer = difference(lambda: service.activate(next(claimed)), lambda: service.activate(NOBODY), 10 * ROUNDS)

    assert abs(longer) < LITTLE_SECONDS


def test_over_http_a_granted_claim_takes_as_long_as_another(service: TimedService) -> None:
    service.register(OWNED)

    longer = difference(lambda: service.register(next(fresh)), lambda: service.register(OWNED), 10 * ROUNDS)

    assert abs(longer) < LITTLE_SECONDS
