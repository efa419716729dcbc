"""The store of registrations that the rules ask for, on PostgreSQL."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from beefirst.database import registrations, sweeping
from beefirst.database.pool import run_step
from beefirst.database.time_limit import Connection, Result
from beefirst.registration.states import Claim, Holder, Judgement

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class RegistrationStore:
    """`registration.Store` on PostgreSQL; no connection is held between two of its steps.

    Every method raises DatabaseUnavailableError where the database does not answer, or takes too long.

    Args:
        pool: lends a connection for each step.
        ttl_seconds: how long a claim may be proven.
        max_attempts: how many wrong codes end a claim.
    """

    pool: AsyncConnectionPool
    ttl_seconds: float
    max_attempts: int

    async def claim(self, email: str, password_hash: str, code: str) -> Claim | None:
        """See `claim_address`."""
        return await self._run(registrations.claim_address, email, password_hash, code, self.ttl_seconds)

    async def find_claim(self, email: str) -> Claim | None:
        """See `find_claim`."""
        return await self._run(registrations.find_claim, email, self.ttl_seconds)

    async def judge(self, claim: Claim, code: str) -> Judgement | None:
        """See `judge_code`."""
        return await self._run(registrations.judge_code, claim, code, self.max_attempts, self.ttl_seconds)

    async def release(self, claim: Claim) -> bool:
        """See `release_claim`."""
        return await self._run(registrations.release_claim, claim)

    async def find_holder(self, email: str) -> Holder | None:
        """See `find_holder`."""
        return await self._run(registrations.find_holder, email, self.ttl_seconds)

    async def book_notice(self, email: str, holder: Holder) -> datetime | None:
        """See `book_notice`."""
        return await self._run(registrations.book_notice, email, holder.notice_due_after)

    async def refund_mail(self, email: str, mailed_at: datetime) -> None:
        """See `refund_mail`."""
        await self._run(registrations.refund_mail, email, mailed_at)

    async def expire_due(self) -> Sequence[UUID]:
        """See `expire_due_claims`."""
        return await self._run(sweeping.expire_due_claims, self.ttl_seconds)

    async def delete_ended(self) -> int:
        """See `delete_ended_registrations`."""
        return await self._run(sweeping.delete_ended_registrations)

    async def delete_forgotten(self) -> int:
        """See `delete_forgotten_budgets`."""
        return await self._run(sweeping.delete_forgotten_budgets)

    async def count_overdue(self) -> int:
        """See `count_overdue_claims`."""
        return await self._run(sweeping.count_overdue_claims, self.ttl_seconds)

    async def _run(
        self,
        function: Callable[Concatenate[Connection, Arguments], Coroutine[Any, Any, Result]],
        *values: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        return await run_step(self.pool, lambda connection: function(connection, *values, **named))
