"""The states of a registration, what may follow what, and how a claim, a guess at it and its holder are told of."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


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
    """What became of a claim by one guess.

    Attributes:
        state: of the claim, now.
        attempts: how many wrong codes it has had.
    """

    state: State
    attempts: int


class Outcome(StrEnum):
    """How an attempt to activate ended; whoever made it learns only whether it was ACTIVATED."""

    ACTIVATED = "activated"
    LOCKED = "locked"
    WRONG_CODE = "wrong code"
    WRONG_PASSWORD = "wrong password"  # noqa: S105
    NO_CLAIM = "no claim"


@dataclass(frozen=True)
class Holder:
    """Who holds a taken address: a pending claim or an active account.

    Attributes:
        notice_due_after: a notice sent later than this makes another one too many.
    """

    state: State
    notice_due_after: datetime
