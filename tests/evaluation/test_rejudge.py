"""A report is judged anew from its data alone, and whatever was recorded otherwise is named."""

import json
import socket
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import pytest

from beefirst.errors import ConfigurationError, DisagreementError
from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.evaluation.experiments import schema
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import Check, Judgement, Record, load_record, make_record
from beefirst.evaluation.report.evidence_files import name_of, path_of, write_evidence
from beefirst.evaluation.report.junit import junit_xml
from beefirst.evaluation.report.rejudge import rejudge
from beefirst.evaluation.report.shown_experiments import experiments_shown
from beefirst.evaluation.verdict import Verdict

PROMISED = {"sample": {"A.1": "The id is random", "A.2": "It has an id", "A.3": "It is never made"}}
RANDOM = {"id": "8c8f5b4e-9f0f-4b6c-8f3e-0c2f5f9a7d11"}
PAGE = """<div class='overall'><span>{verdict}</span></div>"""
CHECK = """<article data-check='{name}' data-result='{result}'>
<p class='claim'><span>{result}</span></p><p class='evidence'>{evidence}</p></article>"""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to ask: no network, no database."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("psycopg.connect", refuse)


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report with a check that holds, one that failed, and one that was never made."""
    monkeypatch.setenv("BEEFIRST_DATA", str(tmp_path / "data"))
    verdict = Verdict("sample", PROMISED["sample"])
    verdict.show("A.1", schema.id_is_generated(RANDOM))
    verdict.show("A.2", schema.id_is_generated({"id": None}))
    record = load_record("sample", tmp_path / "data" / "verdicts")
    assert record
    return write(tmp_path / "report", record)


def write(folder: Path, record: Record) -> Path:
    folder.mkdir()
    write_evidence(folder, [record])
    (folder / "junit.xml").write_bytes(junit_xml([record]))
    verdict = "PASS" if {it.result for it in record.checks} == {"PASS"} else "FAIL"
    told = [(name_of(record.notebook, it.key), it) for it in record.checks]
    page = [CHECK.format(name=name, result=it.result, evidence=escape(it.evidence)) for name, it in told]
    (folder / "report.html").write_text(PAGE.format(verdict=verdict) + "".join(page))
    return folder


def change(report: Path, key: str, change: Callable[[dict[str, Any]], object]) -> None:
    path = report / path_of("sample", key)
    content = json.loads(path.read_text())
    change(content["check"])
    path.write_text(json.dumps(content))


def change_page(report: Path, old: str, new: str) -> None:
    page = report / "report.html"
    text = page.read_text()
    assert old in text
    page.write_text(text.replace(old, new))


def observe(report: Path, key: str, value: object) -> None:
    change(report, key, lambda check: check["judgements"][0]["observed"].update(row={"id": value}))


def test_a_report_whose_data_bear_it_out_is_borne_out(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rejudge(report, PROMISED)

    said = capsys.readouterr().out
    assert "A.1       PASS            its data say the same (1)" in said
    assert "A.2       FAIL            its data say the same (1)" in said
    assert "A.3       NOT MADE        was never made, and says so" in said
    assert "3 checks, 2 judgements made anew from their data: all are as recorded." in said


def test_data_that_say_otherwise_are_named(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    observe(report, "A.1", "1")

    with pytest.raises(DisagreementError, match=r"A\.1: recorded as PASS .* its data say FAIL .*id, 1, a random UUID"):
        rejudge(report, PROMISED)

    assert "A.1       PASS            DISAGREES" in capsys.readouterr().out


def test_a_fail_that_was_made_a_pass_is_named(report: Path) -> None:
    change(report, "A.2", lambda check: check.update(result="PASS"))
    change(report, "A.2", lambda check: check["judgements"][0].update(result="PASS"))

    with pytest.raises(DisagreementError, match=r"A\.2: recorded as PASS .* its data say FAIL"):
        rejudge(report, PROMISED)


def test_a_line_that_is_not_that_of_its_judgements_is_named(report: Path) -> None:
    change(report, "A.1", lambda check: check.update(evidence="all is well"))

    with pytest.raises(DisagreementError, match=r"A\.1: its line says PASS \(all is well\)"):
        rejudge(report, PROMISED)


@pytest.mark.parametrize(("file", "old"), [("junit.xml", 'type="FAIL"'), ("report.html", "data-result='FAIL'")])
def test_a_page_or_a_list_that_says_otherwise_is_named(report: Path, file: str, old: str) -> None:
    text = (report / file).read_text()
    assert old in text
    (report / file).write_text(text.replace(old, old.replace("FAIL", "PASS")))

    with pytest.raises(DisagreementError, match=rf"A\.2: {file} says PASS( and shows FAIL)?, the data's file FAIL"):
        rejudge(report, PROMISED)


def test_a_check_that_was_left_out_is_named(report: Path) -> None:
    (report / path_of("sample", "A.2")).unlink()

    with pytest.raises(DisagreementError, match=r"1 disagreements .*: A\.2 is promised, and not in this report"):
        rejudge(report, PROMISED)


@pytest.mark.parametrize("evidence", [Evidence(True, "seen"), not_shown_here("docker compose up")])
def test_a_result_without_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evidence: Evidence) -> None:
    monkeypatch.setenv("BEEFIRST_DATA", str(tmp_path / "data"))
    verdict = Verdict("sample", {"A.1": "It holds"})
    verdict.show("A.1", evidence)
    record = load_record("sample", tmp_path / "data" / "verdicts")
    assert record
    folder = write(tmp_path / "report", record)

    with pytest.raises(DisagreementError, match=rf"recorded as {evidence.result}, without data"):
        rejudge(folder, {})


def test_an_experiment_that_stopped_is_a_fail_and_nothing_else(report: Path) -> None:
    change(report, "A.1", lambda check: check["judgements"][0].update(observed=None))

    with pytest.raises(DisagreementError, match="its data say FAIL"):
        rejudge(report, PROMISED)


@pytest.mark.parametrize(
    "name", ["os:system", "beefirst.evaluation.experiments.schema:ROW", "beefirst.evaluation.experiments.x:y"]
)
def test_nothing_but_an_experiment_is_run_for_a_name_in_a_file(report: Path, name: str) -> None:
    change(report, "A.1", lambda check: check["judgements"][0].update(experiment=name))

    with pytest.raises(DisagreementError, match=f"this version has no experiment {name}"):
        rejudge(report, PROMISED)


def test_data_that_an_experiment_does_not_know_are_named(report: Path) -> None:
    change(report, "A.1", lambda check: check["judgements"][0].update(observed={"other": 1}))

    with pytest.raises(DisagreementError, match="unexpected keyword argument 'other'"):
        rejudge(report, PROMISED)


def test_a_folder_that_is_no_report_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no evidence in .*: name the folder of a report"):
        rejudge(tmp_path)


@pytest.mark.parametrize("file", ["junit.xml", "report.html", "evidence/sample.A.1.json"])
def test_a_file_that_is_damaged_is_named(report: Path, file: str) -> None:
    (report / file).write_bytes(b"\xff\xfe<")

    with pytest.raises(ConfigurationError, match=rf"{file} is (no evidence|missing or damaged)"):
        rejudge(report, PROMISED)


def test_a_page_that_shows_another_result_than_it_is_marked_with_is_named(report: Path) -> None:
    change_page(report, "<p class='claim'><span>FAIL", "<p class='claim'><span>PASS")

    with pytest.raises(DisagreementError, match=r"A\.2: report.html says FAIL and shows PASS"):
        rejudge(report, PROMISED)


def test_a_page_that_quotes_other_evidence_is_named(report: Path) -> None:
    change_page(report, escape(schema.id_is_generated({"id": None}).summary), "all is well")

    with pytest.raises(DisagreementError, match=r"1 disagreements .*: A\.2: report.html shows \(all is well\)"):
        rejudge(report, PROMISED)


def test_a_page_that_says_pass_above_a_failure_is_named(report: Path) -> None:
    change_page(report, "'overall'><span>FAIL", "'overall'><span>PASS")

    with pytest.raises(DisagreementError, match=r"1 disagreements .*: report.html says PASS above all, .* FAIL"):
        rejudge(report, PROMISED)


def test_an_encoding_that_nobody_knows_is_answered_with_one_line(report: Path) -> None:
    (report / "junit.xml").write_bytes(b'<?xml version="1.0" encoding="utf-99"?><testsuites/>')

    with pytest.raises(ConfigurationError, match=r"junit.xml is missing or damaged"):
        rejudge(report, PROMISED)


def test_a_check_must_rest_on_the_experiments_that_its_notebook_shows(tmp_path: Path) -> None:
    evidence = schema.id_is_generated(RANDOM)
    assert evidence.trace
    found: dict[str, Any] = {"result": "PASS", "evidence": evidence.summary}
    judgement = Judgement(experiment=evidence.trace.method.name, observed=evidence.trace.data, **found)
    check = Check(key="AC3.3", requirement="The address is unique", judgements=[judgement], **found)
    folder = write(tmp_path / "report", make_record("03_schema", "PASS", "all", 1, [check]))

    with pytest.raises(
        DisagreementError,
        match="it rests on schema:id_is_generated, and its notebook shows schema:address_is_unique",
    ):
        rejudge(folder, {})


def test_each_notebook_shows_for_each_check_what_its_cells_say() -> None:
    for notebook, checks in CHECKS.items():
        shown = experiments_shown(notebook)
        assert sorted(shown) == sorted(checks)
        assert all(name for names in shown.values() for name in names)
    assert experiments_shown("03_schema")["AC3.2"] == ["schema:id_is_primary_key", "schema:id_is_generated"]
