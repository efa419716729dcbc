"""A notebook in JupyterLab, used as a reader uses it: through its menu and keys, and judged by what the reader sees."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Locator, expect

from tests.support.browser import SECONDS, Tab

RUN_SECONDS = 600
"""How long all cells of a notebook may take."""

LINGER_SECONDS = 5
"""How long a reader looks before touching anything; what pops up late does so by then."""

FIRST = "/lab/tree/00_start_here.ipynb"
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
TAB = ".lm-DockPanel-tabBar .jp-mod-current .lm-TabBar-tabLabel"
STATUS_BAR, IDLE, KERNEL = "#jp-main-statusbar", "| Idle", "Python 3 (ipykernel)"

HAS_RUN = """panel => {
    const prompts = [...panel.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(prompt => prompt.textContent);
    const failed = panel.querySelector('[data-mime-type="application/vnd.jupyter.stderr"]');
    return prompts.every(prompt => /\\d/.test(prompt)) || (failed && !prompts.some(prompt => prompt.includes('*')));
}"""

SHOWN = """panel => [...panel.querySelectorAll('.jp-CodeCell')].map(cell =>
    [...cell.querySelectorAll('.jp-OutputArea-output')].filter(output => {
        const pictures = [...output.querySelectorAll('img')];
        const drawn = pictures.every(picture => picture.naturalWidth > 0);
        return output.getClientRects().length && drawn && (pictures.length || output.innerText.trim());
    }).length
)"""

TOO_WIDE = """panel => [...panel.querySelectorAll(
        '.cm-scroller, .jp-OutputArea, .jp-OutputArea-output, .jp-OutputArea-output *, .jp-RenderedMarkdown *')]
    .filter(element => element.clientWidth && element.scrollWidth > element.clientWidth + 1)
    .filter(element => getComputedStyle(element).display !== 'inline')
    .map(element => [element.tagName.toLowerCase(), element.scrollWidth, element.clientWidth, element.innerText])
"""


class NotebookPage:
    """JupyterLab in a tab, with a notebook in front.

    Args:
        tab: of a browser, on the address of JupyterLab.
        url: a link that opens a notebook; may hold the token.
    """

    def __init__(self, tab: Tab, url: str) -> None:
        self._tab, self._page = tab, tab.page
        # Once the kernel is there; the notebook's own indicator says so too early.
        tab.open(url, f'{STATUS_BAR}:has-text("{IDLE}")')
        self.panel: Locator = self._page.locator(PANEL)
        self.panel.locator(".jp-Notebook .jp-Cell").first.wait_for()

    def open(self, name: str) -> None:
        """Double-click a notebook in the list of files, and wait until it is in front and its kernel there."""
        self._page.locator(".jp-DirListing-item", has_text=f"{name}.ipynb").dblclick()
        expect(self._page.locator(TAB)).to_have_text(f"{name}.ipynb", timeout=SECONDS * 1000)
        self.panel.locator(".jp-Notebook .jp-Cell").first.wait_for()
        expect(self.panel.locator(".jp-KernelName")).to_have_text(KERNEL, timeout=SECONDS * 1000)
        expect(self._page.locator(STATUS_BAR)).to_contain_text(IDLE, timeout=SECONDS * 1000)

    def close(self) -> None:
        """Close the notebook in front, which ends its kernel."""
        self._page.locator(".lm-DockPanel-tabBar .jp-mod-current .lm-TabBar-tabCloseIcon").click()

    @property
    def name(self) -> str:
        """The file that is open."""
        return str(self._page.locator(TAB).inner_text())

    @property
    def path(self) -> str:
        """The path in the address."""
        return urlsplit(self._page.url).path

    def is_unsaved(self) -> bool:
        """Tell whether the tab is marked as changed."""
        return self._page.locator(".lm-DockPanel-tabBar .jp-mod-current.jp-mod-dirty").count() > 0

    def stop_saving_automatically(self) -> None:
        """Turn off Settings > Autosave Documents.

        A Ctrl+S amid an automatic save makes JupyterLab ask whether the file has changed on disk.
        """
        self._page.locator(".lm-MenuBar-item", has_text=re.compile("^Settings$")).click()
        toggle = self._page.locator('.lm-Menu-item[data-command="docmanager:toggle-autosave"]')
        toggle.wait_for()
        if "lm-mod-toggled" in str(toggle.get_attribute("class")):
            toggle.click()
        self._page.keyboard.press("Escape")

    def choose(self, menu: str, command: str) -> None:
        """Choose an entry of a menu by its command."""
        self._page.locator(".lm-MenuBar-item", has_text=re.compile(f"^{menu}$")).click()
        self._page.locator(f'.lm-Menu-item[data-command="{command}"]').click()

    def wait_for_end(self) -> None:
        """Wait until the kernel is done, or an error has ended the run."""
        self._page.wait_for_function(HAS_RUN, arg=self.panel.element_handle(), timeout=RUN_SECONDS * 1000)
        expect(self._page.locator(STATUS_BAR)).to_contain_text(IDLE, timeout=SECONDS * 1000)

    def wait_for_cell(self, words: str) -> None:
        """Wait until the cell that has these words in its source has run."""
        prompt = self.cell(words).locator(".jp-InputPrompt")
        expect(prompt).to_have_text(re.compile(r"\d"), timeout=RUN_SECONDS * 1000)

    def interrupt(self) -> None:
        """Press the square in the toolbar."""
        self.panel.locator('[data-command="notebook:interrupt-kernel"]').click()

    def cell(self, words: str) -> Locator:
        """Return the code cell that has these words in its source."""
        editor = self._page.locator(".jp-InputArea", has_text=words)
        return self.panel.locator(".jp-CodeCell", has=editor)

    def save(self) -> dict[str, Any]:
        """Press Ctrl+S and return the notebook as the server now has it."""
        with self._page.expect_response(lambda answer: answer.request.method == "PUT" and self.name in answer.url):
            self._page.keyboard.press("Control+s")
        saved: dict[str, Any] = self._page.evaluate(
            "name => fetch(`/api/contents/${name}`).then(answer => answer.json())", self.name
        )
        return dict(saved["content"])

    def faults(self, saved: dict[str, Any], *, nothing_hidden: bool = False) -> list[str]:
        """Return all that is wrong with a notebook after its run; nothing where a demanding reader would be content.

        Args:
            saved: the notebook as `save` returns it.
            nothing_hidden: whether checks that cannot be shown here are a fault, too.
        """
        cells = [cell for cell in saved["cells"] if cell["cell_type"] == "code"]
        shown = self.panel.evaluate(SHOWN)
        return [
            *self._tab.faults(),
            *(fault for cell in cells for fault in _faults_of_cell(cell)),
            *_faults_of_display(cells, shown),
            *_faults_of_verdict(cells, nothing_hidden),
            *self._faults_of_width(),
        ]

    def _faults_of_width(self) -> list[str]:
        wide = self.panel.evaluate(TOO_WIDE)
        return [f"{tag} is {wanted} pixels wide in {there}: {text[:60]!r}" for tag, wanted, there, text in wide]

    def screenshot(self, name: str) -> None:
        """Save a picture of the whole notebook."""
        outer = self.panel.locator(".jp-WindowedPanel-outer")
        self._tab.screenshot(name, outer, outer.locator(".jp-Cell").last)


def _faults_of_cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])[:60]
    if cell["execution_count"] is None:
        yield f"not run: {source!r}"
    if not cell["metadata"].get("trusted"):
        yield f"not trusted: {source!r}"
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            yield f"error: {output['ename']}: {output['evalue']}"
        if output.get("name") == "stderr":
            yield f"standard error: {''.join(output['text'])[:200]!r}"


def _faults_of_display(cells: list[dict[str, Any]], shown: list[int]) -> Iterator[str]:
    for cell, count in zip(cells, shown, strict=True):
        if count != len(cell["outputs"]):
            yield f"{count} of {len(cell['outputs'])} outputs are shown: {''.join(cell['source'])[:60]!r}"


def _faults_of_verdict(cells: list[dict[str, Any]], nothing_hidden: bool) -> Iterator[str]:
    html = ["".join(output.get("data", {}).get("text/html", "")) for output in cells[-1]["outputs"]]
    verdict = next((found[2] for text in html if (found := re.match(r"(<[^>]+>)+(PASS[^<]*)", text))), None)
    if verdict is None:
        yield "the last cell shows no verdict that says PASS"
    elif nothing_hidden and verdict != "PASS":
        yield f"the verdict says {verdict}"


def run_and_judge(notebook: NotebookPage, picture: str, *, nothing_hidden: bool = False) -> list[str]:
    """Run all cells of the notebook in front, and return what is wrong; arguments as for `judge`."""
    begin(notebook)
    return judge(notebook, picture, nothing_hidden=nothing_hidden)


def begin(notebook: NotebookPage) -> None:
    """Choose Run > Run All Cells."""
    notebook.stop_saving_automatically()
    notebook.choose("Run", "runmenu:run-all")


def judge(notebook: NotebookPage, picture: str, *, nothing_hidden: bool = False) -> list[str]:
    """Wait until all cells have run, save, take a picture, and return what is wrong.

    Args:
        notebook: in front, and begun.
        picture: its name, as for `NotebookPage.screenshot`.
        nothing_hidden: as for `NotebookPage.faults`.
    """
    notebook.wait_for_end()
    saved = notebook.save()
    notebook.screenshot(picture)
    return notebook.faults(saved, nothing_hidden=nothing_hidden)


def first_sight(tab: Tab, notebook: NotebookPage, picture: str, seconds: float = LINGER_SECONDS) -> list[str]:
    """Look at what the link that a reader is given has opened, touch nothing, and return what a reader would frown at.

    Args:
        tab: with nothing else in it.
        notebook: that is open in it.
        picture: its name, as for `NotebookPage.screenshot`.
        seconds: how long to look.
    """
    tab.page.wait_for_timeout(seconds * 1000)
    tab.screenshot(picture)
    return [
        *tab.faults(),
        *([] if notebook.path == FIRST else [f"it opens on {notebook.path}"]),
        *(["marked as unsaved"] if notebook.is_unsaved() else []),
    ]
