"""Notebook 00: what runs where, whether all of it is up, and what each notebook found."""

import platform
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from beefirst.evaluation.display.tables import fields
from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.evaluation.migration_history import judge_history, observe_history
from beefirst.evaluation.notebook_list import FIRST, LiveTable, find_notebooks
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.evaluation.promises import CHECKS
from beefirst.evaluation.records import Check, Record, load_record
from beefirst.evaluation.report.runner import run_notebook
from beefirst.evaluation.run_context import RunContext
from beefirst.evaluation.verdict import conclude_from
from beefirst.jupyter.readers_copy import copies_folder, outdated
from beefirst.laboratory.running_service import OWN, RunningService, jupyterlab_url
from beefirst.machine.folders import CHECKOUT


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


def _judge_readiness(state: Mapping[str, Any], address: str) -> Evidence:
    return Evidence(state["status"] == "ready", f"{address}/health says {state['status']}", fields(state))


@experiment(_judge_readiness)
def api_is_ready(service: RunningService) -> Observed:
    """Ask the API for its own state, which includes that its database answers and has every migration."""
    return {"state": service.get("/health"), "address": service.browser_url}


@experiment(judge_history)
def migrations_are_those_shipped(service: RunningService) -> Observed:
    """Compare the database's own record of its migrations with the files that were shipped."""
    with service.connect() as connection:
        return observe_history(connection)


def _judge_jupyterlab(way: str, answered: str | None) -> Evidence:
    if way == OWN:
        return not_shown_here("docker compose up, or python -m beefirst up")
    return Evidence(answered is not None, f"address that answers: {answered}")


@experiment(_judge_jupyterlab)
def jupyterlab_answers(service: RunningService) -> Observed:
    """Ask the JupyterLab that serves the reader, where this is not a notebook on its own."""
    return {"way": service.way, "answered": None if service.way == OWN else jupyterlab_url()}


def _judge_notebooks(due: Sequence[str], notebooks: pd.DataFrame, checks: pd.DataFrame) -> Evidence:
    reasons = {name: _why_not(name, notebooks, checks) for name in due}
    failed = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    hidden = int((checks["result"] == "NOT SHOWN HERE").sum())
    hold = f"{len(reasons) - len(failed)} of {len(reasons)} hold"
    hold += f" ({hidden} of their checks cannot be shown here)" if hidden else ""
    words = [f"{hold}, in {notebooks['seconds'].sum():.0f} s", *failed]
    return Evidence(len(reasons) > 0 and not failed, "; ".join(words))


def _why_not(notebook: str, notebooks: pd.DataFrame, checks: pd.DataFrame) -> str:
    """Return why a notebook does not hold, or nothing: its verdict is not believed, but counted again."""
    records = notebooks[notebooks["notebook"] == notebook].to_dict("records")
    if not records:
        return "there is no record of its run"
    said = records[-1]["verdict"]
    if not said.startswith("PASS"):
        return str(records[-1]["sentence"])
    made = checks[checks["notebook"] == notebook]
    results = dict(zip(made["check"], made["result"], strict=True))
    for key in CHECKS.get(notebook, ()):
        results.setdefault(key, "NOT MADE")
    lines = [{"key": key, "requirement": "", "result": result, "evidence": ""} for key, result in results.items()]
    counted, sentence = conclude_from([Check.model_validate(line) for line in lines])
    return "" if counted == said else f"it says {said}, and its checks say {counted}: {sentence}"


@experiment(_judge_notebooks)
def every_notebook_holds(folder: Path | None = None) -> Observed:
    """Run every notebook but the first, in order, filling the list of notebooks as they go, and note what they found.

    Where the run that this notebook is part of has run others already, those are counted, as they were found.

    Args:
        folder: where they lie; see `find_notebooks`.
    """
    context = RunContext.current()
    if due := context.others_run:
        records = [record for name in due if (record := load_record(name, context.records_folder))]
    else:
        paths = [path for path in find_notebooks(folder) if path.stem != FIRST]
        due, records = [path.stem for path in paths], _run_all(paths, folder)
    notebooks = [(it.notebook, it.verdict, it.sentence, it.seconds) for it in records]
    checks = [(it.notebook, check.key, check.result) for it in records for check in it.checks]
    return {
        "due": due,
        "notebooks": pd.DataFrame(notebooks, columns=["notebook", "verdict", "sentence", "seconds"]),
        "checks": pd.DataFrame(checks, columns=["notebook", "check", "result"]),
    }


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
