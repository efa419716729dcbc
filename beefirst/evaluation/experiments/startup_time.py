"""Measuring starts."""

import pandas as pd

from beefirst.evaluation.display.progress import Progress
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.scratch_database import ScratchDatabase


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
