"""What notebook 00 shows: what runs where, and what each notebook found."""

import json
import platform
import re
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from beefirst.evaluation.service import RunningService, jupyterlab_url
from beefirst.evaluation.verdicts import last_verdict
from beefirst.folders import NOTEBOOKS
from beefirst.seat.readers_copy import copies_folder, outdated
from beefirst.settings import SeatSettings

CRITERION = re.compile(r"\*\*Criterion (?P<criterion>.+?)\.\*\*")
DURATION = re.compile(r"\*\*Takes\*\* (?P<duration>about \d+ \w+)")


def programs(service: RunningService) -> pd.DataFrame:
    """Return what runs where: program, version, address."""
    seat = SeatSettings.load()
    database = service.get("/health")["database"]
    lab = seat.browser_url(seat.notebook_port) if jupyterlab_url() else "not running"
    rows = [
        ("API", f"beefirst {version_of('beefirst')}, FastAPI {version('fastapi')}", f"{service.browser_url}/docs"),
        ("Database", database, _target(service)),
        ("JupyterLab", version("jupyterlab"), lab),
        ("Python", platform.python_version(), platform.platform(terse=True)),
        ("Brought up by", service.way, ""),
    ]
    return pd.DataFrame(rows, columns=["what", "version", "where"])


def version_of(package: str) -> str:
    """Return the version of an installed package; `from source` where it runs from a folder, as in the image."""
    try:
        return version(package)
    except ModuleNotFoundError:
        return "from source"


def _target(service: RunningService) -> str:
    with service.connect() as connection:
        info = connection.info
        return f"{info.host}:{info.port}, database {info.dbname}"


def notebooks(folder: Path = NOTEBOOKS) -> pd.DataFrame:
    """Return every notebook with its question, criterion, expected time, and the verdict and time of its last run."""
    rows = []
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        opening = "".join(json.loads(path.read_text())["cells"][0]["source"])
        criterion, duration = CRITERION.search(opening), DURATION.search(opening)
        verdict, when = last_verdict(path.stem)
        rows.append(
            (
                path.stem,
                opening.splitlines()[0].lstrip("# "),
                criterion["criterion"] if criterion else "",
                duration["duration"] if duration else "",
                verdict,
                when,
            )
        )
    return pd.DataFrame(rows, columns=["notebook", "question", "criterion", "takes", "last verdict", "last run"])


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
