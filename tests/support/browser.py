"""A reader's browser: Debian's Chromium, driven by Playwright, and a tab that notices what a reader would frown at."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Request, sync_playwright

from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium on PATH: apt-get install chromium")

ARTIFACTS = Path(os.environ.get("BEEFIRST_ARTIFACTS") or CHECKOUT / "artifacts")
"""What a run leaves to look at."""

WIDTH, HEIGHT, MARGIN = 1400, 1000, 24
TALLEST = 16_000
"""Chromium draws no page that is higher than 16,384 pixels."""

SECONDS = 120
"""How long a page may take for one step, on a machine that does other things as well."""

POP_UPS = ".jp-Dialog, .Toastify__toast, .jp-Notification, [role=alertdialog], dialog[open]"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # A request to another host is noticed by its address, and fails at once without leaving the machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
]

NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
"""How Chromium drops what it is loading where a container that starts beside a test gives the machine a network."""

INTERRUPTED = "is interrupted by another navigation"
"""What becomes of the next try while Chromium still turns to its page of errors, or itself loads the page again."""

SLOW = re.compile(r"console warning: Plugin \S+ .*(took [\d.]+ms|is taking too long) to activate")
"""What JupyterLab's page complains of on a machine that does other things as well; no fault of the page."""

SLOW_TO_LOAD = "The loading screen is taking a long time."
"""What JupyterLab asks about there, and takes away by itself once it is loaded."""

BOTTOM = "it => it.offsetTop + it.scrollHeight"
REMEMBER_POP_UPS = """selectors => {
    window.popUps = [];
    const note = element => window.popUps.push(element.innerText.trim().replace(/\\s+/g, ' ') || element.className);
    new MutationObserver(changes => changes.flatMap(change => [...change.addedNodes])
        .filter(node => node.nodeType === Node.ELEMENT_NODE)
        .flatMap(node => [...(node.matches(selectors) ? [node] : []), ...node.querySelectorAll(selectors)])
        .forEach(note)
    ).observe(document, {childList: true, subtree: true});
}"""


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Run a Chromium. While it runs, this thread has a running event loop: end it with the tests that need it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Tab:
    """A page in a profile of its own. It remembers every request, everything in the console, and every pop-up.

    Args:
        browser: runs it.
        server: the address of the only server that the page may ask, `http://host:port`.
        expected: a pattern for the lines in the console that are no fault.
        cut_off: the one failure of a request after which a page is loaded again.
    """

    def __init__(self, browser: Browser, server: str, expected: str = "", cut_off: str = NETWORK_CHANGED) -> None:
        self.server = server
        self._expected = re.compile(expected) if expected else None
        self._cut_off, self._was_cut_off = cut_off, False
        self._asked: list[str] = []
        self._said: list[str] = []
        self._context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        self._context.set_default_timeout(SECONDS * 1000)
        self._context.add_init_script(f"({REMEMBER_POP_UPS})({POP_UPS!r})")
        self._context.on("request", lambda request: self._asked.append(request.url))
        self._context.on("requestfailed", self._note_failure)
        self._context.on("console", self._listen)
        self._context.on("weberror", lambda error: self._said.append(f"page error: {error.error}"))
        self._context.on("dialog", self._dismiss)
        self.page: Page = self._context.new_page()
        self.page.on("websocket", lambda socket: self._asked.append(socket.url))
        self._context.on("page", lambda page: self._said.append(f"a window opened: {page.url}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def _listen(self, message: ConsoleMessage) -> None:
        line = f"console {message.type}: {message.text} ({message.location.get('url', '')})"
        if message.type in ("error", "warning", "assert") and not self._is_no_fault(line):
            self._said.append(line)

    def _is_no_fault(self, line: str) -> bool:
        is_expected = self._expected is not None and self._expected.search(line)
        return bool(is_expected or self._cut_off in line or SLOW.match(line))

    def _note_failure(self, request: Request) -> None:
        self._was_cut_off |= request.failure == self._cut_off

    def _dismiss(self, dialog: Any) -> None:
        self._said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, url: str, shows: str) -> None:
        """Open a page and wait for an element of it; again if the machine's network changed meanwhile.

        Args:
            url: of the page.
            shows: selects the element that tells that all of the page is there.
        """
        wait_until(lambda: self._loads(url, shows), SECONDS)

    def _loads(self, url: str, shows: str) -> bool:
        self._was_cut_off = False
        self._said.clear()
        element = self.page.locator(shows).first
        try:
            self.page.goto(url)
            wait_until(lambda: self._was_cut_off or element.is_visible(), SECONDS)
        except Error as error:
            if self._cut_off not in error.message and INTERRUPTED not in error.message:
                raise
            return False
        return not self._was_cut_off

    def faults(self) -> list[str]:
        """Return what the page should not have done: asked another server, complained in the console, popped up.

        Each is told once.
        """
        popped_up = [
            f"pop-up: {text}"
            for text in self.page.evaluate("window.popUps.splice(0)")
            if not text.startswith(SLOW_TO_LOAD)
        ]
        foreign = [f"request to another server: {url}" for url in self._asked if not self._is_own(url)]
        said = self._said.copy()
        self._said.clear()
        self._asked.clear()
        return said + popped_up + foreign

    def _is_own(self, url: str) -> bool:
        asked = urlsplit(url)
        return asked.scheme in ("data", "blob") or asked.netloc == urlsplit(self.server).netloc

    def screenshot(self, name: str, scroller: Locator | None = None, end: Locator | None = None) -> None:
        """Save a picture of all that can be scrolled to.

        Args:
            name: below ARTIFACTS/screenshots, without its suffix.
            scroller: the element that scrolls; the page itself where left out.
            end: the last element of interest in it, where blank space follows.
        """
        scroller = scroller or self.page.locator("html")
        scroller.evaluate("it => it.scrollTo(0, 0)")
        bottom = end.evaluate(BOTTOM) + MARGIN if end else scroller.evaluate(BOTTOM)
        height = HEIGHT + max(0, bottom - scroller.evaluate("it => it.clientHeight"))
        self.page.set_viewport_size({"width": WIDTH, "height": min(height, TALLEST)})
        self.page.screenshot(path=ARTIFACTS / "screenshots" / f"{name}.png")
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
