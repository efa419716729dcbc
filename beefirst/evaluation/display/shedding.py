"""More than can be served, second by second: how many were served and how many told to come again, and how soon."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beefirst.evaluation.display.charts import Chart
from beefirst.evaluation.display.tables import BLUE, ORANGE, RED

STEP_SECONDS = 0.25
PALE = "#F3F4F6"
INK = "#374151"


def accepted_and_shed(answers: pd.DataFrame, capacity: float, times: int, lasted: float, longest: float) -> Chart:
    """Draw the answers a second above, and below how long each took, on one clock.

    Args:
        answers: the columns second, seconds, status; in seconds since the load began.
        capacity: registrations a second that can be served.
        times: as many came.
        lasted: for so many seconds.
        longest: what would wait longer is refused, in seconds.
    """
    served, shed = (answers[answers["status"] == status] for status in (202, 503))
    rate = ((served["second"] + served["seconds"]).between(0, lasted)).sum() / lasted
    soon = f"half of the other {len(shed)} told within {shed['seconds'].median() * 1000:.1f} ms to come again"
    told = soon if len(shed) else "and NOBODY is refused"
    finding = f"{times} times the capacity: {rate:.0f} a second are served, {told}"
    figure = Figure(figsize=(9.5, 5.4), layout="constrained")
    figure.suptitle(finding, x=0.01, ha="left", fontsize=12, fontweight="bold")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.25])
    _draw_rates(upper, served, shed, capacity)
    _draw_times(lower, served, shed, longest)
    for axes in (upper, lower):
        axes.axvspan(0, lasted, color=PALE, linewidth=0, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#E5E7EB", linewidth=0.8)
        axes.set_axisbelow(True)
    upper.text(lasted / 2, upper.get_ylim()[1] * 0.97, "the load", color=INK, ha="center", va="top", fontsize=9)
    lower.set_xlabel("seconds since the load began; light load before and after")
    return Chart(figure, finding)


def _draw_rates(axes: Axes, served: pd.DataFrame, shed: pd.DataFrame, capacity: float) -> None:
    ends = {
        name: own["second"] + own["seconds"]
        for name, own in (("served, 202", served), ("told to come again, 503", shed))
    }
    first, last = (function([float(function(end)) for end in ends.values() if len(end)]) for function in (min, max))
    steps = np.arange(np.floor(first / STEP_SECONDS), np.ceil(last / STEP_SECONDS) + 1) * STEP_SECONDS
    bottom = np.zeros(len(steps) - 1)
    for (name, end), colour in zip(ends.items(), (BLUE, ORANGE), strict=True):
        heights = np.histogram(end, steps)[0] / STEP_SECONDS
        axes.bar(steps[:-1], heights, STEP_SECONDS * 0.92, bottom, align="edge", color=colour, label=name, zorder=2)
        bottom += heights
    axes.axhline(capacity, color=RED, linewidth=2, zorder=3)
    axes.annotate(
        f"the capacity, {capacity:.0f} a second", (1, capacity), xycoords=("axes fraction", "data"), xytext=(0, 4),
        textcoords="offset points", color=RED, ha="right", fontsize=9,
    )  # fmt: skip
    axes.set_ylabel("answers a second")
    axes.set_ylim(0, max(bottom.max(), capacity) * 1.25)
    axes.legend(loc="upper right", frameon=False, fontsize=9, ncols=2, bbox_to_anchor=(1, 1.12))


def _draw_times(axes: Axes, served: pd.DataFrame, shed: pd.DataFrame, longest: float) -> None:
    for own, colour, mark in ((served, BLUE, "o"), (shed, ORANGE, "^")):
        axes.scatter(own["second"], own["seconds"] * 1000, s=12, color=colour, marker=mark, alpha=0.6, linewidth=0)
    axes.axhline(longest * 1000, color=RED, linewidth=2)
    axes.annotate(
        f"who would wait over {longest:g} s is refused", (1, longest * 1000), xycoords=("axes fraction", "data"),
        xytext=(0, 4), textcoords="offset points", color=RED, ha="right", fontsize=9,
    )  # fmt: skip
    axes.set_yscale("log")
    ticks = [1, 10, 100, 1000, 10_000]
    axes.set_yticks(ticks, ["1 ms", "10 ms", "100 ms", "1 s", "10 s"])
    axes.minorticks_off()
    axes.set_ylim(0.5, max(10_000, served["seconds"].max() * 1500 if len(served) else 0))
    axes.set_ylabel("time of each answer,\nby when it was asked for")
