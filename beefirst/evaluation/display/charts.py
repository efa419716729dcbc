"""Every plot of the notebooks, as a PNG that shows in any reader, with the finding in words beside it."""

import io
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beefirst.evaluation.display.tables import BLUE, RED
from beefirst.evaluation.promises import START_BUDGET_SECONDS

DOTS_PER_INCH = 100


class Chart:
    """A finished plot; readers that show no picture get its finding."""

    def __init__(self, figure: Figure, finding: str) -> None:
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=2 * DOTS_PER_INCH, bbox_inches="tight", facecolor="white")
        self._png, self._width = picture.getvalue(), int(figure.get_figwidth() * DOTS_PER_INCH)
        self.finding = finding

    def _repr_png_(self) -> tuple[bytes, dict[str, object]]:
        return self._png, {"width": self._width, "alt": self.finding}

    def __repr__(self) -> str:
        return self.finding


def new_axes(height: float, title: str, xlabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9.5, height))
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    axes.set_xlabel(xlabel)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E5E7EB", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def start_spread(seconds: Sequence[float]) -> Chart:
    """Draw every one of many starts against the budget, on a logarithmic axis.

    Args:
        seconds: how long each start took, in the order of the runs.
    """
    worst, budget = max(seconds), START_BUDGET_SECONDS
    finding = f"The slowest of {len(seconds)} starts took {worst:.2f} s: {worst / budget:.1%} of the {budget} s budget"
    figure, axes = new_axes(2.4, finding, "seconds from process start to ready (logarithmic)")
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


def guesses_in_a_day(rows: pd.DataFrame, limit: int) -> Chart:
    """Draw how many guesses one address allows within a day.

    Args:
        rows: the columns hours and guesses, one line for each round of an attacker.
        limit: how many would be too many.
    """
    total = int(rows["guesses"].max())
    finding = f"{total} guesses at one address in 24 hours, of 10,000 codes; the limit is {limit}"
    figure, axes = new_axes(2.8, finding, "hours since the first guess")
    axes.step([*rows["hours"], 24], [*rows["guesses"], total], where="post", color=BLUE, linewidth=2.2)
    axes.axhline(limit, color=RED, linewidth=2)
    axes.text(23.8, limit * 0.97, f"limit {limit}", color=RED, ha="right", va="top")
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3))
    axes.set_ylim(0, max(limit, total) * 1.15)
    axes.set_ylabel("guesses judged")
    return Chart(figure, finding)


def mails_in_a_day(rows: pd.DataFrame, limit: int) -> Chart:
    """Draw how many mails an address gets, however often it is registered.

    Args:
        rows: the columns registrations and mails, one line for each round of an attacker.
        limit: how many are allowed within a day.
    """
    sent, mails = int(rows["registrations"].max()), int(rows["mails"].max())
    finding = f"{sent} registrations of one address: {mails} mails within a day; the limit is {limit}"
    figure, axes = new_axes(2.6, finding, "registrations sent")
    axes.step(rows["registrations"], rows["mails"], where="post", color=BLUE, linewidth=2.2)
    axes.axhline(limit, color=RED, linewidth=2)
    axes.text(0, limit * 0.97, f"limit {limit}", color=RED, ha="left", va="top")
    axes.set_xlim(0, sent)
    axes.set_ylim(0, max(limit, mails) * 1.15)
    axes.set_ylabel("mails that came")
    return Chart(figure, finding)
