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
        """Say how much is done."""
        bar = "█" * round(20 * done / self._total)
        if self._handle:
            self._handle.update(HTML(f"<code>{bar:░<20}</code> {escape(self._what)} {done} of {self._total}"))


def measure_starts(count: int, database: ScratchDatabase) -> pd.DataFrame:
    """Start an API again and again on one database, each time as a new process.

    Args:
        count: how many times.
        database: migrated by the first start.

    Returns:
        One row a start, one column a phase, and what a client saw: all in seconds.
    """
    progress, rows = Progress(count, "start"), []
    for number in range(1, count + 1):
        with start_api(database.url) as api:
            phases = api.startup().set_index("phase")["seconds"]
            phases["until ready, from outside"] = api.seconds_until_ready
            rows.append(phases)
        progress.show(number)
    return pd.DataFrame(rows).reset_index(drop=True)
