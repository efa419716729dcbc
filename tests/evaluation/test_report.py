"""The report, on notebooks of its own; a run of all that are shipped is made by CI."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup

from beefirst.errors import ConfigurationError
from beefirst.evaluation.records import NOT_FINISHED, make_record, save_record
from beefirst.evaluation.report import write
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until
from tests.conftest import Run
from tests.evaluation.test_notebooks import write_notebook
from tests.support.folders import open_folder

OPENING = "# Does it hold?\\n\\n**Criterion AC1.** It holds.\\n\\n**Takes** about 1 second. · [02_bad](02_bad.ipynb)"
GOOD = """
from IPython.display import Image
from beefirst.evaluation import charts
from beefirst.evaluation.verdict import Verdict
verdict = Verdict("01_good", {"A.1": "It <holds>", "A.2": "It is shown"})
verdict.check("A.1", True, "seen & noted")
verdict.not_shown("A.2", "docker compose up")
charts.state_machine([])"""
BAD = """
from beefirst.evaluation.verdict import Verdict
verdict = Verdict("02_bad", {"B.1": "It holds", "B.2": "It goes on"})
verdict.check("B.1", False, "seen to break")
raise RuntimeError("the machine stopped")"""


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEEFIRST_DATA", str(tmp_path / "data"))


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    """Two notebooks, of which one fails."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name, code in (("01_good", GOOD), ("02_bad", BAD)):
        path = write_notebook(folder, code, "verdict.conclude()", name=f"{name}.ipynb")
        opening = f'"cells": [{{"cell_type": "markdown", "id": "a", "metadata": {{}}, "source": ["{OPENING}"]}},'
        path.write_text(path.read_text().replace('"cells": [', opening, 1))
    return folder


@pytest.fixture
def page(tmp_path: Path, notebooks: Path) -> BeautifulSoup:
    """The page of a run in which one notebook failed."""
    with pytest.raises(write.NotebooksFailedError, match=r"1 of 2 notebooks failed: 02_bad\."):
        write.write_report(tmp_path / "report", notebooks)
    return BeautifulSoup((tmp_path / "report" / "report.html").read_text(), "html.parser")


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout


def browser(path: Path, script: str) -> Path:
    """Return a program that is called as a browser is, and knows the place of the PDF as $pdf."""
    find_pdf = "for word; do case $word in --print-to-pdf=*) pdf=${word#*=};; esac; done"
    path.write_text(f"#!/bin/sh\n{find_pdf}\n{script}\n")
    path.chmod(0o755)
    return path


def words(page: BeautifulSoup, selector: str) -> str:
    return " ".join(element.get_text(" ", strip=True) for element in page.select(selector))


def test_the_page_shows_the_summary_first_then_each_notebook_with_its_evidence(page: BeautifulSoup) -> None:
    tables = page.select("table")

    assert "01_good" in tables[0].get_text()
    assert "PASS, 1 not shown here" in tables[0].get_text()
    assert "02_bad" in tables[0].get_text()
    assert [section["id"] for section in page.select("section")] == ["01_good", "02_bad"]
    assert "It <holds>" in words(page, "section table")


def test_the_page_says_what_failed_and_why(page: BeautifulSoup) -> None:
    text = page.get_text(" ", strip=True)

    assert "1 of 3 checks held, in 2 notebooks" in text
    assert "RuntimeError: the machine stopped" in text
    assert "seen to break" in text


def test_the_page_tells_machine_versions_commit_and_date(page: BeautifulSoup) -> None:
    facts = {row.th.get_text(): row.td.get_text() for row in page.select("table.facts tr")}

    assert set(facts) == {"date", "commit", "machine", "system", "Python", "PostgreSQL", "packages"}
    assert all(facts.values())
    assert "cores" in facts["machine"]
    assert facts["commit"].split()[0] in git("rev-parse", "HEAD") or "no git checkout" in facts["commit"]
    assert facts["PostgreSQL"].startswith("1")


def test_the_page_loads_nothing_and_its_links_stay_within_it(page: BeautifulSoup) -> None:
    pictures = [picture["src"] for picture in page.select("img")]
    links = [link["href"] for link in page.select("a[href]")]

    assert pictures
    assert all(source.startswith("data:image/png;base64,") for source in pictures)
    assert page.select("script, link, iframe") == []
    assert {link for link in links if not link.startswith("#")} == set()
    assert "#02_bad" in links


