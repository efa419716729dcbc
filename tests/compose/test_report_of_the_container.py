"""Every notebook in its container, by the README's report: each check holds, but for what only the host can see."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from beefirst.evaluation.promises import CHECKS
from tests.compose.conftest import Report
from tests.support.compose_stack import ComposeStack, docker, needs_engine

pytestmark = needs_engine

UNSEEN = {"AC4.4"}
"""The time from the command itself."""


@pytest.fixture(scope="module")
def folder(stack: ComposeStack, report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report, once it is made, taken out of the container."""
    report.result()
    folder = tmp_path_factory.mktemp("copied")
    stack.shell("docker compose cp notebook:/data/report report".replace(" report", f" {folder}"))
    return folder / "report"


@pytest.mark.parametrize("notebook", CHECKS)
def test_a_notebook_holds_inside_the_container(folder: Path, notebook: str) -> None:
    suite = ElementTree.parse(folder / "junit.xml").find(f"testsuite[@name='{notebook}']")
    assert suite is not None
    cases = {str(case.get("name")).partition(" ")[0]: case for case in suite.iter("testcase")}

    assert list(cases) == list(CHECKS[notebook])
    assert {key: told.get("message") for key, case in cases.items() for told in case.iter("failure")} == {}
    assert {key for key, case in cases.items() if case.find("skipped") is not None} == UNSEEN & CHECKS[notebook].keys()


def test_the_report_says_so_line_by_line_and_on_a_page_with_its_plots(folder: Path, report: Report) -> None:
    made = report.result()

    assert made.returncode == 0, made.stdout
    assert made.stdout.count("PASS, 1 not shown here") == 1
    assert made.stdout.count("PASS") == len(CHECKS)
    assert (folder / "report.html").stat().st_size > 100_000
    assert sorted(path.stem for path in (folder / "notebooks").iterdir()) == sorted(CHECKS)


@pytest.mark.usefixtures("folder")
def test_the_originals_in_the_container_stay_as_they_were(stack: ComposeStack) -> None:
    changed = docker("diff", str(stack.container("notebook")["Id"])).splitlines()

    assert [line for line in changed if "/app" in line] == []
