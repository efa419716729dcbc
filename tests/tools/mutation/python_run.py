"""Running Python's mutants by mutmut, which forks for each one and runs the tests that reach the changed function.

mutmut changes the bodies of functions; what stands at the top of a module, and functions under a decorator (properties,
context managers), it leaves alone. Tests that start processes of ours are left out (`pyproject.toml`): mutmut does not
see which functions are reached in those.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tools.mutation.report import Report

OUTCOMES = {0: "survived", 1: "killed", 3: "killed", 5: "untested", 33: "untested"}
"""By the status with which mutmut's fork ended, as mutmut reads it; any other is a fork that was ended from outside."""


@dataclass(frozen=True)
class Mutmut:
    """mutmut in a copy of the checkout.

    Args:
        copy: the folder.
        environment: with a database for the tests.
    """

    copy: Path
    environment: dict[str, str]

    def run(self, names: Sequence[str]) -> bool:
        """Make all mutants, run those of these names, and tell whether the tests passed without one."""
        (self.copy / "mutants").mkdir()  # Python would not look there again, had it once been missing
        return self._call("run", "--max-children", "1", *names, capture_output=False).returncode == 0

    def outcomes(self) -> dict[str, str]:
        """Return what became of every mutant that was run, by its name."""
        return dict(sorted(self._outcomes()))

    def _outcomes(self) -> Iterator[tuple[str, str]]:
        for path in (self.copy / "mutants").rglob("*.meta"):
            statuses: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
            for name, status in statuses.items():
                if status is not None:
                    yield name, OUTCOMES.get(status, "timeout")

    def diff(self, name: str) -> str:
        """Return a mutant as a diff."""
        return str(self._call("show", name, capture_output=True).stdout)

    def _call(self, *words: str, capture_output: bool) -> subprocess.CompletedProcess[str]:
        environment = self.environment | {"PYTHONPATH": str(self.copy / "mutants")}
        return subprocess.run(
            ["mutmut", *words], cwd=self.copy, env=environment, capture_output=capture_output, text=True, check=False
        )


def run_python(mutmut: Mutmut, names: Sequence[str]) -> int:
    """Run the mutants of these names, all of them where there is none, and return the status to end with."""
    if not mutmut.run(names):
        print("mutmut gave up: see above.")
        return 1
    outcomes = mutmut.outcomes()
    report = Report(len(outcomes))
    for name, outcome in outcomes.items():
        report.add(name.partition(".x")[0], outcome, "" if outcome == "killed" else mutmut.diff(name))
    return report.status()
