"""What an experiment observed is judged as data, and one that crashes is a FAIL with its reason in one line."""

import inspect
import json
from typing import Any

import pandas as pd
import pytest

from beefirst.errors import ProcessError
from beefirst.evaluation.evidence import Evidence, compare, not_shown_here
from beefirst.evaluation.experiments import schema
from beefirst.evaluation.procedure import STOPPED, Crash, Observed, experiment, judge_data, measurement
from beefirst.laboratory import catalog
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.conftest import SECRET


def judge_doors(doors: pd.DataFrame, expected: int) -> Evidence:
    return compare(f"{len(doors)} doors", [("doors", len(doors), expected)])


@experiment(judge_doors)
def two_doors(doors: object, expected: int = 2) -> Observed:
    """Count doors."""
    return {"doors": doors, "expected": expected}


DOORS = pd.DataFrame({"door": ["front", "back"], "width": [0.9, None]})


def test_evidence_is_what_the_judge_makes_of_what_was_observed() -> None:
    evidence = two_doors(DOORS)

    assert (evidence.result, evidence.summary) == ("PASS", "2 doors")
    assert two_doors(DOORS.head(1)).summary == "not as promised (1 doors): doors, 1, 2"


def test_evidence_holds_the_data_that_it_was_judged_on_and_by_what() -> None:
    trace = two_doors(DOORS).trace

    assert trace is not None
    assert json.loads(json.dumps(trace.data)) == {
        "doors": {"columns": ["door", "width"], "rows": [["front", 0.9], ["back", None]]},
        "expected": 2,
    }
    assert trace.method.name == f"{__name__}:two_doors"
    assert trace.method.source().startswith("@experiment(judge_doors)\ndef two_doors(")
    assert "\ndef judge_doors(" in trace.method.source()


def test_the_data_alone_give_the_same_evidence_and_altered_data_another() -> None:
    found = two_doors(DOORS)
    assert found.trace is not None
    assert found.trace.data is not None
    altered = found.trace.data | {"expected": 3}

    assert judge_data(judge_doors, found.trace.data, found.trace.method).summary == found.summary
    assert judge_data(judge_doors, altered, found.trace.method).result == "FAIL"


def test_an_experiment_may_find_that_it_cannot_be_shown_here() -> None:
    @experiment(lambda way: not_shown_here("docker compose up") if way != "compose" else Evidence(True, "seen"))
    def in_a_container(way: str) -> Observed:
        return {"way": way}

    assert in_a_container("up").result == "NOT SHOWN HERE"
    assert in_a_container("compose").result == "PASS"


def judge_error(error: str) -> Evidence:
    return Evidence(True, error)


@experiment(judge_error)
def crashes(error: BaseException) -> Observed:
    raise error


def test_an_experiment_that_crashes_is_a_fail_whose_reason_is_one_line_and_names_the_place() -> None:
    line = inspect.getsourcelines(crashes)[1] + 2

    evidence = crashes(KeyError("unique"))

    assert evidence.result == "FAIL"
    assert evidence.summary == f"{STOPPED} in test_procedure.py, line {line}: KeyError: 'unique'"
    assert evidence.trace is not None
    assert evidence.trace.data is None


def test_a_judge_that_crashes_is_a_fail_that_keeps_the_data() -> None:
    @experiment(lambda seen: Evidence(True, seen["missing"]))
    def careless() -> Observed:
        return {"seen": {"other": 1}}

    evidence = careless()

    assert evidence.summary.endswith("KeyError: 'missing'")
    assert evidence.trace is not None
    assert evidence.trace.data == {"seen": {"other": 1}}


def test_a_crash_below_our_own_code_names_the_line_of_ours_that_led_there() -> None:
    history: Any = experiment(judge_error)(catalog.history)  # type: ignore[arg-type]

    assert "stopped in catalog.py, line " in history("no connection").summary


