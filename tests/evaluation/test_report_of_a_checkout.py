"""The README's command for a report, in a checkout that has the quickest of the notebooks; `tests/compose` has all."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from beefirst.evaluation.notebook_list import FIRST
from beefirst.evaluation.report.pdf import BROWSERS
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until
from tests.support.folders import open_folder

COMMAND = "python -m beefirst report --output report"
QUICKEST = ("01_compose", "03_schema")


class Report(NamedTuple):
    """A report of a checkout: the place with everything in it, and what the command said."""

    place: Path
    command: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    """The report, on a database of its own."""
    with open_folder() as place:
        checkout, temporary = place / "checkout", place / "tmp"
        shutil.copytree(CHECKOUT, checkout, ignore=shutil.ignore_patterns(".*", "tests", "artifacts"))
        for path in (checkout / "notebooks").glob("*.ipynb"):
            if path.stem not in (FIRST, *QUICKEST):
                path.unlink()
        temporary.mkdir(mode=0o777)
        temporary.chmod(0o777)
        places = {"PYTHONPATH": str(checkout), "BEEFIRST_DATA": str(place / "data"), "TMPDIR": str(temporary)}
        command = subprocess.run(
            [sys.executable, *COMMAND.split()[1:]],
            env=clean_environment() | places,
            cwd=checkout,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        yield Report(place, command)


def test_every_notebook_passes_and_the_command_says_so_and_what_it_wrote(report: Report) -> None:
    said = report.command.stdout.splitlines()

    assert (report.command.returncode, report.command.stderr) == (0, ""), report.command.stdout
    assert [line.split()[0] for line in said[:3]] == [*QUICKEST, FIRST]
    assert [line for line in said[:3] if not line.split()[1].startswith("PASS")] == []
    assert said[3:6] == ["", "report/report.html", "report/junit.xml"]
    assert (report.place / "checkout" / "report" / "report.html").stat().st_size > 100_000


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium: apt-get install chromium")
def test_the_page_is_printed_as_a_pdf(report: Report) -> None:
    assert report.command.stdout.endswith("\nreport/report.pdf\n")
    assert (report.place / "checkout" / "report" / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_it_leaves_nothing_behind_and_writes_no_record_for_a_reader(report: Report) -> None:
    wait_until(lambda: [*(report.place / "tmp").glob("beefirst*")] == [])
    assert list((report.place / "data").rglob("*.json")) == []
