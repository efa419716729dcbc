"""What notebook 00 shows: what runs where, and what each notebook found."""

import json
import os
import platform
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from IPython.display import display

from beefirst.database.migration_files import read_migrations
from beefirst.evaluation.display.tables import NOT_RUN_YET, Shown, table
from beefirst.evaluation.records import NOT_FINISHED, Record, load_record, own_folder
from beefirst.evaluation.report.runner import run_notebook
from beefirst.jupyter.readers_copy import copies_folder, outdated
from beefirst.laboratory.environment import PART_OF_A_RUN
from beefirst.laboratory.running_service import RunningService, jupyterlab_url
from beefirst.machine.folders import CHECKOUT, MIGRATIONS, NOTEBOOKS

FIRST = "00_start_here"
COLUMNS = ["notebook", "question", "criterion", "takes", "verdict", "last run"]
CRITERION = re.compile(r"\*\*Criterion (?P<criterion>.+?)\.\*\*")
DURATION = re.compile(r"\*\*Takes\*\* (?P<duration>about \d+ \w+)")


def programs(service: RunningService) -> pd.DataFrame:
    """Return what runs where: program, version, address."""
    database = service.get("/health")["database"]
    lab = jupyterlab_url() or "not running"
    rows = [
        ("API", f"beefirst {version_of('beefirst')}, FastAPI {version('fastapi')}", f"{service.browser_url}/docs"),
        ("Database", database, _target(service)),
        ("JupyterLab", version("jupyterlab"), lab),
        ("Python", platform.python_version(), platform.platform(terse=True)),
        ("Brought up by", service.way, ""),
    ]
    return pd.DataFrame(rows, columns=["what", "version", "where"])


def version_of(package: str) -> str:
    """Return the version of an installed package; of beefirst also where it runs from a folder, as in the image."""
    try:
        return version(package)
    except ModuleNotFoundError:
        return str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])


def fields(values: Mapping[str, object], name: str = "field") -> pd.DataFrame:
    """Return named values as a table with two columns: the first is called `name`, the second value."""
    return pd.DataFrame(
        [(key, "NULL" if value is None else str(value)) for key, value in values.items()], columns=[name, "value"]
    )


def shipped_migrations() -> list[str]:
    """Return the checksum of each migration file in order, as short as `catalog.history` gives it."""
    return [file.sha256[:12] for file in read_migrations(MIGRATIONS)]


def _target(service: RunningService) -> str:
    with service.connect() as connection:
        info = connection.info
        return f"{info.host}:{info.port}, database {info.dbname}"


def find_notebooks(folder: Path | None = None) -> list[Path]:
    """Return the numbered notebooks of a folder in their order.

    Args:
        folder: where they lie; the working directory where left out, or from elsewhere the shipped originals.
    """
    if folder is None:
        folder = Path.cwd() if (Path.cwd() / f"{FIRST}.ipynb").exists() else NOTEBOOKS
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def notebooks(folder: Path | None = None) -> pd.DataFrame:
    """Return every notebook with its question, criterion, expected time, and the verdict and time of its last run."""
    return pd.DataFrame([_row(path) for path in find_notebooks(folder)], columns=COLUMNS)


def _row(path: Path) -> tuple[str, ...]:
    opening = "".join(json.loads(path.read_text())["cells"][0]["source"])
    criterion, duration = CRITERION.search(opening), DURATION.search(opening)
    record = load_record(path.stem, own_folder() if path.stem == FIRST else None)
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
    bad = [check.key for check in record.checks if check.result in ("FAIL", "NOT MADE")]
    return f"FAIL: {', '.join(bad)}" if record.verdict == "FAIL" else record.verdict


def _last_run(record: Record) -> str:
    today = record.finished_at.date() == datetime.now(UTC).date()
    when = f"{record.finished_at:%H:%M}" if today else f"{record.finished_at:%Y-%m-%d %H:%M}"
    return f"{when} UTC, {record.seconds:.{0 if record.seconds >= 10 else 1}f} s"


def run_all(folder: Path | None = None) -> list[Record]:
    """Run every notebook but the first, in order, filling the table of `notebooks` as they go.

    Where this notebook is itself run along with others, the quickest one stands for all.

    Returns:
        What each of them found.
    """
    paths = [path for path in find_notebooks(folder) if path.stem != FIRST]
    if PART_OF_A_RUN in os.environ:
        paths = [min(paths, key=_expected_seconds)]
        print("This notebook is run along with others: here the quickest of them stands for all.")
    live = _LiveTable(folder, {f"{FIRST}.ipynb": "this notebook"} | {path.name: "waiting" for path in paths})
    records = []
    try:
        for path in paths:
            run = run_notebook(path, progress=partial(live.show_progress, path.name))
            live.finish(path.name)
            records.append(run.record)
    except KeyboardInterrupt:
        live.stop()
        raise
    return records


def summarise(records: Sequence[Record]) -> str:
    """Say in a line how many notebooks hold, how long they took, and what failed in the others."""
    failed = [f"{record.notebook}: {record.sentence}" for record in records if not record.holds]
    seconds = sum(record.seconds for record in records)
    hidden = sum(check.result == "NOT SHOWN HERE" for record in records for check in record.checks)
    hold = f"{len(records) - len(failed)} of {len(records)} hold"
    hold += f" ({hidden} of their checks cannot be shown here)" if hidden else ""
    return "; ".join([f"{hold}, in {seconds:.0f} s", *failed])


def _expected_seconds(path: Path) -> int:
    found = DURATION.search("".join(json.loads(path.read_text())["cells"][0]["source"]))
    number, unit = found["duration"].split()[1:] if found else ("1", "hour")
    return int(number) * {"second": 1, "minute": 60}.get(unit.rstrip("s"), 3600)


class _LiveTable:
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
        frame = notebooks(self._folder).set_index("notebook", drop=False)
        for name, state in self._states.items():
            frame.loc[name, ["verdict", "last run"]] = state, ""
        return table(frame)


def copies() -> str:
    """Say whether the reader's notebooks are those that were shipped, in one sentence."""
    folder = copies_folder()
    if Path.cwd() != folder:
        return "These are the shipped originals, run where they lie."
    if older := outdated():
        return (
            f"Newer than your edited copy: {', '.join(older)}. A reset gives you the newer ones, and loses your edits."
        )
    return f"Your copies in {folder} are up to date; your edits survive a restart."
