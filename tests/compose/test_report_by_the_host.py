"""`report --compose`, with few notebooks, one of which fails; `test_report_of_the_container.py` has all of them."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import psutil
import pytest
from bs4 import BeautifulSoup

from beefirst.evaluation.notebook_list import FIRST
from beefirst.evaluation.report.compose import PREFIX
from beefirst.evaluation.report.host_runs import NEED_A_HOST
from beefirst.laboratory.compose_project import docker
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.reaper import LIMIT_SECONDS
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until
from tests.support.compose_stack import HANGS_SECONDS, ComposeStack, needs_engine
from tests.support.folders import open_folder
from tests.support.sample_notebooks import all_in_one, begin, write_notebook

pytestmark = needs_engine

OPENING = "# Does it hold?\n\n**Criterion AC1.** It holds.\n\n**Takes** about 1 second."
TIMED, BAD = "04_startup_time", "05_bad"
(OF_THE_HOST,) = NEED_A_HOST
WHERE = f"""{begin(OF_THE_HOST)}
import os, time
from pathlib import Path
from beefirst.laboratory.own_server import OwnServer
from beefirst.laboratory.scratch_database import ScratchDatabase
with ScratchDatabase(), OwnServer() as server:
    Path(os.environ["TMPDIR"], "at-work").touch()
    while Path(os.environ["TMPDIR"], "wait").exists():
        time.sleep(0.1)
    verdict.show("A.1", Evidence(Path(server.folder).is_relative_to(os.environ["TMPDIR"]), os.getcwd()))
verdict.conclude()"""
"""Kills no server, but has one to kill: the container has none, and no such folder."""

COMMAND = "python -m beefirst report --compose --output report"


class Checkout(NamedTuple):
    """A copy of the checkout with few notebooks, the name that its images have, and a folder for passing files."""

    path: Path
    images: str
    temporary: Path

    @contextmanager
    def report(self, output: Path) -> Iterator[subprocess.Popen[str]]:
        """Run the command, and end it with the block."""
        said, settings = self.temporary / "said.txt", {"COMPOSE_PROJECT_NAME": self.images}
        places = {"PYTHONPATH": str(self.path), "TMPDIR": str(self.temporary)}
        with (
            said.open("w") as written,
            subprocess.Popen(
                [sys.executable, *COMMAND.split()[1:-1], str(output)],
                env=clean_environment() | places | settings,
                cwd=self.path.parent,
                stdout=written,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            yield process
            if process.poll() is None:
                process.kill()

    def said(self) -> str:
        return (self.temporary / "said.txt").read_text()


@pytest.fixture(scope="module")
def servers() -> Iterator[Path]:
    """A folder that the account of a server can reach."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, stack: ComposeStack, servers: Path) -> Iterator[Checkout]:  # noqa: ARG001  # it has built what an image takes long for
    """Notebooks 00 and 04, a bad one, and one that holds on the host alone."""
    path = tmp_path_factory.mktemp("report") / "checkout"
    temporary = servers / "tmp"
    temporary.mkdir()
    temporary.chmod(0o777)
    shutil.copytree(CHECKOUT, path, ignore=shutil.ignore_patterns(".git", ".*_cache", "tests", "artifacts"))
    for notebook in (path / "notebooks").glob("*.ipynb"):
        if notebook.stem not in (FIRST, TIMED):
            notebook.unlink()
    write_notebook(path / "notebooks", all_in_one(BAD, holds=False), name=BAD, opening=OPENING)
    write_notebook(path / "notebooks", WHERE, name=OF_THE_HOST, opening=OPENING)
    images = ComposeStack(folder=path)
    yield Checkout(path, images.name, temporary)
    images.remove()


class Made(NamedTuple):
    """What came of the command: its folder, the page, how it ended, what it said, and what is left of it."""

    folder: Path
    page: BeautifulSoup
    status: int
    said: list[str]
    errors: str
    left: list[str]


def left_of(process: subprocess.Popen[str], temporary: Path) -> list[str]:
    """Return what a command has left in the engine, of processes, and in the folder for what is temporary."""
    name = f"{PREFIX}{process.pid}-"
    questions = [
        ("ps", "--all", "--format", "{{.Names}}"),
        ("network", "ls", "--format", "{{.Name}}"),
        ("volume", "ls", "--format", "{{.Name}}"),
        ("image", "ls", "--format", "{{.Repository}}"),
    ]
    things = [thing for question in questions for thing in docker(*question).split()]
    files = [path.name for path in temporary.iterdir() if path.name.startswith("beefirst")]
    return [*(thing for thing in things if thing.startswith(name)), *_processes(name, str(temporary)), *files]


def _processes(*words: str) -> list[str]:
    """Return the processes that have one of these words on their command line or in the values of their environment."""
    found = psutil.process_iter(["environ", "cmdline"])
    told = [(str(each.info["cmdline"]), str((each.info["environ"] or {}).values())) for each in found]
    return [command for command, values in told if any(word in command or word in values for word in words)]


@pytest.fixture(scope="module")
def made(checkout: Checkout) -> Made:
    """The command, run to its end."""
    folder = checkout.path.parent / "made"
    with checkout.report(folder) as process:
        _, errors = process.communicate(timeout=HANGS_SECONDS)
    assert folder.exists(), errors
    page = BeautifulSoup((folder / "report.html").read_text(), "html.parser")
    return Made(
        folder, page, process.returncode, checkout.said().splitlines(), errors, left_of(process, checkout.temporary)
    )


