"""What an experiment's evidence says, and what becomes of an experiment that crashes."""

import inspect
from typing import Any

import pandas as pd
import pytest

from beefirst.errors import ProcessError
from beefirst.evaluation.evidence import MOST_LINES, Crash, Evidence, compare, experiment, measurement, not_shown_here
from beefirst.laboratory import catalog
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.conftest import SECRET

COLUMNS = ["what", "seen", "expected"]


def test_evidence_of_what_does_not_hold_claims_nothing() -> None:
    evidence = Evidence(False, "all is well", pd.DataFrame([("door", "open", "shut")]))

    assert evidence.summary == "not as promised (all is well): door, open, shut"


def test_evidence_of_what_holds_is_its_summary() -> None:
    evidence = Evidence(True, "all is well", pd.DataFrame([("door", "shut", "shut")]))

    assert (evidence.summary, evidence.result) == ("all is well", "PASS")


def test_evidence_of_much_that_does_not_hold_is_brief_and_begins_with_what_does_not() -> None:
    rows = [(f"door {number}", "open" if number > 20 else "shut", "shut") for number in range(30)]

    summary = Evidence(False, "30 doors", pd.DataFrame(rows, columns=COLUMNS)).summary

    assert summary.startswith("not as promised (30 doors): door 21, open, shut; door 22")
    assert summary.endswith("door 28, open, shut; and 1 more lines")


@pytest.mark.parametrize(("lines", "end"), [(MOST_LINES, "7, open"), (MOST_LINES + 1, "and 1 more lines")])
def test_evidence_that_fails_has_no_more_lines_than_are_read(lines: int, end: str) -> None:
    summary = Evidence(False, "doors", pd.DataFrame([(number, "open") for number in range(lines)])).summary

    assert summary.endswith(end)


def test_evidence_without_expectations_shows_how_it_begins_and_what_it_came_to() -> None:
    rows = [(hour, 3.04 * hour) for hour in range(12)]

    summary = Evidence(False, "36 guesses", pd.DataFrame(rows, columns=["hour", "guesses"])).summary

    assert summary.startswith("not as promised (36 guesses): 0, 0; 1, 3.04; 2, 6.08")
    assert summary.endswith("and 4 more lines")


def test_a_line_whose_name_alone_is_what_was_expected_is_not_taken_for_one_that_holds() -> None:
    summary = Evidence(
        False, "2 doors", pd.DataFrame([("shut", "open", "shut"), ("b", "shut", "shut")], columns=COLUMNS)
    ).summary

    assert summary == "not as promised (2 doors): shut, open, shut"


def test_evidence_that_fails_though_each_line_is_as_expected_shows_all_lines() -> None:
    summary = Evidence(False, "1 of 2 doors", pd.DataFrame([("door", "shut", "shut")], columns=COLUMNS)).summary

    assert summary == "not as promised (1 of 2 doors): door, shut, shut"


def test_a_comparison_holds_if_all_agree() -> None:
    assert compare("2 doors", [("a", "shut", "shut"), ("b", "open", "open")]).holds


def test_a_comparison_in_which_one_differs_does_not_hold_and_names_it() -> None:
    evidence = compare("2 doors", [("a", "shut", "shut"), ("b", "open", "shut")])

    assert (evidence.result, evidence.summary) == ("FAIL", "not as promised (2 doors): b, open, shut")


def test_nothing_seen_where_nothing_was_expected_agrees() -> None:
    assert compare("2 columns", [("a", "text", "text"), ("b", None, None)]).holds


def test_nothing_seen_where_something_was_expected_differs() -> None:
    assert compare("a column", [("b", None, "text")]).result == "FAIL"


def test_a_comparison_may_name_its_columns_and_say_more_behind_them() -> None:
    evidence = compare("2 doors", [("a", 1, 1, "x"), ("b", 1, 2, "x")], ["door", "answer", "expected", "state"])

    assert list(evidence.rows.columns) == ["door", "answer", "expected", "state"]
    assert evidence.summary == "not as promised (2 doors): b, 1, 2, x"


def test_a_comparison_of_nothing_does_not_hold_and_says_so() -> None:
    evidence = compare("no door is open", [])

    assert (evidence.result, evidence.summary) == ("FAIL", "nothing was seen: no door is open")


def test_what_cannot_be_shown_here_is_no_failure_and_names_the_command() -> None:
    evidence = not_shown_here("docker compose up")

    assert (evidence.result, evidence.summary) == ("NOT SHOWN HERE", "run: docker compose up")


