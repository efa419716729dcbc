"""What became of a defect: caught by the check that claims the promise, for a reason that fits, or not."""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from beefirst.evaluation.records import Check
from beefirst.evaluation.sabotage.catalogue import TEST_FILE, Defect

Result = Literal["CAUGHT", "SURVIVED", "WRONG REASON", "CRASHED", "NEIGHBOUR"]
"""Only CAUGHT is a catch. NEIGHBOUR: the check that claims the promise held, and another failed."""

CRASH = re.compile(r"the experiment itself stopped|the notebook stopped before|^took longer than")
"""How evidence tells that nothing was judged."""

UNHARMED = "the unharmed copy"
"""The name of the controls, which must hold: what fails anyhow catches nothing."""


class Outcome(BaseModel):
    """What became of one defect.

    Attributes:
        defect: its name.
        fingerprint: of the defect as it was then.
        area: of the catalogue.
        promise: the id of the check, or the test, that claims what it breaks.
        caught_by: the notebook or the test that was asked.
        result: CAUGHT, or why it is no catch.
        evidence: of the check, in its own words.
        seconds: from the making of the copy to the verdict.
        checks: the result of each check that was asked, by id; of a defect that a test must notice, none.
    """

    model_config = ConfigDict(frozen=True)

    defect: str
    fingerprint: str = ""
    area: str
    promise: str
    caught_by: str
    result: Result
    evidence: str
    seconds: float
    checks: dict[str, str] = {}

    @property
    def asked(self) -> str:
        """What was asked in its place: the check by its id, or the test."""
        return self.caught_by if TEST_FILE.fullmatch(self.caught_by) else self.promise

    @property
    def is_caught(self) -> bool:
        """Whether the check that claims the promise said FAIL, for a reason that fits."""
        return self.result == "CAUGHT"


class Control(BaseModel):
    """What a notebook or a test file says of a copy that nobody has harmed.

    Attributes:
        caught_by: the notebook, or the file of the tests.
        checks: how many of its checks or tests were asked.
        asked: their ids.
        failures: what it said against the copy, by check or test.
    """

    model_config = ConfigDict(frozen=True)

    caught_by: str
    checks: int
    asked: list[str] = []
    failures: dict[str, str]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether it said nothing against it, so that what it says against others counts."""
        return not self.failures


def judge_checks(defect: Defect, checks: Mapping[str, Check]) -> tuple[Result, str]:
    """Return what a notebook's checks make of a defect, and the evidence.

    Args:
        defect: in the copy on which they were made.
        checks: by id, as the notebook recorded them.
    """
    claimed = checks[defect.breaks]
    if claimed.result == "FAIL":
        return judge_failure(defect, claimed.evidence), claimed.evidence
    if claimed.result == "NOT MADE":
        return "CRASHED", claimed.evidence
    others = [check for check in checks.values() if check.result == "FAIL"]
    if others:
        return "NEIGHBOUR", "; ".join(f"{check.key}: {check.evidence}" for check in others)
    return "SURVIVED", f"{claimed.result}: {claimed.evidence}"


def judge_failure(defect: Defect, evidence: str) -> Result:
    """Return what a failure is worth: nothing where nothing was judged, or where it failed for something else."""
    if CRASH.search(evidence):
        return "CRASHED"
    return "CAUGHT" if re.search(defect.reason, evidence, re.DOTALL) else "WRONG REASON"
