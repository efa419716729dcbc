"""A part of the catalogue, small enough to be tried on every change, and another one on the next."""

import math
import subprocess
from collections.abc import Mapping, Sequence

from beefirst.evaluation.sabotage.catalogue import Defect
from beefirst.evaluation.sabotage.matrix import LAST, load_matrix
from beefirst.machine.folders import CHECKOUT

PART_SECONDS = 70
"""What the defects of a part may take on WORKERS cores; the controls and the start come on top, and take longer."""

WORKERS = 2

UNKNOWN_SECONDS = 10.0
"""What a defect is thought to take that has never been tried."""


def choose_part(defects: Sequence[Defect], part: str) -> list[Defect]:
    """Return every N-th defect from the K-th on, so that each part has something of every area.

    Args:
        defects: in their order.
        part: `K/N`, or `auto` for what the checked-out commit chooses, see `automatic_part`.

    Raises:
        ValueError: it is neither.
    """
    if part == "auto":
        number, parts = automatic_part(defects, _commit(), _seconds_of_last())
    else:
        number, parts = (int(word) if word.isdecimal() else 0 for word in part.partition("/")[::2])
    if not 1 <= number <= parts:
        raise ValueError(f"There is no part {part}: name one as 2/5, or auto.")
    return list(defects[number - 1 :: parts])


def automatic_part(defects: Sequence[Defect], commit: str, seconds: Mapping[str, float]) -> tuple[int, int]:
    """Return the number of a part that is chosen by a commit's hash, and how many parts there are.

    Args:
        defects: all of them.
        commit: its hash; any part is as likely as any other.
        seconds: what each defect took in the last whole run, by name.
    """
    total = sum(seconds.get(defect.name, UNKNOWN_SECONDS) for defect in defects)
    parts = max(1, math.ceil(total / WORKERS / PART_SECONDS))
    return int(commit, 16) % parts + 1, parts


def _seconds_of_last() -> dict[str, float]:
    return {outcome.defect: outcome.seconds for outcome in load_matrix().outcomes} if LAST.exists() else {}


def _commit() -> str:
    command = ["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise ValueError("The part is chosen by the commit, and git knows none here: name one as 2/5.") from None
