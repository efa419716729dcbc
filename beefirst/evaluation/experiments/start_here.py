"""Notebook 00: what runs where, whether all of it is up, and what each notebook found."""

import platform
import tomllib
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from beefirst.database.migration_files import read_migrations
from beefirst.evaluation.evidence import Evidence, compare, experiment, not_shown_here
from beefirst.evaluation.notebook_list import FIRST, LiveTable, find_notebooks
from beefirst.evaluation.records import Record, load_record, make_record
from beefirst.evaluation.report.runner import run_notebook
from beefirst.evaluation.run_context import RunContext
from beefirst.jupyter.readers_copy import copies_folder, outdated
from beefirst.laboratory import catalog
from beefirst.laboratory.running_service import OWN, RunningService, jupyterlab_url
from beefirst.machine.folders import CHECKOUT, MIGRATIONS


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


def _target(service: RunningService) -> str:
    with service.connect() as connection:
        info = connection.info
        return f"{info.host}:{info.port}, database {info.dbname}"


@experiment
def api_is_ready(service: RunningService) -> Evidence:
    """Ask the API for its own state, which includes that its database answers and has every migration."""
    state = service.get("/health")
    rows = pd.DataFrame([(name, "NULL" if value is None else str(value)) for name, value in state.items()])
    summary = f"{service.browser_url}/health says {state['status']}"
    return Evidence(state["status"] == "ready", summary, rows.set_axis(["field", "value"], axis="columns"))


@experiment
def migrations_are_those_shipped(service: RunningService) -> Evidence:
    """Compare the database's own record of its migrations with the files that were shipped."""
    with service.connect() as connection:
        history = catalog.history(connection)
    shipped = {file.name: file.sha256[:12] for file in read_migrations(MIGRATIONS)}
    applied = dict(zip(history["name"], history["sha256"], strict=True))
    rows = [
        (name, _moment(history, name), applied.get(name, "not applied"), shipped.get(name, "not shipped"))
        for name in dict.fromkeys([*shipped, *applied])
    ]
    newest = history["name"].iloc[-1] if len(history) else "none"
    summary = f"{len(applied)} applied, {len(shipped)} shipped; newest: {newest}"
    return compare(summary, rows, ["migration", "applied at", "sha256 in the database", "expected"])


def _moment(history: pd.DataFrame, name: str) -> str:
    moments = history.loc[history["name"] == name, "applied_at"]
    return str(moments.iloc[0]) if len(moments) else ""


@experiment
def jupyterlab_answers(service: RunningService) -> Evidence:
    """Ask the JupyterLab that serves the reader, where this is not a notebook on its own."""
    if service.way == OWN:
        return not_shown_here("docker compose up, or python -m beefirst up")
    url = jupyterlab_url()
    return Evidence(url is not None, f"address that answers: {url}")


@experiment
def every_notebook_holds(folder: Path | None = None) -> Evidence:
    """Run every notebook but the first, in order, filling the list of notebooks as they go, and count what they found.

    Where the run that this notebook is part of has run others already, those are counted, as they were found.

    Args:
        folder: where they lie; see `find_notebooks`.
    """
    context = RunContext.current()
    if names := context.others_run:
        records = [load_record(name, context.records_folder) or _missing(name) for name in names]
    else:
        records = _run_all([path for path in find_notebooks(folder) if path.stem != FIRST], folder)
    return Evidence(bool(records) and all(record.holds for record in records), _count(records))


def _missing(notebook: str) -> Record:
    return make_record(notebook, "FAIL", "there is no record of its run", 0, [])


def _run_all(paths: Sequence[Path], folder: Path | None) -> list[Record]:
    live = LiveTable(folder, {f"{FIRST}.ipynb": "this notebook"} | {path.name: "waiting" for path in paths})
    records = []
    try:
        for path in paths:
            run = run_notebook(path, progress=partial(live.show_progress, path.name))
            live.finish(path.name)
            records.append(run.record)
    except BaseException:  # an interrupt, too
        live.stop()
        raise
    return records


def _count(records: Sequence[Record]) -> str:
    """Say in a line how many notebooks hold, how long they took, and what failed in the others."""
    failed = [f"{record.notebook}: {record.sentence}" for record in records if not record.holds]
    seconds = sum(record.seconds for record in records)
    hidden = sum(check.result == "NOT SHOWN HERE" for record in records for check in record.checks)
    hold = f"{len(records) - len(failed)} of {len(records)} hold"
    hold += f" ({hidden} of their checks cannot be shown here)" if hidden else ""
    return "; ".join([f"{hold}, in {seconds:.0f} s", *failed])


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
