"""The least of a history that cannot be explained: which answers contradict one another, and how to say so.

An answer is left out by letting its call have happened or not: so whatever can be explained stays so, and of what is
left at last nothing can be left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from beefirst.laboratory.history.calls import Call, ClockStep, Row
from beefirst.laboratory.history.linearizability import Problem, search

MOST_ATTEMPTS = 10**6

MOST_STATES = 5_000
"""What is not seen to be impossible after so many states stays in the conflict, which may then be less than least."""


@dataclass(frozen=True)
class Conflict:
    """What cannot be explained together.

    Attributes:
        events: by their numbers, in the order of the problem.
        mails: of the codes that came, by their numbers.
        sentence: why it cannot be.
    """

    events: Sequence[int]
    mails: Sequence[int]
    sentence: str


def least_conflict(problem: Problem) -> Conflict:
    """Return the least that cannot be explained of a problem that is impossible."""
    problem = _up_to_the_first_that_cannot_be(problem)
    for number in range(len(problem.mails)):
        freed = replace(problem, free_mails=problem.free_mails | {number})
        problem = freed if _is_impossible(freed) else problem
    for number in _from_the_least_telling(problem):
        freed = replace(problem, free=problem.free | {number})
        problem = freed if _is_impossible(freed) else problem
    events = [number for number in range(len(problem.events)) if _counts(problem, number)]
    mails = [number for number in range(len(problem.mails)) if number not in problem.free_mails]
    return Conflict(events, mails, _explain(problem, events))


def _is_impossible(problem: Problem) -> bool:
    return search(problem, MOST_STATES).result == "impossible"


def _counts(problem: Problem, number: int) -> bool:
    event = problem.events[number]
    is_told = not (isinstance(event, Call) and event.is_unknown)
    return is_told and not isinstance(event, ClockStep) and number not in problem.free


def _up_to_the_first_that_cannot_be(problem: Problem) -> Problem:
    """Free all that ended later than the first moment at which the history is impossible."""
    ends = sorted({event.end for event in problem.events})
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_impossible(_up_to(problem, ends[middle])) else (middle + 1, high)
    shorter = _up_to(problem, ends[low])
    return shorter if _is_impossible(shorter) else problem


def _up_to(problem: Problem, end: float) -> Problem:
    later = {
        number for number, event in enumerate(problem.events) if event.end > end and not isinstance(event, ClockStep)
    }
    mails = {number for number, mail in enumerate(problem.mails) if mail.at > end}
    return replace(problem, free=frozenset(later), free_mails=frozenset(mails))


def _from_the_least_telling(problem: Problem) -> list[int]:
    """Return what may be left out, in the order in which to try it: refusals first, what was acknowledged last."""

    def telling(number: int) -> tuple[int, float]:
        event = problem.events[number]
        if isinstance(event, Row):
            return 2, event.begin
        return (3 if isinstance(event, Call) and event.status == 200 else 1), event.begin

    return sorted((number for number in range(len(problem.events)) if _counts(problem, number)), key=telling)


def _explain(problem: Problem, numbers: Sequence[int]) -> str:
    events = [problem.events[number] for number in numbers]
    rows = [event for event in events if isinstance(event, Row)]
    activated = [event for event in events if isinstance(event, Call) and event.status == 200]
    refused = [event for event in events if isinstance(event, Call) and event.status == 401]
    names = " and ".join(f"of {call.client}" for call in activated)
    if _is_allowed(problem, ttl_seconds=inf):
        return f"the answer 200 {names} came after the {problem.rules.ttl_seconds:g} s for which a claim may be proven."
    if _is_allowed(problem, max_attempts=MOST_ATTEMPTS):
        return f"more than {problem.rules.max_attempts} guesses were judged at one claim{_told(rows, activated)}."
    if len(activated) > 1:
        return f"these {len(activated)} answers 200 ({names}) cannot all be: an address has one owner."
    if activated and rows:
        return f"an acknowledged activation is lost: the answer 200 {names}, and the row is {_state(rows[-1])}."
    if rows and rows[-1].state == "ACTIVE" and not refused:
        return "the row is ACTIVE, and no call explains that."
    if [*map(type, events)] == [Call] and refused:
        return f"the answer 401 of {refused[0].client} refused the right code and password of a claim in time."
    if activated:
        return f"the answer 200 {names} has no claim that explains it."
    if rows:
        return f"no order of the calls leads to a row that is {_state(rows[-1])} with {rows[-1].attempts} attempts."
    if not events and len(problem.mails) - len(problem.free_mails) > 1:
        return "codes of two claims were mailed where only one can have been made."
    if not events:
        return "a code was mailed, and no registration explains it."
    return f"no order explains these {len(events)} answers together."


def _is_allowed(problem: Problem, **otherwise: float) -> bool:
    """Tell whether other rules would explain it."""
    rules = replace(problem.rules, **otherwise)  # type: ignore[arg-type]
    return search(replace(problem, rules=rules), MOST_STATES).result == "explained"


def _told(rows: Sequence[Row], activated: Sequence[Call]) -> str:
    if activated:
        return f": the answer 200 of {activated[-1].client} is one too many"
    return f": the row counts {rows[-1].attempts}" if rows else ""


def _state(row: Row) -> str:
    return row.state if row.state != "none" else "gone"
