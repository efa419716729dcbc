"""Every plot of the notebooks, as a PNG that shows in any reader, with the finding in words beside it."""

import io
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beefirst.evaluation.criteria import START_BUDGET_SECONDS
from beefirst.evaluation.looks import BLUE, PHASE_COLOURS, RED

DOTS_PER_INCH = 100


class Chart:
    """A finished plot; readers that show no picture get its finding."""

    def __init__(self, figure: Figure, finding: str) -> None:
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=2 * DOTS_PER_INCH, bbox_inches="tight", facecolor="white")
        self._png, self._width = picture.getvalue(), int(figure.get_figwidth() * DOTS_PER_INCH)
        self.finding = finding

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return self._png, {"width": self._width}

    def __repr__(self) -> str:
        return self.finding


def _axes(height: float, title: str, xlabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9.5, height))
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    axes.set_xlabel(xlabel)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E5E7EB", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def start_phases(phases: pd.DataFrame) -> Chart:
    """Draw one start as a staircase of its phases.

    Args:
        phases: the columns phase, begins at (s), seconds, as `launch.phases_of` gives them.
    """
    total, longest = phases["seconds"].sum(), int(phases["seconds"].argmax())
    share, name = phases["seconds"].iloc[longest] / total, phases["phase"].iloc[longest]
    finding = f"One start took {total:.2f} s; {share:.0%} of it is “{name}”"
    figure, axes = _axes(0.42 * len(phases) + 1.3, finding, "milliseconds since the process began")
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


def start_spread(seconds: Sequence[float]) -> Chart:
    """Draw every one of many starts against the budget, on a logarithmic axis.

    Args:
        seconds: how long each start took, in the order of the runs.
    """
    worst, budget = max(seconds), START_BUDGET_SECONDS
    finding = (
        f"The slowest of {len(seconds)} starts took {worst:.2f} s: 1/{budget / worst:.0f} of the {budget} s budget"
    )
    figure, axes = _axes(2.4, finding, "seconds from process start to ready (logarithmic)")
    axes.set_xscale("log")
    axes.set_xlim(0.1, 100)
    axes.scatter(seconds, range(len(seconds)), s=42, color=BLUE, edgecolor="white", linewidth=0.8, zorder=3)
    axes.axvline(budget, color=RED, linewidth=2)
    axes.text(budget * 0.95, (len(seconds) - 1) / 2, f"budget {budget} s", color=RED, ha="right", va="center")
    axes.set_xticks([0.1, 0.3, 1, 3, 10, 30, 60], ["0.1", "0.3", "1", "3", "10", "30", "60"])
    axes.minorticks_off()
    axes.set_yticks([0, len(seconds) - 1], ["first run", "last run"])
    axes.invert_yaxis()
    return Chart(figure, finding)


def timeline(events: pd.DataFrame) -> Chart:
    """Draw when each program of the running system began and when it was ready.

    Args:
        events: the columns program, began, ready, both in seconds since the first of them began.
    """
    total = events["ready"].max()
    last = events["program"].iloc[int(events["ready"].argmax())]
    finding = f"Everything was up {total:.1f} s after the first program began; {last} was last"
    figure, axes = _axes(0.5 * len(events) + 1.3, finding, "seconds since the first program began")
    _bars(axes, list(events["program"]), list(events["began"]), list(events["ready"] - events["began"]), "{:.1f} s")
    if total > START_BUDGET_SECONDS / 3:
        axes.axvline(START_BUDGET_SECONDS, color=RED, linewidth=2)
    return Chart(figure, finding)
