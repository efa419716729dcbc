"""One browser and one `python -m beefirst up` for all tests in here."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.up_process import UpProcess, run_up

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """A Chromium; no longer than these tests, for while it runs its thread has an event loop."""
    from tests.support.browser import start_browser

    with start_browser() as browser:
        yield browser


@pytest.fixture(scope="package")
def running() -> Iterator[UpProcess]:
    """`python -m beefirst up` on a throw-away database."""
    with run_up("--ephemeral") as run:
        yield run
