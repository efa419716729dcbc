"""The rules of a registration: its states, what may follow what, and the use cases register, activate and expire.

Nothing here knows a framework or a driver; what the rules need from outside stands below as a Protocol.
"""

import logging
import re
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from beefirst.errors import AddressRefusedError, MailError, PasswordRefusedError

ADDRESS_MAX_LENGTH = 254
"""RFC 5321, 4.5.3.1.3: a path has at most 256 characters, two of them the angle brackets."""

PASSWORD_MIN_CHARACTERS = 8
"""OWASP ASVS 5.0, 6.2.1."""

PASSWORD_MAX_BYTES = 72
"""bcrypt reads no more; a longer password is refused rather than cut short (OWASP ASVS 5.0, 6.2.8)."""

CODE_DIGITS = 4
"""The specification: verification_code CHAR(4)."""

ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?", re.IGNORECASE)

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


def normalise_address(text: str) -> str:
    """Return the one spelling under which an address is stored and looked up.

    Args:
        text: as somebody typed it. Space around it and upper case do not matter; an international domain
            becomes its xn-- form.

    Returns:
        ASCII, lower-case, at most ADDRESS_MAX_LENGTH characters.

    Raises:
        AddressRefusedError: it is no address, or holds other characters beyond ASCII; the message repeats none of it.
    """
    text = text.strip()
    try:
        address = validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise AddressRefusedError("must be an e-mail address such as ada@example.com, in ASCII before the @") from None
    if ENCODED_WORD.search(address.local_part):  # forbidden by RFC 2047, 5; some mail programs would decode it
        raise AddressRefusedError("must not hold an encoded word such as =?utf-8?q?…?= before the @")
    if not text.isascii() and address.domain.isascii():  # a look-alike, such as a full-width letter
        raise AddressRefusedError("must have a domain in ASCII, or an international one that has an xn-- form")
    email = (address.ascii_email or "").lower()
    if not 0 < len(email) <= ADDRESS_MAX_LENGTH:
        raise AddressRefusedError(f"must have at most {ADDRESS_MAX_LENGTH} characters")
    return email


def check_password(password: str) -> str:
    """Return a password that may be used.

    Raises:
        PasswordRefusedError: it is too short or too long, or holds NUL; the message repeats none of it.
    """
    if len(password) < PASSWORD_MIN_CHARACTERS:
        raise PasswordRefusedError(f"must have at least {PASSWORD_MIN_CHARACTERS} characters")
    if len(password.encode(errors="replace")) > PASSWORD_MAX_BYTES:
        raise PasswordRefusedError(f"must have at most {PASSWORD_MAX_BYTES} bytes in UTF-8")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in password):
        raise PasswordRefusedError("must not hold the character NUL or half of a surrogate pair")
    return password


def draw_code() -> str:
    """Return four digits from the system's cryptographic generator (OWASP ASVS 5.0, 6.5.3)."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"


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
