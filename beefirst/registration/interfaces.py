"""What the use cases need from outside: a store, the hashing of passwords, a courier."""

from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from beefirst.registration.states import Claim, Holder, Judgement, State

Result = TypeVar("Result")


class Store(Protocol):
    """Where registrations are kept; each method is one atomic step, and all time is the store's own."""

    async def claim(self, email: str, password_hash: str, code: str) -> Claim | None:
        """Claim an address and book a mail to it; None where it is taken or cooling down."""

    async def find_claim(self, email: str) -> Claim | None:
        """Return the claim on an address that is still to be proven in time."""

    async def judge(self, claim: Claim, code: str) -> Judgement | None:
        """Let a code count against this very claim; None where that claim is over."""

    async def release(self, claim: Claim) -> bool:
        """End this very claim as EXPIRED, and tell whether it still was one."""

    async def find_holder(self, email: str) -> Holder | None:
        """Return who holds an address, if somebody does."""

    async def book_notice(self, email: str, holder: Holder) -> datetime | None:
        """Book a notice on the address's budget; None where one is not due or the budget is spent."""

    async def refund_mail(self, email: str, mailed_at: datetime) -> None:
        """Take a mail that never left off the address's budget."""

    async def expire_due(self) -> Sequence[UUID]:
        """End a batch of claims past their time, and return them."""


class Passwords(Protocol):
    """Hashing, which takes a fixed and deliberate amount of work."""

    def turn(self) -> AbstractContextManager[None]:
        """Have a turn for one password in the block, or raise OverloadedError at once where that would take too long.

        Taken before anything is looked up, so that a refusal tells nothing of an address.
        """

    async def hash(self, password: str) -> str:
        """Return a salted hash, in a turn."""

    async def match(self, password: str, password_hash: str | None) -> bool:
        """Tell, in a turn, whether they belong together; without a hash the work is the same and the answer is no."""

    async def even_out(self, work: Awaitable[Result]) -> Result:
        """Return what `work` returns after a fixed time: what follows the hash work must not show in an answer's."""


class Courier(Protocol):
    """Delivers mail, or raises MailError within its time limit."""

    async def send_code(self, email: str, code: str) -> None:
        """Mail a code to the person who claims an address."""

    async def send_notice(self, email: str, state: State) -> None:
        """Tell the owner of a taken address that somebody tried to register it."""
