"""What a reader's browser shows of `python -m beefirst up`: first sight, and every notebook run through the menu."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from beefirst.machine.folders import NOTEBOOKS
from tests.support.browser import needs_chromium
from tests.support.notebook_page import first_sight, run_and_judge
from tests.support.up_process import Up

pytestmark = needs_chromium


@pytest.fixture
def link(running: Up) -> str:
    """The link that `up` prints last, in its table."""
    return re.findall(r"JupyterLab +(http\S+)", running.output())[-1]


def test_the_link_opens_the_first_notebook_and_nothing_stands_in_the_way(
    browser: Browser, running: Up, link: str
) -> None:
    assert first_sight(browser, running.notebook_url, link, "up") == []


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_through_the_menu_and_is_right_in_every_respect(
    browser: Browser, running: Up, link: str, path: Path
) -> None:
    token = link.partition("token=")[2]

    assert run_and_judge(browser, running.notebook_url, path.stem, "up", token) == []
