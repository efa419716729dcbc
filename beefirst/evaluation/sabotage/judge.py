"""Trying a defect: a copy of the project that has it, and what the check that claims the promise says of that copy."""

import time
from collections.abc import Callable, Collection, Mapping

from beefirst.errors import BeefirstError
from beefirst.evaluation.records import Check
from beefirst.evaluation.sabotage.catalogue import Defect
from beefirst.evaluation.sabotage.outcomes import Control, Outcome, Result, judge_checks, judge_failure
from beefirst.evaluation.sabotage.pytest_run import Case, run_tests
from beefirst.evaluation.sabotage.trial import TooSlowError, Trial, Watch


def try_defect(defect: Defect, watch: Watch = lambda: None, beside: Collection[str] = ()) -> Outcome:
    """Make a copy that has a defect, and ask the check that claims the promise.

    Args:
        defect: which.
        watch: is called again and again meanwhile; what it raises ends the trial, and nothing is left of it.
        beside: further checks of the same notebook to ask, by id; they decide nothing.
    """
    began = time.monotonic()
    asked = list(dict.fromkeys([defect.breaks, *beside]))
    result, evidence, checks = _ask(defect, watch, asked)
    return Outcome(
        defect=defect.name,
        fingerprint=defect.fingerprint,
        area=defect.area,
        promise=defect.breaks,
        caught_by=defect.caught_by,
        result=result,
        evidence=evidence,
        seconds=round(time.monotonic() - began, 1),
        checks={key: check.result for key, check in checks.items() if key in asked},
    )


def _ask(defect: Defect, watch: Watch, asked: Collection[str]) -> tuple[Result, str, Mapping[str, Check]]:
    with Trial(watch) as trial:
        try:
            if defect.sql:
                with trial.changed_service(defect.sql) as service:
                    checks = trial.make_checks(defect.caught_by, asked, **service)
                    return *judge_checks(defect, checks), checks
            trial.copy.replace(defect.file, defect.old, defect.new)
            if defect.is_caught_by_a_test:
                return *judge_cases(defect, run_tests(trial, [defect.caught_by])), {}
            checks = trial.make_checks(defect.caught_by, asked)
            return *judge_checks(defect, checks), checks
        except (TooSlowError, BeefirstError, ValueError) as error:
            # A service that does not even start, or a defect that is out of date.
            return "CRASHED", str(error), {}


def judge_cases(defect: Defect, cases: Collection[Case]) -> tuple[Result, str]:
    """Return what tests make of a defect, and the evidence.

    Args:
        defect: in the copy on which they were run.
        cases: of the test that is to notice it, one for each of its parameters.
    """
    failed = [case.message for case in cases if case.said == "failed"]
    verdicts = [(judge_failure(defect, message), message) for message in failed]
    if caught := [message for result, message in verdicts if result == "CAUGHT"]:
        return "CAUGHT", caught[0]
    if verdicts:
        return verdicts[0]
    if crashed := [case.message for case in cases if case.said == "crashed"]:
        return "CRASHED", crashed[0]
    if not any(case.said == "passed" for case in cases):
        return "CRASHED", "the test was not run: " + ("; ".join(case.message for case in cases) or "pytest stopped")
    return "SURVIVED", f"{len(cases)} passed"


def control_checks(notebook: str, checks: Collection[str], watch: Watch = lambda: None) -> Control:
    """Make checks of a notebook on a copy that nobody has harmed; arguments as for `try_defect`."""

    def complaints(trial: Trial) -> dict[str, str]:
        made = trial.make_checks(notebook, checks)
        return {key: made[key].evidence for key in checks if not made[key].holds}

    return _control(notebook, checks, complaints, watch)


def control_tests(file: str, tests: Collection[str], watch: Watch = lambda: None) -> Control:
    """Run tests of one file on a copy that nobody has harmed; arguments as for `try_defect`."""

    def complaints(trial: Trial) -> dict[str, str]:
        cases = run_tests(trial, tests)
        failed = {case.test: case.message for case in cases if case.said != "passed"}
        return failed if cases else {file: "pytest stopped"}

    return _control(file, tests, complaints, watch)


def _control(
    place: str, asked: Collection[str], complaints: Callable[[Trial], dict[str, str]], watch: Watch
) -> Control:
    began = time.monotonic()
    with Trial(watch) as trial:
        try:
            failures = complaints(trial)
        except TooSlowError as error:
            failures = {place: str(error)}
    seconds = round(time.monotonic() - began, 1)
    return Control(caught_by=place, checks=len(asked), asked=list(asked), failures=failures, seconds=seconds)
