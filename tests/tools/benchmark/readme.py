"""The README's section on how fast it is, made from the figures of the last run."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beefirst.machine.folders import CHECKOUT

README = CHECKOUT / "README.md"
HEADING = "## How fast it is\n"
SECTION = re.compile(rf"{re.escape(HEADING)}.*?(?=^## )", re.DOTALL | re.MULTILINE)

SHOWN = {
    "register": ("registrations on {cores}", "/health/ready at saturation, p99"),
    "barest": ("main thread for one registration of many",),
    "activate": ("activations on {cores}",),
    "own_cost": ("main thread for one registration", "PostgreSQL for one registration"),
    "start": ("API, process to ready, by its own stop-watch",),
    "compose": ("docker compose up, to API ready",),
}
"""By part: the names of figures; {cores} is the most that there were."""


def render(run: Mapping[str, Any]) -> str:
    """Return the section; a figure that was never measured is said to be so.

    Args:
        run: as `figures.read_last_run` gives it.
    """
    lines = [_line(name, run.get(part, {"figures": []})) for part, names in SHOWN.items() for name in names]
    header = "| medians of `python -m tests.tools.benchmark` | here | beside it, in the same run | goal | where, when |"
    return "\n".join([HEADING.strip(), header, "| --- | --- | --- | --- | --- |", *lines, "", ""])


def _line(name: str, part: Mapping[str, Any]) -> str:
    pattern = re.compile(re.escape(name).replace(r"\{cores\}", r"\d+ cores?"))
    found = [figure for figure in part["figures"] if pattern.fullmatch(figure["name"])]
    if not found:
        return f"| {name.replace('{cores}', 'all cores')} | not measured | | | |"
    figure, beside = found[-1], ""
    if figure["ratio"] is not None:
        beside = f"{figure['ratio']:.3g} of {figure['reference']} ({figure['reference_value']:.3g})"
    where = f"{part['machine']}, {part['date'].split()[0]}"
    return f"| {figure['name']} | {figure['value']:.3g} {figure['unit']} | {beside} | {figure['goal']} | {where} |"


def write(run: Mapping[str, Any], readme: Path = README) -> None:
    """Put the section in the place of the one that the README has."""
    text = readme.read_text()
    if not SECTION.search(text):
        raise ValueError(f"{readme.name} has no section {HEADING.strip()!r}")
    readme.write_text(SECTION.sub(lambda _: render(run), text))
