"""The report's page, and what notebooks show, as a reader sees them: on a phone, and in either colour scheme."""

from collections.abc import Iterator
from pathlib import Path

import jupyterlab
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from beefirst.errors import NotebooksFailedError
from beefirst.evaluation.display import tables
from beefirst.evaluation.report import pdf, write
from tests.support.browser import needs_chromium
from tests.support.sample_notebooks import begin, write_notebook

pytestmark = needs_chromium

PHONE, DESK, HEIGHT = 400, 1280, 1000
LEAST_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3, of text that is not large."""

THEMES = Path(jupyterlab.__file__).parent / "themes" / "@jupyterlab"

WIDE = """import pandas as pd
from beefirst.evaluation.display import state_diagram, tables
tables.table(pd.DataFrame([["PASS", "x" * 30, "as specified", "refused by a_constraint_of_a_long_name", 3]]))"""
OPENING = "# {}\n\n**Criterion AC1.** `{}` holds, as *is* said in [02_bad](02_bad.ipynb).\n\n**Takes** about 1 second."
CHECKS = """
verdict.show("A.1", Evidence(True, "seen " * 30))
verdict.show("A.2", Evidence({}, "a_word_that_is_long_" * 5))
verdict.show("A.3", not_shown_here("docker compose up"))"""
SHOWS = "state_diagram.state_machine([])"
PROSE = "# what it is made of\nprint('a line that is printed', 6 * 7, None, f'{1}')"

BROKEN_WORDS = """() => {
    const broken = [];
    const walker = document.createTreeWalker(document.querySelector('.summary'), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        for (const match of walker.currentNode.data.matchAll(/[^\\s-]+/g)) {
            const range = document.createRange();
            range.setStart(walker.currentNode, match.index);
            range.setEnd(walker.currentNode, match.index + match[0].length);
            if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) broken.push(match[0]);
        }
    }
    return broken;
}"""

FAINT = """least => {
    const parse = colour => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const over = (top, below) => {
        const alpha = top[3] ?? 1;
        return top.slice(0, 3).map((c, i) => alpha * c + (1 - alpha) * below[i]);
    };
    const ground = element => element
        ? over(parse(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : [255, 255, 255];
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
        if (!text || !element.getClientRects().length) continue;
        const behind = ground(element), ink = over(parse(getComputedStyle(element).color), behind);
        const [dark, bright] = [light(ink), light(behind)].sort((a, b) => a - b);
        const contrast = (bright + 0.05) / (dark + 0.05);
        if (contrast < least) faint.push(`${contrast.toFixed(2)} ${element.className} ${text.slice(0, 40)}`);
    }
    return faint;
}"""

OUTSIDE = """selector => [...document.querySelectorAll(selector)].map(it => it.getBoundingClientRect())
    .filter(box => box.width === 0 || box.left < 0 || box.right > document.documentElement.clientWidth).length"""


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a report in which one notebook fails, and tables are wider than a phone."""
    notebooks, folder = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("made")
    for name, holds, question in (
        ("01_trust_truths", True, "Do the guarantees hold under races, expiry, lock-out and replay?"),
        ("02_bad", False, "What am I looking at, is everything up, and what did each notebook find?"),
    ):
        begun = begin(name, "A.1", "A.2", "A.3") + CHECKS.format(holds)
        cells = (begun, WIDE, SHOWS, PROSE, "verdict.conclude()")
        write_notebook(notebooks, *cells, name=name, opening=OPENING.format(question, "name"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "BROWSERS", ())
        with pytest.raises(NotebooksFailedError):
            write.write_report(folder / "report", notebooks)
    return (folder / "report" / "report.html").as_uri()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    """The reader's colour scheme."""
    return str(request.param)


@pytest.fixture(params=[PHONE, DESK])
def page(request: pytest.FixtureRequest, browser: Browser, page_url: str, scheme: str) -> Iterator[Page]:
    """The page, as wide as a phone and as a desk has it."""
    context = browser.new_context(viewport={"width": request.param, "height": HEIGHT}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(page_url)
    yield page
    context.close()


def test_the_page_never_scrolls_sideways_and_its_wide_tables_do(page: Page) -> None:
    width = page.evaluate("document.documentElement.clientWidth")

    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.querySelectorAll('.wide')].some(it => it.scrollWidth > it.clientWidth)") is (
        width == PHONE
    )


def test_the_summary_breaks_no_word_and_shows_every_verdict_whole(page: Page) -> None:
    assert page.evaluate(BROKEN_WORDS) == []
    assert page.locator(".summary .verdict").all_inner_texts() == ["PASS, 1 not shown here", "FAIL"]
    assert page.evaluate(OUTSIDE, ".summary .verdict > *") == 0


def test_all_of_its_text_stands_out_from_its_ground_with_code_and_without(page: Page, scheme: str) -> None:
    assert page.evaluate(FAINT, LEAST_CONTRAST) == []
    page.check("#code")
    assert page.evaluate(FAINT, LEAST_CONTRAST) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 31)"
    )


def test_each_check_has_a_place_of_its_own(page: Page) -> None:
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(it => it.id)")

    assert len(ids) == len(set(ids))
    assert {f"{name}.A.{number}" for name in ("01_trust_truths", "02_bad") for number in (1, 2, 3)} <= set(ids)
    page.click(".check a >> nth=0")
    assert page.url.endswith("#01_trust_truths.A.1")


def test_it_is_printed_in_light_colours_whatever_the_scheme(page: Page) -> None:
    page.emulate_media(media="print")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(FAINT, LEAST_CONTRAST) == []


@pytest.mark.parametrize("theme", ["theme-light-extension", "theme-dark-extension"])
def test_what_notebooks_show_can_be_read_in_either_theme_of_jupyterlab(browser: Browser, theme: str) -> None:
    words = pd.DataFrame([(word, "said") for word in tables.WORDS], columns=["result", "plain"])
    shown = [tables.table(words), tables.caption("A.1", "NOT SHOWN HERE", "run"), tables.terminal(["ls"])]
    body = "".join(each._repr_html_() for each in shown) + tables.banner("PASS", "all") + tables.banner("FAIL", "one")
    style = "body { color: var(--jp-content-font-color1); background: var(--jp-layout-color0); }"
    page = browser.new_page()
    page.set_content(f"<style>{(THEMES / theme / 'index.css').read_text()}\n{style}</style>{body}")

    assert page.evaluate(FAINT, LEAST_CONTRAST) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"
    page.close()
