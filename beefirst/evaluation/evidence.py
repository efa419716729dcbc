"""What an experiment showed, and what becomes of an experiment that crashes."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import pandas as pd

from beefirst.errors import BeefirstError
from beefirst.evaluation.records import Result

MOST_LINES = 8
"""How many lines the evidence of a check that failed may have; most experiments have no more."""

COMPARED = ("what", "seen", "expected")

Arguments = ParamSpec("Arguments")
Measured = TypeVar("Measured")


class Picture(Protocol):
    """What an output can show in the place of rows; `display.charts.Chart` is one."""

    finding: str


@dataclass(frozen=True)
class Evidence:
    """What an experiment showed.

    Attributes:
        holds: whether all of it is as it should be.
        summary: what was seen, in a few words; where it is not as it should be, with the lines that are not.
        rows: what was seen, line by line.
        picture: shows the same at a glance, in the place of the rows.
        command: where this way of running cannot make the check, the command that shows it.
    """

    holds: bool
    summary: str
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    picture: Picture | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if not self.holds and not self.command and not self.rows.empty:
            object.__setattr__(self, "summary", f"not as promised ({self.summary}): {self._unexpected_lines()}")

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
        seen = self.rows.drop(columns="expected")
        unexpected = self.rows[seen.ne(self.rows["expected"], axis="index").all(axis="columns")]
        return self.rows if unexpected.empty else unexpected


def _brief(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def compare(summary: str, rows: Sequence[tuple[object, ...]], columns: Sequence[str] = COMPARED) -> Evidence:
    """Return the evidence of rows of which each says what was seen and what was expected; it holds if all agree.

    Args:
        summary: what was seen, in a few words.
        rows: at least one.
        columns: their names, the last two of which are what was seen and `expected`, where nothing else is said.
    """
    frame = pd.DataFrame(rows, columns=list(columns))
    seen = frame[columns[columns.index("expected") - 1]]
    return Evidence(bool(len(frame) and (seen == frame["expected"]).all()), summary, frame)


def not_shown_here(command: str) -> Evidence:
    """Return what stands for a check that this way of running cannot make.

    Args:
        command: what shows it.
    """
    return Evidence(holds=False, summary=f"run: {command}", command=command)


@dataclass(frozen=True)
class Crash:
    """What a measurement that crashed returns; each experiment that is given one fails for its reason."""

    reason: str


def experiment(function: Callable[Arguments, Evidence]) -> Callable[Arguments, Evidence]:
    """Let an experiment that crashes be a FAIL with the reason in one line, so that its notebook goes on.

    An interrupt is no crash.
    """

    @wraps(function)
    def judge(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Evidence:
        if crash := _find_crash(args, kwargs):
            return Evidence(False, crash.reason)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            return Evidence(False, _explain(error))

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
    message = str(error).partition("\n")[0]
    if isinstance(error, BeefirstError):
        return message
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "beefirst" in Path(frame.filename).parts] or frames
    place = f"{Path(own[-1].filename).name}, line {own[-1].lineno}"
    return f"the experiment itself stopped in {place}: {type(error).__name__}: {message}"
