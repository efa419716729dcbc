"""What the page and the list of a report tell of each check, as their readers see it."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from bs4 import BeautifulSoup, Tag

from beefirst.errors import ConfigurationError
from beefirst.evaluation.report.evidence_files import name_of

NOTHING = "nothing"


@dataclass(frozen=True)
class Page:
    """The report's page.

    Attributes:
        verdict: of all notebooks together, in one word.
        results: of each check, by name.
        evidence: of each check, as one line, by name.
    """

    verdict: str
    results: dict[str, str]
    evidence: dict[str, str]


def read_page(folder: Path) -> Page:
    """Return what the page of a report tells.

    Raises:
        ConfigurationError: there is none, or it is damaged.
    """
    path = folder / "report.html"
    try:
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{path} is missing or damaged: name the folder of a report.") from None
    places = {str(place["data-check"]): place for place in page.select("[data-check]")}
    return Page(
        verdict=_words(page.select_one(".overall span")),
        results={name: _shown_result(place) for name, place in places.items()},
        evidence={name: _words(place.select_one(".evidence")) for name, place in places.items()},
    )


def _words(place: Tag | None) -> str:
    return " ".join(place.get_text().split()) if place else NOTHING


def _shown_result(place: Tag) -> str:
    """Return the result that a reader of the page sees, which must be the one that it is marked with."""
    marked, read = str(place.get("data-result", NOTHING)), _words(place.select_one(".claim > span"))
    return marked if marked == read else f"{marked} and shows {read}"


def results_in_junit(folder: Path) -> dict[str, str]:
    """Return the result of each check in a report's list, by name.

    Raises:
        ConfigurationError: there is none, or it is damaged.
    """
    path = folder / "junit.xml"
    try:
        cases = ElementTree.parse(path).iter("testcase")  # noqa: S314  # since 2.4.1 expat bounds entities
    except (OSError, ElementTree.ParseError, LookupError, ValueError):  # the latter two of odd encodings
        raise ConfigurationError(f"{path} is missing or damaged: name the folder of a report.") from None
    return {
        name_of(str(case.get("classname")), str(case.get("name")).partition(" ")[0]): _result_of(case) for case in cases
    }


def _result_of(case: ElementTree.Element) -> str:
    failure = case.find("failure")
    if failure is not None:
        return str(failure.get("type"))
    return "PASS" if case.find("skipped") is None else "NOT SHOWN HERE"
