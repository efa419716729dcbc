"""How many registrations a second, beside the line that bcrypt alone draws."""

import pandas as pd
from matplotlib.axes import Axes

from beefirst.evaluation.display.charts import Chart, new_axes
from beefirst.evaluation.display.tables import BLUE, PHASE_COLOURS, RED

INK = "#374151"
PALE_RED = "#F0D9CC"
DARK = ("#0072B2", "#6B7280")
"""On which white can be read."""

ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}


def rates_by_connections(rates: pd.DataFrame, least: float, cores: int) -> Chart:
    """Draw registrations a second over the connections: each turn a dot, their median a line.

    Args:
        rates: the columns connections, turn, rate, alone, ratio.
        least: of bcrypt alone, what is to be reached at the best.
        cores: of the machine.
    """
    median = rates.groupby("connections", as_index=False)[["rate", "alone", "ratio"]].median()
    best = median.loc[median["rate"].idxmax()]
    finding = (
        f"{best['rate']:.1f} registrations a second are {best['ratio']:.0%} of what bcrypt alone makes of {cores} cores"
    )
    figure, axes = new_axes(3.9, finding, "registrations under way at once, each on a connection of its own")
    _across(axes)
    places = {connections: place for place, connections in enumerate(median["connections"])}
    alone = _draw_alone(axes, rates, cores)
    axes.axhline(least * alone, color=RED, linewidth=1, linestyle=(0, (4, 3)))
    words = f"{least:g} of it: less fails"
    axes.text(-0.4, least * alone, words, color=RED, fontsize=9, va="center", ha="left", bbox=ON_WHITE)
    axes.plot(range(len(median)), median["rate"], color=BLUE, linewidth=2.2, zorder=3)
    axes.scatter(rates["connections"].map(places), rates["rate"], s=30, color=BLUE, edgecolor="white", zorder=4)
    for place, line in enumerate(median.itertuples()):
        axes.annotate(
            f"{line.rate:.1f}", (place, line.rate), xytext=(0, -17), textcoords="offset points", ha="center",
            color=INK, bbox=ON_WHITE, zorder=3,
        )  # fmt: skip
    axes.set_xticks(range(len(median)), [f"{connections:.0f}" for connections in median["connections"]])
    axes.set_xlim(-0.45, len(median) - 0.55)
    return Chart(figure, finding)


def rates_by_replicas(rates: pd.DataFrame, parts: pd.DataFrame, cores: int) -> Chart:
    """Draw registrations a second over the number of replicas, each bar divided by which of them served.

    Args:
        rates: the columns replicas, turn, rate, alone, ratio.
        parts: the columns replicas, replica, part.
        cores: of the machine.
    """
    median = rates.groupby("replicas", as_index=False)[["rate", "alone", "ratio"]].median()
    said = f"{_listed(median['rate'])} a second by {_listed(median['replicas'])} replicas"
    finding = f"{said}: the {cores} cores are the limit"
    figure, axes = new_axes(3.6, finding, "replicas that share the cores and the database")
    _across(axes)
    _draw_alone(axes, rates, cores)
    for place, line in enumerate(median.itertuples()):
        bottom = 0.0
        for own in parts[parts["replicas"] == line.replicas].itertuples():
            height, colour = own.part * line.rate, PHASE_COLOURS[int(own.replica - 1) % len(PHASE_COLOURS)]
            axes.bar(place, height, bottom=bottom, width=0.5, color=colour, edgecolor="white", zorder=3)
            ink = "white" if colour in DARK else "black"
            axes.text(place - 0.17, bottom + height / 2, f"{own.replica:.0f}", color=ink, va="center", zorder=4)
            bottom += height
        axes.text(place + 0.28, line.rate, f"{line.rate:.1f}\n{line.ratio:.2f} of it", color=INK, va="top", fontsize=9)
        turns = rates[rates["replicas"] == line.replicas]["rate"]
        axes.scatter([place] * len(turns), turns, s=20, color=INK, edgecolor="white", zorder=5)
    axes.set_xticks(range(len(median)), [f"{replicas:.0f}" for replicas in median["replicas"]])
    axes.set_xlim(-0.6, len(median) - 0.2)
    return Chart(figure, finding)


def _listed(numbers: pd.Series) -> str:
    *first, last = (f"{number:.0f}" for number in numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _across(axes: Axes) -> None:
    axes.grid(axis="x", visible=False)
    axes.grid(axis="y", color="#E5E7EB", linewidth=0.8)
    axes.set_ylabel("registrations a second")


def _draw_alone(axes: Axes, rates: pd.DataFrame, cores: int) -> float:
    """Draw bcrypt alone as a line, and as a band from its slowest turn to its fastest; return the line's place."""
    alone = rates.drop_duplicates("turn")["alone"]
    axes.axhspan(alone.min(), alone.max(), color=PALE_RED, linewidth=0)
    axes.axhline(alone.median(), color=RED, linewidth=2)
    axes.set_ylim(0, max(alone.max(), rates["rate"].max()) * 1.16)
    axes.annotate(
        f"bcrypt alone on {cores} cores: {alone.median():.1f} hashes a second",
        (0, alone.median()), xycoords=("axes fraction", "data"), xytext=(4, 5), textcoords="offset points",
        color=RED, va="bottom",
    )  # fmt: skip
    return float(alone.median())
