"""A figure, and the file that keeps those of the last run."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LAST_RUN = Path(__file__).with_name("last_run.json")


@dataclass(frozen=True)
class Figure:
    """What was measured.

    Attributes:
        name: of what.
        value: the median of all rounds.
        unit: of the value, and of the reference.
        least: of all rounds.
        most: of all rounds.
        rounds: how many there were.
        reference: what was measured in the same run to compare with, if anything was.
        reference_value: its median.
        ratio: the median, over all rounds, of the value as a share of the reference.
        goal: what it should be, in words.
    """

    name: str
    value: float
    unit: str
    least: float
    most: float
    rounds: int
    reference: str = ""
    reference_value: float | None = None
    ratio: float | None = None
    goal: str = ""

    def __str__(self) -> str:
        """Tell it in a line."""
        line = f"{self.name:62} {self.value:10.2f} {self.unit:14} {self.least:9.2f} to {self.most:.2f}"
        if self.ratio is not None and self.reference_value is not None:
            line += f"   {self.ratio:.2f} of {self.reference} ({self.reference_value:.2f})"
        return line + (f"   goal: {self.goal}" if self.goal else "")


def measured(
    name: str,
    unit: str,
    values: Sequence[float],
    reference: tuple[str, Sequence[float]] | None = None,
    goal: str = "",
) -> Figure:
    """Return a figure, and print it.

    Args:
        name: of what was measured.
        unit: of each value.
        values: one for each round.
        reference: what was measured beside it and its values, either one for each round or another number of them.
        goal: what it should be, in words.
    """
    rounded = [float(f"{value:.4g}") for value in values]
    named, beside, ratio = "", None, None
    if reference:
        named, others = reference
        beside = float(f"{statistics.median(others):.4g}")
        pairs = list(zip(values, others, strict=False)) if len(values) == len(others) else []
        shares = [value / other for value, other in pairs] or [statistics.median(values) / statistics.median(others)]
        ratio = float(f"{statistics.median(shares):.4g}")
    figure = Figure(
        name,
        float(f"{statistics.median(rounded):.4g}"),
        unit,
        min(rounded),
        max(rounded),
        len(rounded),
        named,
        beside,
        ratio,
        goal,
    )
    print(figure, flush=True)
    return figure


def keep(parts: Mapping[str, Sequence[Figure]], host: Mapping[str, str], file: Path = LAST_RUN) -> None:
    """Write the figures of some parts in the place of what the file has of them; those of other parts stay.

    Args:
        parts: by name.
        host: as `describe_host` told before the run: this file is a change, too, once it is written.
        file: to write.
    """
    stamp = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": host["commit"],
        "machine": host["machine"],
        "load average at its end": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }
    kept = read_last_run(file) if file.exists() else {}
    kept |= {part: stamp | {"figures": [asdict(figure) for figure in figures]} for part, figures in parts.items()}
    file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def read_last_run(file: Path = LAST_RUN) -> dict[str, Any]:
    """Return by part when, where and on what it was measured, and its figures."""
    return dict(json.loads(file.read_text()))
