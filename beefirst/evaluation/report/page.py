"""The report's page: what every notebook found, with its essay, plots and tables, in one HTML file."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from bs4 import BeautifulSoup
from jinja2 import Environment, PackageLoader
from nbconvert.exporters import HTMLExporter
from pygments.formatters import HtmlFormatter

from beefirst.evaluation.display.tables import banner, mark
from beefirst.evaluation.records import Check, Record
from beefirst.evaluation.report.evidence_files import name_of, path_of
from beefirst.evaluation.report.runner import NotebookRun
from beefirst.evaluation.traceability import caught_defects, origins

LOOPBACK = re.compile(r"^http://(127\.0\.0\.1|localhost)[:/]")
HEADINGS = {"h1": "h2", "h2": "h3", "h3": "h4"}


@dataclass(frozen=True)
class Section:
    """A notebook of the report: where it lies, its run, and where that was, if there are two machines."""

    path: Path
    run: NotebookRun
    where: str = ""

    @property
    def name(self) -> str:
        """The notebook's, which is its place on the page."""
        return self.path.stem

    @property
    def record(self) -> Record:
        """What it found."""
        return self.run.record

    @property
    def question(self) -> str:
        """The notebook's title."""
        return str(self.run.executed.cells[0].source).splitlines()[0].lstrip("# ")

    @property
    def held(self) -> int:
        """How many of its checks did."""
        return sum(check.result == "PASS" for check in self.record.checks)

    @property
    def verdict(self) -> str:
        """Its verdict, as HTML."""
        return banner(self.record.verdict, self.record.sentence)

    @property
    def body(self) -> str:
        """All that it showed, as HTML, without its title and its verdict, which the page has already."""
        notebook = deepcopy(self.run.executed)
        notebook.cells[0].source = str(notebook.cells[0].source).partition("\n")[2].strip()
        if "verdict.conclude()" in str(notebook.cells[-1].source):
            notebook.cells.pop()
            notebook.cells[-1].source = str(notebook.cells[-1].source).removesuffix("## Verdict")
        html, _ = HTMLExporter(template_name="basic", exclude_anchor_links=True).from_notebook_node(notebook)
        return _fit_in(html)

    def trace(self, check: Check) -> Mapping[str, Sequence[str]]:
        """Return whence a check comes and what came of it: from the specification's sentence to the data, by name."""
        origin = origins().get(check.key) if self.anchor(check) == check.key else None
        shown_by = dict.fromkeys(judgement.experiment.rpartition(".")[2] for judgement in check.judgements)
        found = {
            "the specification says": [f"“{origin.quote}” ({origin.source})"] if origin else [],
            "shown by": [name.replace(":", ".py: ") for name in shown_by],
            "enforced by": [f"{file}: {name}" for file, name in origin.enforced_by] if origin else [],
            "seen to catch": caught_defects().get(check.key, []) if origin else [],
        }
        return {name: values for name, values in found.items() if values}

    def evidence(self, check: Check) -> str:
        """Return where the data of a check lie, from the page on."""
        return path_of(self.name, check.key)

    def anchor(self, check: Check) -> str:
        """Return the id of a check's place on the page: its own, where the specification's list of checks has it."""
        return name_of(self.name, check.key)


def render(sections: Sequence[Section], provenance: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        sections: in the order of the page.
        provenance: what the report was made on, by name.
    """
    environment = Environment(loader=PackageLoader("beefirst.evaluation.report"), autoescape=True, trim_blocks=True)
    environment.filters |= {"mark": mark, "slug": _slug}
    return environment.get_template("report.html").render(
        verdict=banner(*_overall([section.run.record for section in sections])),
        provenance=provenance,
        sections=sections,
        light=HtmlFormatter(style="default").get_style_defs(".highlight"),
        dark=HtmlFormatter(style="github-dark").get_style_defs(".highlight"),
    )


def _slug(words: str) -> str:
    return words.lower().replace(" ", "-")


def _overall(records: Sequence[Record]) -> tuple[str, str]:
    failed = [record.blamed for record in records if not record.holds]
    made = [check for record in records for check in record.checks if check.result != "NOT SHOWN HERE"]
    held = sum(check.result == "PASS" for check in made)
    hidden = sum(len(record.checks) for record in records) - len(made)
    sentence = f"{held} of {len(made)} checks held, in {len(records)} notebooks and {_seconds(records):.0f} seconds"
    sentence += f"; {hidden} more cannot be shown in this way of running." if hidden else "."
    return ("FAIL", f"{', '.join(failed)}. {sentence}") if failed else ("PASS", sentence)


def _seconds(records: Sequence[Record]) -> float:
    return sum(record.seconds for record in records)


def _fit_in(html: str) -> str:
    """Return HTML fit to stand among other notebooks: lower headings, no ids, links that stay within the page.

    What is wider than the screen scrolls by itself, and the page never does.
    """
    soup = BeautifulSoup(html, "html.parser")
    for element in soup.find_all(id=True):
        del element["id"]
    for heading in soup.find_all(list(HEADINGS)):
        heading.name = HEADINGS[heading.name]
    for link in soup.find_all("a", href=re.compile(r"^\w+\.ipynb$")):
        link["href"] = "#" + str(link["href"]).removesuffix(".ipynb")
    for table in soup.find_all("table"):
        table.wrap(soup.new_tag("div", attrs={"class": "wide", "tabindex": "0"}))
    for link in soup.find_all("a", href=LOOPBACK):
        link.unwrap()  # what answered there was gone with the notebook
    return str(soup)
