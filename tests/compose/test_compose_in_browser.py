"""What a reader's browser shows of `docker compose up`: first sight, and the notebook of what only containers show."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from beefirst.machine.waiting import wait_until
from tests.support.browser import Tab, needs_chromium
from tests.support.compose_stack import HANGS_SECONDS, ComposeStack, needs_engine
from tests.support.notebook_page import NotebookPage, first_sight, run_and_judge

pytestmark = [needs_chromium, needs_engine]


@pytest.fixture(scope="module")
def tab(browser: Browser, stack: ComposeStack) -> Iterator[Tab]:
    """For the address of JupyterLab as a reader types it."""
    wait_until(stack.serves_notebooks, HANGS_SECONDS)
    with Tab(browser, f"http://localhost:{stack.ports['NOTEBOOK_PORT']}") as tab:
        yield tab


@pytest.fixture(scope="module")
def start_here(tab: Tab) -> NotebookPage:
    """What the address alone opens."""
    return NotebookPage(tab, tab.server)


def test_the_address_alone_opens_the_first_notebook_and_nothing_stands_in_the_way(
    tab: Tab, start_here: NotebookPage
) -> None:
    assert first_sight(tab, start_here, "compose/first_sight") == []


def test_notebook_01_runs_through_the_menu_and_every_check_holds(start_here: NotebookPage) -> None:
    start_here.open("01_compose")

    assert run_and_judge(start_here, "compose/01_compose", nothing_hidden=True) == []
