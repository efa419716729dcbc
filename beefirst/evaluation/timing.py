"""Measuring starts."""

from html import escape

import pandas as pd
from IPython.display import HTML, display

from beefirst.evaluation.launch import start_api
from beefirst.evaluation.scratch import ScratchDatabase


class Progress:
    """One line in a notebook's output that is written anew as work goes on."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what = total, what
        self._handle = display(HTML(""), display_id=True)

    def show(self, done: int) -> None:
        """Say how much is done; what remains in the end is a plain line."""
        if done == self._total and self._handle:
            self._handle.update(HTML(f"{done} {escape(self._what)}s measured."))
            return
        bar = "█" * round(20 * done / self._total)
        if self._handle:
            self._handle.update(HTML(f"<code>{bar:░<20}</code> {escape(self._what)} {done} of {self._total}"))


def spread(starts: pd.DataFrame) -> pd.DataFrame:
    """Return the quickest, the median and the slowest of many starts, by phase.

    Args:
        starts: as `measure_starts` returns them, in seconds.

    Returns:
        The columns phase, quickest (s), median (s), slowest (s), as text with three decimals.
    """
    columns = {"quickest (s)": starts.min(), "median (s)": starts.median(), "slowest (s)": starts.max()}
    return as_text(pd.DataFrame(columns), 3).rename_axis("phase").reset_index()


def as_text(seconds: pd.DataFrame, decimals: int) -> pd.DataFrame:
    """Return a table with all of its numbers as text of so many decimals."""
    numbers = seconds.select_dtypes("number")
    return seconds.assign(**{name: numbers[name].map(f"{{:.{decimals}f}}".format) for name in numbers})


def measure_starts(count: int, database: ScratchDatabase) -> pd.DataFrame:
    """Start an API again and again on one database, each time as a new process.

    Args:
        count: how many times.
        database: migrated by the first start.

    Returns:
        One row a start, one column a phase, then what a client saw and how much longer that is: all in seconds.
    """
    progress, rows = Progress(count, "start"), []
    for number in range(1, count + 1):
        with start_api(database.url) as api:
            phases = api.startup().set_index("phase")["seconds"]
            inside = phases.sum()
            phases["until ready, from outside"] = api.seconds_until_ready
            phases["between the two stop-watches"] = api.seconds_until_ready - inside
            rows.append(phases)
        progress.show(number)
    return pd.DataFrame(rows).reset_index(drop=True)
