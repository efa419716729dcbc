"""The matrix of a whole run, defect by defect, as it is kept beside the catalogue and shown to readers."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from beefirst.evaluation.report.provenance import find_commit
from beefirst.evaluation.sabotage.outcomes import Control, Outcome
from beefirst.machine.folders import CHECKOUT, replace_file

LAST = Path(__file__).parent / "last_matrix.json"
"""That of the last run of the whole catalogue."""

CODE = (("beefirst", "*.py"), ("migrations", "*.sql"))


class Matrix(BaseModel):
    """What became of every defect of a run.

    Attributes:
        finished_at: when the run was over.
        commit: on which it was made, in words.
        seconds: that it took.
        outcomes: one for each defect.
        controls: what the same checks said of copies that nobody had harmed.
        code: the fingerprint of each file of the code that was tried, see `fingerprints_of_code`.
    """

    model_config = ConfigDict(frozen=True)

    finished_at: datetime
    commit: str
    seconds: float
    outcomes: list[Outcome]
    controls: list[Control]
    code: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Whether every defect was caught, by checks that hold where nothing is wrong."""
        return all(outcome.is_caught for outcome in self.outcomes) and all(control.holds for control in self.controls)

    def standing(self, defect: str, fingerprint: str) -> str:
        """Return what is known of a defect as it stands in the catalogue today: CAUGHT, or why that cannot be said.

        Args:
            defect: its name.
            fingerprint: of the catalogue's defect.
        """
        outcome = next((it for it in self.outcomes if it.defect == defect), None)
        if outcome is None:
            return "NOT TRIED"
        if outcome.fingerprint != fingerprint:
            return "CHANGED SINCE"
        return "NO CONTROL" if outcome.is_caught and not self._is_sound(outcome) else outcome.result

    def _is_sound(self, outcome: Outcome) -> bool:
        """Tell whether what caught a defect was seen to hold where nothing is wrong."""
        place = outcome.caught_by.partition("::")[0]
        return any(it.holds and it.caught_by == place and outcome.asked in it.asked for it in self.controls)

    def caught(self, check: str) -> list[str]:
        """Return the names of the defects that a check was seen to catch.

        Args:
            check: its id.
        """
        return [outcome.defect for outcome in self.outcomes if outcome.is_caught and outcome.promise == check]


def fingerprints_of_code(checkout: Path = CHECKOUT) -> dict[str, str]:
    """Return a fingerprint of each file of Python and SQL that a defect can be put into, by its path."""
    files = sorted(file for folder, kind in CODE for file in (checkout / folder).rglob(kind))
    return {str(it.relative_to(checkout)): hashlib.sha256(it.read_bytes()).hexdigest()[:16] for it in files}


def make_matrix(outcomes: Sequence[Outcome], controls: Sequence[Control], seconds: float) -> Matrix:
    """Return the matrix of a run that ends now."""
    return Matrix(
        finished_at=datetime.now(UTC).replace(microsecond=0),
        commit=find_commit(),
        seconds=round(seconds),
        outcomes=list(outcomes),
        controls=list(controls),
        code=fingerprints_of_code(),
    )


def join_matrices(last: Matrix, again: Matrix, names: Sequence[str]) -> Matrix:
    """Return the matrix of a whole run some of whose defects were tried again, which its commit then says.

    Args:
        last: of the whole run.
        again: of those that were tried again.
        names: of all defects of the catalogue, in their order.
    """
    outcomes = {outcome.defect: outcome for outcome in [*last.outcomes, *again.outcomes]}
    asked = {(control.caught_by, key) for control in again.controls for key in control.asked}
    kept = [it for it in last.controls if it.holds or not {(it.caught_by, key) for key in it.asked} <= asked]
    return Matrix(
        finished_at=again.finished_at,
        commit=f"{last.commit}, {len(again.outcomes)} of them tried again at {again.commit}",
        seconds=last.seconds + again.seconds,
        outcomes=[outcomes[name] for name in names if name in outcomes],
        controls=[*kept, *again.controls],
        code=last.code,
    )


def save_matrix(matrix: Matrix, path: Path = LAST) -> None:
    """Write a matrix in the place of the one before."""
    replace_file(path, f"{matrix.model_dump_json(indent=1)}\n".encode())


def load_matrix(path: Path = LAST) -> Matrix:
    """Return the matrix of the last whole run.

    Raises:
        OSError: there is none.
    """
    return Matrix.model_validate_json(path.read_bytes())