def test_junit_has_a_case_for_each_check(tmp_path: Path, page: BeautifulSoup) -> None:
    cases = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot().iter("testcase")

    found = {case.get("name"): [child.tag for child in case] for case in cases}
    assert page
    assert found == {
        "A.1 It <holds>": ["system-out"],
        "A.2 It is shown": ["skipped"],
        "B.1 It holds": ["failure"],
        "B.2 It goes on": ["failure"],
    }


def test_the_executed_notebooks_lie_beside_it(tmp_path: Path, page: BeautifulSoup) -> None:
    executed = sorted(path.name for path in (tmp_path / "report" / "notebooks").iterdir())

    assert page
    assert executed == ["01_good.ipynb", "02_bad.ipynb"]
    assert "image/png" in (tmp_path / "report" / "notebooks" / "01_good.ipynb").read_text()


@pytest.mark.skipif(not any(map(shutil.which, write.BROWSERS)), reason="no Chromium: apt-get install chromium")
def test_the_pdf_holds_the_same(tmp_path: Path, page: BeautifulSoup) -> None:
    pdf = tmp_path / "report" / "report.pdf"

    assert page
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert pdf.stat().st_size > 10_000


def test_a_pdf_of_an_earlier_report_does_not_stay_beside_a_new_one(
    tmp_path: Path, notebooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "BROWSERS", ("no-such-browser",))
    (notebooks / "02_bad.ipynb").unlink()
    (tmp_path / "report" / "notebooks").mkdir(parents=True)
    for old in ("report.html", "report.pdf", "notebooks/09_gone.ipynb"):
        (tmp_path / "report" / old).write_text("old")

    write.write_report(tmp_path / "report", notebooks)

    assert sorted(path.name for path in (tmp_path / "report").rglob("*.*")) == [
        "01_good.ipynb",
        "junit.xml",
        "report.html",
    ]


def test_notebooks_that_lie_beside_no_report_stay_and_are_answered_with_one_line(
    tmp_path: Path, notebooks: Path, beefirst: Run
) -> None:
    before = {path: path.read_bytes() for path in notebooks.iterdir()}

    result = beefirst("report", "--output", str(tmp_path))

    assert result.stderr == f"beefirst: {notebooks} is no report's: name another folder with --output.\n"
    assert {path: path.read_bytes() for path in notebooks.iterdir()} == before
    assert not (tmp_path / "report.html").exists()


def test_it_keeps_its_records_apart_from_those_of_the_reader(
    tmp_path: Path, notebooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "BROWSERS", ())
    (notebooks / "02_bad.ipynb").unlink()
    records = tmp_path / "data" / "verdicts"
    save_record(make_record("01_good", NOT_FINISHED, "a reader is at it", 0, []), records)
    code = """
from beefirst.evaluation.records import load_record
from beefirst.evaluation.verdict import Verdict
found = load_record("01_good").verdict
verdict = Verdict("00_first", {"C.1": "It reads what this report found"})
verdict.check("C.1", found.startswith("PASS"), found)"""
    write_notebook(notebooks, code, "verdict.conclude()", name="00_first.ipynb")

    write.write_report(tmp_path / "report", notebooks)

    assert [path.name for path in records.iterdir()] == ["01_good.json"]
    assert "a reader is at it" in (records / "01_good.json").read_text()


