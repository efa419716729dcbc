"""A verdict must be able to fail."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from beefirst.errors import ProcessError
from beefirst.evaluation.display.tables import RED, table
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import NOT_FINISHED, load_record, records_folder
from beefirst.evaluation.verdict import Verdict, VerdictError, begin
from beefirst.machine.ports import free_port
from tests.support.kernels import Kernel, running_kernel

PROMISED = {"A.1": "The first holds", "A.2": "The second holds"}


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEEFIRST_DATA", str(tmp_path))


def last_verdict() -> str:
    record = load_record("sample")
    assert record
    return record.verdict


def test_a_verdict_passes_when_every_promised_check_held() -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.check("A.1", True, "seen")
    verdict.check("A.2", True, "seen")

    verdict.conclude()

    assert last_verdict() == "PASS"


def test_a_failed_check_fails_the_verdict_and_is_named() -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.check("A.1", True, "seen")
    verdict.check("A.2", False, "not seen")

    with pytest.raises(VerdictError, match=r"1 of 2 checks failed or were not made: A\.2"):
        verdict.conclude()

    assert last_verdict() == "FAIL"


def test_a_check_that_was_never_made_fails_the_verdict() -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.check("A.1", True, "seen")

    with pytest.raises(VerdictError, match=r"A\.2"):
        verdict.conclude()


def test_a_check_that_failed_once_stays_failed() -> None:
    verdict = Verdict("sample", {"A.1": "It holds"})
    verdict.check("A.1", False, "not seen")
    verdict.check("A.1", True, "seen")

    with pytest.raises(VerdictError):
        verdict.conclude()


def test_a_check_that_cannot_be_made_here_is_counted_in_the_verdict() -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.check("A.1", True, "seen")
    verdict.not_shown("A.2", "docker compose up")

    verdict.conclude()

    assert last_verdict() == "PASS, 1 not shown here"


def test_a_verdict_of_which_nothing_was_seen_fails() -> None:
    verdict = Verdict("sample", {"A.1": "It holds"})
    verdict.not_shown("A.1", "docker compose up")

    with pytest.raises(VerdictError):
        verdict.conclude()


def test_a_check_that_was_not_promised_is_refused() -> None:
    with pytest.raises(KeyError):
        Verdict("sample", PROMISED).check("A.3", True, "seen")


def test_the_reader_sees_every_check_before_the_failure(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict("sample", PROMISED)
    verdict.check("A.1", False, "not seen")

    with pytest.raises(VerdictError):
        verdict.conclude()

    shown = capsys.readouterr().out
    assert all(word in shown for word in ("A.1", "A.2", "The second holds", "FAIL", "NOT MADE"))


def test_a_table_shows_what_it_is_given_as_text_and_marks_the_words_that_matter() -> None:
    html = table(pd.DataFrame([("<b>bold</b>", "FAIL")], columns=["what", "result"]))._repr_html_()

    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert f'<span style="color:{RED};font-weight:600">FAIL</span>' in html
    assert "<style" not in html


def test_a_verdict_keeps_every_check_with_its_evidence_for_later() -> None:
    verdict = Verdict("sample", {"A.1": "It holds"})
    verdict.check("A.1", True, "seen")
    verdict.conclude()

    saved = json.loads((records_folder() / "sample.json").read_text())

    assert saved["checks"][0] | {"milliseconds": 0} == {
        "key": "A.1",
        "requirement": "It holds",
        "result": "PASS",
        "evidence": "seen",
        "milliseconds": 0,
    }


def test_a_notebook_that_was_never_run_has_no_verdict() -> None:
    assert load_record("sample") is None


def test_a_verdict_that_cannot_be_read_counts_as_none() -> None:
    records_folder().mkdir()
    (records_folder() / "sample.json").write_text('{"verdict": "PASS"}')

    assert load_record("sample") is None


def test_a_notebook_that_stops_half_way_has_no_verdict_of_an_earlier_run() -> None:
    finished = Verdict("sample", {"A.1": "It holds"})
    finished.check("A.1", True, "seen")
    finished.conclude()

    Verdict("sample", PROMISED).check("A.1", True, "seen")

    assert last_verdict() == NOT_FINISHED


def test_a_notebook_that_stops_before_its_first_check_has_no_verdict_of_an_earlier_run_either() -> None:
    finished = Verdict("sample", {"A.1": "It holds"})
    finished.check("A.1", True, "seen")
    finished.conclude()

    Verdict("sample", PROMISED)

    assert last_verdict() == NOT_FINISHED


def test_evidence_of_what_does_not_hold_claims_nothing() -> None:
    evidence = Evidence(False, "all is well", pd.DataFrame([("door", "open", "shut")]))

    assert evidence.summary == "not as promised (all is well): door, open, shut"


def test_evidence_of_much_that_does_not_hold_is_brief_and_begins_with_what_does_not() -> None:
    rows = [(f"door {number}", "open" if number > 20 else "shut", "shut") for number in range(30)]

    summary = Evidence(False, "30 doors", pd.DataFrame(rows, columns=["what", "seen", "expected"])).summary

    assert summary.startswith("not as promised (30 doors): door 21, open, shut; door 22")
    assert summary.endswith("door 28, open, shut; and 1 more lines")


def test_evidence_without_expectations_shows_how_it_begins_and_what_it_came_to() -> None:
    rows = [(hour, 3.04 * hour) for hour in range(12)]

    summary = Evidence(False, "36 guesses", pd.DataFrame(rows, columns=["hour", "guesses"])).summary

    assert summary.startswith("not as promised (36 guesses): 0, 0; 1, 3.04; 2, 6.08")
    assert summary.endswith("and 4 more lines")


def test_a_notebook_does_not_begin_while_the_api_that_is_named_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("API_URL", address)

    with pytest.raises(ProcessError, match=f"The API at {address} is not ready: bring it up with `docker compose up`"):
        begin("03_schema")


def test_every_acceptance_criterion_is_promised_by_a_notebook() -> None:
    promised = {key.partition(".")[0] for checks in CHECKS.values() for key in checks}

    assert {"AC1", "AC2", "AC3", "AC4", "AC5"} <= promised


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    data = tmp_path_factory.mktemp("data")
    with running_kernel(BEEFIRST_DATA=str(data)) as kernel:
        kernel.run("from beefirst.evaluation.verdict import Verdict")
        yield kernel


def results(kernel: Kernel) -> Any:
    return kernel.run("", "[(check.result, check.evidence) for check in verdict._checks()]")


def test_a_cell_that_is_run_anew_takes_back_what_it_said_before(kernel: Kernel) -> None:
    kernel.run("verdict = Verdict('sample', {'A.1': 'It holds', 'A.2': 'It holds'})")
    kernel.run("verdict.check('A.1', False, 'seen at 1'); verdict.check('A.2', True, 'seen')", cell="first")
    kernel.run("verdict.check('A.1', True, 'seen at 2')", cell="first")

    assert results(kernel) == [["PASS", "seen at 2"], ["NOT MADE", "the cell that makes it did not run to its end"]]


def test_a_cell_that_is_run_anew_takes_nothing_back_of_what_another_said(kernel: Kernel) -> None:
    kernel.run("verdict = Verdict('sample', {'A.1': 'It holds'})")
    kernel.run("verdict.check('A.1', False, 'not seen')", cell="first")
    kernel.run("verdict.check('A.1', True, 'seen at 1')", cell="second")
    kernel.run("verdict.check('A.1', True, 'seen at 2')", cell="second")

    assert results(kernel) == [["FAIL", "not seen; seen at 2"]]


def test_a_check_that_one_run_of_a_cell_makes_twice_holds_only_if_it_held_both_times(kernel: Kernel) -> None:
    kernel.run("verdict = Verdict('sample', {'A.1': 'It holds'})")
    kernel.run("verdict.check('A.1', False, 'not seen'); verdict.check('A.1', True, 'seen')", cell="first")

    assert results(kernel) == [["FAIL", "not seen; seen"]]


def test_checks_of_cells_that_nobody_names_are_joined(kernel: Kernel) -> None:
    kernel.run("verdict = Verdict('sample', {'A.1': 'It holds'})")
    kernel.run("verdict.check('A.1', False, 'not seen')")
    kernel.run("verdict.check('A.1', True, 'seen')")

    assert results(kernel) == [["FAIL", "not seen; seen"]]


def test_a_cell_that_the_reader_stops_says_so_in_one_sentence(kernel: Kernel) -> None:
    kernel.run("from beefirst.evaluation.verdict import begin; verdict = begin('03_schema')")
    request = kernel.be_busy()

    kernel.manager.interrupt_kernel()

    assert kernel.reply(request)["traceback"] == ["Stopped. Run this cell again, or go on with another."]
