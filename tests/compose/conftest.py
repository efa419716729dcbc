"""One stack for all tests in here: its images are built once, and it is up until the last of them is done."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest

from tests.support.compose_stack import ComposeStack, run_stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser


Report = Future[CompletedProcess[str]]

REPORT = "docker compose exec notebook python -m beefirst report --output /data/report"
TAKEN_OUT = "docker compose cp notebook:/data/report report"
"""The README's two commands for a report."""


@pytest.fixture(scope="package")
def new_stack() -> Iterator[ComposeStack]:
    """The services, up since a moment."""
    with run_stack() as stack:
        yield stack


@pytest.fixture(scope="package")
def report(new_stack: ComposeStack) -> Iterator[Report]:
    """The README's report of every notebook: it is made while other tests run, and its result is how it ended."""
    thread = ThreadPoolExecutor(1)
    yield thread.submit(new_stack.try_shell, REPORT)
    thread.shutdown(wait=False)  # where nobody has waited for it, it ends with the stack


@pytest.fixture(scope="package")
def stack(new_stack: ComposeStack, report: Report) -> ComposeStack:  # noqa: ARG001  # begun, not waited for
    """The services, while a report may be in the making: for tests that leave them running."""
    return new_stack


@pytest.fixture
def idle_stack(stack: ComposeStack, report: Report) -> ComposeStack:
    """The services, once the report is made: for tests that stop one of them."""
    report.exception()
    return stack


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A Chromium; no longer than a module, for while it runs its thread has an event loop."""
    from tests.support.browser import start_browser

    with start_browser() as browser:
        yield browser
