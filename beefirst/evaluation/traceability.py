"""Where each check comes from, what makes it hold, and what it was seen to catch."""

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("traceability.toml")
LAST_MATRIX = Path(__file__).with_name("sabotage") / "last_matrix.json"
"""What became of each defect in the last run of the whole sabotage suite, as that keeps it."""


@dataclass(frozen=True)
class Origin:
    """What a check goes back to.

    Attributes:
        source: where the sentence stands.
        quote: the sentence, in the specification's own words.
        enforced_by: the places that make it hold, each a file and a name in it.
    """

    source: str
    quote: str
    enforced_by: tuple[tuple[str, str], ...]


@cache
def origins() -> dict[str, Origin]:
    """Return the origin of each check, by its id."""
    promises = tomllib.loads(FILE.read_text(encoding="utf-8"))["promise"]
    return {
        key: Origin(promise["source"], promise["quote"], tuple(_split(place) for place in places))
        for promise in promises
        for key, places in promise["enforced_by"].items()
    }


def _split(place: str) -> tuple[str, str]:
    file, _, name = place.partition(": ")
    return file, name


@cache
def caught_defects() -> dict[str, list[str]]:
    """Return the defects that each check was seen to catch in the last run of the whole sabotage suite, by its id."""
    caught: dict[str, list[str]] = {}
    for outcome in json.loads(LAST_MATRIX.read_text(encoding="utf-8"))["outcomes"] if LAST_MATRIX.exists() else ():
        if outcome["result"] == "CAUGHT":
            caught.setdefault(outcome["promise"], []).append(outcome["defect"])
    return caught
