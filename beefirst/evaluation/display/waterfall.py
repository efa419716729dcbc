"""Requests as waterfalls: a bar for each span, below the one that it is a part of."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from beefirst.evaluation.display.charts import Chart, new_axes
from beefirst.evaluation.display.tables import BLUE, GREEN, GREY, ORANGE

DARK, PALE, INK = "#374151", "#CBD5E1", "#374151"
COLOURS = {"bcrypt queue": GREY, "bcrypt hash": ORANGE, "even out": PALE, "mail": GREEN}
"""By the name of a span; a request itself is dark, and what is asked of the database blue."""

ROW, GAP = 1.0, 0.7
"""How high a row is, and the room above the next request."""


def waterfall(spans: pd.DataFrame, finding: str) -> Chart:
    """Draw requests one below the other, each from its own beginning.

    Args:
        spans: the columns request, span, depth (0 for the request itself), begins, takes; in milliseconds since the
            request came, in the order in which they are drawn.
        finding: what is to be seen.
    """
    requests = list(dict.fromkeys(spans["request"]))
    figure, axes = new_axes(0.36 * len(spans) + 0.25 * len(requests) + 1.2, finding, "milliseconds since it came")
    places = _places(spans)
    reach = float((spans["begins"] + spans["takes"]).max())
    for place, (_, span) in zip(places, spans.iterrows(), strict=True):
        _draw(axes, place, span, reach)
    for request in requests:
        _draw_answer(axes, [(place, span) for place, span in zip(places, _of(spans), strict=True)], request)
    names = [("      " * int(depth)) + name for depth, name in zip(spans["depth"], spans["span"], strict=True)]
    axes.set_yticks(places, names, ha="left")
    axes.tick_params(axis="y", pad=8 + 6.6 * max(len(name) for name in names))
    axes.set_ylim(places[-1] + 1.1, -0.7)
    axes.set_xlim(0, reach * 1.12)
    return Chart(figure, finding)


def _places(spans: pd.DataFrame) -> list[float]:
    places, place, before = list[float](), 0.0, None
    for request in spans["request"]:
        place += (ROW if places else 0) + (GAP if before not in (None, request) else 0)
        places.append(place)
        before = request
    return places


def _of(spans: pd.DataFrame) -> Sequence[pd.Series]:
    return [span for _, span in spans.iterrows()]


def _draw(axes: Axes, place: float, span: pd.Series, reach: float) -> None:
    colour = COLOURS.get(span["span"], DARK if span["depth"] == 0 else BLUE)
    axes.barh(place, max(span["takes"], reach * 0.002), left=span["begins"], color=colour, height=0.62, zorder=2)
    axes.text(
        span["begins"] + span["takes"] + reach * 0.008, place, f"{span['takes']:.1f} ms", va="center", fontsize=9,
        color=INK,
    )  # fmt: skip


def _draw_answer(axes: Axes, placed: Sequence[tuple[float, pd.Series]], request: str) -> None:
    """Draw when the answer was given through the rows of its request."""
    own = [(place, span) for place, span in placed if span["request"] == request]
    answered = own[0][1]["begins"] + own[0][1]["takes"]
    axes.plot([answered, answered], [own[0][0], own[-1][0] + 0.45], color=INK, linewidth=1, linestyle=":", zorder=1)
    axes.text(answered, own[-1][0] + 0.72, "answered", color=INK, fontsize=8, ha="center", va="center")
