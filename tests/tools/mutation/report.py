"""What a mutation run says: its progress, each survivor as a diff, and the counts; and whether that is enough."""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

ENOUGH = 0.9
"""The part of the mutants that must be killed."""

NOTICED = ("killed", "timeout")
"""A run of the tests that does not come to its end is noticed, too."""

COUNTED = ("killed", "timeout", "survived", "untested")


@dataclass
class Report:
    """The outcomes so far.

    Attributes:
        total: how many mutants there are.
        outcomes: how many of each kind, by module.
        survivors: what was not killed, as it was shown.
    """

    total: int
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    survivors: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def add(self, module: str, outcome: str, diff: str) -> None:
        """Take in what became of a mutant, and show a survivor at once."""
        self.outcomes.setdefault(module, Counter())[outcome] += 1
        done = sum(counts.total() for counts in self.outcomes.values())
        if outcome not in {*NOTICED, "invalid"}:
            self.survivors.append(f"{outcome}: {module}\n{diff}\n")
            print(f"\n{self.survivors[-1]}", flush=True)
        print(f"\r{done} of {self.total}, {len(self.survivors)} not killed", end="", file=sys.stderr, flush=True)

    def status(self) -> int:
        """Print the counts by module, and return 0 where enough were killed."""
        print(f"\n\n{'':45}{''.join(f'{name:>10}' for name in (*COUNTED, 'invalid'))}    killed")
        for module, counts in [*sorted(self.outcomes.items()), ("all", _sum(self.outcomes.values()))]:
            figures = "".join(f"{counts[name]:>10}" for name in (*COUNTED, "invalid"))
            print(f"{module:45}{figures}{_part(counts):>10.1%}")
        print(f"in {time.monotonic() - self.began:.0f} s")
        return 0 if _part(_sum(self.outcomes.values())) >= ENOUGH else 1


def _sum(counts: Iterable[Counter[str]]) -> Counter[str]:
    return sum(counts, Counter())


def _part(counts: Counter[str]) -> float:
    mutants = counts.total() - counts["invalid"]
    return sum(counts[outcome] for outcome in NOTICED) / mutants if mutants else 1.0
