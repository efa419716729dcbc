"""Every plot of the notebooks, as a PNG that shows in any reader, with the finding in words beside it."""

import io
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beefirst.evaluation.criteria import START_BUDGET_SECONDS
from beefirst.evaluation.looks import BLUE, GREEN, GREY, PHASE_COLOURS, RED
from beefirst.registration import TRANSITIONS, State

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
    finding = f"The slowest of {len(seconds)} starts took {worst:.2f} s: {worst / budget:.1%} of the {budget} s budget"
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
        axes.set_xlim(0, 1.12 * max(total, START_BUDGET_SECONDS))
    return Chart(figure, finding)


PLACES = {State.CLAIMED: (0.0, 0.0), State.ACTIVE: (2.6, 0.0), State.EXPIRED: (0.0, -1.5), State.LOCKED: (2.6, -1.5)}
CAUSES = {
    (None, State.CLAIMED): "register",
    (State.CLAIMED, State.ACTIVE): "code and password, in time",
    (State.CLAIMED, State.EXPIRED): "TTL over",
    (State.CLAIMED, State.LOCKED): "last attempt wrong",
    (State.EXPIRED, State.CLAIMED): "register anew",
    (State.LOCKED, State.CLAIMED): "register anew,\nafter the cool-down",
    (State.CLAIMED, State.CLAIMED): "register anew,\nTTL over",
}
"""What makes a registration go from one state to the next."""


def state_machine(path: Sequence[str]) -> Chart:
    """Draw the states of a registration, with the path that one has taken in colour.

    Args:
        path: the states in the order in which they were seen; empty for the machine alone.
    """
    states = [State(state) for state in path]
    taken = set(zip([None, *states], states, strict=False))
    unheard_of = {step for step in taken if step[0] and step[1] not in TRANSITIONS[step[0]]}
    if unheard_of:
        raise ValueError(f"no rule allows {unheard_of}")
    finding = f"The path taken: {' → '.join(states)}" if states else "Whatever is not proven can be claimed again"
    figure = Figure(figsize=(9.5, 3.5))
    axes = figure.add_subplot()
    axes.set_title(finding, loc="left", fontsize=12, fontweight="bold", pad=12)
    axes.set_axis_off()
    axes.set_xlim(-1.9, 3.7)
    axes.set_ylim(-1.8, 0.75)
    for (begin, end), cause in CAUSES.items():
        _arrow(axes, begin, end, cause, INK if not states else BLUE if (begin, end) in taken else PALE)
    for state, (x, y) in PLACES.items():
        colour = STATE_COLOURS[state] if not states else BLUE if state in states else GREY
        box = {"boxstyle": "round,pad=0.6", "facecolor": "white", "edgecolor": colour, "linewidth": 2.2}
        axes.text(
            x, y, state, ha="center", va="center", fontsize=11, fontweight="bold", color=colour, bbox=box, zorder=4
        )
    return Chart(figure, finding)


STATE_COLOURS = {State.CLAIMED: BLUE, State.ACTIVE: GREEN, State.EXPIRED: GREY, State.LOCKED: RED}
INK, PALE = "#374151", "#C3C8D0"

ARROWS: dict[
    tuple[State | None, State], tuple[tuple[float, float], tuple[float, float], float, tuple[float, float]]
] = {
    # begin, end, curvature, place of the words
    (None, State.CLAIMED): ((-1.75, 0.0), (-0.5, 0.0), 0, (-1.15, 0.16)),
    (State.CLAIMED, State.ACTIVE): ((0.5, 0.0), (2.1, 0.0), 0, (1.3, 0.16)),
    (State.CLAIMED, State.EXPIRED): ((0.08, -0.25), (0.08, -1.25), 0, (0.34, -1.0)),
    (State.CLAIMED, State.LOCKED): ((0.55, -0.2), (2.45, -1.25), 0, (2.05, -0.62)),
    (State.EXPIRED, State.CLAIMED): ((-0.25, -1.25), (-0.25, -0.25), 0, (-0.7, -0.75)),
    (State.LOCKED, State.CLAIMED): ((2.1, -1.42), (0.3, -0.28), 0, (0.98, -1.28)),
    (State.CLAIMED, State.CLAIMED): ((-0.3, 0.24), (0.3, 0.24), -1.3, (-0.95, 0.52)),
}


def _arrow(axes: Axes, begin: State | None, end: State, cause: str, colour: str) -> None:
    start, stop, curvature, words = ARROWS[begin, end]
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "connectionstyle": f"arc3,rad={curvature}"}
    axes.annotate("", xy=stop, xytext=start, arrowprops=style, zorder=3 if colour == BLUE else 2)
    text = GREY if colour == PALE else colour
    axes.text(*words, cause, ha="center", va="center", fontsize=9, color=text, backgroundcolor="white", zorder=2.5)


def guesses_in_a_day(rows: pd.DataFrame, limit: int) -> Chart:
    """Draw how many guesses one address allows within a day.

    Args:
        rows: the columns hours and guesses, one line for each round of an attacker.
        limit: how many would be too many.
    """
    total = int(rows["guesses"].max())
    finding = f"{total} guesses at one address in 24 hours, of 10,000 codes; the limit is {limit}"
    figure, axes = _axes(2.8, finding, "hours since the first guess")
    axes.step([*rows["hours"], 24], [*rows["guesses"], total], where="post", color=BLUE, linewidth=2.2)
    axes.axhline(limit, color=RED, linewidth=2)
    axes.text(23.8, limit * 0.97, f"limit {limit}", color=RED, ha="right", va="top")
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3))
    axes.set_ylim(0, max(limit, total) * 1.15)
    axes.set_ylabel("guesses judged")
    return Chart(figure, finding)
