"""Judging a report anew from its data alone: offline, without a database, by the same judges."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bs4 import BeautifulSoup

from beefirst.errors import ConfigurationError, DisagreementError
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.procedure import judge_data
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import Check, Judgement, join_evidence, join_results
from beefirst.evaluation.report.evidence_files import read_evidence

EXPERIMENTS = "beefirst.evaluation.experiments."
"""Nothing else is imported for a name that a file gives."""


def rejudge(folder: Path, promised: Mapping[str, Collection[str]] = CHECKS) -> None:
    """Judge every check of a report anew, and say of each whether its data bear out what was recorded.

    Args:
        folder: of the report.
        promised: the ids of the checks that each notebook promises.

    Raises:
        ConfigurationError: it is no report, or one of its files cannot be read.
        DisagreementError: what is recorded of a check is not what its data say, or a promised check is missing.
    """
    checks = [file.check for file in read_evidence(folder)]
    told = {"junit.xml": _results_in_junit(folder), "report.html": _results_in_page(folder)}
    complaints = [*_missing(checks, promised)]
    for check in checks:
        found = [*_disagreements(check), *_otherwise_told(check, told)]
        print(
            f"{check.key:9} {check.result:15} {'DISAGREES: ' + '; '.join(found) if found else _basis(check)}",
            flush=True,
        )
        complaints += [f"{check.key}: {complaint}" for complaint in found]
    judgements = sum(len(check.judgements) for check in checks)
    if complaints:
        raise DisagreementError(f"{len(complaints)} disagreements between record and data: {'; '.join(complaints)}.")
    print(f"\n{len(checks)} checks, {judgements} judgements made anew from their data: all are as recorded.")


def _basis(check: Check) -> str:
    return f"its data say the same ({len(check.judgements)})" if check.judgements else "was never made, and says so"


def _missing(checks: Sequence[Check], promised: Mapping[str, Collection[str]]) -> Iterator[str]:
    there = {check.key for check in checks}
    for keys in promised.values():
        yield from (f"{key} is promised, and not in this report" for key in keys if key not in there)


def _disagreements(check: Check) -> Iterator[str]:
    """Yield each way in which the record of a check is not what its data say."""
    if not check.judgements:
        if check.result not in ("NOT MADE", "FAIL"):
            yield f"recorded as {check.result}, without data"
        return
    anew = [_judge_anew(judgement) for judgement in check.judgements]
    for judgement, evidence in zip(check.judgements, anew, strict=True):
        if (judgement.result, judgement.evidence) != (evidence.result, evidence.summary):
            said = f"recorded as {judgement.result} ({judgement.evidence})"
            yield f"{said}, its data say {evidence.result} ({evidence.summary})"
    result, words = join_results([it.result for it in anew]), join_evidence(it.summary for it in anew)
    if (check.result, check.evidence) != (result, words):
        yield f"its line says {check.result} ({check.evidence}), its data say {result} ({words})"


def _judge_anew(judgement: Judgement) -> Evidence:
    if judgement.observed is None:  # it stopped before it had observed anything, which is a FAIL whatever was recorded
        return Evidence(False, judgement.evidence)
    experiment = _find(judgement.experiment)
    if experiment is None:
        return Evidence(False, f"this version has no experiment {judgement.experiment}")
    return judge_data(experiment.judge, judgement.observed, experiment.method)


def _find(name: str) -> Any:
    module, _, function = name.partition(":")
    if not module.startswith(EXPERIMENTS):
        return None
    try:
        found = getattr(import_module(module), function, None)
    except ModuleNotFoundError:
        return None
    return found if hasattr(found, "judge") else None


def _otherwise_told(check: Check, told: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for file, results in told.items():
        if (said := results.get(check.key, "nothing")) != check.result:
            yield f"{file} says {said}, the data's file {check.result}"


def _results_in_junit(folder: Path) -> dict[str, str]:
    path = folder / "junit.xml"
    try:
        cases = ElementTree.parse(path).iter("testcase")  # noqa: S314  # since 2.4.1 expat bounds entities
    except (OSError, ElementTree.ParseError):
        raise ConfigurationError(f"{path} is missing or damaged: name the folder of a report.") from None
    return {str(case.get("name")).partition(" ")[0]: _result_of(case) for case in cases}


def _result_of(case: ElementTree.Element) -> str:
    failure = case.find("failure")
    if failure is not None:
        return str(failure.get("type"))
    return "PASS" if case.find("skipped") is None else "NOT SHOWN HERE"


def _results_in_page(folder: Path) -> dict[str, str]:
    path = folder / "report.html"
    try:
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{path} is missing or damaged: name the folder of a report.") from None
    return {str(place["data-check"]): str(place["data-result"]) for place in page.select("[data-check]")}