def test_the_next_browser_prints_where_the_first_one_cannot(
    tmp_path: Path, notebooks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    breaks_off = browser(tmp_path / "breaks_off", 'echo %P >"$pdf"; exit 139')
    prints = browser(tmp_path / "prints", 'echo %PDF >"$pdf"')
    monkeypatch.setattr(write, "BROWSERS", (str(breaks_off), str(prints)))
    (notebooks / "02_bad.ipynb").unlink()

    write.write_report(tmp_path / "report", notebooks)

    assert (tmp_path / "report" / "report.pdf").read_text() == "%PDF\n"
    assert f"{tmp_path / 'report' / 'report.pdf'}\n" in capsys.readouterr().out


def test_a_browser_that_breaks_off_leaves_no_broken_pdf(
    tmp_path: Path, notebooks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(write, "BROWSERS", (str(browser(tmp_path / "breaks_off", 'echo %P >"$pdf"; exit 139')),))
    (notebooks / "02_bad.ipynb").unlink()

    write.write_report(tmp_path / "report", notebooks)

    assert not (tmp_path / "report" / "report.pdf").exists()
    assert "(no PDF: breaks_off could not print it)" in capsys.readouterr().out


def test_a_signal_ends_it_and_leaves_nothing_behind_but_word_of_it() -> None:
    with open_folder() as folder:
        (folder / "report").mkdir()
        for old in ("report.html", "junit.xml"):
            (folder / "report" / old).write_text("PASS")
        temporary = folder / "tmp"
        temporary.mkdir()
        temporary.chmod(0o777)
        with subprocess.Popen(
            [sys.executable, "-m", "beefirst", "report", "--output", str(folder / "report")],
            env=clean_environment() | {"TMPDIR": str(temporary), "BEEFIRST_DATA": str(folder / "data")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            wait_until(lambda: process.poll() is not None or any(temporary.glob("beefirst-run-*")), 60)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)

        assert (process.returncode, errors) == (130, "")
        wait_until(lambda: [path.name for path in temporary.iterdir() if path.name.startswith("beefirst-")] == [])
        assert "was interrupted" in (folder / "report" / "report.html").read_text()
        assert not (folder / "report" / "junit.xml").exists()


def test_a_signal_that_the_process_was_told_to_ignore_does_not_end_it() -> None:
    with open_folder() as folder:
        command = [sys.executable, "-m", "beefirst", "report", "--output", str(folder / "report")]
        environment = clean_environment() | {"BEEFIRST_DATA": str(folder / "data")}
        with subprocess.Popen(["nohup", *command], env=environment, stdout=subprocess.DEVNULL) as process:
            wait_until(lambda: (folder / "report" / "report.html").exists(), 60)
            process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(5)
            process.send_signal(signal.SIGTERM)


def test_without_a_browser_there_is_no_pdf_and_a_line_says_so(
    tmp_path: Path, notebooks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(write, "BROWSERS", ("no-such-browser",))
    (notebooks / "02_bad.ipynb").unlink()

    write.write_report(tmp_path / "report", notebooks)

    assert "(no PDF: it takes a Chromium, which is not installed)" in capsys.readouterr().out
    assert not (tmp_path / "report" / "report.pdf").exists()


def test_a_folder_that_cannot_be_written_is_answered_with_one_line(tmp_path: Path, beefirst: Run) -> None:
    (tmp_path / "taken").write_text("a file in the place of the folder")

    result = beefirst("report", "--output", str(tmp_path / "taken" / "report"))

    assert result.returncode == 1
    assert result.stderr.startswith(f"beefirst: Cannot write {tmp_path / 'taken'}")
    assert result.stderr.count("\n") == 1


def test_the_database_that_is_named_and_does_not_answer_is_answered_with_one_line(beefirst: Run) -> None:
    result = beefirst("report", DATABASE_URL="postgresql://beefirst:beefirst@127.0.0.1:1/beefirst")

    assert result.returncode == 1
    assert "does not answer (Connection refused): bring it up with" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_report_that_cannot_begin_leaves_the_last_one_as_it_was(tmp_path: Path, beefirst: Run) -> None:
    old = [tmp_path / "report" / name for name in ("report.html", "report.pdf", "junit.xml", "notebooks/01_old.ipynb")]
    (tmp_path / "report" / "notebooks").mkdir(parents=True)
    for path in old:
        path.write_text("old")

    result = beefirst("report", DATABASE_URL="postgresql://beefirst:beefirst@127.0.0.1:1/beefirst")

    assert result.returncode == 1
    assert [path.read_text() for path in old] == ["old"] * len(old)


def test_a_folder_that_may_not_be_entered_is_answered_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o000)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(ConfigurationError, match=r"^Cannot write .*closed.* \(Permission denied\)"):
            write.write_report(tmp_path / "closed" / "report")
    finally:
        os.seteuid(user)


def test_a_report_that_may_not_be_replaced_stays_whole(tmp_path: Path, notebooks: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    for name in ("report.html", "report.pdf", "junit.xml", "notebooks"):
        (folder / name).write_text("old")

    with pytest.raises(ConfigurationError, match=r"^Cannot write .*notebooks"):
        write.write_report(folder, notebooks)

    assert {path.read_text() for path in folder.iterdir()} == {"old"}
