"""Random inputs for as long as a budget lasts, from a seed that finds a failure again."""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import StopTest, UnsatisfiedAssumption
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

AT_LEAST = 5
"""Examples that are tried however little time there is, as on a machine whose every core is busy."""

BATCH = 100
"""Examples of one seed. A batch is what is repeated to find a failure again, so it is not to take minutes."""


def draw_seed() -> int:
    """Return a seed, another for every run."""
    return secrets.randbelow(10**9)


class _TimeIsOver(SkipTest):  # hypothesis lets this one through at once, and takes it for no failure
    pass


@dataclass
class Fuzzer:
    """Tries random inputs until its time is over; a failure says with which seed it is found again.

    Args:
        seconds: of the budget; to make a failure shorter takes more.
        seed: of the first batch; each batch after it has the next number.
        again: the command that repeats this test, without the seed.
        batch: how many examples have one seed.

    Attributes:
        examples: how many have been tried so far.
    """

    seconds: float
    seed: int
    again: str
    batch: int = BATCH
    examples: int = 0
    _has_failed: bool = field(default=False, init=False)
    _ends: float = field(default=0, init=False)

    def run(self, check: Callable[..., object], *inputs: st.SearchStrategy[Any]) -> None:
        """Call a check with what the strategies draw.

        Args:
            check: fails by raising.
            inputs: one for each argument of the check.
        """

        for some in inputs:
            some.validate()  # for which hypothesis may read all of Unicode: that takes seconds, and none of the budget

        @wraps(check)
        def try_once(*drawn: Any, **named: Any) -> None:
            with self.trying(**named):
                check(*drawn, **named)

        self._repeat(lambda number: seed(number)(self._settings()(given(*inputs)(try_once)))())

    def run_machine(self, machine: type[RuleBasedStateMachine], steps: int) -> None:
        """Run a state machine, each of whose rules does what it does within `trying`.

        Args:
            machine: its rules fail by raising.
            steps: of one run, at most.
        """
        options = settings(self._settings(), stateful_step_count=steps)
        self._repeat(lambda number: run_state_machine_as_test(seed(number)(machine), settings=options))

    @contextmanager
    def trying(self, **example: object) -> Iterator[None]:
        """Count what is done in this block as an example, or end the run where its time is over.

        Args:
            example: told where it fails; schemathesis keeps hypothesis from doing so.
        """
        self._ends = self._ends or time.monotonic() + self.seconds
        if not self._has_failed and self.examples >= AT_LEAST and time.monotonic() > self._ends:
            raise _TimeIsOver
        self.examples += 1
        try:
            yield
        except (UnsatisfiedAssumption, StopTest):
            raise
        except Exception as error:
            self._has_failed = True  # and is made shorter, for as long as that takes
            error.add_note("\n".join(f"    {name}={value!r}" for name, value in example.items()))
            raise
        except BaseExceptionGroup as failures:  # schemathesis's, of which hypothesis would make nothing shorter
            self._has_failed = True
            raise AssertionError(str(failures)) from None

    def _repeat(self, run: Callable[[int], None]) -> None:
        for number in itertools.count(self.seed):
            try:
                run(number)
            except _TimeIsOver:
                return
            except BaseException as error:
                error.add_note(f"Found again by: {self.again} --fuzz-seed {number}")
                raise

    def _settings(self) -> settings:
        return settings(
            max_examples=self.batch,
            phases=(Phase.generate, Phase.shrink),
            deadline=None,
            database=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
