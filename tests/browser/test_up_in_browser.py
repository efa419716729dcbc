"""What a reader's browser shows of `python -m beefirst up`: first sight, and every notebook run through the menu."""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from playwright.sync_api import Browser, Locator

from beefirst.laboratory.scratch_database import PREFIX
from beefirst.machine.folders import NOTEBOOKS
from beefirst.machine.waiting import wait_for, wait_until
from tests.support.browser import Tab, needs_chromium
from tests.support.notebook_page import RUN_SECONDS, NotebookPage, begin, first_sight, judge, run_and_judge
from tests.support.up_process import UpProcess

pytestmark = needs_chromium

FIRST, *QUICK, LONGEST = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
CLEAN_UP_SECONDS = 120
STDERR = '[data-mime-type="application/vnd.jupyter.stderr"]'
ROWS = "cell => [...cell.querySelectorAll('tbody tr')].map(row => [...row.cells].map(it => it.innerText.trim()))"


@pytest.fixture(scope="module")
def tab(browser: Browser, running: UpProcess) -> Iterator[Tab]:
    """For all notebooks but the longest."""
    with Tab(browser, running.notebook_url) as tab:
        yield tab


@pytest.fixture(scope="module")
def page(tab: Tab, running: UpProcess) -> NotebookPage:
    """What the link of `up` opens."""
    return NotebookPage(tab, running.link)


def test_the_link_opens_the_first_notebook_and_nothing_stands_in_the_way(tab: Tab, page: NotebookPage) -> None:
    assert first_sight(tab, page, "up/first_sight") == []


@pytest.fixture(scope="module")
def longest(browser: Browser, running: UpProcess) -> Iterator[NotebookPage]:
    """The longest notebook, which runs while others do."""
    with Tab(browser, running.notebook_url) as tab:
        notebook = NotebookPage(tab, f"{tab.server}/lab/tree/{LONGEST}.ipynb?reset&token={running.token}")
        begin(notebook)
        yield notebook


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize("name", QUICK)
def test_a_notebook_runs_through_the_menu_and_is_right_in_every_respect(page: NotebookPage, name: str) -> None:
    page.open(name)

    assert run_and_judge(page, f"up/{name}") == []
    page.close()


def test_the_longest_notebook_is_right_as_well(longest: NotebookPage) -> None:
    assert judge(longest, f"up/{LONGEST}") == []


def verdicts(cell: Locator) -> dict[str, str]:
    """Return what the live table below a cell says of each notebook."""
    return {row[0]: row[4] for row in cell.evaluate(ROWS)}


def left(run: UpProcess) -> set[object]:
    """Return the programs, databases and folders that are there."""
    with psycopg.connect(run.database_url) as connection:
        databases = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
        programs = {(pid, words) for pid, words in run.commands().items() if "python" in words}
        return {*programs, *databases.fetchall(), *run.folder.glob("beefirst-*")}


@dataclass(frozen=True)
class Stopped:
    """What there is to see once the reader has stopped the cell of notebook 00 that runs all others.

    Attributes:
        verdicts: what the cell's table says of each notebook.
        said: what stands below the table.
        left_behind: what was not there before.
        faults: of the whole notebook, when the cells below have run as well.
    """

    verdicts: dict[str, str]
    said: list[str]
    left_behind: set[object]
    faults: list[str]


@pytest.fixture(scope="module")
def stopped(page: NotebookPage, running: UpProcess) -> Stopped:
    """Notebook 00, stopped amid notebook 02, which then has programs and databases; and then gone on with."""
    page.open(FIRST)
    page.stop_saving_automatically()
    before = left(running)
    cell = page.cell("every_notebook_holds")
    page.choose("Run", "runmenu:run-all")
    wait_until(lambda: verdicts(cell).get("02_migrations", "").startswith("running: cell"), RUN_SECONDS)
    wait_until(lambda: len([thing for thing in left(running) - before if PREFIX in str(thing)]) > 0, RUN_SECONDS)
    page.interrupt()
    page.wait_for_end()
    shown, said = verdicts(cell), [text.strip() for text in cell.locator(STDERR).all_inner_texts()]
    wait_for(lambda: left(running) <= before, CLEAN_UP_SECONDS)
    left_behind = left(running) - before
    page.panel.get_by_role("heading", name="Are these the notebooks as they were shipped?").click()
    page.choose("Run", "notebook:run-all-below")
    page.wait_for_cell("verdict.conclude()")
    saved = page.save()
    page.screenshot(f"up/{FIRST}")
    return Stopped(shown, said, left_behind, page.faults(saved))


def test_00_shows_each_verdict_as_it_comes_and_what_the_stop_kept_from_running(stopped: Stopped) -> None:
    first, running, *others = (stopped.verdicts[name] for name in (*QUICK, LONGEST))

    assert first.startswith("PASS")
    assert running == "stopped"
    assert set(others) == {"not reached"}


def test_the_cell_that_was_stopped_says_so_in_one_sentence(stopped: Stopped) -> None:
    assert stopped.said == ["Stopped. Run this cell again, or go on with another."]


def test_a_stopped_run_leaves_no_program_database_or_folder_behind(stopped: Stopped) -> None:
    assert stopped.left_behind == set()


def test_the_other_cells_of_00_are_right_and_its_verdict_tells_what_is_missing(stopped: Stopped) -> None:
    assert stopped.faults == [
        "error: KeyboardInterrupt: ",
        "error: VerdictError: 1 of 4 checks failed or were not made: UP.4",
        "the last cell shows no verdict that says PASS",
    ]
