"""What the rules say of one address, in a few lines: the model beside which the service is tested, and judged.

A moment is known as a window: it lies between two times, which are the same where it is known exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import inf

from beefirst.registration.states import Outcome

Window = tuple[float, float]

LONG_AGO: Window = (-inf, -inf)
HOUR, DAY = 3600.0, 24 * 3600.0
OVERDUE = "OVERDUE"
"""The state of a claim past its time, whose row is CLAIMED until it is swept and EXPIRED then."""


@dataclass(frozen=True)
class Rules:
    """What the rules take as given.

    Attributes:
        ttl_seconds: how long a claim lives.
        max_attempts: how many wrong codes end a claim, and how many of them start a cool-down.
        mail_may_fail: whether a claim without a mail may be released, as one is whose mail cannot be delivered.
        uncertainty: of all times, in seconds.
    """

    ttl_seconds: float
    max_attempts: int
    mail_may_fail: bool = False
    uncertainty: float = 0.0


@dataclass(frozen=True)
class Model:
    """What the rules say of one address.

    Attributes:
        state: none, CLAIMED, OVERDUE, ACTIVE, EXPIRED or LOCKED.
        password: of the claim.
        code: of the claim; empty where nobody can know it.
        attempts: wrong codes that the claim has had.
        claimed: when.
        guesses: wrong codes that the address has had.
        cool_downs: how many of them it has had.
        cooling: until when it cannot be claimed; None where it can.
        guessed: when it had the last wrong code.
    """

    state: str = "none"
    password: str = ""
    code: str = ""
    attempts: int = 0
    claimed: Window = LONG_AGO
    guesses: int = 0
    cool_downs: int = 0
    cooling: Window | None = None
    guessed: Window = LONG_AGO

    def settled(self, rules: Rules, at: Window) -> Iterator["Model"]:
        """Yield what the address may have become by the passing of time alone; several where the windows leave it open.

        Args:
            rules: of the service.
            at: the moment.
        """
        states = [self.state]
        if self.state == "CLAIMED":
            overdue = _over(self.claimed, rules.ttl_seconds, rules, at)
            states = [OVERDUE if over else "CLAIMED" for over in overdue] + ["EXPIRED"] * (
                rules.mail_may_fail and not self.code
            )
        cooled = _over(self.cooling, 0, rules, at) if self.cooling else [True]
        forgotten = _over(self.guessed, DAY, rules, at) if self.guesses else [False]
        for state, cool, forget in product(states, cooled, forgotten):
            settled = replace(self, state=state, cooling=None if cool else self.cooling)
            yield replace(settled, guesses=0, cool_downs=0) if forget else settled

    @property
    def is_free(self) -> bool:
        """Whether it can be claimed, once it is settled."""
        return self.cooling is None and self.state not in ("CLAIMED", "ACTIVE")

    def register(self, password: str, code: str, at: Window) -> "Model":
        """Return what the address becomes by a registration, once it is settled; it keeps what is not free."""
        if not self.is_free:
            return self
        return replace(self, state="CLAIMED", password=password, code=code, attempts=0, claimed=at)

    def activate(self, password: str, code: str, rules: Rules, at: Window) -> tuple[Outcome, "Model"]:
        """Return how an attempt to activate ends, and what the address becomes by it, once it is settled."""
        if self.state != "CLAIMED":
            return Outcome.NO_CLAIM, self
        if password != self.password:
            return Outcome.WRONG_PASSWORD, self
        if code == self.code != "":
            return Outcome.ACTIVATED, replace(self, state="ACTIVE")
        wrong = replace(self, attempts=self.attempts + 1, guesses=self.guesses + 1, guessed=at)
        if wrong.guesses % rules.max_attempts == 0:
            seconds = min(rules.ttl_seconds * 2 ** min(self.cool_downs, 12), HOUR)
            wrong = replace(wrong, cooling=(at[0] + seconds, at[1] + seconds), cool_downs=self.cool_downs + 1)
        if wrong.attempts >= rules.max_attempts:
            return Outcome.LOCKED, replace(wrong, state="LOCKED")
        return Outcome.WRONG_CODE, wrong

    def sweep(self) -> "Model":
        """Return what the address becomes by a sweep, once it is settled."""
        return replace(self, state="EXPIRED") if self.state == OVERDUE else self

    def let_pass(self, seconds: float) -> "Model":
        """Return what the address becomes when all that is remembered of it moves into the past."""

        def earlier(window: Window) -> Window:
            return window[0] - seconds, window[1] - seconds

        return replace(
            self,
            claimed=earlier(self.claimed),
            cooling=self.cooling and earlier(self.cooling),
            guessed=earlier(self.guessed),
        )


def _over(since: Window, seconds: float, rules: Rules, at: Window) -> list[bool]:
    """Return whether so many seconds may be over at a moment, and whether they may not be."""
    may_be = at[1] - since[0] + rules.uncertainty >= seconds
    may_not_be = at[0] - since[1] - rules.uncertainty < seconds
    return [False] * may_not_be + [True] * may_be
