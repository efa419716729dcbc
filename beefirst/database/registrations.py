"""The store of registrations that the rules and the sweeper ask for, on PostgreSQL."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, Protocol, TypeVar
from uuid import UUID

from psycopg.rows import AsyncRowFactory, args_row, class_row, scalar_row

from beefirst.database import statements
from beefirst.database.time_limit import Connection, Result
from beefirst.machine.tracing import span
from beefirst.registration.states import Claim, Holder, Judgement, State

MAILS_A_DAY = 20
"""To any one address, so that nobody can be flooded by strangers who claim it."""

BATCH = 25
"""Rows that one statement of the sweeper touches: few, so that no request waits long for its locks, its events, or a
core of the database's. On two cores, batches of 100 sweep a quarter faster but treble the p99 of other requests."""

KEEP_HOURS = 24
"""How long EXPIRED and LOCKED rows, and the budget of an address that nobody touches, are kept."""

SPANS = {
    text: (name, {"db.system.name": "postgresql", "db.operation.name": name})
    for name, text in vars(statements).items()
    if name.isupper()
}
"""How a trace names each statement; none of its values. The wait for a connection is part of the span."""

Row = TypeVar("Row")


class Run(Protocol):
    """Lends a connection, in autocommit mode, to one step at a time, and returns what the step returns."""

    async def __call__(self, step: Callable[[Connection], Coroutine[Any, Any, Result]], /) -> Result:
        """Run a step."""


@dataclass(frozen=True)
class RegistrationStore:
    """`registration.interfaces.Store` and what the sweeper needs beside it; nothing is held between two steps.

    Every method is one statement, and raises what `run` raises.

    Args:
        run: `pool.run_step` with a pool, say, which raises DatabaseUnavailableError and DatabaseRefusedError.
        ttl_seconds: how long a claim may be proven; after so long it is free for the taking.
        max_attempts: how many wrong codes end a claim.
        batch: how many rows the sweeper's statements touch at most.
    """

    run: Run
    ttl_seconds: float
    max_attempts: int
    batch: int = BATCH

    async def claim(self, email: str, password_hash: str, code: str) -> Claim | None:
        """Claim an address and book the mail that is to follow; None where the address is taken or cooling down.

        Args:
            email: normalised.
            password_hash: by bcrypt.
            code: four digits.
        """
        values = {"email": email, "password_hash": password_hash, "code": code}
        return await self._fetch_one(statements.CLAIM_ADDRESS, class_row(Claim), **values)

    async def find_claim(self, email: str) -> Claim | None:
        """Return the claim on an address that is still to be proven in time."""
        return await self._fetch_one(statements.FIND_CLAIM, class_row(Claim), email=email)

    async def judge(self, claim: Claim, code: str) -> Judgement | None:
        """Let a code count against this very claim, and a wrong one against its address; None where it is over."""
        values = {"id": claim.id, "password_hash": claim.password_hash, "code": code}
        return await self._fetch_one(statements.JUDGE_CODE, args_row(_judgement), **values)

    async def release(self, claim: Claim) -> bool:
        """End this very claim as EXPIRED, and tell whether it still was one."""
        return await self._change(statements.RELEASE_CLAIM, id=claim.id, password_hash=claim.password_hash) == 1

    async def find_holder(self, email: str) -> Holder | None:
        """Return who holds an address, if somebody does."""
        return await self._fetch_one(statements.FIND_HOLDER, args_row(_holder), email=email)

    async def book_notice(self, email: str, holder: Holder) -> datetime | None:
        """Book a notice on the budget of an address; None where one is not due or the day's mails are spent."""
        values = {"email": email, "notice_due_after": holder.notice_due_after}
        return await self._fetch_one(statements.BOOK_NOTICE, scalar_row, **values)

    async def refund_mail(self, email: str, mailed_at: datetime) -> None:
        """Take a mail that never left off the budget of an address."""
        await self._change(statements.REFUND_MAIL, email=email, mailed_at=mailed_at)

    async def expire_due(self) -> Sequence[UUID]:
        """End a batch of claims past their time, erase their hashes, and return their ids."""
        return await self._fetch(statements.EXPIRE_DUE_CLAIMS, scalar_row)

    async def delete_ended(self) -> int:
        """Delete a batch of registrations that were claimed KEEP_HOURS ago and never proven, and count them."""
        return await self._change(statements.DELETE_ENDED_REGISTRATIONS)

    async def delete_forgotten(self) -> int:
        """Delete a batch of budgets that were not touched for KEEP_HOURS, and count them."""
        return await self._change(statements.DELETE_FORGOTTEN_BUDGETS)

    async def count_overdue(self) -> int:
        """Count the claims past their time that no sweeper has ended yet."""
        return await self._fetch_one(statements.COUNT_OVERDUE_CLAIMS, scalar_row) or 0

    async def _fetch_one(self, statement: LiteralString, make: AsyncRowFactory[Row], **values: object) -> Row | None:
        rows = await self._fetch(statement, make, **values)
        return rows[0] if rows else None

    async def _fetch(self, statement: LiteralString, make: AsyncRowFactory[Row], **values: object) -> list[Row]:
        async def fetch(connection: Connection) -> list[Row]:
            cursor = connection.cursor(row_factory=make)
            return await (await cursor.execute(statement, self._limits | values)).fetchall()

        with _call(statement):
            return await self.run(fetch)

    async def _change(self, statement: LiteralString, **values: object) -> int:
        async def change(connection: Connection) -> int:
            return (await connection.execute(statement, self._limits | values)).rowcount

        with _call(statement):
            return await self.run(change)

    @property
    def _limits(self) -> dict[str, object]:
        """What the statements take beside values of their own; each takes those that it names."""
        return {
            "ttl_seconds": self.ttl_seconds,
            "max_attempts": self.max_attempts,
            "batch": self.batch,
            "mails_a_day": MAILS_A_DAY,
            "keep_hours": KEEP_HOURS,
        }


def _call(statement: LiteralString) -> AbstractContextManager[object]:
    name, attributes = SPANS[statement]
    return span(name, attributes, is_call=True)


def _judgement(state: str, attempts: int, _: object) -> Judgement:
    return Judgement(State(state), attempts)


def _holder(state: str, notice_due_after: datetime) -> Holder:
    return Holder(State(state), notice_due_after)