@experiment
def crashes(error: BaseException) -> Evidence:
    raise error


def test_an_experiment_gives_back_its_evidence() -> None:
    evidence = Evidence(True, "seen")

    assert experiment(lambda: evidence)() is evidence


def test_an_experiment_that_crashes_is_a_fail_whose_reason_is_one_line_and_names_the_place() -> None:
    line = inspect.getsourcelines(crashes)[1] + 2

    evidence = crashes(KeyError("unique"))

    assert evidence.result == "FAIL"
    assert evidence.summary == f"the experiment itself stopped in test_evidence.py, line {line}: KeyError: 'unique'"


def test_a_crash_below_our_own_code_names_the_line_of_ours_that_led_there() -> None:
    evidence = experiment(catalog.history)("no connection")  # type: ignore[arg-type]

    assert "stopped in catalog.py, line " in evidence.summary


def test_an_error_without_words_is_named() -> None:
    assert crashes(AssertionError()).summary.endswith(": AssertionError")


def test_of_several_errors_at_once_the_first_is_the_reason() -> None:
    several = ExceptionGroup("some tasks failed", [ValueError("the first"), ValueError("the second")])

    summary = crashes(several).summary

    assert summary.startswith("the experiment itself stopped in test_evidence.py, line ")
    assert summary.endswith(": ValueError: the first")


def test_an_error_of_ours_says_what_to_do_and_nothing_else() -> None:
    assert crashes(ProcessError("The API is not ready: bring it up.")).summary == "The API is not ready: bring it up."


def test_an_experiment_that_is_called_wrongly_is_a_fail() -> None:
    unjudged: Any = crashes

    assert "missing 1 required positional argument" in unjudged().summary


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_crash(error: type[BaseException]) -> None:
    with pytest.raises(error):
        crashes(error())
    with pytest.raises(error):
        measure_crashes(error())


@pytest.mark.parametrize("found", [None, True, "seen", Crash("no start")])
def test_an_experiment_that_returns_no_evidence_is_a_fail_that_says_so(found: object) -> None:
    @experiment
    def careless() -> Evidence:
        return found  # type: ignore[return-value]

    evidence = careless()

    assert evidence.result == "FAIL"
    assert evidence.summary == f"the experiment careless returned no evidence, but {type(found).__name__}"


def test_evidence_of_which_nobody_can_tell_whether_it_holds_is_a_fail() -> None:
    @experiment
    def undecided() -> Evidence:
        return Evidence(pd.Series([True, False]), "seen")

    evidence = undecided()

    assert evidence.result == "FAIL"
    assert "The truth value of a Series is ambiguous" in evidence.summary


def test_what_postgresql_tells_of_a_row_does_not_get_into_the_reason(database: ScratchDatabase) -> None:
    @experiment
    def insert_twice() -> Evidence:
        with database.connect() as connection:
            connection.execute("CREATE TABLE secrets (it text CHECK (length(it) < 3))")
            connection.execute("INSERT INTO secrets VALUES (%s)", [SECRET])
        return Evidence(True, "taken")

    summary = insert_twice().summary

    assert 'CheckViolation: new row for relation "secrets" violates check constraint' in summary
    assert SECRET not in summary
    assert "\n" not in summary


@measurement
def measure(value: int) -> int:
    return value


@measurement
def measure_crashes(error: BaseException) -> int:
    raise error


@measurement
def double(value: int) -> int:
    return 2 * value


@experiment
def is_two(value: int, *, again: int = 2) -> Evidence:
    return Evidence(value == again == 2, f"{value}")


def test_a_measurement_gives_back_what_it_measured() -> None:
    assert is_two(measure(2)).result == "PASS"


def test_each_experiment_that_is_given_a_measurement_that_crashed_fails_for_its_reason() -> None:
    crashed = measure_crashes(ValueError("no start"))

    by_place, by_name = is_two(crashed), is_two(2, again=crashed)

    assert (by_place.result, by_name.result) == ("FAIL", "FAIL")
    assert by_place.summary == by_name.summary
    assert "stopped in test_evidence.py" in by_place.summary
    assert by_place.summary.endswith("ValueError: no start")


def test_a_measurement_that_rests_on_one_that_crashed_hands_its_reason_on() -> None:
    assert is_two(double(measure_crashes(ValueError("no start")))).summary.endswith("ValueError: no start")
