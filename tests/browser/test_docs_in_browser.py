"""The API's documentation in a reader's browser: the Trust Loop pressed through Swagger UI, and Redoc."""

import re

from playwright.sync_api import Browser, Page, expect

from beefirst.machine.waiting import wait_until
from tests.support.browser import Tab, needs_chromium
from tests.support.up_process import UpProcess

pytestmark = needs_chromium

EMAIL, PASSWORD = "ada@example.com", "correct horse"
MAIL = re.compile(rf"DEMO MAIL to {EMAIL}: your code is ([0-9]{{4}})")
LOGGED_401 = "console error: Failed to load resource: the server responded with a status of 401"


class Operation:
    """One operation in Swagger UI, unfolded, with its example ready to be changed and sent."""

    def __init__(self, page: Page, path: str) -> None:
        self._page, self._path = page, path
        self._block = page.locator(".opblock", has=page.locator(f'[data-path="{path}"]'))
        self._block.locator(".opblock-summary-control").click()
        self._block.get_by_role("button", name="Try it out").click()

    def fill(self, body: str) -> None:
        self._block.locator("textarea.body-param__text").fill(body)

    def execute(self, status: int) -> None:
        """Press Execute and wait until the page shows this status."""
        with self._page.expect_response(f"**{self._path}"):
            self._block.get_by_role("button", name="Execute").click()
        expect(self._block.locator(".live-responses-table .response .response-col_status")).to_contain_text(str(status))

    def shown(self) -> str:
        return self._block.locator(".live-responses-table .response").inner_text()


def authorize(page: Page, email: str, password: str) -> None:
    """Give Swagger UI credentials in its dialog."""
    page.locator(".scheme-container").get_by_role("button", name="Authorize").click()
    dialog = page.locator(".dialog-ux")
    dialog.get_by_label("Username").fill(email)
    dialog.get_by_label("Password").fill(password)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").first.click()


def test_the_trust_loop_can_be_pressed_through_swagger_ui(browser: Browser, running: UpProcess) -> None:
    with Tab(browser, running.api_url, expected=LOGGED_401) as tab:
        tab.page.goto(f"{running.api_url}/docs")
        Operation(tab.page, "/v1/register").execute(202)
        wait_until(lambda: MAIL.search(running.output()) is not None)
        authorize(tab.page, EMAIL, PASSWORD)
        activate = Operation(tab.page, "/v1/activate")
        activate.fill(f'{{"code": "{MAIL.findall(running.output())[-1]}"}}')
        activate.execute(200)
        assert "Your account is active." in activate.shown()
        tab.screenshot("docs/trust_loop")
        activate.execute(401)
        tab.screenshot("docs/trust_loop_pressed_again")

        assert tab.faults() == []


def test_redoc_needs_no_other_server(browser: Browser, running: UpProcess) -> None:
    with Tab(browser, running.api_url) as tab:
        tab.page.goto(f"{running.api_url}/redoc")
        tab.page.get_by_role("heading", name="Claim an address").wait_for()
        tab.page.wait_for_load_state("networkidle")
        tab.screenshot("docs/redoc")

        assert tab.faults() == []
