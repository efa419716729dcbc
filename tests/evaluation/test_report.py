"""The report, on small notebooks; that of the notebooks that are shipped is made and looked at in `tests/compose`."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup

from beefirst.errors import ConfigurationError, NotebooksFailedError
from beefirst.evaluation.records import NOT_FINISHED, make_record, save_record
from beefirst.evaluation.report import compose, pdf, write
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until
from tests.conftest import Run
from tests.support.sample_notebooks import all_in_one, begin, write_notebook

OPENING = "# Does it hold?\n\n**Criterion AC1.** It holds.\n\n**Takes** about 1 second. · [02_bad](02_bad.ipynb)"
FIRST = f"""{begin("00_start_here")}
from beefirst.evaluation.experiments import start_here
verdict.show("A.1", start_here.every_notebook_holds())"""
GOOD = f"""{begin("01_good", "A.1", "A.2 <too>")}
from beefirst.evaluation.display import state_diagram
open("runs.txt", "a").write("run ")
verdict.show("A.1", Evidence(True, "seen & noted"))
verdict.show("A.2 <too>", not_shown_here("docker compose up"))
state_diagram.state_machine([])"""
BAD = f"""{begin("02_bad", "B.1", "B.2")}
verdict.show("B.1", Evidence(False, "seen to break"))
raise RuntimeError("the machine stopped")"""
NOTEBOOKS = {"00_start_here": FIRST, "01_good": GOOD, "02_bad": BAD}


class Report(NamedTuple):
    """A report that was made: the commit, the notebooks, its folder, the reader's records, what was said, the page."""

    commit: str
    notebooks: Path
    folder: Path
    records: Path
    said: str
    page: BeautifulSoup


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False).stdout


