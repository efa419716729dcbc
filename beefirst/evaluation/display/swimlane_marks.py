"""What a picture of a history tells beside its bars: mails, rows, steps of the clock, addresses, and what is what."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from beefirst.evaluation.display.tables import BLUE, GREEN, GREY, ORANGE, RED
from beefirst.evaluation.display.time_axis import TimeAxis
from beefirst.laboratory.history.calls import Call, ClockStep, CodeMail, Row
from beefirst.laboratory.history.judgement import Finding

INK = "#111827"

SPACES: dict[str, Any] = {"handlelength": 1.2, "handletextpad": 0.4, "columnspacing": 1.1}
"""Between the parts of the legend."""


def draw_seen(axes: Axes, axis: TimeAxis, findings: Sequence[Finding], mails: Sequence[CodeMail], lane: int) -> None:
    """Draw the codes that came, the rows that were seen, and the steps of the clock.

    Args:
        axes: of the picture.
        axis: where a time is.
        findings: of the addresses that are shown.
        mails: of these.
        lane: in which mails and rows are drawn.
    """
    axes.scatter([axis.place(mail.at) for mail in mails], [lane] * len(mails), marker="v", s=40, color=BLUE, zorder=3)
    rows = dict[float, list[tuple[Row, bool]]]()
    for finding in findings:
        for number, event in enumerate(finding.events):
            if isinstance(event, Row):
                rows.setdefault((event.begin + event.end) / 2, []).append((event, number in finding.conflict))
            if isinstance(event, ClockStep):
                _draw_step(axes, axis, event)
    for at, seen in rows.items():
        colour = RED if any(is_in_conflict for _, is_in_conflict in seen) else INK
        axes.scatter([axis.place(at)], [lane], marker="D", s=34, color=colour, zorder=3)
        told: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8, "color": colour, "fontweight": "bold"}
        axes.text(axis.place(at), lane + 0.3, _states([row for row, _ in seen]), **told)


def _states(rows: Sequence[Row]) -> str:
    counts = Counter(row.state if row.state != "none" else "no row" for row in rows)
    return ", ".join(state if len(rows) == 1 else f"{count} {state}" for state, count in counts.items())


def _draw_step(axes: Axes, axis: TimeAxis, step: ClockStep) -> None:
    place = axis.place(step.end)
    axes.axvline(place, color=GREY, linestyle=":", linewidth=1.2, zorder=1)
    told: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 8, "color": GREY}
    axes.text(place, axes.get_ylim()[0] - 0.92, f"{step.seconds:g} s pass ", **told)


def draw_addresses(axes: Axes, axis: TimeAxis, findings: Sequence[Finding]) -> None:
    """Name the addresses above their calls, where there are several and one comes after the other."""
    spans = sorted(
        (min(call.begin for call in calls), max(call.end for call in calls), finding.address)
        for finding in findings
        if (calls := [event for event in finding.events if isinstance(event, Call)])
    )
    if len(spans) < 2 or any(one[1] > other[0] for one, other in pairwise(spans)):
        return
    for begin, end, address in spans:
        left, right = axis.place(begin), axis.place(end)
        axes.plot([left, left, right, right], [-0.45, -0.6, -0.6, -0.45], color=GREY, linewidth=1, clip_on=False)
        axes.text((left + right) / 2, -0.7, address, ha="center", va="bottom", fontsize=8.5, color=INK)


def draw_legend(axes: Axes, figure: Figure) -> None:
    """Say below the picture what is what."""
    handles = [
        Patch(color=BLUE, label="register 202"),
        Patch(color=GREEN, label="activate 200"),
        Patch(color=ORANGE, label="activate 401"),
        Patch(facecolor="white", edgecolor=GREY, label="no answer, or 503: perhaps done"),
        _mark("o", INK, 7, "took effect"),
        _mark("o", "white", 4.5, "changed nothing"),
        _mark("v", BLUE, 6, "code mailed"),
        _mark("D", INK, 5, "row"),
    ]
    below = ScaledTranslation(0, -0.52, figure.dpi_scale_trans)
    legend = axes.legend(handles=handles, ncols=8, frameon=False, fontsize=8, loc="upper center", **SPACES)
    legend.set_bbox_to_anchor((0.47, 0), transform=axes.transAxes + below)


def _mark(marker: str, colour: str, size: float, label: str) -> Line2D:
    edge = INK if colour == "white" else colour
    return Line2D(
        [], [], marker=marker, color="none", markerfacecolor=colour, markeredgecolor=edge, markersize=size, label=label
    )
