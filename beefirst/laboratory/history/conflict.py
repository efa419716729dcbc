"""The least of a history that cannot be explained: which answers contradict one another, and how to say so.

An answer is left out by letting its call have happened or not: so whatever can be explained stays so, and of what is
left at last nothing can be left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from beefirst.laboratory.history.calls import Call, ClockStep, Row
from beefirst.laboratory.history.linearizability import search
from beefirst.laboratory.history.problem import Problem

MOST_ATTEMPTS = 10**6

Told = tuple[Literal["event", "mail"], int]

MOST_STATES = 1_000
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
    without_mails = replace(problem, free_mails=frozenset(range(len(problem.mails))))
    problem = _up_to_the_first_that_cannot_be(without_mails if _is_impossible(without_mails) else problem)
    told = _most_telling_first(problem)
    kept = _least(problem, told, (), False)
    problem = _only(problem, told, kept)
    events = [number for number in range(len(problem.events)) if ("event", number) in kept]
    return Conflict(events, [number for kind, number in kept if kind == "mail"], _explain(problem, events))


def _least(problem: Problem, told: Sequence[Told], kept: Sequence[Told], is_new: bool) -> list[Told]:
    """Return the fewest of `told` that with `kept` are impossible: Junker's QuickXplain (2004)."""
    if is_new and _is_impossible(_only(problem, _most_telling_first(problem), kept)):
        return []
    if len(told) <= 1:
        return [*told]
    first, second = told[: len(told) // 2], told[len(told) // 2 :]
    of_second = _least(problem, second, [*kept, *first], True)
    of_first = _least(problem, first, [*kept, *of_second], bool(of_second))
    return [*of_first, *of_second]


def _only(problem: Problem, told: Sequence[Told], kept: Sequence[Told]) -> Problem:
    """Return the problem in which nothing of `told` counts but what is kept."""
    freed = set(told) - set(kept)
    return replace(
        problem,
        free=problem.free | {number for kind, number in freed if kind == "event"},
        free_mails=problem.free_mails | {number for kind, number in freed if kind == "mail"},
    )


def _is_impossible(problem: Problem) -> bool:
    return search(problem, MOST_STATES).result == "impossible"


def _counts(problem: Problem, number: int) -> bool:
    event = problem.events[number]
    is_told = not (isinstance(event, Call) and event.is_unknown)
    return is_told and not isinstance(event, ClockStep) and number not in problem.free


def _up_to_the_first_that_cannot_be(problem: Problem) -> Problem:
    """Free all that ended later than the first moment at which the history is impossible."""
    ends = sorted({event.end for event in problem.events} | {mail.at for mail in problem.mails})
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
    return replace(problem, free=frozenset(later), free_mails=problem.free_mails | mails)


def _most_telling_first(problem: Problem) -> list[Told]:
    """Return what counts; first what was acknowledged, then rows, then other answers, and the mails at last."""

    def telling(number: int) -> tuple[int, float]:
        event = problem.events[number]
        if isinstance(event, Row):
            return 2, -event.begin
        return (1 if isinstance(event, Call) and event.status == 200 else 3), event.begin

    events = sorted((number for number in range(len(problem.events)) if _counts(problem, number)), key=telling)
    mails = [number for number in range(len(problem.mails)) if number not in problem.free_mails]
    return [*(("event", number) for number in events), *(("mail", number) for number in mails)]


def _explain(problem: Problem, numbers: Sequence[int]) -> str:
    events = [problem.events[number] for number in numbers]
    rows = [event for event in events if isinstance(event, Row)]
    activated = [event for event in events if isinstance(event, Call) and event.status == 200]
    refused = [event for event in events if isinstance(event, Call) and event.status == 401]
    names = " and ".join(f"of {call.client}" for call in activated)
    count, all_of = ("two", "both") if len(activated) == 2 else (len(activated), "all")
    if _is_allowed(problem, ttl_seconds=inf):
        return f"the answer 200 {names} came after the {problem.rules.ttl_seconds:g} s for which a claim may be proven."
    counted = max((row.attempts for row in rows), default=0)
    if counted > problem.rules.max_attempts or _is_allowed(problem, max_attempts=MOST_ATTEMPTS):
        return f"more than {problem.rules.max_attempts} guesses were judged at one claim{_told(rows, activated)}."
    if len(activated) > 1:
        return f"these {count} 200 ({names}) cannot {all_of} be: an address has one owner."
    if activated and rows:
        return f"an acknowledged activation is lost: the answer 200 {names}, and the row is {_state(rows[-1])}."
    if refused and not rows and not activated:
        return f"the answer 401 of {refused[-1].client} refused the right code and password of a claim in time."
    if rows and rows[-1].state == "ACTIVE":
        return "the row is ACTIVE, and no call explains that."
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
