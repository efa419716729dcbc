"""Defects of the catalogue that a reader picks: each in a copy of its own, and what the copies' own notebooks say."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten

import pandas as pd

from beefirst.errors import ConfigurationError
from beefirst.evaluation.display import changes
from beefirst.evaluation.display.matrix import LiveMatrix
from beefirst.evaluation.display.tables import Shown, table
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.sabotage.catalogue import AREAS, Defect, read_catalogue
from beefirst.evaluation.sabotage.outcomes import CRASH, UNHARMED, Control, Outcome
from beefirst.evaluation.sabotage.suite import try_defects

COMMAND = "python -m tests.tools.sabotage"
"""Tries the whole catalogue, in a checkout: it takes the tests, too."""


SHORTENED = 240
"""Characters of a piece of evidence in a table of many; the data have all of it."""


def defects_to_pick() -> Shown:
    """Return the defects that notebooks must notice, area by area, by the names by which they are picked."""
    rows = [
        (AREAS[f"{defect.area}.toml"], defect.name, defect.breaks, defect.caught_by)
        for defect in read_catalogue()
        if not defect.is_caught_by_a_test
    ]
    return table(pd.DataFrame(rows, columns=["area", "defect", "breaks", "must be noticed by"]))


def pick(*names: str) -> list[Defect]:
    """Return defects of the catalogue by their names.

    Raises:
        ConfigurationError: none is named, there is no such defect, or it takes the tests to notice it; the message says
            which, and what comes close.
    """
    known = {defect.name: defect for defect in read_catalogue()}
    for name in names:
        if name not in known:
            close = ", ".join(repr(it) for it in difflib.get_close_matches(name, known, 3, 0.4)) or "see the table"
            raise ConfigurationError(f"There is no defect {name!r} to pick; what comes close: {close}.")
        if known[name].is_caught_by_a_test:
            raise ConfigurationError(
                f"It takes a test to notice {name!r}: in a checkout, run {COMMAND} --only '{name}'."
            )
    if not names:
        raise ConfigurationError("Pick at least one defect by its name.")
    return [known[name] for name in dict.fromkeys(names)]


def show_changes(defects: Sequence[Defect]) -> Shown:
    """Return what each defect changes, as diffs."""
    return changes.diffs([(f"{defect.name} (breaks {defect.breaks})", defect.diff) for defect in defects])


@dataclass(frozen=True)
class Tried:
    """What became of defects that were picked.

    Attributes:
        defects: that were tried.
        outcomes: one for each.
        controls: what the same notebooks said of unharmed copies.
    """

    defects: Sequence[Defect]
    outcomes: Sequence[Outcome]
    controls: Sequence[Control]


@measurement
def try_picked(defects: Sequence[Defect]) -> Tried:
    """Put each defect into a copy of its own, ask the copies' own notebooks, and fill a matrix as they answer."""
    promises = {defect.breaks: f"{defect.breaks} {_requirement(defect.breaks)}" for defect in defects}
    beside = [[other.breaks for other in defects if other.caught_by == defect.caught_by] for defect in defects]
    live = LiveMatrix(promises, [UNHARMED, *(defect.name for defect in defects)], [[*promises], *beside])
    places = {defect.name: place for place, defect in enumerate(defects, start=1)}

    def show(result: Outcome | Control) -> None:
        if isinstance(result, Control):
            live.fill(0, {key: "FAIL" if key in result.failures else "PASS" for key in result.asked})
        else:
            live.fill(places[result.defect], result.checks, result.promise)

    outcomes, controls = try_defects(defects, show, side_by_side=True)
    return Tried(defects, outcomes, controls)


def _requirement(check: str) -> str:
    return next(checks[check] for checks in CHECKS.values() if check in checks)


def _judge_picked(outcomes: pd.DataFrame) -> Evidence:
    rows = [
        (
            it.defect,
            it.breaks,
            shorten(it.evidence, SHORTENED, placeholder="…"),
            f"{it.seconds:.1f}",
            _recount(it.result, it.evidence, it.reason),
            "CAUGHT",
        )
        for it in outcomes.itertuples()
    ]
    caught = sum(row[-2] == "CAUGHT" for row in rows)
    summary = f"{caught} of {len(rows)} defects caught by the check that claims what they break, for a reason that fits"
    return compare(summary, rows, ["defect", "breaks", "what the check says", "seconds", "seen", "expected"])


def _recount(result: str, evidence: str, reason: str) -> str:
    """Return what became of a defect; one that was caught must be seen to be in the check's own words."""
    fits = re.search(reason, evidence, re.DOTALL) and not CRASH.search(evidence)
    return result if result != "CAUGHT" or fits else "WRONG REASON"


@experiment(_judge_picked, try_picked)
def picked_are_caught(tried: Tried) -> Observed:
    """Look at what the check that claims it said of each defect."""
    rows = [
        (outcome.defect, outcome.promise, outcome.result, outcome.evidence, defect.reason, outcome.seconds, defect.diff)
        for defect, outcome in zip(tried.defects, tried.outcomes, strict=True)
    ]
    columns = ["defect", "breaks", "result", "evidence", "reason", "seconds", "change"]
    return {"outcomes": pd.DataFrame(rows, columns=columns)}


def _judge_unharmed(controls: pd.DataFrame) -> Evidence:
    rows = [(it.notebook, ", ".join(it.checks), _complaints(it.failures), "nothing") for it in controls.itertuples()]
    made = sum(len(checks) for checks in controls["checks"])
    columns = ["notebook", "checks", "says against an unharmed copy", "expected"]
    return compare(f"{made} checks of {len(rows)} notebooks say nothing against an unharmed copy", rows, columns)


def _complaints(failures: Mapping[str, str]) -> str:
    return "; ".join(f"{check}: {said}" for check, said in failures.items()) or "nothing"


@experiment(_judge_unharmed, try_picked)
def unharmed_copy_passes(tried: Tried) -> Observed:
    """Look at what the same checks said of copies that nobody had harmed: what fails anyhow catches nothing."""
    rows = [(control.caught_by, control.asked, control.failures) for control in tried.controls]
    return {"controls": pd.DataFrame(rows, columns=["notebook", "checks", "failures"])}
