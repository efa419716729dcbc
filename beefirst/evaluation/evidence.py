"""What an experiment showed."""

from dataclasses import dataclass

import pandas as pd

MOST_LINES = 8
"""How many lines the evidence of a check that failed may have; most experiments have no more."""


@dataclass(frozen=True)
class Evidence:
    """What an experiment showed.

    Attributes:
        holds: whether all of it is as it should be.
        summary: what was seen, in a few words; where it is not as it should be, with the lines that are not.
        rows: what was seen, line by line.
    """

    holds: bool
    summary: str
    rows: pd.DataFrame

    def __post_init__(self) -> None:
        if not self.holds:
            lines = [", ".join(map(_brief, row)) for row in self._unexpected().itertuples(index=False)]
            more = [f"and {len(lines) - MOST_LINES} more lines"] * (len(lines) > MOST_LINES)
            listed = "; ".join([*lines[:MOST_LINES], *more])
            object.__setattr__(self, "summary", f"not as promised ({self.summary}): {listed}")

    def _unexpected(self) -> pd.DataFrame:
        """Return the rows that do not show what they were expected to; all where none says what that is."""
        if "expected" not in self.rows:
            return self.rows
        seen = self.rows.drop(columns="expected")
        unexpected = self.rows[seen.ne(self.rows["expected"], axis="index").all(axis="columns")]
        return self.rows if unexpected.empty else unexpected


def _brief(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
