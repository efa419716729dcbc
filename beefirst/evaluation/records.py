"""What each notebook found in its last run, kept beside the reader's notebooks."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from beefirst.machine.folders import explain_unwritable, replace_file

Result = Literal["PASS", "FAIL", "NOT SHOWN HERE", "NOT MADE"]

NOT_FINISHED = "NOT FINISHED"
"""The verdict of a notebook that has begun, and not come to its last cell."""


MOST_BLAMED = 3
"""Checks that are named of a notebook that fails."""


class Judgement(BaseModel):
    """What one experiment observed, and what it was judged to show.

    Attributes:
        experiment: its module and its name, with a colon between.
        observed: by name, as JSON knows it; None where the experiment stopped before.
    """

    model_config = ConfigDict(frozen=True)

    experiment: str
    observed: dict[str, Any] | None
    result: Result
    evidence: str


class Check(BaseModel):
    """One line of a verdict.

    Attributes:
        milliseconds: since the check before, or since the notebook's start.
        judgements: what it rests on, in the order in which the notebook made them.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    requirement: str
    result: Result
    evidence: str
    milliseconds: int = 0
    judgements: list[Judgement] = []

    @property
    def holds(self) -> bool:
        """Whether it does, or cannot be shown in this way of running."""
        return self.result in ("PASS", "NOT SHOWN HERE")


def join_results(results: Sequence[Result]) -> Result:
    """Return the result of a check that was made more than once: it holds only if it held each time.

    Args:
        results: at least one, in the order in which they came.
    """
    return next((result for result in ("FAIL", "NOT SHOWN HERE") if result in results), results[-1])


def join_evidence(pieces: Iterable[str]) -> str:
    """Return the evidence of a check that was made more than once, in one line and without repetition."""
    return "; ".join(dict.fromkeys(pieces))


class Record(BaseModel):
    """One run of a notebook.

    Attributes:
        verdict: PASS, PASS with what is not shown here, FAIL, or NOT_FINISHED.
        sentence: the verdict in words.
        seconds: from its first cell to its last check.
    """

    model_config = ConfigDict(frozen=True)

    notebook: str
    verdict: str
    sentence: str
    finished_at: datetime
    seconds: float
    checks: list[Check]

    @property
    def holds(self) -> bool:
        """Whether it is a PASS."""
        return self.verdict.startswith("PASS")

    @property
    def failed_checks(self) -> list[Check]:
        """Those that do not hold."""
        return [check for check in self.checks if not check.holds]

    @property
    def blamed(self) -> str:
        """The notebook's name, and in brackets which of its checks do not hold, or the first of them."""
        keys = [check.key for check in self.failed_checks]
        more = f" and {len(keys) - MOST_BLAMED} more" if len(keys) > MOST_BLAMED else ""
        return f"{self.notebook} ({', '.join(keys[:MOST_BLAMED])}{more})" if keys else self.notebook


def make_record(notebook: str, verdict: str, sentence: str, seconds: float, checks: Sequence[Check]) -> Record:
    """Return the record of a run that ends now."""
    return Record(
        notebook=notebook,
        verdict=verdict,
        sentence=sentence,
        finished_at=datetime.now(UTC),
        seconds=round(seconds, 1),
        checks=list(checks),
    )


@explain_unwritable()
def save_record(record: Record, folder: Path) -> None:
    """Keep the record of a notebook's last run in the place of the one before.

    Args:
        record: of the run.
        folder: made if need be.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / f"{record.notebook}.json", record.model_dump_json(indent=1).encode())


def load_record(notebook: str, folder: Path) -> Record | None:
    """Return the record of a notebook's last run; None where there was none, or it cannot be read."""
    try:
        return Record.model_validate_json((folder / f"{notebook}.json").read_bytes())
    except (OSError, ValidationError):
        return None
