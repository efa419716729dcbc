"""Defects are tried for real, each in a copy of the project, and nothing is left of it."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beefirst.errors import ConfigurationError
from beefirst.evaluation.records import Check, make_record
from beefirst.evaluation.sabotage.catalogue import Defect
from beefirst.evaluation.sabotage.judge import control_checks, control_tests, try_defect
from beefirst.evaluation.sabotage.outcomes import Control, Outcome
from beefirst.evaluation.sabotage.own_defect import check_change, make_finding, try_own_defect
from beefirst.evaluation.sabotage.suite import run_beside_each_other, try_defects
from beefirst.evaluation.sabotage.trial import TooSlowError, Watch
from beefirst.laboratory.cleanup import common_folder
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until

SETTINGS, TTL = "beefirst/settings.py", "ttl_seconds: int = Field(60,"


def defect(**values: str) -> Defect:
    """Return a defect that AC5.3 should notice, with some of its values otherwise."""
    usual = {"name": "a code lives 90 seconds", "area": "settings", "breaks": "AC5.3", "reason": "90"}
    return Defect(**usual | {"file": SETTINGS, "old": TTL, "new": TTL.replace("60", "90")} | values)


def copies() -> list[Path]:
    return list(common_folder().glob("beefirst-checkout-*"))


@pytest.fixture(autouse=True)
def _no_copy_is_left() -> Iterator[None]:
    yield
    assert copies() == []


def test_defects_are_tried_beside_each_other_with_a_control_for_each_notebook() -> None:
    defects = [
        defect(),
        defect(name="a comment", new=f"# sixty\n    {TTL}"),
        defect(name="a reason that does not fit", reason="eighty"),
        defect(name="a crash", new="ttl_seconds: int = Field(sixty,"),
        defect(name="a neighbour", old="bcrypt_cost: int = Field(10,", new="bcrypt_cost: int = Field(12,"),
    ]
    seen: list[Outcome | Control] = []

    outcomes, controls = try_defects(defects, seen.append)

    assert [outcome.result for outcome in outcomes] == ["CAUGHT", "SURVIVED", "WRONG REASON", "CRASHED", "NEIGHBOUR"]
    assert [outcome.defect for outcome in outcomes] == [each.name for each in defects]
    (control,) = controls
    assert (control.caught_by, control.checks, control.holds) == ("05_configuration", 1, True)
    assert outcomes[0].evidence == "not as promised (90): TTL_SECONDS, 90, 60"
    assert len(seen) == 6


def test_a_test_catches_what_it_claims() -> None:
    test = "tests/local/test_settings.py::test_the_defaults_are_those_of_the_specification"

    outcome = try_defect(defect(breaks=test))

    assert (outcome.result, outcome.promise, outcome.caught_by) == ("CAUGHT", test, test)
    assert "90" in outcome.evidence


def test_a_test_that_is_not_there_catches_nothing() -> None:
    outcome = try_defect(defect(breaks="tests/local/test_settings.py::test_nothing"))

    assert outcome.result == "CRASHED"
    assert outcome.evidence == "the test was not run: pytest stopped"


def test_a_live_database_that_somebody_has_changed_is_found_out_and_is_no_other() -> None:
    name = "a guard is dropped"
    sql = "DROP TRIGGER registrations_guard_change ON registrations"

    outcome = try_defect(Defect(name=name, area="live_schema", breaks="AC3.8", reason="is missing", sql=sql))

    assert outcome.result == "CAUGHT"
    assert "trigger registrations_guard_change on registrations is missing" in outcome.evidence


def test_a_control_that_fails_says_so() -> None:
    control = control_tests("tests/rules/test_none.py", ["tests/rules/test_none.py::test_none"])

    assert control.failures == {"tests/rules/test_none.py": "pytest stopped"}
    assert not control.holds


def test_what_hangs_is_given_up() -> None:
    def give_up() -> None:
        raise TooSlowError("took longer than 1 s")

    assert try_defect(defect(), give_up).result == "CRASHED"
    control = control_checks("05_configuration", ["AC5.3"], give_up)
    assert control.failures == {"05_configuration": "took longer than 1 s"}


def test_jobs_run_beside_each_other_and_come_back_in_their_order() -> None:
    together = threading.Barrier(2, timeout=60)

    def meet(number: int) -> int:
        together.wait()
        return number

    results = run_beside_each_other([lambda _: meet(1), lambda _: meet(2)], workers=2)

    assert results == [1, 2]


def test_an_error_ends_all_and_is_told() -> None:
    stopped = threading.Event()

    def go_on(watch: Watch) -> None:
        try:
            while True:
                watch()
                time.sleep(0.01)
        finally:
            stopped.set()

    def fail(_: Watch) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_beside_each_other([go_on, fail], workers=2)

    assert stopped.is_set()


SUITE = """
from beefirst.evaluation.records import Check, make_record
from beefirst.evaluation.sabotage.catalogue import read_catalogue
from beefirst.evaluation.sabotage.suite import try_defects
from beefirst.laboratory.cleanup import common_folder
print(common_folder(), flush=True)
try_defects([each for each in read_catalogue() if each.caught_by in ("07_trust_truths", "02_migrations")])
"""


def test_an_interrupt_leaves_nothing_behind() -> None:
    program = [sys.executable, "-c", SUITE]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as suite:
        assert suite.stdout is not None
        folder = Path(suite.stdout.readline().strip())
        wait_until(lambda: len([*folder.glob("beefirst-checkout-*/tmp/beefirst-evaluation-*/*")]) > 0, 120)

        suite.send_signal(signal.SIGINT)
        _, said = suite.communicate(timeout=120)

    assert said.strip().endswith("KeyboardInterrupt")
    assert not folder.exists()
    assert subprocess.run(["pgrep", "--full", str(folder)], check=False, capture_output=True).stdout == b""


OWN: list[tuple[str, str, str]] = [
    ("beefirst/none.py", "old", "There is no file beefirst/none.py here"),
    ("../settings.py", "old", "There is no file"),
    (SETTINGS, "", "There is no old text"),
    (".git/HEAD", "ref", "There is no file"),
    ("notebooks/pictures/start_here.png", "PNG", "is no text: name a file that is"),
    (SETTINGS, "no such text", "must hold the old text exactly once, and holds it 0 times: copy it from the file"),
    (SETTINGS, "import", "times: copy more of the lines around it"),
]


@pytest.mark.parametrize(("file", "old", "said"), OWN)
def test_a_change_of_a_readers_that_cannot_be_made_is_answered_with_one_line(file: str, old: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check_change(file, old)


def test_a_readers_own_defect_is_caught_by_the_checks_that_see_it_or_survives() -> None:
    findings = try_own_defect(SETTINGS, TTL, TTL.replace("60", "90"), ["01_compose", "05_configuration"])
    harmless = try_own_defect("README.md", "# beefirst\n", "# Beefirst\n", ["01_compose"])
    broken = try_own_defect(SETTINGS, TTL, "ttl_seconds: int = Field(sixty,", ["01_compose"])

    assert [[check.key for check in finding.failed] for finding in findings] == [[], ["AC5.3"]]
    assert [(check.key, check.evidence) for it in findings for check in it.failed] == [
        ("AC5.3", "not as promised (90): TTL_SECONDS, 90, 60")
    ]
    assert [(it.failed, it.stopped) for it in harmless] == [((), "")]
    assert [(it.failed, it.stopped != "") for it in broken] == [((), True)]
    assert (CHECKOUT / SETTINGS).read_text().count(TTL) == 1


def test_what_fails_on_an_unharmed_copy_too_has_caught_nothing() -> None:
    failed = [Check(key=key, requirement="", result="FAIL", evidence="red") for key in ("AC1.1", "AC1.2")]
    record = make_record("01_compose", "FAIL", "2 checks failed", 1, failed)

    one, both = make_finding(record, {"AC1.1": "red"}, 1), make_finding(record, {"AC1.1": "red", "AC1.2": "red"}, 1)

    assert ([check.key for check in one.failed], one.stopped) == (["AC1.2"], "")
    assert both.failed == ()
    assert both.stopped.startswith("AC1.1 fails on an unharmed copy, too: red; AC1.2 ")


def test_a_notebook_that_is_not_there_cannot_be_asked() -> None:
    with pytest.raises(ConfigurationError, match="There is no notebook 99_none to ask; there are 01_compose, "):
        try_own_defect(SETTINGS, TTL, "", ["99_none"])
