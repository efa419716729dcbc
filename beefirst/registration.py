"""The rules of a registration: its states, what may follow what, and the use cases register, activate and expire.

Nothing here knows a framework or a driver; what the rules need from outside stands below as a Protocol.
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from beefirst.credentials import check_password, draw_code, normalise_address
from beefirst.errors import AddressRefusedError, MailError, PasswordRefusedError

MAILS_A_DAY = 20
"""To any one address, so that nobody can be flooded by strangers who claim it."""

log = logging.getLogger("beefirst.registration")


class State(StrEnum):
    """The states of a registration; a value is what the column `state` holds."""

    CLAIMED = "CLAIMED"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    LOCKED = "LOCKED"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.CLAIMED: frozenset({State.ACTIVE, State.EXPIRED, State.LOCKED, State.CLAIMED}),
    State.EXPIRED: frozenset({State.CLAIMED}),
    State.LOCKED: frozenset({State.CLAIMED}),
    State.ACTIVE: frozenset(),
}
"""What may follow a state; CLAIMED follows CLAIMED only as a new claim, once the old one is past its TTL."""


@dataclass(frozen=True)
class Claim:
    """One person's hold on an address: the row and the hash together name it, and never hit the next claimant.

    Attributes:
        mailed_at: when a mail was booked on the address's budget for it; None where the budget is spent.
    """

    id: UUID
    email: str = field(repr=False)
    password_hash: str = field(repr=False)
    mailed_at: datetime | None = None


@dataclass(frozen=True)
class Judgement:
    """What became of a claim by one guess."""

    state: State
    attempts: int


@dataclass(frozen=True)
class Holder:
    """Who holds a taken address: a pending claim or an active account.

    Attributes:
        notice_due_after: a notice sent later than this makes another one too many.
    """

    state: State
    notice_due_after: datetime


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

    async def hash(self, password: str) -> str:
        """Return a salted hash."""

    async def match(self, password: str, password_hash: str | None) -> bool:
        """Tell whether they belong together; without a hash the work is the same and the answer is no."""

    def even_out(self) -> AbstractAsyncContextManager[None]:
        """Let a block take a fixed time: what follows the hash work must not show in how long an answer takes."""


class Courier(Protocol):
    """Delivers mail, or raises MailError within its time limit."""

    async def send_code(self, email: str, code: str) -> None:
        """Mail a code to the person who claims an address."""

    async def send_notice(self, email: str, state: State) -> None:
        """Tell the owner of a taken address that somebody tried to register it."""


@dataclass(frozen=True)
class Registered:
    """What `register` did, and the mail that is to follow.

    Attributes:
        claim: None where the address was taken.
    """

    email: str = field(repr=False)
    claim: Claim | None
    code: str = field(repr=False)


class Outcome(StrEnum):
    """How an attempt to activate ended; whoever made it learns only whether it was ACTIVATED."""

    ACTIVATED = "activated"
    LOCKED = "locked"
    WRONG_CODE = "wrong code"
    WRONG_PASSWORD = "wrong password"  # noqa: S105
    NO_CLAIM = "no claim"


@dataclass(frozen=True)
class Attempt:
    """An attempt to activate."""

    outcome: Outcome
    claim: Claim | None = None


@dataclass(frozen=True)
class Registration:
    """The use cases.

    Args:
        store: where registrations are kept.
        passwords: how passwords are hashed.
        courier: how mail is delivered.
    """

    store: Store
    passwords: Passwords
    courier: Courier

    async def register(self, address: str, password: str) -> Registered:
        """Claim an address with a password; work and time are the same whether the address is free or not.

        Raises:
            AddressRefusedError: see `normalise_address`.
            PasswordRefusedError: see `check_password`.
        """
        email = normalise_address(address)
        password_hash = await self.passwords.hash(check_password(password))
        async with self.passwords.even_out():
            code = draw_code()
            return Registered(email, await self.store.claim(email, password_hash, code), code)

    async def deliver(self, registered: Registered) -> bool:
        """Send the mail that follows a registration, and tell whether one was sent.

        A claim whose code cannot be delivered is released, so that the address is free to try again.

        Raises:
            MailError: it could not be delivered; the claim is released and the mail not counted.
        """
        if registered.claim:
            return await self._deliver_code(registered.claim, registered.code)
        return await self._deliver_notice(registered.email)

    async def _deliver_code(self, claim: Claim, code: str) -> bool:
        if claim.mailed_at is None:
            await self._release(claim, "mails of the day spent")
            return False
        try:
            await self.courier.send_code(claim.email, code)
        except MailError:
            await self._release(claim, "mail not delivered")
            await self.store.refund_mail(claim.email, claim.mailed_at)
            raise
        return True

    async def _release(self, claim: Claim, reason: str) -> None:
        if await self.store.release(claim):
            log.info("expired", extra={"registration": str(claim.id), "reason": reason})

    async def _deliver_notice(self, email: str) -> bool:
        holder = await self.store.find_holder(email)
        mailed_at = await self.store.book_notice(email, holder) if holder else None
        if not holder or not mailed_at:
            return False
        try:
            await self.courier.send_notice(email, holder.state)
        except MailError:
            await self.store.refund_mail(email, mailed_at)
            raise
        return True

    async def activate(self, address: str, password: str, code: str) -> Attempt:
        """Prove a claim with its own password and its code.

        Only a right password lets a code count, so that a stranger cannot lock somebody out. Whatever is wrong,
        the hash work is the same, and so is the time after it.

        Args:
            address: normalised as on register.
            password: one that register would refuse never matches.
            code: four digits.
        """
        claim, password = await self._find_claim(address, password)
        matches = await self.passwords.match(password, claim.password_hash if claim else None)
        async with self.passwords.even_out():
            if not matches or not claim:
                return Attempt(Outcome.WRONG_PASSWORD if claim else Outcome.NO_CLAIM, claim)
            return Attempt(_outcome(await self.store.judge(claim, code)), claim)

    async def _find_claim(self, address: str, password: str) -> tuple[Claim | None, str]:
        try:
            return await self.store.find_claim(normalise_address(address)), check_password(password)
        except (AddressRefusedError, PasswordRefusedError):
            return None, ""

    async def expire(self) -> Sequence[UUID]:
        """End a batch of the claims that are past their time, erasing their hashes, and return them."""
        return await self.store.expire_due()


def _outcome(judgement: Judgement | None) -> Outcome:
    if judgement is None:
        return Outcome.NO_CLAIM
    return {State.ACTIVE: Outcome.ACTIVATED, State.LOCKED: Outcome.LOCKED}.get(judgement.state, Outcome.WRONG_CODE)
