"""A notebook cut down to some of its checks finds the same as the whole one."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.sabotage.matrix import load_matrix
from beefirst.evaluation.sabotage.slices import slice_notebook
from beefirst.evaluation.sabotage.trial import Trial
from beefirst.machine.folders import CHECKOUT, NOTEBOOKS
from tests.support.sample_notebooks import write_notebook

RUNS_ALL_OTHERS, BREAKS_ALL_OTHERS = "UP.4", "11_sabotage"
SEEN = {(control.caught_by, key) for control in load_matrix().controls if control.holds for key in control.asked}
"""The checks that the last whole run of sabotage has made in slices of unharmed copies, by notebook."""

HALVES = [
    (notebook, [key for key in checks if key != RUNS_ALL_OTHERS][half::2])
    for notebook, checks in CHECKS.items()
    if notebook != BREAKS_ALL_OTHERS and not {(notebook, key) for key in checks} <= SEEN
    for half in (0, 1)
]
"""Every check of every notebook of which SEEN lacks one, each without the one before it and the one after."""


@pytest.mark.parametrize(("notebook", "checks"), HALVES, ids=[f"{name}-{keys[0]}" for name, keys in HALVES])
def test_a_slice_of_an_unharmed_copy_holds(notebook: str, checks: list[str]) -> None:
    with Trial() as trial:
        made = trial.make_checks(notebook, checks)

    assert {key: made[key].evidence for key in checks if not made[key].holds} == {}


def sources(path: Path, checks: Sequence[str]) -> list[str]:
    return [cell.source for cell in slice_notebook(path, checks, CHECKOUT).cells[1:]]


def test_a_slice_has_the_cells_that_make_the_checks_and_what_these_use(tmp_path: Path) -> None:
    cells = [
        "from beefirst.evaluation.verdict import begin\nverdict = begin('x')",
        "value = 1",
        "other = 2",
        "value = value + 1",
        "verdict.show('A.1', value)",
        "value = 3",
        "verdict.show_together({'A.2': other, 'A.3': 1})",
        "verdict.conclude()",
    ]
    path = write_notebook(tmp_path, *cells)

    assert sources(path, ["A.1"]) == [cells[0], cells[1], cells[3], cells[4]]
    assert sources(path, ["A.3"]) == [cells[0], cells[2], cells[6]]


def test_a_check_that_no_cell_makes_has_no_slice(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "verdict.show('A.1', 1)")

    with pytest.raises(ValueError, match=r"No cell of .* makes the check A\.2"):
        slice_notebook(path, ["A.2"], CHECKOUT)


def test_a_check_that_needs_what_another_does_brings_that_one_along() -> None:
    cells = "\n".join(sources(NOTEBOOKS / "06_registration.ipynb", ["REG.7"]))

    made = {key for key in CHECKS["06_registration"] if key in cells}

    assert made == {"REG.5", "REG.6", "REG.7"}


def test_every_check_of_every_notebook_is_made_by_some_cell() -> None:
    for notebook, checks in CHECKS.items():
        assert slice_notebook(NOTEBOOKS / f"{notebook}.ipynb", list(checks), CHECKOUT).cells


def test_a_slice_that_would_run_other_code_than_the_copys_judges_nothing() -> None:
    with Trial() as trial:
        elsewhere = trial.environment() | {"PYTHONPATH": str(CHECKOUT)}
        made = trial.make_checks("05_configuration", ["AC5.3"], **elsewhere)

    assert made["AC5.3"].result == "NOT MADE"
    assert "and not of the copy" in made["AC5.3"].evidence
