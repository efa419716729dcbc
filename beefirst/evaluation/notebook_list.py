"""The notebooks as a list: which there are, what each asks, and what each found in its last run."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from IPython.display import display

from beefirst.evaluation.display.tables import NOT_RUN_YET, Shown, table
from beefirst.evaluation.records import NOT_FINISHED, Record, load_record
from beefirst.evaluation.run_context import RunContext
from beefirst.machine.folders import NOTEBOOKS

FIRST = "00_start_here"
COLUMNS = ["notebook", "question", "criterion", "takes", "verdict", "last run"]
CRITERION = re.compile(r"\*\*Criterion (?P<criterion>.+?)\.\*\*")
DURATION = re.compile(r"\*\*Takes\*\* about (?P<duration>\d+ (s|min))")
"""Of seconds or minutes: the column is narrow."""


def find_notebooks(folder: Path | None = None) -> list[Path]:
    """Return the numbered notebooks of a folder in their order.

    Args:
        folder: where they lie; the working directory where left out, or from elsewhere the shipped originals.
    """
    if folder is None:
        folder = Path.cwd() if (Path.cwd() / f"{FIRST}.ipynb").exists() else NOTEBOOKS
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def list_notebooks(folder: Path | None = None) -> pd.DataFrame:
    """Return every notebook with its question, criterion, expected time, and the verdict and time of its last run."""
    return pd.DataFrame([_row(path) for path in find_notebooks(folder)], columns=COLUMNS)


def _row(path: Path) -> tuple[str, ...]:
    opening = "".join(json.loads(path.read_text())["cells"][0]["source"])
    criterion, duration = CRITERION.search(opening), DURATION.search(opening)
    context = RunContext.current()
    record = load_record(path.stem, context.own_folder if path.stem == FIRST else context.records_folder)
    return (
        path.name,
        opening.splitlines()[0].lstrip("# "),
        criterion["criterion"] if criterion else "",
        duration["duration"] if duration else "",
        *(_found(record) if record else (NOT_RUN_YET, "")),
    )


def _found(record: Record) -> tuple[str, str]:
    reading = record.notebook == FIRST and record.verdict == NOT_FINISHED
    return ("this notebook", "") if reading else (_verdict(record), _last_run(record))


def _verdict(record: Record) -> str:
    bad = [check.key for check in record.failed_checks]
    return f"FAIL: {', '.join(bad)}" if record.verdict == "FAIL" else record.verdict


def _last_run(record: Record) -> str:
    today = record.finished_at.date() == datetime.now(UTC).date()
    when = f"{record.finished_at:%H:%M} UTC" if today else f"{record.finished_at:%-d %b}"
    return f"{when}, {record.seconds:.{0 if record.seconds >= 10 else 1}f} s"


class LiveTable:
    """The table of the notebooks, written anew in one output whenever something in it changes."""

    def __init__(self, folder: Path | None, states: dict[str, str]) -> None:
        self._folder, self._states = folder, states
        self._handle = display(self._table(), display_id=True)

    def show_progress(self, name: str, done: int, total: int) -> None:
        self._set(name, f"running: cell {min(done + 1, total)} of {total}")

    def finish(self, name: str) -> None:
        del self._states[name]
        self._update()

    def stop(self) -> None:
        self._states = {
            name: "stopped" if state.startswith("running") else "not reached" if state == "waiting" else state
            for name, state in self._states.items()
        }
        self._update()

    def _set(self, name: str, state: str) -> None:
        if self._states[name] != state:
            self._states[name] = state
            self._update()

    def _update(self) -> None:
        if self._handle:
            self._handle.update(self._table())

    def _table(self) -> Shown:
        frame = list_notebooks(self._folder).set_index("notebook", drop=False)
        for name, state in self._states.items():
            frame.loc[name, ["verdict", "last run"]] = state, ""
        return table(frame)
