"""The last run of the whole catalogue, which takes a checkout and minutes."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.evaluation.sabotage.catalogue import read_catalogue
from beefirst.evaluation.sabotage.matrix import LAST, Matrix, fingerprints_of_code, load_matrix
from beefirst.evaluation.sabotage.outcomes import UNHARMED, Outcome

SHORTENED = 160
"""Characters of a piece of evidence in a table of many."""


def _judge_last_run(matrix: dict[str, Any], catalogue: dict[str, str], code: dict[str, str]) -> Evidence:
    last = Matrix.model_validate(matrix)
    tried = {it.defect: it for it in last.outcomes}
    standings = {name: last.standing(name, fingerprint) for name, fingerprint in catalogue.items()}
    rows = [
        (*(_of(tried[name]) if name in tried else ("", name, "", "is in the catalogue alone")), seen, "CAUGHT")
        for name, seen in standings.items()
    ]
    unsound = [
        ("", UNHARMED, key, f"{control.caught_by}: {said}", "FAILS", "holds")
        for control in last.controls
        for key, said in control.failures.items()
    ]
    caught = [*standings.values()].count("CAUGHT")
    summary = (
        f"{caught} of {len(catalogue)} defects caught, on {last.finished_at:%Y-%m-%d} at {last.commit}, "
        f"in {last.seconds / 60:.0f} minutes; {_changes(last.code, code)}"
    )
    return compare(summary, rows + unsound, ["area", "defect", "breaks", "what caught it says", "seen", "expected"])


def _changes(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [file for file in {*then, *now} if then.get(file) != now.get(file)]
    return f"{len(changed)} of {len(now)} files have changed since" if changed else "no file has changed since"


def _of(outcome: Outcome) -> tuple[str, str, str, str]:
    return outcome.area, outcome.defect, outcome.promise, shorten(outcome.evidence, SHORTENED, placeholder="…")


@experiment(_judge_last_run)
def whole_catalogue_was_caught(path: Path = LAST) -> Observed:
    """Read the matrix of the last run of the whole catalogue, and hold it against the catalogue of today.

    Args:
        path: of the matrix.
    """
    return {
        "matrix": load_matrix(path).model_dump(mode="json"),
        "catalogue": {defect.name: defect.fingerprint for defect in read_catalogue()},
        "code": fingerprints_of_code(),
    }
