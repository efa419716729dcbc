"""Make the README's pictures anew: JupyterLab as `python -m beefirst up` serves it, after a run.

python -m tests.tools.screenshots
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from beefirst.machine.folders import NOTEBOOKS
from tests.support.browser import Tab, start_browser
from tests.support.notebook_page import NotebookPage, begin
from tests.support.up_process import run_up

PICTURES = {
    "start_here": ("00_start_here", "Do they all hold now?"),
    "startup_time": ("04_startup_time", "Is every start that fast?"),
}
"""The notebook of each picture, and the heading that it begins with."""

COLOURS = 64
"""As many are enough for text and plots, and make a file a third as large."""


def take(browser: Browser, link: str, notebook: str, heading: str, picture: Path) -> None:
    """Run a notebook and save what a reader then sees below a heading.

    Args:
        browser: runs the tab.
        link: opens JupyterLab.
        notebook: its name without the suffix.
        heading: the words of it.
        picture: where the PNG goes.
    """
    server, _, token = link.partition("/?token=")
    with Tab(browser, server) as tab:
        page = NotebookPage(tab, f"{server}/lab/tree/{notebook}.ipynb?reset&token={token}")
        begin(page)
        page.wait_for_end()
        faults = page.faults(page.save())
        page.panel.get_by_role("heading", name=heading, exact=True).evaluate(
            "it => it.closest('.jp-Cell').scrollIntoView()"
        )
        shot = Image.open(io.BytesIO(tab.page.screenshot()))
    if faults:
        sys.exit(f"{notebook} is nothing to show: {faults}")
    shot.convert("RGB").quantize(COLOURS).save(picture, optimize=True)
    print(f"{picture} {picture.stat().st_size // 1000} kB")


def main() -> None:
    """Take every picture."""
    folder = NOTEBOOKS / "pictures"
    folder.mkdir(exist_ok=True)
    with run_up("--ephemeral") as run, start_browser() as browser:
        for name, (notebook, heading) in PICTURES.items():
            take(browser, run.link, notebook, heading, folder / f"{name}.png")


if __name__ == "__main__":
    main()
