"""Every notebook in its container, by the README's report: each check is made, and holds.

The report is kept in the folder that BEEFIRST_ARTIFACTS names, where that is set.
"""

import json
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup

from beefirst.evaluation.experiments.configuration.refusals import PASSWORD as SOUGHT_IN_LOGS
from beefirst.evaluation.notebook_list import FIRST, find_notebooks
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.report.pdf import BROWSERS, print_pdf
from beefirst.machine.folders import CHECKOUT, NOTEBOOKS
from tests.compose.conftest import REPORT, TAKEN_OUT, Report
from tests.conftest import Run
from tests.support.compose_stack import ComposeStack, docker, needs_engine

pytestmark = needs_engine

REJUDGE = "python -m beefirst report --rejudge report"
"""The README's command that judges a report anew."""

SHIPPED = [path.stem for path in find_notebooks(NOTEBOOKS)]
BEFORE_THE_CONTAINER_SECONDS = 30
"""How long Compose may take for what comes before the creation of a container, also on a busy machine."""

READ_IN_THE_BROWSER = "01_compose.json"
"""The record of the notebook that another test runs as a reader does."""

HIDDEN = {"10_failures": {f"FIRE.{number}" for number in (1, 3, 4, 5, 8, 9, 10)}}
"""The image has no PostgreSQL that a notebook could kill, no clock to falsify, and no right to mount a disk."""

TOO_BUSY = "this machine is too busy to tell"
"""What ATTACK.2 says where the noise of the times would hide a leak, and notebook 09 where others need the cores."""

MAY_BE_BUSY = {"08_attacks", "09_load"}
"""The notebooks that may say so."""


@pytest.fixture(scope="module")
def folder(stack: ComposeStack, report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report, once it is made, taken out of the container."""
    report.result()
    kept = os.environ.get("BEEFIRST_ARTIFACTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("taken_out")
    folder.mkdir(parents=True, exist_ok=True)
    stack.shell(TAKEN_OUT.removesuffix("report") + str(folder))
    return folder / "report"


@pytest.fixture(scope="module")
def page(folder: Path) -> BeautifulSoup:
    """The page in the form that can be searched."""
    return BeautifulSoup((folder / "report.html").read_text(), "html.parser")


def test_the_readme_names_the_commands() -> None:
    assert f"\n{REPORT}\n{TAKEN_OUT}\n" in (CHECKOUT / "README.md").read_text()


@pytest.mark.parametrize("notebook", CHECKS)
def test_a_notebook_holds_inside_the_container(folder: Path, notebook: str) -> None:
    suite = ElementTree.parse(folder / "junit.xml").find(f"testsuite[@name='{notebook}']")
    assert suite is not None
    cases = {str(case.get("name")).partition(" ")[0]: case for case in suite.iter("testcase")}

    assert list(cases) == list(CHECKS[notebook])
    assert {key: told.get("message") for key, case in cases.items() for told in case.iter("failure")} == {}
    hidden = {key: str(told.get("message")) for key, case in cases.items() for told in case.iter("skipped")}
    assert {key for key, said in hidden.items() if not said.startswith(TOO_BUSY)} == HIDDEN.get(notebook, set())


def test_the_time_from_the_creation_of_the_container_fits_a_clock_outside(folder: Path, stack: ComposeStack) -> None:
    case = ElementTree.parse(folder / "junit.xml").find(".//testcase[@classname='04_startup_time'][4]")
    assert case is not None
    seconds = float(
        str(case.findtext("system-out")).removesuffix(" s from the creation of this container to the API ready")
    )

    assert str(case.get("name")).startswith("AC4.4 ")
    assert stack.seconds_to_ready - BEFORE_THE_CONTAINER_SECONDS < seconds < stack.seconds_to_ready


@pytest.mark.usefixtures("folder")
def test_the_command_says_so_line_by_line(report: Report) -> None:
    made = report.result()
    lines = made.stdout.splitlines()[: len(SHIPPED)]

    assert made.returncode == 0, made.stdout
    assert [line.split()[0] for line in lines] == [*SHIPPED[1:], FIRST]
    assert [line for line in lines if not line.split()[1].startswith("PASS")] == []
    assert {line.split()[0] for line in lines if "not shown here" in line} - MAY_BE_BUSY == HIDDEN.keys()


def test_every_verdict_follows_from_the_data_beside_it(folder: Path, beefirst: Run) -> None:
    judged = beefirst(*REJUDGE.removesuffix("report").split()[3:], str(folder))

    assert (judged.returncode, judged.stderr) == (0, "")
    assert [line for line in judged.stdout.splitlines() if "DISAGREES" in line] == []
    assert "made anew from their data: all are as recorded." in judged.stdout


def test_the_data_hold_no_hash_and_no_password_of_a_database(folder: Path) -> None:
    text = "\n".join(path.read_text() for path in sorted((folder / "evidence").iterdir()))

    assert re.findall(r"\$2[aby]\$\d\d\$[./\w]{50,}", text) == []
    passwords = {password for password in re.findall(r"://[^:/@\s\"]+:([^@\s\"]+)@", text) if set(password) != {"*"}}
    assert passwords <= {"password", SOUGHT_IN_LOGS}  # the example of a rule, and of a database that is none


def test_the_first_notebook_counts_all_others(page: BeautifulSoup) -> None:
    text = page.select_one(f'section[id="{FIRST}"]').get_text(" ", strip=True)  # type: ignore[union-attr]

    assert f"PASS UP.4 {len(SHIPPED) - 1} of {len(SHIPPED) - 1} hold" in text


def test_the_page_holds_every_notebook_every_promise_and_pictures(page: BeautifulSoup) -> None:
    text = page.get_text(" ", strip=True)

    assert [section["id"] for section in page.select("section")] == SHIPPED
    assert [promise for checks in CHECKS.values() for promise in checks.values() if promise not in text] == []
    assert {picture["src"].partition(",")[0] for picture in page.select("img")} == {"data:image/png;base64"}


def test_the_page_loads_nothing_and_its_links_lead_to_itself_or_to_its_data(page: BeautifulSoup, folder: Path) -> None:
    links = {str(link["href"]) for link in page.select("a[href]")}
    places = {f"#{place['id']}" for place in page.select("[id]")}

    assert page.select("script, link, iframe") == []
    assert [link for link in sorted(links - places) if not (folder / link).is_file()] == []
    assert {f"evidence/{key}.json" for checks in CHECKS.values() for key in checks} <= links


def test_the_executed_notebooks_lie_beside_it_without_errors(folder: Path) -> None:
    executed = find_notebooks(folder / "notebooks")
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
def test_a_browser_prints_the_page_as_a_pdf(folder: Path) -> None:
    pdf = folder / "report.pdf"

    assert print_pdf(folder) == str(pdf)
    assert pdf.read_bytes().startswith(b"%PDF-")
    assert pdf.stat().st_size > 100_000


@pytest.mark.usefixtures("folder")
def test_it_leaves_nothing_behind_and_a_readers_records_alone(stack: ComposeStack) -> None:
    listed = stack.run("exec", "-T", "notebook", "sh", "-c", "ls /tmp; cd /data/verdicts && ls || true").stdout

    assert {name for name in listed.split() if name.startswith("beefirst-r") or name.endswith(".json")} <= {
        READ_IN_THE_BROWSER
    }


@pytest.mark.usefixtures("folder")
def test_the_originals_in_the_container_stay_as_they_were(stack: ComposeStack) -> None:
    changed = docker("diff", str(stack.container("notebook")["Id"])).splitlines()

    assert [line for line in changed if "/app" in line] == []
