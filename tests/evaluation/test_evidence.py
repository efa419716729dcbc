"""What an experiment's evidence says."""

import pandas as pd
import pytest

from beefirst.evaluation.evidence import MOST_LINES, Evidence, compare, not_shown_here

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
