"""How long a step takes over how many rows there are."""

import pandas as pd
from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter

from beefirst.evaluation.display.charts import Chart, new_axes
from beefirst.evaluation.display.tables import PHASE_COLOURS

INK = "#374151"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
READABLE = 1.22
"""So many times as high, on a logarithmic axis, one word is clear of another."""


def times_by_rows(seen: pd.DataFrame) -> Chart:
    """Draw each time as a dot and the medians as a line, beside the line of the empty table.

    Args:
        seen: the columns step, rows, milliseconds.
    """
    sizes = sorted(seen["rows"].unique())
    places = {rows: place for place, rows in enumerate(sizes)}
    medians = seen.groupby(["step", "rows"])["milliseconds"].median().unstack()
    ratios = (medians[sizes[-1]] / medians[sizes[0]]).round(2)
    said = ", ".join(f"{step} {ratios[step]:.2f}" for step in dict.fromkeys(seen["step"]))
    finding = f"With {sizes[-1]:,} rows, in times of an empty table's: {said}"
    figure, axes = new_axes(3.8, finding, "rows of each table, with as much due in all of them")
    axes.grid(axis="x", visible=False)
    axes.grid(axis="y", color="#E5E7EB", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_ylabel("milliseconds (logarithmic)")
    for number, step in enumerate(dict.fromkeys(seen["step"])):
        own, colour = seen[seen["step"] == step], PHASE_COLOURS[number % len(PHASE_COLOURS)]
        spread = own["rows"].map(places) + (own["turn"] % 9 - 4) * 0.015
        axes.scatter(spread, own["milliseconds"], s=12, color=colour, alpha=0.4, linewidth=0)
        axes.axhline(medians.loc[step, sizes[0]], color=colour, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(range(len(sizes)), medians.loc[step, sizes], color=colour, linewidth=2.2)
    for step, place in _apart(medians[sizes[-1]]).items():
        words = f"{step}, {medians.loc[step, sizes[-1]]:.2f} ms"
        axes.text(len(sizes) - 0.88, place, words, color=INK, va="center")
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(sizes)), ["none" if rows == 0 else f"{rows:,}" for rows in sizes])
    axes.set_xlim(-0.3, len(sizes) - 0.35)
    return Chart(figure, finding)


def _apart(ends: pd.Series) -> dict[str, float]:
    """Return where to write the words of each line: at its end, or as far above the one below as can be read."""
    places, before = dict[str, float](), 0.0
    for step, end in ends.sort_values().items():
        before = max(float(end), before * READABLE)
        places[str(step)] = before
    return places