def test_it_says_as_it_goes_what_it_sees_and_where_the_report_lies(made: Made) -> None:
    told = [line for line in made.said if not line.startswith("    ")]
    words = [line.split() for line in told[:5]]

    assert words[0][:2] == [OF_THE_HOST, "PASS"]
    assert words[1][:5] == ["docker", "compose", "up", "API", "ready"]
    assert [each[:2] for each in words[2:]] == [[TIMED, "PASS"], [BAD, "FAIL"], [FIRST, "FAIL"]]
    assert told[5:8] == ["", f"{made.folder}/report.html", f"{made.folder}/junit.xml"]


def test_a_notebook_that_fails_ends_it_as_it_ends_any_report(made: Made) -> None:
    assert made.status == 1
    assert made.errors.splitlines()[-1] == f"beefirst: 2 of 4 notebooks failed: {FIRST} (UP.4), {BAD} (A.1)."


def test_what_the_host_saw_is_in_the_evidence_and_nothing_is_hidden(made: Made) -> None:
    cases = {
        case.get("name", "").split()[0]: case for case in ElementTree.parse(made.folder / "junit.xml").iter("testcase")
    }
    seen = made.said[1].split()[-2]

    assert [key for key, case in cases.items() if case.find("skipped") is not None] == []
    assert f"{seen} s from `docker compose up` to the API ready" in str(cases["AC4.4"].findtext("system-out"))
    assert "s from the creation of this container" in str(cases["AC4.4"].findtext("system-out"))
    # The one of the host bears the name of a notebook that promises other checks: 00 counts what it did not make.
    assert str(cases["UP.4"].find("failure").get("message")).startswith("1 of 3 hold, in ")  # type: ignore[union-attr]


def test_a_notebook_that_takes_more_than_a_container_has_is_run_by_the_host_and_the_page_says_so(
    made: Made, checkout: Checkout
) -> None:
    said = [lead.get_text() for lead in made.page.select("section > .lead:first-child")]
    executed = json.loads((made.folder / "notebooks" / f"{OF_THE_HOST}.ipynb").read_text())
    file = json.loads((made.folder / "evidence" / f"{OF_THE_HOST}.A.1.json").read_text())

    assert [line.split(":")[0] for line in said] == [
        *(f"{name}, run in the container" for name in (FIRST, TIMED, BAD)),
        f"{OF_THE_HOST}, run by the host",
    ]
    assert executed["cells"][-1]["outputs"]
    assert file["check"]["evidence"] == str(checkout.path / "notebooks")


def test_the_page_tells_the_host_and_its_versions(made: Made) -> None:
    provenance = {row.th.get_text(): row.td.get_text() for row in made.page.select("table.provenance tr")}  # type: ignore[union-attr]

    assert provenance["host"]
    assert provenance["notebooks"].startswith(f"{OF_THE_HOST} by the host, with PostgreSQL ")
    assert provenance["Docker"].startswith("engine ")
    assert ", Compose " in provenance["Docker"]


def test_nothing_is_left_but_the_report_and_the_images_of_the_checkout(made: Made, checkout: Checkout) -> None:
    images = docker("image", "ls", "--format", "{{.Repository}}", "--filter", f"reference={checkout.images}*")

    assert made.left == []
    assert sorted(images.split()) == [f"{checkout.images}-api", f"{checkout.images}-notebook"]
    assert {path.name for path in made.folder.iterdir()} - {"report.pdf"} == {
        "evidence",
        "junit.xml",
        "notebooks",
        "report.html",
    }


def amid_up(process: subprocess.Popen[str], _: str) -> bool:
    return bool(docker("ps", "--all", "--quiet", "--filter", f"name={PREFIX}{process.pid}-"))


def amid_the_notebooks(_: subprocess.Popen[str], said: str) -> bool:
    return TIMED in said


@pytest.mark.usefixtures("made")  # so that the images are built
@pytest.mark.parametrize("moment", [amid_up, amid_the_notebooks])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(
    checkout: Checkout, moment: Callable[[subprocess.Popen[str], str], bool], number: signal.Signals
) -> None:
    folder = checkout.path.parent / "interrupted"
    with checkout.report(folder) as process:
        wait_until(lambda: process.poll() is not None or moment(process, checkout.said()), HANGS_SECONDS)
        process.send_signal(number)
        _, errors = process.communicate(timeout=HANGS_SECONDS)

    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    assert left_of(process, checkout.temporary) == []
    assert not folder.exists()


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_amid_a_notebook_of_the_host_leaves_no_server_and_no_folder(
    checkout: Checkout, number: signal.Signals
) -> None:
    at_work, wait = checkout.temporary / "at-work", checkout.temporary / "wait"
    at_work.unlink(missing_ok=True)
    wait.touch()
    with checkout.report(checkout.path.parent / "interrupted") as process:
        wait_until(lambda: process.poll() is not None or at_work.exists(), HANGS_SECONDS)
        process.send_signal(number)
        _, errors = process.communicate(timeout=HANGS_SECONDS)
    wait.unlink()

    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    wait_until(lambda: not left_of(process, checkout.temporary), LIMIT_SECONDS)
    assert not (checkout.path.parent / "interrupted").exists()
