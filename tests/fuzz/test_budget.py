"""The budget of seconds, and that what fails within it is found again."""

import re
import time

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.support.fuzzing import AT_LEAST, Fuzzer


def fuzzer(seconds: float, seed: int = 1, batch: int = 100) -> Fuzzer:
    return Fuzzer(seconds, seed, "pytest this", batch)


def test_examples_are_tried_until_the_time_is_over_over_several_seeds() -> None:
    limited, began, seen = fuzzer(1, batch=10), time.monotonic(), list[int]()

    limited.run(lambda number: seen.append(number), st.integers())

    assert time.monotonic() - began > 1
    assert limited.examples == len(seen) > 10


def test_some_examples_are_tried_though_the_time_is_over() -> None:
    hurried = fuzzer(0)

    hurried.run(lambda number: number, st.integers())

    assert hurried.examples == AT_LEAST


def judge(number: int) -> None:
    assert number < 1000, number


def test_what_fails_is_made_short_and_found_again_by_the_seed_that_it_names() -> None:
    with pytest.raises(AssertionError) as failure:
        fuzzer(60, batch=3).run(judge, st.integers())
    notes = "\n".join(failure.value.__notes__)
    [seed] = re.findall(r"Found again by: pytest this --fuzz-seed (\d+)", notes)

    with pytest.raises(AssertionError) as again:
        fuzzer(60, int(seed), batch=3).run(judge, st.integers())

    assert "number=1000" in notes
    assert f"--fuzz-seed {seed}" in "\n".join(again.value.__notes__)


def test_a_state_machine_is_run_until_the_time_is_over_and_fails_as_anything_else() -> None:
    budget = fuzzer(60)

    class Counting(RuleBasedStateMachine):
        count = 0

        @rule(number=st.integers(0, 9))
        def add(self, number: int) -> None:
            with budget.trying(number=number):
                self.count += number
                assert self.count < 20

    with pytest.raises(AssertionError) as failure:
        budget.run_machine(Counting, steps=10)

    assert "Found again by: pytest this --fuzz-seed" in "\n".join(failure.value.__notes__)
