"""The verdict at the end of each notebook: every promised check with its evidence, or a failure."""

import time
from collections.abc import Mapping

import pandas as pd
from IPython.display import display

from beefirst.evaluation.current_cell import CellRun, current_run, say_when_stopped
from beefirst.evaluation.display.how_done import how_this_was_done
from beefirst.evaluation.display.tables import Shown, banner, caption, table
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import (
    NOT_FINISHED,
    Check,
    Judgement,
    join_evidence,
    join_results,
    make_record,
    save_record,
)
from beefirst.evaluation.run_context import RunContext
from beefirst.laboratory import running_service

UNREACHED = "Its last cell was not reached."
NOT_RUN = "the cell that makes it did not run to its end"


class VerdictError(AssertionError):
    """A check failed, or one that was promised was never made."""

    def _render_traceback_(self) -> list[str]:
        return [f"FAIL: {self}"]


def begin(notebook: str) -> "Verdict":
    """Return the verdict of a notebook that begins, once what it needs is seen to answer.

    Args:
        notebook: its name without the suffix.

    Raises:
        ProcessError: API_URL is set and nothing answers there; the message says what to do.
        DatabaseUnavailableError: DATABASE_URL is set and nothing answers there; the message says what to do.
    """
    say_when_stopped()
    verdict = Verdict(notebook)
    running_service.require_named()
    return verdict


class Verdict:
    """Collects the checks that a notebook promises.

    Args:
        notebook: the name of the notebook without its suffix; `promises.CHECKS` lists what it promises.
        checks: the requirement of each check by its id, for a notebook that is not listed there.
    """

    def __init__(self, notebook: str, checks: dict[str, str] | None = None) -> None:
        self.notebook = notebook
        self._requirements = CHECKS[notebook] if checks is None else checks
        self._made: list[tuple[CellRun, Check]] = []
        self._started = self._last = time.monotonic()
        self._save(NOT_FINISHED, UNREACHED)

    def show(self, key: str, evidence: Evidence) -> None:
        """Record whether a promised check holds, and show what it was judged on.

        A check made twice holds only if it held both times; a cell that is run anew takes back what it said before.

        Args:
            key: the check's id in `promises.CHECKS`.
            evidence: what the experiment showed; its picture is shown in the place of its rows.
        """
        self.show_together({key: evidence})

    def show_together(self, evidence_by_key: Mapping[str, Evidence]) -> None:
        """Do as `show` for several checks, with the rows of all in one table."""
        for key, evidence in evidence_by_key.items():
            self._record(key, evidence)
            display(caption(key, evidence.result, evidence.summary))
        shown = list(evidence_by_key.values())
        for evidence in shown:
            if evidence.picture is not None:
                display(evidence.picture)
        rows = [evidence.rows for evidence in shown if evidence.picture is None and not evidence.rows.empty]
        if rows:
            display(table(pd.concat(rows)))
        for key, evidence in evidence_by_key.items():
            if evidence.trace is not None:
                display(how_this_was_done(key, evidence.trace))

    def _record(self, key: str, evidence: Evidence) -> None:
        now, run = time.monotonic(), current_run()
        milliseconds = round((now - self._last) * 1000)
        check = Check(
            key=key,
            requirement=self._requirements[key],
            result=evidence.result,
            evidence=evidence.summary,
            milliseconds=milliseconds,
            judgements=_judgements(evidence),
        )
        self._made = [(earlier, said) for earlier, said in self._made if not run.replaces(earlier)] + [(run, check)]
        self._last = now
        self._save(NOT_FINISHED, UNREACHED)

    def conclude(self) -> None:
        """Show every check, keep the verdict for notebook 00, and raise unless all held.

        Raises:
            VerdictError: a check failed or was never made.
        """
        word, sentence = conclude_from(self._checks())
        self._save(word, sentence)
        display(_shown(word, sentence, self._checks()))
        if not word.startswith("PASS"):
            raise VerdictError(sentence)

    def _checks(self) -> list[Check]:
        return [
            _join([check for _, check in self._made if check.key == key])
            or Check(key=key, requirement=requirement, result="NOT MADE", evidence=NOT_RUN)
            for key, requirement in self._requirements.items()
        ]

    def _save(self, word: str, sentence: str) -> None:
        seconds = time.monotonic() - self._started
        save_record(
            make_record(self.notebook, word, sentence, seconds, self._checks()), RunContext.current().own_folder
        )


def _judgements(evidence: Evidence) -> list[Judgement]:
    if evidence.trace is None:
        return []
    return [
        Judgement(
            experiment=evidence.trace.method.name,
            observed=evidence.trace.data,
            result=evidence.result,
            evidence=evidence.summary,
        )
    ]


def _join(checks: list[Check]) -> Check | None:
    if not checks:
        return None
    joined = {
        "result": join_results([check.result for check in checks]),
        "evidence": join_evidence(check.evidence for check in checks),
        "judgements": [judgement for check in checks for judgement in check.judgements],
    }
    return checks[-1].model_copy(update=joined)


def conclude_from(checks: list[Check]) -> tuple[str, str]:
    """Return the verdict on `checks` as a word or two, and as a sentence."""
    count = {result: sum(check.result == result for check in checks) for result in ("PASS", "FAIL", "NOT MADE")}
    bad = [check.key for check in checks if check.result in ("FAIL", "NOT MADE")]
    hidden = len(checks) - sum(count.values())
    if bad or not count["PASS"]:
        return "FAIL", f"{len(bad)} of {len(checks)} checks failed or were not made: {', '.join(bad)}"
    word = f"PASS, {hidden} not shown here" if hidden else "PASS"
    return word, f"{count['PASS']} of {len(checks)} checks were made, and all of them held."


def _shown(word: str, sentence: str, checks: list[Check]) -> Shown:
    rows = pd.DataFrame([check.model_dump(exclude={"milliseconds", "judgements"}) for check in checks])
    shown = table(rows.rename(columns={"key": "check"}))
    return Shown(banner(word, sentence) + shown._repr_html_(), f"{word}: {sentence}\n{shown!r}")