@pytest.fixture(autouse=True, scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a reader's data."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BEEFIRST_DATA", str(folder))
        yield folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Report:
    """The report of three notebooks, of which one fails, while a reader is at one of them; without a browser."""
    notebooks = tmp_path_factory.mktemp("notebooks")
    for name, code in NOTEBOOKS.items():
        write_notebook(notebooks, code, "verdict.conclude()", name=name, opening=OPENING)
    save_record(make_record("01_good", NOT_FINISHED, "a reader is at it", 0, []), data / "verdicts")
    folder, said = tmp_path_factory.mktemp("made") / "report", io.StringIO()
    commit = git("rev-parse", "HEAD")
    failed = pytest.raises(
        NotebooksFailedError, match=r"2 of 3 notebooks failed: 00_start_here \(A\.1\), 02_bad \(.*\)\.$"
    )
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(pdf, "BROWSERS", ())
        with failed:
            write.write_report(folder, notebooks)
    page = BeautifulSoup((folder / "report.html").read_text(), "html.parser")
    return Report(commit, notebooks, folder, data / "verdicts", said.getvalue(), page)


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one notebook in which all is well."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder, all_in_one("01_good"), name="01_good", opening=OPENING)
    return folder


def browser(path: Path, script: str) -> Path:
    """Return a program that is called as a browser is, and knows the place of the PDF as $pdf."""
    find_pdf = "for word; do case $word in --print-to-pdf=*) pdf=${word#*=};; esac; done"
    path.write_text(f"#!/bin/sh\n{find_pdf}\n{script}\n")
    path.chmod(0o755)
    return path


def words(page: BeautifulSoup, selector: str) -> str:
    return " ".join(element.get_text(" ", strip=True) for element in page.select(selector))


def test_the_page_shows_the_summary_first_then_each_notebook_with_its_evidence(report: Report) -> None:
    summary = report.page.select("table")[0].get_text()

    assert all(name in summary for name in NOTEBOOKS)
    assert "PASS, 1 not shown here" in summary
    assert [section["id"] for section in report.page.select("section")] == list(NOTEBOOKS)
    assert "A.2 <too> holds" in words(report.page, "section .check")


def test_the_page_says_what_failed_and_why(report: Report) -> None:
    text = report.page.get_text(" ", strip=True)

    assert "00_start_here (A.1), 02_bad (" in text
    assert "1 of 4 checks held, in 3 notebooks" in text
    assert "RuntimeError: the machine stopped" in text
    assert "seen to break" in text


def test_the_first_notebook_counts_what_this_report_found_in_all_others(report: Report) -> None:
    text = words(report.page, 'section[id="00_start_here"]')

    assert "FAIL A.1 1 of 2 hold (1 of their checks cannot be shown here), in" in text
    assert "02_bad: It stopped: RuntimeError: the machine stopped." in text
    assert (report.notebooks / "runs.txt").read_text() == "run "


def test_it_keeps_its_records_apart_from_those_of_the_reader(report: Report) -> None:
    assert [path.name for path in report.records.iterdir()] == ["01_good.json"]
    assert "a reader is at it" in (report.records / "01_good.json").read_text()


def test_the_page_tells_machine_versions_commit_and_date(report: Report) -> None:
    provenance = {row.th.get_text(): row.td.get_text() for row in report.page.select("table.provenance tr")}

    assert set(provenance) == {"date", "commit", "machine", "system", "Python", "PostgreSQL", "packages"}
    assert all(provenance.values())
    assert "cores" in provenance["machine"]
    assert provenance["commit"].split()[0] in report.commit or "no git checkout" in provenance["commit"]
    assert provenance["PostgreSQL"].startswith("1")


def test_the_page_loads_nothing_and_its_links_stay_within_it(report: Report) -> None:
    pictures = [picture["src"] for picture in report.page.select("img")]
    links = [link["href"] for link in report.page.select("a[href]")]

    assert pictures
    assert all(source.startswith("data:image/png;base64,") for source in pictures)
    assert report.page.select("script, link, iframe") == []
    assert [link for link in links if not link.startswith("#") and not (report.folder / unquote(link)).exists()] == []
    assert "#02_bad" in links


@pytest.mark.parametrize("evidence", ["mine.json", None])
def test_evidence_that_no_report_has_left_is_not_replaced(
    tmp_path: Path, notebooks: Path, evidence: str | None
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "mine.json").write_text("{}")
    (tmp_path / "report").mkdir()
    if evidence:
        mine.rename(tmp_path / "report" / "evidence")
    else:
        (tmp_path / "report" / "evidence").symlink_to(mine)
        (tmp_path / "report" / "report.html").write_text("old")

    with pytest.raises(ConfigurationError, match=r"evidence is no report's: name another folder with --output"):
        write.write_report(tmp_path / "report", notebooks)

    assert (tmp_path / "report" / "evidence" / "mine.json").read_text() == "{}"


def test_junit_has_a_case_for_each_check(report: Report) -> None:
    cases = ElementTree.parse(report.folder / "junit.xml").getroot().iter("testcase")

    assert [(case.get("name"), [child.tag for child in case]) for case in cases] == [
        ("A.1 A.1 holds", ["failure"]),
        ("A.1 A.1 holds", ["system-out"]),
        ("A.2 <too> A.2 <too> holds", ["skipped"]),
        ("B.1 B.1 holds", ["failure"]),
        ("B.2 B.2 holds", ["failure"]),
    ]


def test_the_executed_notebooks_lie_beside_it(report: Report) -> None:
    executed = report.folder / "notebooks"

    assert sorted(path.stem for path in executed.iterdir()) == list(NOTEBOOKS)
    assert "image/png" in (executed / "01_good.ipynb").read_text()


def test_it_says_as_it_goes_what_each_notebook_found_and_at_the_end_where_it_lies(report: Report) -> None:
    told = [line for line in report.said.splitlines() if line[:1].isdigit()]
    verdicts = [line.split()[:2] for line in told]

    assert verdicts == [["01_good", "PASS,"], ["02_bad", "FAIL"], ["00_start_here", "FAIL"]]
    assert "    It stopped: RuntimeError: the machine stopped" in report.said
    assert "    B.1, B.1 holds: seen to break" in report.said
    assert f"\n{report.folder / 'report.html'}\n{report.folder / 'junit.xml'}\n" in report.said


def test_what_an_earlier_report_left_does_not_stay_beside_a_new_one(
    tmp_path: Path, notebooks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pdf, "BROWSERS", ("no-such-browser",))
    (tmp_path / "report" / "notebooks").mkdir(parents=True)
    (tmp_path / "report" / "evidence").mkdir()
    for old in ("report.html", "report.pdf", "notebooks/09_gone.ipynb", "evidence/X.1.json"):
        (tmp_path / "report" / old).write_text("old")

    write.write_report(tmp_path / "report", notebooks)

    assert sorted(path.name for path in (tmp_path / "report").rglob("*.*")) == [
        "01_good.A.1.json",
        "01_good.ipynb",
        "junit.xml",
        "report.html",
    ]
    assert "(no PDF: it takes a Chromium, which is not installed)" in capsys.readouterr().out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a page that is to be printed."""
    (tmp_path / "report.html").write_text("<!doctype html><title>beefirst</title>")
    return tmp_path


def test_the_next_browser_prints_where_the_first_one_cannot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks_off = browser(folder / "breaks_off", 'echo %P >"$pdf"; exit 139')
    prints = browser(folder / "prints", 'echo %PDF >"$pdf"')
    monkeypatch.setattr(pdf, "BROWSERS", (str(breaks_off), str(prints)))

    assert pdf.print_pdf(folder) == str(folder / "report.pdf")
    assert (folder / "report.pdf").read_text() == "%PDF\n"


def test_a_browser_that_breaks_off_leaves_no_broken_pdf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "BROWSERS", (str(browser(folder / "breaks_off", 'echo %P >"$pdf"; exit 139')),))

    assert pdf.print_pdf(folder) == "(no PDF: breaks_off could not print it)"
    assert not (folder / "report.pdf").exists()


def test_a_browser_that_hangs_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "BROWSERS", (str(browser(folder / "hangs", 'echo %P >"$pdf"; exec sleep 600')),))
    monkeypatch.setattr(pdf, "PDF_SECONDS", 0.5)

    assert pdf.print_pdf(folder) == "(no PDF: hangs could not print it)"
    assert not (folder / "report.pdf").exists()


def test_a_hangup_that_it_was_told_to_ignore_does_not_end_it_and_a_signal_leaves_nothing_but_word_of_it(
    server_folder: Path,
) -> None:
    report, temporary, output = server_folder / "report", server_folder / "tmp", server_folder / "output.txt"
    for place in (report, temporary):
        place.mkdir()
    temporary.chmod(0o777)
    for old in ("report.html", "junit.xml"):
        (report / old).write_text("PASS")
    with (
        output.open("wb") as said,
        subprocess.Popen(
            ["nohup", sys.executable, "-m", "beefirst", "report", "--output", str(report)],
            env=clean_environment() | {"TMPDIR": str(temporary), "BEEFIRST_DATA": str(server_folder / "data")},
            stdout=said,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        wait_until(lambda: process.poll() is not None or any(temporary.glob("beefirst-run-*")), 60)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: process.poll() is not None or "\n02_" in output.read_text(), 300)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (130, "")
    wait_until(lambda: [path.name for path in temporary.iterdir() if path.name.startswith("beefirst-")] == [])
    assert "was interrupted" in (report / "report.html").read_text()
    assert not (report / "junit.xml").exists()


def test_where_the_database_that_is_named_does_not_answer_one_line_says_so_and_the_last_report_stays(
    tmp_path: Path, beefirst: Run
) -> None:
    old = [tmp_path / "report" / name for name in ("report.html", "report.pdf", "junit.xml", "notebooks/01_old.ipynb")]
    (tmp_path / "report" / "notebooks").mkdir(parents=True)
    for path in old:
        path.write_text("old")

    result = beefirst("report", DATABASE_URL="postgresql://beefirst:beefirst@127.0.0.1:1/beefirst")

    assert result.returncode == 1
    assert "does not answer (Connection refused): bring it up with" in result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.read_text() for path in old] == ["old"] * len(old)


def test_notebooks_that_lie_beside_no_report_stay(tmp_path: Path, notebooks: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    mine = write_notebook(tmp_path / "notebooks", "1", name="mine")
    before = mine.read_bytes()

    with pytest.raises(ConfigurationError) as refusal:
        write.write_report(tmp_path, notebooks)

    assert str(refusal.value) == f"{tmp_path / 'notebooks'} is no report's: name another folder with --output."
    assert mine.read_bytes() == before
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_cannot_be_written_is_answered_with_one_line(tmp_path: Path, notebooks: Path) -> None:
    (tmp_path / "taken").write_text("a file in the place of the folder")

    with pytest.raises(ConfigurationError) as refusal:
        write.write_report(tmp_path / "taken" / "report", notebooks)

    assert str(refusal.value).startswith(f"Cannot write {tmp_path / 'taken'}")
    assert "\n" not in str(refusal.value)


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


def test_a_folder_that_cannot_be_written_is_answered_before_docker_is_asked_for_anything(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file in the place of the folder")
    (tmp_path / "foreign" / "notebooks").mkdir(parents=True)
    (tmp_path / "foreign" / "notebooks" / "mine.ipynb").touch()

    for folder, reason in (
        ("taken", "taken \\(File exists\\)"),
        ("taken/report", "taken.* \\("),
        ("foreign", "foreign/notebooks is no report's"),
    ):
        with pytest.raises(ConfigurationError, match=f"{reason}.*name another folder with --output"):
            compose.write_compose_report(tmp_path / folder)

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["foreign", "mine.ipynb", "notebooks", "taken"]


def test_a_report_that_may_not_be_replaced_stays_whole(tmp_path: Path, notebooks: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    for name in ("report.html", "report.pdf", "junit.xml", "notebooks"):
        (folder / name).write_text("old")

    with pytest.raises(ConfigurationError, match=r"^Cannot write .*notebooks"):
        write.write_report(folder, notebooks)

    assert {path.read_text() for path in folder.iterdir()} == {"old"}


def test_a_folder_without_notebooks_is_answered_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"^There is no notebook in {tmp_path}\.$"):
        write.write_report(tmp_path / "report", tmp_path)
