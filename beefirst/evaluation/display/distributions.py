"""How long answers took, kind beside kind."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beefirst.evaluation.display.charts import Chart
from beefirst.evaluation.display.tables import BLUE, RED
from beefirst.laboratory.difference_test import LARGEST_T, Difference

SHOWN_SHARE = 0.98
"""What is slower stands at the edge: on a busy machine one answer of many takes a second."""


def answer_times(times: pd.DataFrame, compared: Mapping[str, Difference]) -> Chart:
    """Draw every answer as a dot and every kind as a box; what differs is red.

    Args:
        times: the columns request, kind, seconds.
        compared: what became of the comparison, by request; its columns are the kinds.
    """
    heights = [len(it.centred.columns) for it in compared.values()]
    figure = Figure(figsize=(9.5, 0.36 * sum(heights) + 2.8), layout="constrained")
    finding = "; ".join(_finding(request, it) for request, it in compared.items())
    figure.suptitle(finding, x=0.01, ha="left", fontsize=12, fontweight="bold")
    panels = figure.subplots(len(compared), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    limits = times["seconds"].min() * 1000, times["seconds"].quantile(SHOWN_SHARE) * 1000
    for axes, (request, it) in zip(panels, compared.items(), strict=True):
        _draw_kinds(axes, times[times["request"] == request], it, limits)
        axes.set_ylabel(request)
        axes.set_title(_statistics(it), loc="left", fontsize=9.5, color="#374151")
    panels[-1].set_xlabel("milliseconds from the request's first byte to the answer's last")
    return Chart(figure, finding)


def _finding(request: str, difference: Difference) -> str:
    pair = difference.pairs.iloc[0]
    if difference.is_seen:
        return f"{request}: {pair['one']} and {pair['other']} DIFFER (|t| = {difference.largest_t:.1f})"
    return f"{request}: no kind differs (|t| ≤ {difference.largest_t:.1f})"


def _statistics(difference: Difference) -> str:
    pair, milliseconds = difference.pairs.iloc[0], difference.smallest_seen * 1000
    return (
        f"{difference.samples} of each kind; largest |t| = {difference.largest_t:.1f}, of {pair['one']} and "
        f"{pair['other']}, p = {difference.p:.2g}; {milliseconds:.1f} ms would have been seen in 80 of 100 samples"
    )


def _draw_kinds(axes: Axes, times: pd.DataFrame, difference: Difference, limits: tuple[float, float]) -> None:
    marked = _marked(difference)
    for row, kind in enumerate(difference.centred.columns):
        shown = np.minimum(times[times["kind"] == kind]["seconds"] * 1000, limits[1])
        colour = RED if kind in marked else BLUE
        spread = row + np.linspace(-0.22, 0.22, len(shown))
        axes.scatter(shown, spread, s=9, color=colour, alpha=0.55, linewidth=0, zorder=2)
        line = {"color": "#374151", "linewidth": 1}
        axes.boxplot(
            [shown], positions=[row], orientation="horizontal", widths=0.6, showfliers=False, zorder=3,
            boxprops=line, whiskerprops=line, capprops=line, medianprops={"color": colour, "linewidth": 2.5},
        )  # fmt: skip
    names = [f"{kind}  ✗" if kind in marked else kind for kind in difference.centred.columns]
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    room = (limits[1] - limits[0]) * 0.03
    axes.set_xlim(limits[0] - room, limits[1] + room)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E5E7EB", linewidth=0.8)
    axes.set_axisbelow(True)


def _marked(difference: Difference) -> set[str]:
    """Return the kinds that differ from most others."""
    if not difference.is_seen:
        return set()
    large = difference.pairs[difference.pairs["t"].abs() >= LARGEST_T]
    counts = pd.concat([large["one"], large["other"]]).value_counts()
    return set(counts[counts == counts.max()].index)
