"""What a reader's browser shows of `python -m beefirst up`: first sight, and every notebook run through the menu."""

from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, Locator

from beefirst.laboratory.scratch_database import PREFIX
from beefirst.machine.folders import NOTEBOOKS
from beefirst.machine.waiting import wait_until
from tests.support.browser import Tab, needs_chromium
from tests.support.notebook_page import RUN_SECONDS, NotebookPage, first_sight, run_and_judge
from tests.support.up_process import UpProcess

pytestmark = needs_chromium

OTHERS = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.stem != "00_start_here"]
ROWS = "cell => [...cell.querySelectorAll('tbody tr')].map(row => [...row.cells].map(it => it.innerText.trim()))"


def test_the_link_opens_the_first_notebook_and_nothing_stands_in_the_way(
    browser: Browser, running: UpProcess, link: str
) -> None:
    assert first_sight(browser, running.notebook_url, link, "up") == []


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_a_notebook_runs_through_the_menu_and_is_right_in_every_respect(
    browser: Browser, running: UpProcess, link: str, path: Path
) -> None:
    token = link.partition("token=")[2]

    assert run_and_judge(browser, running.notebook_url, path.stem, "up", token) == []


def verdicts(cell: Locator) -> dict[str, str]:
    """Return what the live table below a cell says of each notebook."""
    return {row[0]: row[4] for row in cell.evaluate(ROWS)}


def left(run: UpProcess) -> set[object]:
    """Return the programs, databases and folders that are there."""
    with psycopg.connect(run.database_url) as connection:
        databases = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
        programs = {(pid, words) for pid, words in run.commands().items() if "python" in words}
        return {*programs, *databases.fetchall(), *run.folder.glob("beefirst-*")}


def test_notebook_00_runs_the_others_before_the_readers_eyes_and_leaves_nothing_when_it_is_stopped(
    browser: Browser, running: UpProcess, link: str
) -> None:
    with Tab(browser, running.notebook_url) as tab:
        notebook = NotebookPage(tab, link)
        notebook.stop_saving_automatically()
        before = left(running)
        cell = notebook.cell("every_notebook_holds")

        notebook.choose("Run", "runmenu:run-all")
        wait_until(lambda: verdicts(cell).get("02_migrations", "").startswith("running: cell"), RUN_SECONDS)
        # Amid an experiment: there is something to leave behind.
        wait_until(lambda: any(PREFIX in str(thing) for thing in left(running)), RUN_SECONDS)
        notebook.interrupt()
        notebook.wait_for_end()

        shown = verdicts(cell)
        assert shown.pop("01_compose").startswith("PASS")
        assert shown.pop("02_migrations") == "stopped"
        assert shown.pop("00_start_here") == "this notebook"
        assert set(shown.values()) == {"not reached"}
        said = cell.locator('[data-mime-type="application/vnd.jupyter.stderr"]').all_inner_texts()
        assert [text.strip() for text in said] == ["Stopped. Run this cell again, or go on with another."]
        wait_until(lambda: left(running) == before, RUN_SECONDS)

        notebook.panel.get_by_role("heading", name="Are these the notebooks as they were shipped?").click()
        notebook.choose("Run", "notebook:run-all-below")
        notebook.wait_for_cell("verdict.conclude()")
        saved = notebook.save()
        notebook.screenshot("up/00_start_here")
        assert notebook.faults(saved) == [
            "error: KeyboardInterrupt: ",
            "error: VerdictError: 1 of 4 checks failed or were not made: UP.4",
            "the last cell shows no verdict that says PASS",
        ]
