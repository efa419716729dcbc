"""A history as a picture: a lane for each client, a bar for each call, and where each took effect."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from beefirst.evaluation.display.charts import Chart, new_axes
from beefirst.evaluation.display.swimlane_marks import INK, draw_addresses, draw_legend, draw_seen
from beefirst.evaluation.display.tables import BLUE, GREEN, GREY, ORANGE, RED
from beefirst.evaluation.display.time_axis import TimeAxis
from beefirst.laboratory.history.calls import Call, History
from beefirst.laboratory.history.judgement import Finding, Judgement

PALE, PALE_INK = "#E5E7EB", "#9CA3AF"
COLOURS = {202: (BLUE, "white"), 200: (GREEN, "white"), 401: (ORANGE, INK)}
HEIGHT = 0.6
"""Of a bar, where a lane has 1; what took effect is marked at its lower edge, clear of the words."""

MOST_CALLS = 100
"""More are not shown; whoever draws a longer history chooses addresses."""

LETTER_SHARE = 0.0076
"""About how much of the axis a letter takes at the size of the labels."""

AFTER_SHARE = 0.012
"""How far the end of a bar that stays open, and the room beside the last bars, go on, as a share of the axis."""


@dataclass(frozen=True)
class _Bar:
    """A call with what was found of it."""

    call: Call
    lane: float
    effect: str
    at: float | None
    is_in_conflict: bool
    is_pale: bool


def swimlanes(history: History, judgement: Judgement, addresses: Sequence[str] = ()) -> Chart:
    """Draw what clients asked and were answered, and the order that explains it, or what cannot be explained.

    Args:
        history: of any number of addresses.
        judgement: of that history.
        addresses: the ones to draw; where left out, those that cannot be explained, or else as many as have room.
    """
    findings = _chosen(judgement, addresses)
    lanes, bars = _arrange(findings)
    told = [event for finding in findings for event in finding.events]
    shown = {finding.address for finding in findings}
    mails = [mail for mail in history.code_mails if mail.address in shown]
    axis = TimeAxis.of([(it.begin, it.end) for it in (*told, *history.faults)] + [(it.at, it.at) for it in mails])
    title = "\n".join(textwrap.wrap(_title(judgement, findings), 80))
    figure, axes = new_axes(0.36 * len(lanes) + 1.55 + 0.2 * title.count("\n"), title, "")
    axes.set_title(
        title, loc="left", fontsize=11.5, fontweight="bold", pad=22 if history.faults or len(findings) > 1 else 10
    )
    _draw_lanes(axes, axis, lanes)
    _draw_faults(axes, axis, history)
    for bar in bars:
        _draw_bar(axes, axis, bar, bars)
    draw_seen(axes, axis, findings, mails, len(lanes) - 1)
    draw_addresses(axes, axis, findings)
    _draw_path(axes, axis, bars, [finding.address for finding in findings])
    draw_legend(axes, figure)
    return Chart(figure, title.replace("\n", " "))


def _chosen(judgement: Judgement, addresses: Sequence[str]) -> list[Finding]:
    findings = [finding for finding in judgement.findings if not addresses or finding.address in addresses]
    broken = [finding for finding in findings if finding.result != "explained"]
    chosen, calls = list[Finding](), 0
    for finding in (broken and not addresses and broken[:1]) or findings:
        calls += sum(isinstance(event, Call) for event in finding.events)
        if chosen and calls > MOST_CALLS:
            break
        chosen.append(finding)
    return chosen


def _title(judgement: Judgement, findings: Sequence[Finding]) -> str:
    broken = [finding.sentence for finding in findings if finding.result != "explained"]
    if broken or not judgement.holds:
        return "Not explained: " + (" ".join(broken) or judgement.sentence)
    calls = sum(isinstance(event, Call) for finding in findings for event in finding.events)
    of_all = f" (of {judgement.calls} in the history)" if calls < judgement.calls else ""
    return f"One order explains every answer of these {calls} calls{of_all}, and the final rows"


def _arrange(findings: Sequence[Finding]) -> tuple[list[str], list[_Bar]]:
    """Return the names of the lanes, of which the last is that of mail and table, and the bars in their lanes."""
    calls = [
        (event, number, finding)
        for finding in findings
        for number, event in enumerate(finding.events)
        if isinstance(event, Call)
    ]
    calls.sort(key=lambda told: told[0].begin)
    names, ends, bars = list[str](), list[float](), list[_Bar]()
    for call, number, finding in calls:
        free = [lane for lane, name in enumerate(names) if name == call.client and ends[lane] <= call.begin]
        lane = free[0] if free else len(names)
        names, ends = (names, ends) if free else ([*names, call.client], [*ends, 0.0])
        ends[lane] = call.end
        place = next((place for place in finding.order if place.event == number), None)
        conflict = number in finding.conflict
        effect, at = (place.effect, place.at) if place else ("", None)
        bars.append(_Bar(call, lane, effect, at, conflict, bool(finding.conflict) and not conflict))
    return [*names, "mail, table"], bars


def _draw_lanes(axes: Axes, axis: TimeAxis, lanes: Sequence[str]) -> None:
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.set_xlim(-0.01 * axis.length, axis.length * 1.1)
    axes.set_yticks(range(len(lanes)), list(lanes), fontsize=9)
    places = axis.ticks()
    axes.set_xticks([place for place, _ in places], [text for _, text in places], fontsize=8.5)
    axes.set_xlabel("seconds by the database's clock since the first call", fontsize=9)
    for lane in range(len(lanes)):
        axes.axhline(lane, color="#F3F4F6", linewidth=9, zorder=0)
    for begin, end in axis.waits:
        left, right = axis.place(begin), axis.place(end)
        axes.axvspan(left, right, color="white", zorder=0.5)
        axes.text((left + right) / 2, -0.5, f"⋯ {end - begin:.3g} s", ha="center", va="bottom", fontsize=8, color=GREY)


def _draw_faults(axes: Axes, axis: TimeAxis, history: History) -> None:
    for fault in history.faults:
        left, right = axis.place(fault.begin), axis.place(fault.end)
        axes.axvspan(left, right, color=RED, alpha=0.1, zorder=0.6, linewidth=0)
        axes.plot([left, left, right, right], [-0.45, -0.6, -0.6, -0.45], color=RED, linewidth=1.2, clip_on=False)
        name = axes.text((left + right) / 2, -0.72, fault.name, ha="center", va="bottom", fontsize=9, color=RED)
        name.set_fontweight("bold")


def _draw_bar(axes: Axes, axis: TimeAxis, bar: _Bar, bars: Sequence[_Bar]) -> None:
    call = bar.call
    left, right = axis.place(call.begin), axis.place(call.end)
    width = max(right - left, 0.003 * axis.length)
    colour, ink = COLOURS.get(call.status or 0, ("white", INK))
    face = PALE if bar.is_pale else colour
    axes.barh(bar.lane, width, left=left, height=HEIGHT, zorder=2, linewidth=0.8, edgecolor="white", color=face)
    if call.is_unknown:
        _leave_open(axes, left, left + width, bar.lane, axis.length)
    if bar.is_in_conflict:
        axes.barh(bar.lane, width, left=left, height=HEIGHT, color="none", edgecolor=RED, linewidth=2.6, zorder=2.6)
    _write(axes, axis, bar, bars, (left, left + width), PALE_INK if bar.is_pale else ink)
    if bar.at is not None:
        place = _moment(bar, axis)
        face = INK if bar.effect else "white"
        size = 42 if bar.effect else 16
        edge = "white" if bar.effect else INK
        axes.scatter([place], [bar.lane + HEIGHT / 2], s=size, color=face, edgecolor=edge, zorder=4)


def _leave_open(axes: Axes, begin: float, end: float, lane: float, length: float) -> None:
    top, bottom = lane - HEIGHT / 2, lane + HEIGHT / 2
    axes.plot([end, begin, begin, end], [top, top, bottom, bottom], color=GREY, linewidth=1.2, zorder=2.2)
    arrow = {"arrowstyle": "->", "color": GREY, "linestyle": ":", "linewidth": 1.2}
    for edge in (top, bottom):
        reach = end + 2.2 * AFTER_SHARE * length
        axes.annotate("", xy=(reach, edge), xytext=(end, edge), arrowprops=arrow, zorder=2.2)


def _label(call: Call, effect: str) -> list[str]:
    """Return what may be written at a bar, the longest first."""
    answer = "no answer" if call.status is None else str(call.status)
    said = f"{call.kind} {answer}"
    return [f"{said}: {effect}" if effect else said, said, answer]


def _write(axes: Axes, axis: TimeAxis, bar: _Bar, bars: Sequence[_Bar], span: tuple[float, float], ink: str) -> None:
    """Write what was asked and answered into the bar, or else beside it, as far as there is room."""
    left, right = span
    letter, gap = LETTER_SHARE * axis.length, AFTER_SHARE * axis.length
    beside = right + gap * (3 if bar.call.is_unknown else 0.5)
    after = [axis.place(it.call.begin) for it in bars if it.lane == bar.lane and it.call.begin > bar.call.begin]
    room = min(after, default=axis.length * 1.1) - beside
    for text in _label(bar.call, bar.effect):
        if len(text) * letter + 2 * gap < right - left:
            axes.text(left + gap / 2, bar.lane, text, va="center", fontsize=8, color=ink, zorder=3)
            return
        if len(text) * letter < room:
            ink = PALE_INK if bar.is_pale else INK
            axes.text(beside, bar.lane, text, va="center", fontsize=8, color=ink, zorder=3)
            return


def _draw_path(axes: Axes, axis: TimeAxis, bars: Sequence[_Bar], addresses: Sequence[str]) -> None:
    """Join what had an effect on an address, in the order in which it had."""
    for address in addresses:
        effective = [bar for bar in bars if bar.effect and bar.call.address == address]
        steps = sorted((_moment(bar, axis), bar.lane + HEIGHT / 2) for bar in effective)
        axes.plot([place for place, _ in steps], [lane for _, lane in steps], color=INK, linewidth=1.1, zorder=3.5)


def _moment(bar: _Bar, axis: TimeAxis) -> float:
    """Return where a call took effect: of one without an answer that may be after it was given up."""
    at = bar.call.begin if bar.at is None else bar.at
    return axis.place(max(at, bar.call.begin) if bar.call.is_unknown else min(max(at, bar.call.begin), bar.call.end))
