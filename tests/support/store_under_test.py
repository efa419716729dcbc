"""The store of registrations on a real PostgreSQL, called as if it were not asynchronous, alone and raced."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, LiteralString, TypeVar
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from beefirst.database.registrations import BATCH, RegistrationStore
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.registration.states import Claim, Holder, Judgement, State
from tests.support.databases import empty, store_on

ADA, BOB = "ada@example.com", "bob@example.com"
CODE, WRONG = "1234", "4321"
TTL, HOUR, DAY = 60, 3600, 24 * 3600
RACERS = 12

Link = AsyncConnection[Any]
Result = TypeVar("Result")
hashes = map("hash {}".format, count())


class StoreUnderTest:
    """A store on one connection, with an empty table.

    Attributes:
        url: of the database.
        aside: another connection, to look at what happened.
        last: the last claim that was granted.
    """

    last: Claim

    def __init__(self, database: ScratchDatabase) -> None:
        self.url = database.url
        self._runner = asyncio.Runner()
        self._link = self.run(AsyncConnection.connect(self.url, autocommit=True))
        self._store = store_on(self._link, TTL)
        self.aside = database.connect()
        empty(self.aside)

    def close(self) -> None:
        self.run(self._link.close())
        self._runner.close()
        self.aside.close()

    def run(self, action: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(action)

    def race(
        self, calls: Sequence[Callable[[RegistrationStore], Awaitable[Result | None]]], max_attempts: int = 3
    ) -> list[Result]:
        """Make all calls at once, on RACERS connections, and return what they gave but None."""
        return self.run(_at_once(self.url, calls, max_attempts))

    def claim(self, email: str = ADA, code: str = CODE, ttl: float = TTL) -> Claim | None:
        return self.run(replace(self._store, ttl_seconds=ttl).claim(email, next(hashes), code))

    def claimed(self, email: str = ADA, code: str = CODE) -> Claim:
        claim = self.claim(email, code)
        assert claim is not None
        self.last = claim
        return claim

    def find_claim(self, email: str = ADA) -> Claim | None:
        return self.run(self._store.find_claim(email))

    def judge(self, claim: Claim, code: str, max_attempts: int = 3, ttl: float = TTL) -> Judgement | None:
        return self.run(replace(self._store, max_attempts=max_attempts, ttl_seconds=ttl).judge(claim, code))

    def release(self, claim: Claim) -> bool:
        return self.run(self._store.release(claim))

    def find_holder(self, email: str = ADA) -> Holder | None:
        return self.run(self._store.find_holder(email))

    def notice(self, email: str = ADA) -> datetime | None:
        holder = self.find_holder(email)
        assert holder is not None
        return self.run(self._store.book_notice(email, holder))

    def refund(self, mailed_at: datetime | None, email: str = ADA) -> None:
        assert mailed_at is not None
        self.run(self._store.refund_mail(email, mailed_at))

    def expire(self, batch: int = BATCH) -> list[UUID]:
        return list(self.run(replace(self._store, batch=batch).expire_due()))

    def delete_ended(self, batch: int = BATCH) -> int:
        return self.run(replace(self._store, batch=batch).delete_ended())

    def delete_budgets(self, batch: int = BATCH) -> int:
        return self.run(replace(self._store, batch=batch).delete_forgotten())

    def overdue(self) -> int:
        return self.run(self._store.count_overdue())

    def activate(self, email: str = ADA) -> Claim:
        claim = self.claimed(email)
        assert self.judge(claim, CODE) == Judgement(State.ACTIVE, 0)
        return claim

    def lock(self, email: str = ADA, ttl: float = TTL) -> Claim:
        claim = self.claimed(email)
        assert [self.judge(claim, WRONG, ttl=ttl) for _ in range(3)][-1] == Judgement(State.LOCKED, 3)
        return claim

    def let_pass(self, seconds: float) -> None:
        let_pass(self.aside, seconds)

    def query(self, statement: LiteralString, *values: object) -> list[dict[str, Any]]:
        return self.aside.cursor(row_factory=dict_row).execute(statement, values).fetchall()

    def row(self, email: str = ADA) -> dict[str, Any]:
        (row,) = self.query("SELECT * FROM registrations WHERE email = %s", email)
        return row

    def state(self, email: str = ADA) -> tuple[str, int, bool]:
        """Return state, attempts, and whether there is a hash."""
        row = self.row(email)
        return row["state"], row["attempt_count"], row["password_hash"] is not None

    def budget(self, email: str = ADA) -> dict[str, Any]:
        (budget,) = self.query("SELECT * FROM address_budgets WHERE email = %s", email)
        return budget

    def cool_down(self, email: str = ADA) -> int:
        """Return how many seconds the cool-down lasts that the last wrong guess has started."""
        budget = self.budget(email)
        lasting: timedelta = budget["cooling_until"] - budget["guessed_at"]
        return round(lasting.total_seconds())


async def _at_once(
    url: str, calls: Sequence[Callable[[RegistrationStore], Awaitable[Result | None]]], max_attempts: int
) -> list[Result]:
    async with AsyncConnectionPool[Link](
        url, kwargs={"autocommit": True}, min_size=RACERS, max_size=RACERS, open=False, timeout=60
    ) as pool:
        await pool.wait(60)

        async def make(call: Callable[[RegistrationStore], Awaitable[Result | None]]) -> Result | None:
            async with pool.connection() as link:
                return await call(store_on(link, TTL, max_attempts))

        results = await asyncio.gather(*map(make, calls))
    return [result for result in results if result is not None]


@asynccontextmanager
async def links(url: str, number: int) -> AsyncIterator[list[Link]]:
    """Open connections of a test's own."""
    opened = [await AsyncConnection.connect(url, autocommit=True) for _ in range(number)]
    try:
        yield opened
    finally:
        for link in opened:
            await link.close()


async def started_and_waiting(action: Coroutine[Any, Any, Result], link: Link, watcher: Link) -> asyncio.Task[Result]:
    """Start a statement on a connection and return once it waits for a lock."""
    task = asyncio.create_task(action)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    async with asyncio.timeout(60):
        while not await (await watcher.execute(waiting, (link.info.backend_pid,))).fetchone():
            await asyncio.sleep(0.01)
    return task


def leave_free(_: StoreUnderTest) -> None:
    """Nobody has claimed the address."""


def leave_overdue(store: StoreUnderTest) -> None:
    store.claimed()
    store.let_pass(TTL)


def leave_expired(store: StoreUnderTest) -> None:
    leave_overdue(store)
    store.expire()


def leave_released(store: StoreUnderTest) -> None:
    store.release(store.claimed())


def leave_locked(store: StoreUnderTest) -> None:
    store.lock()
    store.let_pass(TTL)


Situation = Callable[[StoreUnderTest], object]
ENDED: list[Situation] = [leave_overdue, leave_expired, leave_released, leave_locked]
