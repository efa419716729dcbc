"""What a reader's browser shows of `docker compose up`: first sight, and every notebook run through the menu."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from beefirst.machine.folders import NOTEBOOKS
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until
from tests.support.browser import needs_chromium
from tests.support.compose_stack import needs_engine, run_stack
from tests.support.notebook_page import first_sight, run_and_judge

pytestmark = [needs_chromium, needs_engine]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of JupyterLab as a reader types it."""
    with run_stack() as stack:
        address = f"http://localhost:{stack.ports['NOTEBOOK_PORT']}"
        wait_until(lambda: answers(f"{address}/api"), 60)
        yield address


def test_the_address_alone_opens_the_first_notebook_and_nothing_stands_in_the_way(
    browser: Browser, server: str
) -> None:
    assert first_sight(browser, server, server, "compose") == []


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_through_the_menu_and_is_right_in_every_respect(
    browser: Browser, server: str, path: Path
) -> None:
    assert run_and_judge(browser, server, path.stem, "compose") == []
