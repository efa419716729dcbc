"""How many a second, beside bcrypt alone in the same minute; and whether the machine had time for either."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from statistics import median

import pandas as pd

from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.laboratory.bcrypt_alone import hash_for
from beefirst.laboratory.raw_http import Answer
from beefirst.settings import Settings

SERVED, SHED = 202, 503
"""The second only on a machine so busy that bcrypt foresees a wait of over 2 seconds."""

ALONE = 0
"""In the place of the connections: bcrypt by itself."""

COST = int(Settings.model_fields["bcrypt_cost"].default)

ALONE_SECONDS = 0.6

IDLE_SHARE = 0.85
"""Where others leave less of the cores than this, a ratio tells less of the service."""

STEADY_RATIO = 0.8
"""Where bcrypt alone has less than this of its own best, neither: others come and go, be it on another machine that
the same processor carries."""

FEW = 5
"""With fewer answers than this for each of those under way at once, the first and the last of them count as well."""

MORE_ROOM = "pytest --nbmake notebooks/09_load.ipynb"
"""On a machine that has time for it."""

COLUMNS = ["turn", "connections", "began", "seconds", "status"]


def add_alone(turn: int, frames: list[pd.DataFrame], shares: list[float]) -> None:
    """Hash on every core for a while; add each hash as an answer on no connection, and the share of the cores."""
    alone = hash_for(ALONE_SECONDS, COST)
    rows = [(turn, ALONE, began, seconds, SERVED) for began, seconds in alone.hashes]
    frames.append(pd.DataFrame(rows, columns=COLUMNS))
    shares.append(alone.core_share)


def as_rows(turn: int, connections: int, answers: Sequence[Answer]) -> pd.DataFrame:
    """Return answers with the columns of COLUMNS."""
    rows = [(turn, connections, it.began, it.seconds, it.status) for it in answers]
    return pd.DataFrame(rows, columns=COLUMNS)


def rate_of(done: pd.DataFrame, at_once: int) -> float:
    """Return how many a second came, from the first ones to the last while all were still at it.

    Args:
        done: the columns began, seconds.
        at_once: how many were under way at any time. As many come together at first, and as many in the end while
            others have nothing left to do: those in the end are left out, and from group to group is measured.
    """
    ends = sorted(done["began"] + done["seconds"])
    whole, few = ends[:-at_once], len(ends) < FEW * at_once
    if few:  # on a busy machine, too few to leave some out
        return len(ends) / float(ends[-1] - done["began"].min())
    first, last = sum(whole[:at_once]) / at_once, sum(whole[-at_once:]) / at_once
    return float((len(whole) - at_once) / (last - first))


def rates_alone(done: pd.DataFrame, cores: int) -> dict[int, float]:
    """Return the hashes a second of bcrypt alone before each turn, and after the last of them."""
    alone = done[done["connections"] == ALONE]
    return {int(turn): rate_of(own, cores) for turn, own in alone.groupby("turn")}


def references(done: pd.DataFrame, cores: int) -> dict[int, float]:
    """Return for each turn the hashes a second of bcrypt alone, the mean of before it and after it."""
    rates = rates_alone(done, cores)
    return {turn: (rate + rates[turn + 1]) / 2 for turn, rate in rates.items() if turn + 1 in rates}


def rates_beside_alone(done: pd.DataFrame, cores: int, by: str = "connections") -> pd.DataFrame:
    """Return what came in each turn, at each number of connections, beside bcrypt alone.

    Args:
        done: the columns of COLUMNS.
        cores: of the machine.
        by: the column that tells apart what was measured.

    Returns:
        The columns of `by`, turn, rate, alone and ratio.
    """
    alone = references(done, cores)
    served = done[(done["connections"] != ALONE) & (done["status"] == SERVED)]
    rows = [
        (int(group), int(turn), rate, alone[int(turn)], rate / alone[int(turn)])
        for (group, turn), own in served.groupby([by, "turn"])
        for rate in [rate_of(own, min(cores, int(own["connections"].iloc[0])))]
    ]
    return pd.DataFrame(rows, columns=[by, "turn", "rate", "alone", "ratio"])


def medians(rates: pd.DataFrame, by: str = "connections") -> pd.DataFrame:
    """Return the median of all turns: the columns of `by`, rate, alone and ratio."""
    return rates.groupby(by, as_index=False)[["rate", "alone", "ratio"]].median()


def best_of(rates: pd.DataFrame) -> pd.Series:
    """Return the line of the highest rate; columns as for `medians`."""
    each = medians(rates)
    return each.loc[each["rate"].idxmax()]


def refusals(done: pd.DataFrame) -> tuple[int, int]:
    """Return how many answers said that it is too much, and how many something else that is no 202."""
    shed, served = (int((done["status"] == status).sum()) for status in (SHED, SERVED))
    return shed, len(done) - served - shed


def or_too_busy(
    evidence: Evidence, shares: Sequence[float], *, is_plain: bool, alone: Collection[float] = ()
) -> Evidence:
    """Return evidence, or where that fails for a machine that others used meanwhile, that it cannot be told here.

    Args:
        evidence: what was judged.
        shares: of the cores, what others left: to bcrypt alone, or to the service and its load.
        is_plain: it fails by more than a busy machine explains.
        alone: the hashes a second of bcrypt alone, time and again.
    """
    busy = ""
    if median(shares) < IDLE_SHARE:
        busy = f"others left {median(shares):.0%} of its cores"
    elif alone and min(alone) < STEADY_RATIO * max(alone):
        busy = f"bcrypt alone made {min(alone):.0f} to {max(alone):.0f} hashes a second"
    if evidence.holds or is_plain or not busy:
        return evidence
    missing = f"this machine is too busy to tell, {busy}: {evidence.claim}"
    return replace(not_shown_here(MORE_ROOM, missing), picture=evidence.picture)
