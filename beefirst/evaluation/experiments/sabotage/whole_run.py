"""The last run of the whole catalogue, which takes a checkout and minutes."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.evaluation.sabotage.catalogue import read_catalogue
from beefirst.evaluation.sabotage.matrix import LAST, load_matrix
from beefirst.evaluation.sabotage.outcomes import UNHARMED

SHORTENED = 160
"""Characters of a piece of evidence in a table of many."""


def _judge_last_run(
    finished_at: str,
    commit: str,
    seconds: float,
    outcomes: pd.DataFrame,
    catalogue: Sequence[str],
    controls: Sequence[str],
) -> Evidence:
    results = dict(zip(outcomes["defect"], outcomes["result"], strict=True))
    caught = sum(result == "CAUGHT" for result in results.values())
    tried = [
        (it.area, it.defect, it.promise, shorten(it.evidence, SHORTENED, placeholder="…"), it.result, "CAUGHT")
        for it in outcomes.itertuples()
    ]
    missing = [
        ("", name, "", "is in the catalogue, and was not in that run", "NOT TRIED", "CAUGHT")
        for name in catalogue
        if name not in results
    ]
    unsound = [("", UNHARMED, "", said, "FAILS", "holds") for said in controls]
    summary = (
        f"{caught} of {len(catalogue)} defects caught, on {finished_at} at {commit}, in {seconds / 60:.0f} minutes"
    )
    return compare(
        summary, tried + missing + unsound, ["area", "defect", "breaks", "what caught it says", "seen", "expected"]
    )


@experiment(_judge_last_run)
def whole_catalogue_was_caught(path: Path = LAST) -> Observed:
    """Read the matrix of the last run of the whole catalogue, and hold it against the catalogue of today.

    Args:
        path: of the matrix.
    """
    matrix = load_matrix(path)
    rows = [(it.area, it.defect, it.promise, it.result, it.evidence) for it in matrix.outcomes]
    return {
        "finished_at": f"{matrix.finished_at:%Y-%m-%d}",
        "commit": matrix.commit,
        "seconds": matrix.seconds,
        "outcomes": pd.DataFrame(rows, columns=["area", "defect", "promise", "result", "evidence"]),
        "catalogue": [defect.name for defect in read_catalogue()],
        "controls": [f"{it.caught_by}: {', '.join(it.failures)}" for it in matrix.controls if not it.holds],
    }
