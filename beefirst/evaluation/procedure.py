"""How an experiment is carried out: it observes, and what it observed is judged as plain data, so that a file will do.

An experiment is a function that returns what it observed, by name; its judge takes these by the same names, and nothing
else, and returns the evidence:

    def _judge_doors(seen: pd.DataFrame, expected: int) -> Evidence: ...

    @experiment(_judge_doors)
    def doors_are_shut(house: House) -> Observed:
        return {"seen": house.doors(), "expected": 2}
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

from beefirst.errors import BeefirstError
from beefirst.evaluation.evidence import Evidence, Trace
from beefirst.evaluation.method import Method
from beefirst.evaluation.observations import from_data, to_data
from beefirst.machine.folders import CHECKOUT

PACKAGE = CHECKOUT / "beefirst"

STOPPED = "the experiment itself stopped"
"""How the evidence of one begins that crashed."""

Arguments = ParamSpec("Arguments")
Measured = TypeVar("Measured")
Returned = TypeVar("Returned")
Observed: TypeAlias = dict[str, Any]
Judge: TypeAlias = Callable[..., Evidence]


@dataclass(frozen=True)
class Crash:
    """What a measurement that crashed returns; each experiment that is given one fails for its reason."""

    reason: str


def experiment(
    judge: Judge, *measurements: Callable[..., object]
) -> Callable[[Callable[Arguments, Observed]], Callable[Arguments, Evidence]]:
    """Let a function that observes be an experiment, which returns the evidence that its judge makes of it.

    One that crashes is a FAIL with the reason in one line, so that its notebook goes on; an interrupt is no crash.

    Args:
        judge: takes what was observed by name, as `observations.from_data` returns it.
        measurements: what made the arguments of the experiment, to be shown with it.
    """

    def decorate(observe: Callable[Arguments, Observed]) -> Callable[Arguments, Evidence]:
        method = Method(observe, judge, measurements)

        @wraps(observe)
        def carry_out(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Evidence:
            if crash := _find_crash(args, kwargs):
                return Evidence(False, crash.reason, trace=Trace(method))
            try:
                data = to_data(
                    _required(observe(*args, **kwargs), dict, f"{observe.__name__} returned no observations")
                )
            except Exception as error:
                return Evidence(False, explain(error), trace=Trace(method))
            return judge_data(judge, data, method)

        vars(carry_out).update(judge=judge, method=method)
        return carry_out

    return decorate


def judge_data(judge: Judge, data: Observed, method: Method) -> Evidence:
    """Return the evidence of what was observed.

    Args:
        judge: of the experiment.
        data: as `observations.to_data` returns it, or as it was read from a file.
        method: of the experiment.
    """
    try:
        evidence = _required(
            judge(**from_data(data)), Evidence, f"the judge of {method.observe.__name__} returned no evidence"
        )
    except Exception as error:
        evidence = Evidence(False, explain(error))
    return replace(evidence, trace=Trace(method, data))


def _required(value: Returned, kind: type, complaint: str) -> Returned:
    if not isinstance(value, kind):
        raise TypeError(f"{complaint}, but {type(value).__name__}")
    return value


def measurement(function: Callable[Arguments, Measured]) -> Callable[Arguments, Measured]:
    """Let a measurement that several experiments judge return a Crash where it crashes: each of them fails then."""

    @wraps(function)
    def measure(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Measured:
        if crash := _find_crash(args, kwargs):
            return crash  # type: ignore[return-value]  # only experiments look at what is measured
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return Crash(explain(error))  # type: ignore[return-value]

    return measure


def _find_crash(args: tuple[object, ...], kwargs: dict[str, object]) -> Crash | None:
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, Crash)), None)


def explain(error: Exception) -> str:
    """Return why an experiment stopped, in one line: PostgreSQL's errors go on with the row that they are about."""
    first: Exception = error
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    message = str(first).partition("\n")[0]
    if isinstance(first, BeefirstError):
        return message
    what = ": ".join(filter(None, (type(first).__name__, message)))
    return f"{STOPPED}{_place(first) or _place(error)}: {what}"


def _place(error: Exception) -> str:
    """Return where it stopped: in our own code, as far as it is known."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
    return f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
