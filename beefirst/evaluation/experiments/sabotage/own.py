"""A defect that a reader writes, and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from beefirst.evaluation.display import changes
from beefirst.evaluation.display.tables import Shown
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.evaluation.sabotage.catalogue import diff
from beefirst.evaluation.sabotage.own_defect import Finding, check_change, try_own_defect


@dataclass(frozen=True)
class OwnDefect:
    """A change that a reader wrote, and what notebooks say of copies that have it.

    Attributes:
        change: as a diff.
        findings: one for each notebook that was asked.
    """

    change: str
    findings: Sequence[Finding]


def show_own_change(file: str, old: str, new: str) -> Shown:
    """Return a change as a diff, once it is seen to be possible.

    Args:
        file: its path in the checkout.
        old: what stands there, exactly once.
        new: what is to stand there instead.

    Raises:
        ConfigurationError: the change cannot be made; the message says why.
    """
    check_change(file, old)
    return changes.diffs([("your own", diff(file, old, new))])


@measurement
def try_own(file: str, old: str, new: str, notebooks: Sequence[str] = ()) -> OwnDefect:
    """Run notebooks on copies that have a change; arguments as for `show_own_change`.

    Args:
        notebooks: which to ask, by name; all but the first and this one where left out.
    """
    check_change(file, old)
    live = changes.LiveFindings(notebooks)
    return OwnDefect(diff(file, old, new), try_own_defect(file, old, new, notebooks, live.show))


def _judge_own(findings: pd.DataFrame, change: str) -> Evidence:
    caught = [f"{key}: {said}" for failed in findings["failed"] for key, said in failed.items()]
    stopped = [f"{it.notebook}: {it.stopped}" for it in findings.itertuples() if it.stopped]
    seen = "CAUGHT" if caught else "CRASHED" if stopped else "SURVIVED"
    asked = ", ".join(findings["notebook"])
    said = "; ".join(caught or stopped) or f"{asked} noticed nothing"
    rows = [("your own", asked, said, seen, "CAUGHT")]
    changed = sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in change.splitlines() if line)
    return compare(f"{changed} changed lines: {seen}", rows, ["defect", "asked", "what they say", "seen", "expected"])


@experiment(_judge_own, try_own)
def own_defect_is_caught(own: OwnDefect) -> Observed:
    """Say what became of a reader's defect: caught by which checks, or survived."""
    rows = [
        (it.notebook, it.verdict, {check.key: check.evidence for check in it.failed}, it.stopped) for it in own.findings
    ]
    return {"findings": pd.DataFrame(rows, columns=["notebook", "verdict", "failed", "stopped"]), "change": own.change}
