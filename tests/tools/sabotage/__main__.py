"""Break the project in many small ways, and see whether the check that claims the promise says so.

python -m tests.tools.sabotage [--only NAME-OR-AREA ...] [--part K/N | --part auto] [--again] [--workers N]

It prints a line for each defect as it comes, and ends with status 1 where one was not caught. A run of the whole
catalogue keeps its matrix in beefirst/evaluation/sabotage/last_matrix.json, which is committed; `--again` tries those
once more that it has not caught, or does not know, and completes it.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from textwrap import shorten

from beefirst.evaluation.sabotage.catalogue import AREAS, Defect, read_catalogue
from beefirst.evaluation.sabotage.matrix import LAST, Matrix, join_matrices, load_matrix, make_matrix, save_matrix
from beefirst.evaluation.sabotage.outcomes import UNHARMED, Control, Outcome
from beefirst.evaluation.sabotage.suite import try_defects
from beefirst.machine.processes import interrupt_once
from tests.tools.sabotage.parts import choose_part

WIDTH = 160
"""How much of the evidence is printed."""


def main(words: Sequence[str] | None = None) -> int:
    """Try the defects that are asked for, print the matrix, and return the exit status."""
    interrupt_once()
    arguments = _parser().parse_args(words)
    catalogue = read_catalogue()
    try:
        chosen = _not_caught(catalogue) if arguments.again else catalogue
        defects = _choose(chosen, arguments.only, arguments.part)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{'result':13} {'s':>6}  {'defect':52} {'promise':9} caught by\n")
    began = time.monotonic()
    outcomes, controls = try_defects(defects, _print, arguments.workers)
    matrix = make_matrix(outcomes, controls, time.monotonic() - began)
    print(_summary(matrix))
    names = [defect.name for defect in catalogue]
    if arguments.again or defects == catalogue:
        save_matrix(join_matrices(load_matrix(), matrix, names) if arguments.again else matrix)
        print(f"The matrix is kept in {LAST.name}.")
    return 0 if matrix.holds else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.tools.sabotage",
        description=(__doc__ or "").partition("\n")[0],
        epilog="The whole catalogue takes 20 to 25 minutes on two cores, and its matrix is kept in a file that is "
        "committed; --part auto takes about three.",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="defects or areas by name, or a part of it"
    )
    parser.add_argument(
        "--part", default="1/1", metavar="K/N", help="every N-th defect from the K-th; auto: by the commit"
    )
    parser.add_argument("--again", action="store_true", help="those that the last whole run has not caught")
    parser.add_argument("--workers", type=int, default=0, help="how many are tried at once; one for each core")
    return parser


def _not_caught(catalogue: Sequence[Defect]) -> list[Defect]:
    if not LAST.exists():
        raise ValueError("There is no matrix of a whole run to complete: leave --again out.")
    matrix = load_matrix()
    if left := [defect for defect in catalogue if matrix.standing(defect.name, defect.fingerprint) != "CAUGHT"]:
        return left
    raise ValueError("Nothing is left to be tried again: the last whole run has caught every defect.")


def _choose(catalogue: Sequence[Defect], only: Sequence[str], part: str) -> list[Defect]:
    named = [defect for defect in catalogue if not only or any(_is_meant(defect, words) for words in only)]
    if not named:
        raise ValueError("No defect has such a name or area.")
    return choose_part(named, part)


def _is_meant(defect: Defect, words: str) -> bool:
    if f"{words}.toml" in AREAS:
        return words == defect.area
    return words.lower() in defect.name.lower()


def _print(result: Outcome | Control) -> None:
    if isinstance(result, Control):
        word = "holds" if result.holds else "FAILS"
        evidence = "; ".join(f"{check}: {said}" for check, said in result.failures.items())
        names = (UNHARMED, f"{result.checks} made", result.caught_by)
    else:
        word, evidence = result.result, result.evidence
        names = (result.defect, _promise(result), result.caught_by)
    print(f"{word:13} {result.seconds:6.1f}  {names[0]:52} {names[1]:9} {names[2]}", flush=True)
    if evidence:
        print(f"{'':22}{shorten(evidence, WIDTH, placeholder='…')}", flush=True)


def _promise(outcome: Outcome) -> str:
    return "" if outcome.promise == outcome.caught_by else outcome.promise


def _summary(matrix: Matrix) -> str:
    caught = sum(outcome.is_caught for outcome in matrix.outcomes)
    missed = [f"{outcome.result}: {outcome.defect}" for outcome in matrix.outcomes if not outcome.is_caught]
    missed += [
        f"FAILS though nothing is wrong: {control.caught_by}" for control in matrix.controls if not control.holds
    ]
    return "\n".join([f"\n{caught} of {len(matrix.outcomes)} caught, in {matrix.seconds:.0f} s.", *missed])


if __name__ == "__main__":
    sys.exit(main())
