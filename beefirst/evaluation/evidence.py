"""What an experiment showed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from beefirst.evaluation.method import Method
from beefirst.evaluation.records import Result

MOST_LINES = 8
"""How many lines the evidence of a check that failed may have; most experiments have no more."""


COMPARED = ("what", "seen", "expected")


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
