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
    "activate": ("activations on {cores}",),
    "own_cost": ("main thread for one registration", "PostgreSQL for one registration"),
    "latency": ("a registration alone, less its hash and 25 ms, median",),
    "start": ("API, process to ready, by its own stop-watch",),
    "compose": ("docker compose up, to API ready",),
    "memory": ("memory under load",),
}
"""By part: the names of figures; {cores} is the most that there were."""


def render(run: Mapping[str, Any]) -> str:
    """Return the section.

    Args:
        run: as `figures.read_last_run` gives it.

    Raises:
        KeyError: a part or a figure was not measured.
    """
    about = run["register"]
    lines = [
        f"| medians by `python -m tests.tools.benchmark` on {about['machine']}, {about['date'].split()[0]} "
        "| here | beside it, in the same run | goal |",
        "| --- | --- | --- | --- |",
        *(_line(_find(run[part]["figures"], name)) for part, names in SHOWN.items() for name in names),
    ]
    return "\n".join([HEADING.strip(), *lines, "", ""])


def _find(figures: list[dict[str, Any]], name: str) -> dict[str, Any]:
    by_name = {figure["name"]: figure for figure in figures}
    if "{cores}" not in name:
        return by_name[name]
    pattern = re.compile(re.escape(name).replace(r"\{cores\}", r"(\d+) cores?"))
    return max((figure for figure in figures if pattern.fullmatch(figure["name"])), key=lambda one: str(one["name"]))


def _line(figure: Mapping[str, Any]) -> str:
    beside = ""
    if figure["ratio"] is not None:
        beside = f"{figure['ratio']:.2g} of {figure['reference']}: {figure['reference_value']:.3g} {figure['unit']}"
    return f"| {figure['name']} | {figure['value']:.3g} {figure['unit']} | {beside} | {figure['goal']} |"


def write(run: Mapping[str, Any], readme: Path = README) -> None:
    """Put the section in the place of the one that the README has."""
    text = readme.read_text()
    if not SECTION.search(text):
        raise ValueError(f"{readme.name} has no section {HEADING.strip()!r}")
    readme.write_text(SECTION.sub(lambda _: render(run), text))