def test_an_error_without_words_is_named() -> None:
    assert crashes(AssertionError()).summary.endswith(": AssertionError")


def test_of_several_errors_at_once_the_first_is_the_reason() -> None:
    several = ExceptionGroup("some tasks failed", [ValueError("the first"), ValueError("the second")])

    summary = crashes(several).summary

    assert summary.startswith(f"{STOPPED} in test_procedure.py, line ")
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
def test_an_experiment_that_returns_no_observations_is_a_fail_that_says_so(found: Any) -> None:
    @experiment(judge_error)
    def careless() -> Observed:
        return found  # type: ignore[no-any-return]

    assert careless().result == "FAIL"
    assert "careless returned no observations" in careless().summary


@pytest.mark.parametrize("found", [None, True, "seen"])
def test_a_judge_that_returns_no_evidence_is_a_fail_that_says_so(found: Any) -> None:
    @experiment(lambda **_: found)
    def careless() -> Observed:
        return {}

    assert careless().result == "FAIL"
    assert f"the judge of careless returned no evidence, but {type(found).__name__}" in careless().summary


def test_evidence_of_which_nobody_can_tell_whether_it_holds_is_a_fail() -> None:
    @experiment(lambda it: Evidence(pd.Series(it), "seen"))  # type: ignore[arg-type]
    def undecided() -> Observed:
        return {"it": [True, False]}

    evidence = undecided()

    assert evidence.result == "FAIL"
    assert "The truth value of a Series is ambiguous" in evidence.summary


def test_what_no_file_can_hold_is_a_fail_that_names_it() -> None:
    assert "TypeError: doors is of the type object, which no file holds" in two_doors(object()).summary


def test_what_postgresql_tells_of_a_row_does_not_get_into_the_reason(database: ScratchDatabase) -> None:
    @experiment(judge_error)
    def insert_twice() -> Observed:
        with database.connect() as connection:
            connection.execute("CREATE TABLE secrets (it text CHECK (length(it) < 3))")
            connection.execute("INSERT INTO secrets VALUES (%s)", [SECRET])
        return {"error": "taken"}

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


def judge_two(value: int, again: int) -> Evidence:
    return Evidence(value == again == 2, f"{value}")


@experiment(judge_two, measure, double)
def is_two(value: int, *, again: int = 2) -> Observed:
    return {"value": value, "again": again}


def test_a_measurement_gives_back_what_it_measured() -> None:
    assert is_two(measure(2)).result == "PASS"


def test_each_experiment_that_is_given_a_measurement_that_crashed_fails_for_its_reason() -> None:
    crashed = measure_crashes(ValueError("no start"))

    by_place, by_name = is_two(crashed), is_two(2, again=crashed)

    assert (by_place.result, by_name.result) == ("FAIL", "FAIL")
    assert by_place.summary == by_name.summary
    assert "stopped in test_procedure.py" in by_place.summary
    assert by_place.summary.endswith("ValueError: no start")


def test_a_measurement_that_rests_on_one_that_crashed_hands_its_reason_on() -> None:
    assert is_two(double(measure_crashes(ValueError("no start")))).summary.endswith("ValueError: no start")


def test_the_source_shows_what_made_the_arguments_and_whatever_of_the_module_is_used() -> None:
    trace = is_two(2).trace
    assert trace is not None
    source = trace.method.source()

    assert [source.count(f"\ndef {name}(") for name in ("is_two", "judge_two", "measure", "double")] == [1, 1, 1, 1]
    assert "def judge_doors(" not in source


def test_the_source_holds_the_statements_that_an_experiment_sends() -> None:
    database: Any = None  # it stops, and its source is told all the same
    trace = schema.forbidden_sql_is_refused(database).trace

    assert trace is not None
    assert 'ROW: str = "INSERT INTO registrations' in trace.method.source()
    assert "an address of 256 characters" in trace.method.source()
    assert trace.method.file == "beefirst/evaluation/experiments/schema.py"
