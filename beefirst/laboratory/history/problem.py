"""What is asked of a search for an order, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from beefirst.laboratory.history.calls import Call, ClockStep, CodeMail, Row
from beefirst.laboratory.history.model import Rules

Event = Call | Row | ClockStep
Result = Literal["explained", "impossible", "undecided"]


@dataclass(frozen=True)
class Placed:
    """One event in the order that was found.

    Attributes:
        event: by its number.
        at: about when it took effect.
        effect: on the address: claimed, or the outcome of a code that was judged; empty where it changed nothing.
    """

    event: int
    at: float
    effect: str = ""


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        result: undecided where MOST_STATES were tried, which is no pass.
        order: where it is explained: all events that took effect, in an order that does it.
        states: how many were tried.
    """

    result: Result
    order: Sequence[Placed] = ()
    states: int = 0


@dataclass(frozen=True)
class Problem:
    """What happened to one address.

    Attributes:
        rules: of the service.
        events: calls, sights of the row, and steps of the clock.
        mails: the codes that came.
        free: the numbers of events of which the answer does not count: they may have happened or not, at any time
            after they began. Calls without an answer are so by themselves.
        free_mails: the numbers of mails for which there need be no claim.
    """

    rules: Rules
    events: Sequence[Event]
    mails: Sequence[CodeMail]
    free: frozenset[int] = frozenset()
    free_mails: frozenset[int] = frozenset()
