"""What happened one after another, as bars on a common clock."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from beefirst.evaluation.display.charts import Chart, new_axes
from beefirst.evaluation.display.tables import PHASE_COLOURS, RED
from beefirst.evaluation.promises import START_BUDGET_SECONDS


def start_phases(phases: pd.DataFrame) -> Chart:
    """Draw one start as a staircase of its phases.

    Args:
        phases: the columns phase, begins at, seconds, both in seconds, as `api_process.phases_of` gives them.
    """
    total, longest = phases["seconds"].sum(), int(phases["seconds"].argmax())
    share, name = phases["seconds"].iloc[longest] / total, phases["phase"].iloc[longest]
    finding = f"One start took {total:.2f} s; {share:.0%} of it is “{name}”"
    figure, axes = new_axes(0.42 * len(phases) + 1.3, finding, "milliseconds since the process began")
    _bars(axes, list(phases["phase"]), list(phases["begins at"] * 1000), list(phases["seconds"] * 1000), "{:.0f} ms")
    return Chart(figure, finding)


def _bars(axes: Axes, names: Sequence[str], lefts: Sequence[float], widths: Sequence[float], label: str) -> None:
    reach = max(left + width for left, width in zip(lefts, widths, strict=True))
    for row, (left, width) in enumerate(zip(lefts, widths, strict=True)):
        axes.barh(row, width, left=left, color=PHASE_COLOURS[row % len(PHASE_COLOURS)], height=0.62)
        axes.text(left + width + reach * 0.008, row, label.format(width), va="center", fontsize=9, color="#374151")
    axes.set_yticks(range(len(names)), list(names))
    axes.invert_yaxis()
    axes.set_xlim(0, reach * 1.12)


def timeline(events: pd.DataFrame) -> Chart:
    """Draw when each program of the running system began and when it was ready.

    Args:
        events: the columns program, began, ready, both in seconds since the first of them began.
    """
    total = events["ready"].max()
    last = events["program"].iloc[int(events["ready"].argmax())]
    finding = f"Everything was up {total:.1f} s after the first program began; {last} was last"
    figure, axes = new_axes(0.5 * len(events) + 1.3, finding, "seconds since the first program began")
    _bars(axes, list(events["program"]), list(events["began"]), list(events["ready"] - events["began"]), "{:.1f} s")
    if total > START_BUDGET_SECONDS / 3:
        axes.axvline(START_BUDGET_SECONDS, color=RED, linewidth=2)
        axes.set_xlim(0, 1.12 * max(total, START_BUDGET_SECONDS))
    return Chart(figure, finding)
