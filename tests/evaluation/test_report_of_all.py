"""The report of the notebooks that are shipped, made once by the README's command.

It is kept in the folder that BEEFIRST_ARTIFACTS names, where that is set.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup

from beefirst.evaluation.notebook_list import FIRST, find_notebooks
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.report.pdf import BROWSERS
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT, NOTEBOOKS

COMMAND = "python -m beefirst report --output report"
SHIPPED = [path.stem for path in find_notebooks(NOTEBOOKS)]


class Report(NamedTuple):
    """The report: where it lies, what the command said, where temporary files and a reader's data would be."""

    folder: Path
    command: subprocess.CompletedProcess[str]
    temporary: Path
    data: Path

    @property
    def page(self) -> BeautifulSoup:
        """The page in the form that can be searched."""
        return BeautifulSoup((self.folder / "report.html").read_text(), "html.parser")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The folder in which the command is given, and one for temporary files that PostgreSQL's account can reach."""
    kept = os.environ.get("BEEFIRST_ARTIFACTS")
    work = Path(kept) if kept else tmp_path_factory.mktemp("work")
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="beefirst-test-") as temporary:
        Path(temporary).chmod(0o777)
        yield work, Path(temporary)


@pytest.fixture(scope="module")
def report(places: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report, on a database of its own."""
    work, temporary = places
    data = tmp_path_factory.mktemp("data")
    command = subprocess.run(
        [sys.executable, *COMMAND.split()[1:]],
        env=clean_environment() | {"BEEFIRST_DATA": str(data), "TMPDIR": str(temporary)},
        cwd=work,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    return Report(work / "report", command, temporary, data)


def test_the_readme_names_the_command() -> None:
    assert f"\n{COMMAND}\n" in (CHECKOUT / "README.md").read_text()


def test_every_notebook_passes_and_the_command_says_so(report: Report) -> None:
    said = report.command.stdout.splitlines()

    assert (report.command.returncode, report.command.stderr) == (0, ""), report.command.stdout
    assert [line.split()[0] for line in said[: len(SHIPPED)]] == [*SHIPPED[1:], FIRST]
    assert [line for line in said[: len(SHIPPED)] if not line.split()[1].startswith("PASS")] == []
    assert said[len(SHIPPED) + 1 :][:2] == ["report/report.html", "report/junit.xml"]


def test_the_first_notebook_counts_all_others(report: Report) -> None:
    text = report.page.select_one(f'section[id="{FIRST}"]').get_text(" ", strip=True)  # type: ignore[union-attr]

    assert f"PASS UP.4 {len(SHIPPED) - 1} of {len(SHIPPED) - 1} hold" in text


def test_junit_has_a_case_for_each_check_that_is_promised_and_no_failure(report: Report) -> None:
    cases = list(ElementTree.parse(report.folder / "junit.xml").getroot().iter("testcase"))

    names = [(case.get("classname"), str(case.get("name")).partition(" ")[0]) for case in cases]
    assert names == [(notebook, key) for notebook in SHIPPED for key in CHECKS[notebook]]
    assert [case.get("name") for case in cases if case.find("failure") is not None] == []


def test_the_page_holds_every_notebook_and_every_promise(report: Report) -> None:
    page = report.page
    text = page.get_text(" ", strip=True)

    assert [section["id"] for section in page.select("section")] == SHIPPED
    assert [promise for checks in CHECKS.values() for promise in checks.values() if promise not in text] == []


def test_the_page_loads_nothing_and_its_links_stay_within_it(report: Report) -> None:
    page = report.page

    assert {picture["src"].partition(",")[0] for picture in page.select("img")} == {"data:image/png;base64"}
    assert page.select("script, link, iframe") == []
    assert [link["href"] for link in page.select("a[href]") if link["href"].removeprefix("#") not in SHIPPED] == []


def test_the_executed_notebooks_lie_beside_it_without_errors(report: Report) -> None:
    executed = find_notebooks(report.folder / "notebooks")
    outputs = [
        output
        for path in executed
        for cell in json.loads(path.read_text())["cells"]
        for output in cell.get("outputs", [])
    ]

    assert [path.stem for path in executed] == SHIPPED
    assert outputs
    assert [it for it in outputs if it["output_type"] == "error" or it.get("name") == "stderr"] == []


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium: apt-get install chromium")
def test_the_pdf_holds_the_same(report: Report) -> None:
    pdf = report.folder / "report.pdf"

    assert report.command.stdout.endswith("\nreport/report.pdf\n")
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert pdf.stat().st_size > 100_000


def test_it_leaves_nothing_behind_and_a_readers_records_alone(report: Report) -> None:
    assert [path.name for path in report.temporary.iterdir() if path.name.startswith("beefirst")] == []
    assert list(report.data.rglob("*.json")) == []
