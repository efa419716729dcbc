"""How long answers took, each a dot, with the percentiles in words beside them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from beefirst.evaluation.display.charts import Chart, new_axes
from beefirst.evaluation.display.tables import BLUE, ORANGE, RED

INK = "#374151"
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
HEIGHTS = (0.0, 0.62)
"""Where the dots of a row are, and where the words begin, in rows below its place."""


def latencies_by_connections(times: pd.DataFrame, alone: float, cores: int, meant: float) -> Chart:
    """Draw what an answer takes beside its hash while nobody waits, and below how long it takes with many under way.

    Args:
        times: the columns connections, milliseconds; no connections are bcrypt alone.
        alone: a hash of that, in milliseconds.
        cores: with as many connections nobody waits.
        meant: what every answer waits after its hash, in milliseconds.
    """
    served = times[times["connections"] > 0]
    groups = {int(connections): own["milliseconds"] for connections, own in served.groupby("connections")}
    rest = groups[cores] - alone
    finding = (
        f"Beside its hash of {alone:.0f} ms an answer takes {rest.median():.0f} ms, of which {meant:.0f} are meant"
    )
    figure = Figure(figsize=(9.5, 0.55 * len(groups) + 3.6), layout="constrained")
    figure.suptitle(finding, x=0.01, ha="left", fontsize=12, fontweight="bold")
    upper, lower = figure.subplots(2, 1, height_ratios=[1.5, len(groups)])
    _draw_rows(upper, {f"{cores} at once": rest}, [BLUE])
    upper.axvline(meant, color=RED, linewidth=2)
    upper.annotate(
        f"{meant:.0f} ms, the same for all ", (meant, 1), xycoords=("data", "axes fraction"),
        xytext=(-3, -3), textcoords="offset points", color=RED, ha="right", va="top", fontsize=9,
    )  # fmt: skip
    upper.set_xlim(min(0, rest.min()), max(rest.quantile(0.99) * 1.25, meant * 2))
    upper.set_title(
        f"{len(rest)} answers while each had a core for itself, less the median hash", loc="left", fontsize=9.5
    )
    upper.set_xlabel("milliseconds beside the hash")
    rows = {f"{connections} at once": own for connections, own in groups.items()}
    _draw_rows(lower, rows, [BLUE] * len(rows))
    lower.set_title("the whole answer: who comes when all cores are taken waits for its turn", loc="left", fontsize=9.5)
    lower.set_xlabel("milliseconds from the request's first byte to the answer's last")
    lower.set_xlim(0, max(own.max() for own in groups.values()) * 1.22)
    return Chart(figure, finding)


def _draw_rows(axes: Axes, rows: dict[str, pd.Series], colours: Sequence[str]) -> None:
    for place, (own, colour) in enumerate(zip(rows.values(), colours, strict=True)):
        spread = place + np.linspace(-0.16, 0.16, len(own))
        axes.scatter(own, spread, s=11, color=colour, alpha=0.55, linewidth=0, zorder=2)
        found = {name: float(own.quantile(share)) for name, share in PERCENTILES.items()}
        for at in found.values():
            axes.plot([at, at], [place - 0.26, place + 0.26], color=INK, linewidth=1.4, zorder=3)
        words = "   ".join(f"{name} {_number(at)}" for name, at in found.items())
        axes.annotate(
            words, (found["p50"], place + 0.28), xytext=(0, -1), textcoords="offset points",
            fontsize=8.5, color=INK, va="top",
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [*rows])
    axes.set_ylim(len(rows) - 0.35, -0.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#E5E7EB", linewidth=0.8)
    axes.set_axisbelow(True)


def _number(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def probe_times(probes: pd.DataFrame, light: str, beyond: str, limit: float) -> Chart:
    """Draw how long each probe of the health took, under light load and beyond the capacity, on a logarithmic axis.

    Args:
        probes: the columns phase, path, seconds, status.
        light: the phase of light load.
        beyond: that of too much.
        limit: after so many seconds a probe counts as failed.
    """
    rows = {
        f"{path}\n{words}": probes[(probes["path"] == path) & (probes["phase"] == phase)]["seconds"] * 1000
        for path in sorted(set(probes["path"]))
        for phase, words in ((light, "light load"), (beyond, "beyond capacity"))
    }
    worst = max(float(own.quantile(0.99)) for own in rows.values())
    finding = f"Health is answered throughout, 99 of 100 probes within {_number(worst)} ms"
    if failed := int((probes["status"] != 200).sum()):
        finding = f"{failed} of {len(probes)} probes of the health were NOT answered 200"
    figure, axes = new_axes(0.62 * len(rows) + 1.3, finding, "milliseconds until a probe is answered (logarithmic)")
    axes.set_xscale("log")
    _draw_rows(axes, rows, [BLUE, ORANGE] * (len(rows) // 2))
    lowest = min(float(own.min()) for own in rows.values())
    axes.set_xlim(min(0.5, lowest * 0.9), max(limit * 1000, worst) * 2)
    axes.axvline(limit * 1000, color=RED, linewidth=2)
    axes.text(
        limit * 900,
        (len(rows) - 1) / 2,
        "Kubernetes'\ndefault limit\n1 s",
        color=RED,
        ha="right",
        va="center",
        fontsize=9,
    )
    ticks = [1, 3, 10, 30, 100, 300, 1000]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    return Chart(figure, finding)
