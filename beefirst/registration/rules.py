"""The use cases of a registration: register, deliver the mail that follows, activate, expire.

They know no framework and no driver. What they need from outside are the protocols of `interfaces`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from beefirst.errors import AddressRefusedError, MailError, PasswordRefusedError
from beefirst.registration.credentials import check_password, draw_code, normalise_address
from beefirst.registration.interfaces import Courier, Passwords, Store
from beefirst.registration.states import Claim, Outcome, State

log = logging.getLogger("beefirst.registration")


@dataclass(frozen=True)
class Registered:
    """What `register` did, and what the mail that is to follow needs.

    Attributes:
        email: normalised.
        claim: None where the address was taken.
        code: the claim's; nobody is told of it where the address was taken.
    """

    email: str = field(repr=False)
    claim: Claim | None
    code: str = field(repr=False)


@dataclass(frozen=True)
class Attempt:
    """An attempt to activate.

    Attributes:
        claim: the one that it was made at, if there was one in time.
    """

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
            OverloadedError: it would have to wait too long.
        """
        email = normalise_address(address)
        with self.passwords.turn():
            password_hash = await self.passwords.hash(check_password(password))
        code = draw_code()
        claim = await self.passwords.even_out(self.store.claim(email, password_hash, code))
        return Registered(email, claim, code)

    async def deliver(self, registered: Registered) -> bool:
        """Send the mail that follows a registration, and tell whether one was sent.

        A claim whose code cannot be delivered is released, so that the address is free to try again. The owner of a
        taken address gets a notice, once per claim, or once a day for an active account.

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
            try:
                await self._release(claim, "mail not delivered")
            finally:
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

        Raises:
            OverloadedError: it would have to wait too long; nothing was looked up.
        """
        with self.passwords.turn():
            claim, password = await self._find_claim(address, password)
            matches = await self.passwords.match(password, claim.password_hash if claim else None)
        return Attempt(await self.passwords.even_out(self._prove(claim, matches, code)), claim)

    async def _find_claim(self, address: str, password: str) -> tuple[Claim | None, str]:
        try:
            return await self.store.find_claim(normalise_address(address)), check_password(password)
        except (AddressRefusedError, PasswordRefusedError):
            return None, ""

    async def _prove(self, claim: Claim | None, matches: bool, code: str) -> Outcome:
        if not claim:
            return Outcome.NO_CLAIM
        if not matches:
            return Outcome.WRONG_PASSWORD
        judgement = await self.store.judge(claim, code)
        if not judgement:
            return Outcome.NO_CLAIM
        return {State.ACTIVE: Outcome.ACTIVATED, State.LOCKED: Outcome.LOCKED}.get(judgement.state, Outcome.WRONG_CODE)

    async def expire(self) -> Sequence[UUID]:
        """End a batch of the claims that are past their time, erasing their hashes, and return them."""
        return await self.store.expire_due()
