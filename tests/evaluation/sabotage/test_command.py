"""The sabotage suite as a command, and which part of it every change is tried with."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from beefirst.evaluation.sabotage.catalogue import read_catalogue
from beefirst.evaluation.sabotage.matrix import LAST, Matrix, join_matrices, make_matrix, save_matrix
from beefirst.evaluation.sabotage.outcomes import Control, Outcome
from beefirst.machine.folders import CHECKOUT
from tests.tools.sabotage.parts import PART_SECONDS, WORKERS, automatic_part, choose_part

CATALOGUE = read_catalogue()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.tools.sabotage", *words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=600, check=False)


def test_it_prints_the_matrix_line_by_line_and_keeps_that_of_the_whole_catalogue_alone() -> None:
    before = LAST.read_bytes()

    done = run("--only", "a code lives 90 seconds", "--workers", "1")

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].split() == ["result", "s", "defect", "promise", "caught", "by"]
    assert lines[2].split()[0] == "holds"
    assert lines[2].endswith("the unharmed copy                                    1 made    05_configuration")
    assert lines[3].startswith("CAUGHT ")
    assert lines[3].endswith("AC5.3     05_configuration")
    assert lines[4].strip() == "not as promised (90): TTL_SECONDS, 90, 60"
    assert lines[-1].startswith("1 of 1 caught, in ")
    assert LAST.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "no such name"], "No defect has such a name or area."),
        (["--again"], "Nothing is left to be tried again: the last whole run has caught every defect."),
        (["--part", "3/2"], "There is no part 3/2: name one as 2/5, or auto."),
    ],
)
def test_what_there_is_not_is_answered_with_one_line(words: Sequence[str], said: str) -> None:
    done = run(*words)

    assert done.returncode == 1
    assert done.stderr.strip() == said


def outcome(result: str) -> Outcome:
    return Outcome.model_validate(
        {
            "defect": "a guard is gone",
            "area": "schema",
            "promise": "AC3.8",
            "caught_by": "03_schema",
            "result": result,
            "evidence": "gone",
            "seconds": 1,
        }
    )


@pytest.mark.parametrize("result", ["SURVIVED", "WRONG REASON", "CRASHED", "NEIGHBOUR"])
def test_a_matrix_holds_only_if_every_defect_was_caught(result: str) -> None:
    matrix = make_matrix([outcome("CAUGHT"), outcome(result)], [], 1)

    assert make_matrix([outcome("CAUGHT")], [], 1).holds
    assert not matrix.holds
    assert matrix.caught("AC3.8") == ["a guard is gone"]


def test_a_matrix_whose_controls_fail_does_not_hold(tmp_path: Path) -> None:
    control = Control(caught_by="03_schema", checks=1, failures={"AC3.8": "gone"}, seconds=1)
    matrix = make_matrix([outcome("CAUGHT")], [control], 1)

    save_matrix(matrix, tmp_path / "matrix.json")

    assert not matrix.holds
    assert Matrix.model_validate_json((tmp_path / "matrix.json").read_bytes()) == matrix


def test_all_parts_together_are_the_catalogue_and_each_has_something_of_most_areas() -> None:
    parts = [choose_part(CATALOGUE, f"{number}/3") for number in (1, 2, 3)]

    assert sorted(defect.name for part in parts for defect in part) == sorted(defect.name for defect in CATALOGUE)
    assert all(len({defect.area for defect in part}) > 10 for part in parts)


def test_the_automatic_part_fits_in_its_time_and_turns_with_the_commit() -> None:
    seconds = {defect.name: 6.0 for defect in CATALOGUE}

    chosen = [automatic_part(CATALOGUE, f"{commit:040x}", seconds) for commit in range(100)]

    (parts,) = {parts for _, parts in chosen}
    assert {number for number, _ in chosen} == set(range(1, parts + 1))
    assert len(choose_part(CATALOGUE, f"1/{parts}")) * 6 / WORKERS <= PART_SECONDS + 6


def test_the_commit_chooses_a_part_by_itself() -> None:
    assert 0 < len(choose_part(CATALOGUE, "auto")) < len(CATALOGUE)


def test_what_is_tried_again_takes_the_place_of_what_was_and_the_matrix_says_so() -> None:
    missed, caught = outcome("SURVIVED"), outcome("CAUGHT")
    other = caught.model_copy(update={"defect": "another"})
    gone = caught.model_copy(update={"defect": "one that is in the catalogue no more"})
    last, again = make_matrix([missed, other, gone], [], 60), make_matrix([caught], [], 5)

    joined = join_matrices(last, again, [caught.defect, other.defect])

    assert [it.result for it in joined.outcomes] == ["CAUGHT", "CAUGHT"]
    assert joined.holds
    assert joined.commit == f"{last.commit}, 1 of them tried again at {again.commit}"
    assert joined.seconds == 65
