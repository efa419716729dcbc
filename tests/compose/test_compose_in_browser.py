"""What a reader's browser shows of `docker compose up`: first sight, and the notebook of what only containers show."""

import pytest
from playwright.sync_api import Browser

from beefirst.machine.waiting import wait_until
from tests.support.browser import Tab, needs_chromium
from tests.support.compose_stack import HANGS_SECONDS, ComposeStack, needs_engine
from tests.support.notebook_page import NotebookPage, first_sight, run_and_judge

pytestmark = [needs_chromium, needs_engine]


@pytest.fixture(scope="module")
def address(stack: ComposeStack) -> str:
    """The address of JupyterLab as a reader types it."""
    wait_until(stack.serves_notebooks, HANGS_SECONDS)
    return f"http://localhost:{stack.ports['NOTEBOOK_PORT']}"


def test_the_address_alone_opens_the_first_notebook_and_nothing_stands_in_the_way(
    browser: Browser, address: str
) -> None:
    with Tab(browser, address) as tab:
        assert first_sight(tab, NotebookPage(tab, address), "compose") == []


def test_notebook_01_runs_through_the_menu_and_every_check_holds(browser: Browser, address: str) -> None:
    assert run_and_judge(browser, address, "01_compose", "compose", nothing_hidden=True) == []
