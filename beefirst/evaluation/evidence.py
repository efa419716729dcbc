"""What an experiment showed, and what becomes of an experiment that crashes."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import pandas as pd

from beefirst.errors import BeefirstError
from beefirst.evaluation.method import Method
from beefirst.evaluation.records import Result
from beefirst.machine.folders import CHECKOUT

MOST_LINES = 8
"""How many lines the evidence of a check that failed may have; most experiments have no more."""

PACKAGE = CHECKOUT / "beefirst"

COMPARED = ("what", "seen", "expected")

Arguments = ParamSpec("Arguments")
Measured = TypeVar("Measured")


class Picture(Protocol):
    """What an output can show in the place of rows; `display.charts.Chart` is one."""

    finding: str


@dataclass(frozen=True)
class Trace:
    """How evidence came about.

    Attributes:
        method: of the experiment.
        data: what was observed, as JSON knows it; None where the experiment stopped before.
    """

    method: Method
    data: dict[str, Any] | None = None


@dataclass(frozen=True)
class Evidence:
    """What an experiment showed.

    Attributes:
        holds: whether all of it is as it should be.
        claim: what was seen, in a few words.
        rows: what was seen, line by line.
        picture: shows the same at a glance, in the place of the rows.
        command: where this way of running cannot make the check, the command that shows it.
        trace: how it came about; None of what no experiment has made.
    """

    holds: bool
    claim: str
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    picture: Picture | None = None
    command: str = ""
    trace: Trace | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "holds", bool(self.holds))  # one of which nobody can tell stops the experiment

    @property
    def summary(self) -> str:
        """What was seen, in a few words; where it is not as it should be, with the lines that are not."""
        if self.holds or self.command or self.rows.empty:
            return self.claim
        return f"not as promised ({self.claim}): {self._unexpected_lines()}"

    @property
    def result(self) -> Result:
        """How the verdict puts it."""
        return "NOT SHOWN HERE" if self.command else "PASS" if self.holds else "FAIL"

    def _unexpected_lines(self) -> str:
        lines = [", ".join(map(_brief, row)) for row in self._unexpected().itertuples(index=False)]
        more = [f"and {len(lines) - MOST_LINES} more lines"] * (len(lines) > MOST_LINES)
        return "; ".join([*lines[:MOST_LINES], *more])

    def _unexpected(self) -> pd.DataFrame:
        """Return the rows that do not show what they were expected to; all where none says what that is."""
        if "expected" not in self.rows:
            return self.rows
        unexpected = self.rows[~_agree(self.rows)]
        return self.rows if unexpected.empty else unexpected


def _agree(rows: pd.DataFrame) -> pd.Series:
    """Return for each row whether what was seen, in the column before `expected`, is what was expected."""
    place = rows.columns.get_loc("expected")
    seen, expected = rows.iloc[:, place - 1], rows.iloc[:, place]
    return (seen == expected) | (seen.isna() & expected.isna())


def _brief(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def compare(summary: str, rows: Sequence[tuple[object, ...]], columns: Sequence[str] = COMPARED) -> Evidence:
    """Return the evidence of rows of which each says what was seen and what was expected; it holds if all agree.

    Args:
        summary: what was seen, in a few words.
        rows: at least one, for nothing agrees with nothing.
        columns: their names; what was seen stands in the one before `expected`.
    """
    if not rows:
        return Evidence(False, f"nothing was seen: {summary}")
    frame = pd.DataFrame(rows, columns=list(columns))
    return Evidence(bool(_agree(frame).all()), summary, frame)


def not_shown_here(command: str, reason: str = "") -> Evidence:
    """Return what stands for a check that this way of running cannot make.

    Args:
        command: what shows it.
        reason: why it cannot, where that is not plain.
    """
    return Evidence(holds=False, claim="; ".join(filter(None, (reason, f"run: {command}"))), command=command)


@dataclass(frozen=True)
class Crash:
    """What a measurement that crashed returns; each experiment that is given one fails for its reason."""

    reason: str


def experiment(function: Callable[Arguments, Evidence]) -> Callable[Arguments, Evidence]:
    """Let an experiment that crashes be a FAIL with the reason in one line, so that its notebook goes on.

    So is one that returns no Evidence. An interrupt is no crash.
    """

    @wraps(function)
    def judge(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Evidence:
        if crash := _find_crash(args, kwargs):
            return Evidence(False, crash.reason)
        try:
            found: object = function(*args, **kwargs)
        except Exception as error:
            return Evidence(False, _explain(error))
        if isinstance(found, Evidence):
            return found
        return Evidence(False, f"the experiment {function.__name__} returned no evidence, but {type(found).__name__}")

    return judge


def measurement(function: Callable[Arguments, Measured]) -> Callable[Arguments, Measured]:
    """Let a measurement that several experiments judge return a Crash where it crashes: each of them fails then."""

    @wraps(function)
    def measure(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Measured:
        if crash := _find_crash(args, kwargs):
            return crash  # type: ignore[return-value]  # only experiments look at what is measured
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return Crash(_explain(error))  # type: ignore[return-value]

    return measure


def _find_crash(args: tuple[object, ...], kwargs: dict[str, object]) -> Crash | None:
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, Crash)), None)


def _explain(error: Exception) -> str:
    """Return the reason in one line: PostgreSQL's errors go on with the row that they are about."""
    first: Exception = error
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    message = str(first).partition("\n")[0]
    if isinstance(first, BeefirstError):
        return message
    what = ": ".join(filter(None, (type(first).__name__, message)))
    return f"the experiment itself stopped{_place(first) or _place(error)}: {what}"


def _place(error: Exception) -> str:
    """Return where it stopped: in our own code, as far as it is known."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
    return f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
