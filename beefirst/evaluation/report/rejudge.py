"""Judging a report anew from its data alone: offline, without a database, by the same judges."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from beefirst.errors import DisagreementError
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.procedure import judge_data
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import Check, Judgement, join_evidence, join_results
from beefirst.evaluation.report.evidence_files import name_of, read_evidence
from beefirst.evaluation.report.shown_experiments import experiments_shown
from beefirst.evaluation.report.told_results import read_page, results_in_junit

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
    files = read_evidence(folder)
    shown = {file.notebook: experiments_shown(file.notebook) for file in files}
    page = read_page(folder)
    told = {"junit.xml": results_in_junit(folder), "report.html": page.results}
    checks = [file.check for file in files]
    complaints = [*_missing(checks, promised), *_headline(checks, page.verdict)]
    for file in files:
        check, name = file.check, name_of(file.notebook, file.check.key)
        found = [
            *_foreign(check, shown[file.notebook]),
            *_disagreements(check),
            *_otherwise_told(name, check.result, told),
            *_misquoted(check.evidence, page.evidence.get(name, "")),
        ]
        print(
            f"{check.key:9} {check.result:15} {'DISAGREES: ' + '; '.join(found) if found else _basis(check)}",
            flush=True,
        )
        complaints += [f"{check.key}: {complaint}" for complaint in found]
    judgements = sum(len(file.check.judgements) for file in files)
    if complaints:
        raise DisagreementError(f"{len(complaints)} disagreements between record and data: {'; '.join(complaints)}.")
    failed = [check.key for check in checks if not check.holds]
    but = f" {len(failed)} of them did not hold, and still do not: {', '.join(failed)}." if failed else ""
    print(f"\n{len(files)} checks, {judgements} judgements made anew from their data: all are as recorded.{but}")


def _headline(checks: Sequence[Check], said: str) -> Iterator[str]:
    failed = [check.key for check in checks if not check.holds]
    if said != (due := "FAIL" if failed else "PASS"):
        yield f"report.html says {said} above all, the checks' files {due}"


def _misquoted(evidence: str, shown: str) -> Iterator[str]:
    if shown != " ".join(evidence.split()):
        yield f"report.html shows ({shown}), the data's file ({evidence})"


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


def _foreign(check: Check, shown: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield why what a check rests on is not what its notebook shows for it."""
    made = [judgement.experiment.rpartition(".")[2] for judgement in check.judgements]
    due = shown.get(check.key)
    if due is not None and check.result in ("PASS", "NOT SHOWN HERE") and made != [*due]:
        yield f"it rests on {', '.join(made) or 'nothing'}, and its notebook shows {', '.join(due)}"


def _otherwise_told(name: str, result: str, told: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for file, results in told.items():
        if (said := results.get(name, "nothing")) != result:
            yield f"{file} says {said}, the data's file {result}"
