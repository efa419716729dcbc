"""The report's page: what every notebook found, with its essay, plots and tables, in one HTML file."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from bs4 import BeautifulSoup
from jinja2 import Environment, PackageLoader
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

from beefirst.evaluation.display.tables import banner, table
from beefirst.evaluation.records import Record
from beefirst.evaluation.report.runner import NotebookRun

LOOPBACK = re.compile(r"^http://(127\.0\.0\.1|localhost)[:/]")
HEADINGS = {"h1": "h2", "h2": "h3", "h3": "h4"}


@dataclass(frozen=True)
class Section:
    """A notebook of the report: where it lies, and its run."""

    path: Path
    run: NotebookRun

    @property
    def question(self) -> str:
        """The notebook's title."""
        return str(self.run.executed.cells[0].source).splitlines()[0].lstrip("# ")


def render(sections: Sequence[Section], provenance: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        sections: in the order of the page.
        provenance: what the report was made on.
    """
    environment = Environment(loader=PackageLoader("beefirst.evaluation.report"), autoescape=True, trim_blocks=True)
    records = [section.run.record for section in sections]
    return environment.get_template("report.html").render(
        verdict=banner(*_overall(records)),
        provenance=provenance,
        summary=_fit_in(table(_summary(sections))._repr_html_()),
        sections=[_content(section) for section in sections],
        highlighting=HtmlFormatter(style="default").get_style_defs(".highlight"),
    )


def _overall(records: Sequence[Record]) -> tuple[str, str]:
    failed = [record.notebook for record in records if not record.holds]
    made = [check for record in records for check in record.checks if check.result != "NOT SHOWN HERE"]
    held = sum(check.result == "PASS" for check in made)
    hidden = sum(len(record.checks) for record in records) - len(made)
    sentence = f"{held} of {len(made)} checks held, in {len(records)} notebooks and {_seconds(records):.0f} seconds"
    sentence += f"; {hidden} more cannot be shown in this way of running." if hidden else "."
    return ("FAIL", f"{', '.join(failed)}. {sentence}") if failed else ("PASS", sentence)


def _seconds(records: Sequence[Record]) -> float:
    return sum(record.seconds for record in records)


def _summary(sections: Sequence[Section]) -> pd.DataFrame:
    rows = [
        (
            section.path.name,
            section.question,
            section.run.record.verdict,
            f"{sum(check.result == 'PASS' for check in section.run.record.checks)} of {len(section.run.record.checks)}",
            f"{section.run.record.seconds:.1f}",
        )
        for section in sections
    ]
    return pd.DataFrame(rows, columns=["notebook", "question", "verdict", "checks held", "seconds"])


def _content(section: Section) -> dict[str, str]:
    record = section.run.record
    checks = pd.DataFrame([check.model_dump(include=CHECK_COLUMNS) for check in record.checks])
    return {
        "name": section.path.stem,
        "question": section.question,
        "verdict": banner(record.verdict, record.sentence),
        "checks": table(checks.rename(columns={"key": "check"}))._repr_html_(),
        "body": _body(section.run.executed),
    }


CHECK_COLUMNS = {"key", "requirement", "result", "evidence"}


def _body(executed: NotebookNode) -> str:
    """Return the notebook as HTML without its title and its verdict, which the page has already."""
    notebook = deepcopy(executed)
    notebook.cells[0].source = str(notebook.cells[0].source).partition("\n")[2].strip()
    if "verdict.conclude()" in str(notebook.cells[-1].source):
        notebook.cells.pop()
        notebook.cells[-1].source = str(notebook.cells[-1].source).removesuffix("## Verdict")
    html, _ = HTMLExporter(template_name="basic", exclude_anchor_links=True).from_notebook_node(notebook)
    return _fit_in(html)


def _fit_in(html: str) -> str:
    """Return HTML fit to stand among other notebooks: lower headings, no ids, links that stay within the page."""
    soup = BeautifulSoup(html, "html.parser")
    for element in soup.find_all(id=True):
        del element["id"]
    for heading in soup.find_all(list(HEADINGS)):
        heading.name = HEADINGS[heading.name]
    for link in soup.find_all("a", href=re.compile(r"^\w+\.ipynb$")):
        link["href"] = "#" + str(link["href"]).removesuffix(".ipynb")
    for link in soup.find_all("a", href=LOOPBACK):
        link.unwrap()  # what answered there was gone with the notebook
    return str(soup)
