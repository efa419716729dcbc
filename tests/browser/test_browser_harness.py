"""What judges the notebooks in the browser must itself go red: notebooks that are bad on purpose, and a sound one."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Error

from beefirst.laboratory.environment import clean_environment
from beefirst.machine.ports import free_port
from beefirst.machine.processes import ServerProcess
from tests.support.browser import ARTIFACTS, Tab, needs_chromium
from tests.support.notebook_page import NotebookPage, first_sight, run_and_judge

pytestmark = needs_chromium

TOKEN = "the-token-of-this-test"
PASS = "from beefirst.evaluation.display.tables import Shown, banner\nShown(banner('PASS', 'All held.'), 'PASS')"
TOAST = "Object.assign(document.createElement('div'), {className: 'Toastify__toast', innerText: 'Read the news'})"


def script(source: str) -> str:
    return f"from IPython.display import Javascript\nJavascript({source!r})"


def html(source: str) -> str:
    return f"from IPython.display import HTML\nHTML({source!r})"


BAD = {
    "request to another server: http://elsewhere.example/picture.png": html(
        '<img src="http://elsewhere.example/picture.png"/>'
    ),
    "request to another server: ws://elsewhere.example/": script("new WebSocket('ws://elsewhere.example/')"),
    "request to another server: http://192.0.2.1/": script("fetch('http://192.0.2.1/').catch(() => 0)"),
    "console error: a complaint": script("console.error('a complaint')"),
    "page error: nobody caught me": script("setTimeout(() => { throw Error('nobody caught me') })"),
    "dialog: hello": script("alert('hello')"),
    "a window opened: about:blank": script("window.open('about:blank')"),
    "pop-up: Read the news": script(f"document.body.append({TOAST})"),
    "standard error: 'a warning'": "import sys\nprint('a warning', end='', file=sys.stderr)",
    "div is 30": html('<div style="width: 3000px">wide</div>'),
    "0 of 1 outputs are shown: 'print()'": "print()",
    "the last cell shows no verdict that says PASS": PASS.replace("banner('PASS'", "banner('FAIL'"),
}
NOTEBOOKS = {
    "00_start_here": [PASS],
    "bad": list(BAD.values()),
    "raising": ["1 / 0", PASS],
}


def write_notebook(path: Path, sources: list[str], outputs: list[nbformat.NotebookNode]) -> None:
    cells = [nbformat.v4.new_code_cell(source, outputs=outputs) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JupyterLab alone, with these notebooks in the place of the reader's copies."""
    folder, port = tmp_path_factory.mktemp("jupyterlab"), free_port()
    (folder / "notebooks").mkdir()
    for name, sources in NOTEBOOKS.items():
        write_notebook(folder / "notebooks" / f"{name}.ipynb", sources, [])
    stored = [nbformat.v4.new_output("display_data", {"text/html": "from somewhere"})]
    write_notebook(folder / "notebooks" / "downloaded.ipynb", ["1"], stored)
    places = {"BEEFIRST_DATA": str(folder), "HOME": str(folder), "NOTEBOOK_PORT": str(port), "JUPYTER_TOKEN": TOKEN}
    with (folder / "log").open("wb") as log:
        url = f"http://localhost:{port}"
        service = ServerProcess("JupyterLab", ["notebooks"], clean_environment() | places, f"{url}/api", folder, log)
    try:
        service.wait_until_ready(60)
        yield url
    finally:
        service.stop()


def link(server: str, name: str) -> str:
    return f"{server}/lab/tree/{name}.ipynb?reset&token={TOKEN}"


@pytest.fixture(scope="module")
def bad(browser: Browser, server: str) -> list[str]:
    """What is found in a notebook with one cell for each fault."""
    with Tab(browser, server) as tab:
        return run_and_judge(NotebookPage(tab, link(server, "bad")), "harness/bad")


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_is_found(bad: list[str], fault: str) -> None:
    assert [found for found in bad if found.startswith(fault)] != []


@pytest.fixture(scope="module")
def tab(browser: Browser, server: str) -> Iterator[Tab]:
    """For the other notebooks."""
    with Tab(browser, server) as tab:
        yield tab


@pytest.fixture(scope="module")
def page(tab: Tab, server: str) -> NotebookPage:
    """JupyterLab, opened on another notebook than the first."""
    return NotebookPage(tab, link(server, "raising"))


def test_a_page_that_opens_on_another_notebook_is_found(tab: Tab, page: NotebookPage) -> None:
    page.open("raising")

    assert "it opens on /lab/tree/raising.ipynb" in first_sight(tab, page, "harness/first_sight", seconds=0)


def test_a_cell_that_raises_is_found(page: NotebookPage) -> None:
    page.open("raising")

    assert "error: ZeroDivisionError: division by zero" in run_and_judge(page, "harness/raising")


def test_a_notebook_from_elsewhere_is_found_not_to_be_trusted_and_not_to_have_run(page: NotebookPage) -> None:
    page.open("downloaded")

    found = page.faults(page.save())
    assert "not trusted: '1'" in found
    assert "not run: '1'" in found


def test_a_sound_notebook_has_no_fault_and_leaves_a_picture(page: NotebookPage) -> None:
    page.open("00_start_here")

    assert run_and_judge(page, "harness/00_start_here") == []
    assert (ARTIFACTS / "screenshots" / "harness" / "00_start_here.png").stat().st_size > 10_000


@pytest.mark.parametrize("part", ["**/login", "**/static/**"], ids=["page", "part of it"])
def test_a_page_that_is_cut_off_in_the_expected_way_is_loaded_again(browser: Browser, server: str, part: str) -> None:
    with Tab(browser, server, cut_off="net::ERR_CONNECTION_RESET") as tab:
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        tab.page.route(part, lambda route: route.abort("connectionreset"), times=1)
        tab.open(f"{server}/login", "form")

        assert asked.count(f"{server}/login") > 1
        assert tab.faults() == []


def test_a_page_that_is_cut_off_in_another_way_is_not(browser: Browser, server: str) -> None:
    with Tab(browser, server) as tab:
        tab.page.route("**/login", lambda route: route.abort("connectionreset"), times=1)

        with pytest.raises(Error, match="ERR_CONNECTION_RESET"):
            tab.open(f"{server}/login", "form")
