"""What counts as a catch, and what does not."""

from pathlib import Path

import pytest

from beefirst.evaluation.records import Check, Result
from beefirst.evaluation.sabotage.catalogue import Defect
from beefirst.evaluation.sabotage.judge import judge_cases
from beefirst.evaluation.sabotage.outcomes import judge_checks
from beefirst.evaluation.sabotage.pytest_run import Case, Said, read_cases

DEFECT = Defect(
    name="a code lives 90 seconds",
    area="settings",
    breaks="AC5.3",
    reason=r"TTL_SECONDS, 90\b",
    file="beefirst/settings.py",
    old="60",
    new="90",
)
SEEN = "not as promised (90): TTL_SECONDS, 90, 60"
CRASHED = "the experiment itself stopped in settings.py, line 90: KeyError: 'TTL_SECONDS, 90'"


def check(key: str, result: Result, evidence: str = "") -> Check:
    return Check(key=key, requirement="it holds", result=result, evidence=evidence)


@pytest.mark.parametrize(
    ("claimed", "other", "result"),
    [
        (check("AC5.3", "FAIL", SEEN), "PASS", "CAUGHT"),
        (check("AC5.3", "FAIL", SEEN), "FAIL", "CAUGHT"),
        (check("AC5.3", "FAIL", "TTL_SECONDS, 900"), "PASS", "WRONG REASON"),
        (check("AC5.3", "FAIL", CRASHED), "PASS", "CRASHED"),
        (check("AC5.3", "NOT MADE", "the notebook stopped before: NameError"), "FAIL", "CRASHED"),
        (check("AC5.3", "PASS", SEEN), "PASS", "SURVIVED"),
        (check("AC5.3", "PASS", SEEN), "NOT MADE", "SURVIVED"),
        (check("AC5.3", "NOT SHOWN HERE", SEEN), "PASS", "SURVIVED"),
        (check("AC5.3", "PASS", SEEN), "FAIL", "NEIGHBOUR"),
    ],
)
def test_only_the_check_that_claims_the_promise_catches_and_only_for_a_reason_that_fits(
    claimed: Check, other: Result, result: str
) -> None:
    found, evidence = judge_checks(DEFECT, {"AC5.3": claimed, "AC5.4": check("AC5.4", other, "it breaks, too")})

    assert found == result
    assert evidence.endswith("AC5.4: it breaks, too" if result == "NEIGHBOUR" else claimed.evidence)


@pytest.mark.parametrize(
    ("said", "message", "result"),
    [
        (["failed"], "assert 'TTL_SECONDS, 90' == '60'", "CAUGHT"),
        (["passed", "failed"], "assert 'TTL_SECONDS, 90' == '60'", "CAUGHT"),
        (["failed"], "assert 1 == 2", "WRONG REASON"),
        (["crashed"], "KeyError: 'TTL_SECONDS, 90'", "CRASHED"),
        (["passed", "passed"], "", "SURVIVED"),
        (["passed", "skipped"], "", "SURVIVED"),
        (["skipped"], "no engine", "CRASHED"),
        ([], "", "CRASHED"),
    ],
)
def test_a_test_catches_by_an_assertion_alone(said: list[Said], message: str, result: str) -> None:
    found, _ = judge_cases(DEFECT, [Case("tests/a.py::test_b", word, message) for word in said])

    assert found == result


def test_a_crash_of_one_case_does_not_hide_what_another_has_found() -> None:
    cases = [Case("test_a", "crashed", "KeyError"), Case("test_a", "failed", "assert 'TTL_SECONDS, 90' == 1")]

    assert judge_cases(DEFECT, cases) == ("CAUGHT", "assert 'TTL_SECONDS, 90' == 1")


SUITE = """<testsuites><testsuite>
<testcase classname="tests.api.test_a" name="test_holds[1]"/>
<testcase classname="tests.api.test_a" name="test_fails"><failure message="AssertionError: assert 1 == 2"/></testcase>
<testcase classname="tests.api.test_a" name="test_raises"><failure message="KeyError: 'a'"/></testcase>
<testcase classname="tests.api.test_a" name="test_does_not"><failure message="Failed: DID NOT RAISE"/></testcase>
<testcase classname="tests.api.test_a" name="test_times_out"><failure message="TimeoutError: not within"/></testcase>
<testcase classname="tests.api.test_a" name="test_fixture"><error message="AssertionError: assert 1 == 2"/></testcase>
<testcase classname="tests.api.test_a" name="test_later"><skipped message="no engine"/></testcase>
</testsuite></testsuites>"""


def test_what_pytest_says_of_a_test_is_read_by_its_node_id(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(SUITE)

    said = {case.test.partition("::")[2]: case.said for case in read_cases(junit)}

    assert said == {
        "test_holds": "passed",
        "test_fails": "failed",
        "test_raises": "crashed",
        "test_does_not": "failed",
        "test_times_out": "crashed",
        "test_fixture": "crashed",
        "test_later": "skipped",
    }
    assert {case.test.partition("::")[0] for case in read_cases(junit)} == {"tests/api/test_a.py"}
