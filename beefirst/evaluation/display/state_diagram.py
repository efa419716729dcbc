"""The states of a registration as a diagram, with the path that one has taken."""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beefirst.evaluation.display.charts import Chart
from beefirst.evaluation.display.tables import BLUE, GREEN, GREY, RED
from beefirst.registration.states import TRANSITIONS, State

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
        path: the states in the order in which they were seen; empty for the machine alone. A step that no rule
            allows has no arrow, and is named in the finding.
    """
    taken, finding = set(zip([None, *path], path, strict=False)), _describe(path)
    figure = Figure(figsize=(9.5, 3.5))
    axes = figure.add_subplot()
    axes.set_title(finding, loc="left", fontsize=12, fontweight="bold", pad=12)
    axes.set_axis_off()
    axes.set_xlim(-1.9, 3.7)
    axes.set_ylim(-1.8, 0.75)
    for (begin, end), cause in CAUSES.items():
        _arrow(axes, begin, end, cause, INK if not path else BLUE if (begin, end) in taken else PALE)
    for state, (x, y) in PLACES.items():
        colour = STATE_COLOURS[state] if not path else BLUE if state in path else GREY
        box = {"boxstyle": "round,pad=0.6", "facecolor": "white", "edgecolor": colour, "linewidth": 2.2}
        axes.text(
            x, y, state, ha="center", va="center", fontsize=11, fontweight="bold", color=colour, bbox=box, zorder=4
        )
    return Chart(figure, finding)


def _describe(path: Sequence[str]) -> str:
    if not path:
        return "Whatever is not proven can be claimed again"
    allowed = {(begin, end) for begin, ends in TRANSITIONS.items() for end in ends}
    unheard_of = [" → ".join(step) for step in pairwise(path) if step not in allowed]
    way = f"The path taken: {' → '.join(path)}"
    return f"No rule allows {', '.join(unheard_of)}. {way}" if unheard_of else way


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
