"""What the notebooks found as JUnit XML: a suite for each notebook, a case for each check."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from beefirst.evaluation.records import Check, Record


def junit_xml(records: Sequence[Record]) -> bytes:
    """Return the records in the form that CI servers read.

    A failed check, or one that was not made, is a failure with its evidence; one that this way of running cannot
    show is skipped with the command that shows it.
    """
    everything = [check for record in records for check in record.checks]
    root = Element("testsuites", {"name": "beefirst", **_counts(everything)})
    for record in records:
        attributes = {
            "name": record.notebook,
            "timestamp": record.finished_at.isoformat(timespec="seconds"),
            "time": f"{record.seconds:.1f}",
        }
        suite = SubElement(root, "testsuite", attributes | _counts(record.checks))
        for check in record.checks:
            _add_case(suite, record.notebook, check)
    ElementTree.indent(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root)


def _counts(checks: Sequence[Check]) -> dict[str, str]:
    results = [check.result for check in checks]
    failures = results.count("FAIL") + results.count("NOT MADE")
    return {"tests": str(len(results)), "failures": str(failures), "skipped": str(results.count("NOT SHOWN HERE"))}


def _add_case(suite: Element, notebook: str, check: Check) -> None:
    name, seconds = f"{check.key} {check.requirement}", f"{check.milliseconds / 1000:.3f}"
    case = SubElement(suite, "testcase", classname=notebook, name=_legal(name), time=seconds)
    if check.result == "NOT SHOWN HERE":
        SubElement(case, "skipped", message=_legal(check.evidence))
    elif check.result == "PASS":
        SubElement(case, "system-out").text = _legal(check.evidence)
    else:
        SubElement(case, "failure", message=_legal(check.evidence), type=check.result)


def _legal(text: str) -> str:
    """Return text without the control characters that XML 1.0 forbids."""
    return "".join(character for character in text if character >= " " or character in "\t\n")
