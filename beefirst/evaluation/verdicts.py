"""The verdict at the end of each notebook: every promised check with its evidence, or a failure."""

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd
from IPython.display import display

from beefirst.evaluation.criteria import CHECKS
from beefirst.evaluation.looks import Shown, banner, table
from beefirst.folders import data_folder

Result = Literal["PASS", "FAIL", "NOT SHOWN HERE", "NOT MADE"]


class VerdictError(AssertionError):
    """A check failed, or one that was promised was never made."""

    def _render_traceback_(self) -> list[str]:
        return [f"FAIL: {self}"]


@dataclass(frozen=True)
class Check:
    """One line of a verdict.

    Attributes:
        milliseconds: since the check before, or since the notebook's start.
    """

    key: str
    requirement: str
    result: Result
    evidence: str
    milliseconds: int = 0


class Verdict:
    """Collects the checks that a notebook promises.

    Args:
        notebook: the name of the notebook without its suffix; `criteria.CHECKS` lists what it promises.
        checks: the requirement of each check by its id, for a notebook that is not listed there.
    """

    def __init__(self, notebook: str, checks: dict[str, str] | None = None) -> None:
        self.notebook = notebook
        self._requirements = CHECKS[notebook] if checks is None else checks
        self._made: dict[str, Check] = {}
        self._started = self._last = time.monotonic()

    def check(self, key: str, holds: bool, evidence: object) -> None:
        """Record whether a promised check holds; a check made twice holds only if it held both times.

        Args:
            key: the check's id in `criteria.CHECKS`.
            holds: whether the requirement was seen to hold.
            evidence: what was seen, in a few words.
        """
        before, seen = self._made.get(key), str(evidence)
        if before and seen not in before.evidence:
            seen = f"{before.evidence}; {seen}"
        failed_before = before is not None and before.result == "FAIL"
        self._record(key, "PASS" if holds and not failed_before else "FAIL", seen)

    def not_shown(self, key: str, command: str) -> None:
        """Record that this way of running cannot make a check.

        Args:
            key: the check's id in `criteria.CHECKS`.
            command: what shows it.
        """
        self._record(key, "NOT SHOWN HERE", f"run: {command}")

    def _record(self, key: str, result: Result, evidence: str) -> None:
        now = time.monotonic()
        milliseconds = round((now - self._last) * 1000)
        self._made[key] = Check(key, self._requirements[key], result, evidence, milliseconds)
        self._last = now

    def conclude(self) -> None:
        """Show every check, keep the verdict for notebook 00, and raise unless all held.

        Raises:
            VerdictError: a check failed or was never made.
        """
        checks = [
            self._made.get(key, Check(key, requirement, "NOT MADE", "the cell that makes it was not run"))
            for key, requirement in self._requirements.items()
        ]
        word, sentence = summarise(checks)
        _save(self.notebook, word, time.monotonic() - self._started, checks)
        display(_shown(word, sentence, checks))
        if not word.startswith("PASS"):
            raise VerdictError(sentence)


def summarise(checks: list[Check]) -> tuple[str, str]:
    """Return the verdict on `checks` as a word or two, and as a sentence."""
    count = {result: sum(check.result == result for check in checks) for result in ("PASS", "FAIL", "NOT MADE")}
    bad = [check.key for check in checks if check.result in ("FAIL", "NOT MADE")]
    hidden = len(checks) - sum(count.values())
    if bad or not count["PASS"]:
        return "FAIL", f"{len(bad)} of {len(checks)} checks failed or were not made: {', '.join(bad)}"
    word = f"PASS, {hidden} not shown here" if hidden else "PASS"
    return word, f"{count['PASS']} of {len(checks)} checks were made, and all of them held."


def _shown(word: str, sentence: str, checks: list[Check]) -> Shown:
    rows = (
        pd.DataFrame([asdict(check) for check in checks]).rename(columns={"key": "check"}).drop(columns="milliseconds")
    )
    shown = table(rows)
    return Shown(banner(word, sentence) + shown._repr_html_(), f"{word}: {sentence}\n{shown!r}")


def _save(notebook: str, word: str, seconds: float, checks: list[Check]) -> None:
    folder = verdicts_folder()
    folder.mkdir(parents=True, exist_ok=True)
    verdict = {
        "notebook": notebook,
        "verdict": word,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "checks": [asdict(check) for check in checks],
    }
    fresh = folder / f".{notebook}.json"
    fresh.write_text(json.dumps(verdict, indent=1))
    fresh.replace(folder / f"{notebook}.json")


def verdicts_folder() -> Path:
    """Return where the verdicts of past runs are kept."""
    return data_folder() / "verdicts"


def last_verdict(notebook: str) -> tuple[str, str]:
    """Return the verdict of a notebook's last run and when that was, for people; `not run` where there was none."""
    try:
        saved = json.loads((verdicts_folder() / f"{notebook}.json").read_text())
        return saved["verdict"], datetime.fromisoformat(saved["finished_at"]).strftime("%Y-%m-%d %H:%M UTC")
    except (OSError, ValueError, KeyError):
        return "not run", ""
