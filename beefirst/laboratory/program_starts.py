"""When each program of the running service began and was ready, as they tell it themselves."""

import os
import re
import time
from datetime import datetime
from pathlib import Path

import pandas as pd

from beefirst.laboratory.api_process import fetch
from beefirst.laboratory.running_service import OWN, RunningService, jupyterlab_url_from_here
from beefirst.machine.stopwatch import process_age

PYTHON = re.compile(rb".*python[0-9.]*")

ONE_START_SECONDS = 120
"""Programs that began further apart than this did not start together."""


def look_at_programs(service: RunningService) -> pd.DataFrame:
    """Ask each program of the running service when it began and was ready.

    Returns:
        The columns program, began, ready: seconds since the first of them began. PostgreSQL counts as ready
        when the API is connected. A program that had been running for ONE_START_SECONDS when the API began is
        left out: it did not start with it.
    """
    startup = service.get("/health/startup")
    api_began = datetime.fromisoformat(startup["started_at"]).timestamp()
    programs = [("API", api_began, api_began + startup["seconds"])]
    if service.way != OWN:  # a server on which a notebook makes scratch databases was up long before
        connected = api_began + sum(phase["seconds"] for phase in startup["phases"][:2])
        programs = [("PostgreSQL", _database_began(service), connected), *programs]
        programs += [("JupyterLab", *moments)] if (moments := _look_at_jupyterlab()) else []
    frame = pd.DataFrame(programs, columns=["program", "began", "ready"])
    frame = frame[abs(frame["began"] - api_began) < ONE_START_SECONDS].reset_index(drop=True)
    first = frame["began"].min()
    return frame.assign(began=frame["began"] - first, ready=frame["ready"] - first)


def _database_began(service: RunningService) -> float:
    with service.connect() as connection:
        (began,) = connection.execute("SELECT extract(epoch FROM pg_postmaster_start_time())::float8").fetchall()[0]
    return float(began)


def _look_at_jupyterlab() -> tuple[float, float] | None:
    """Return when it began and was ready, in seconds since the epoch; None where none answers."""
    url = jupyterlab_url_from_here()
    if url is None or (process := _notebooks_process()) is None:
        return None
    token = os.environ.get("JUPYTER_TOKEN")
    headers = {"Authorization": f"token {token}"} if token else {}
    started = fetch(url + "/api/status", **headers).json()["started"]
    return time.time() - process_age(process), datetime.fromisoformat(started).timestamp()


def _notebooks_process() -> int | None:
    """Return the process that serves JupyterLab: this kernel's parent, or the container's only one."""
    candidates = [os.getppid(), *(int(path.name) for path in Path("/proc").glob("[0-9]*"))]
    for pid in candidates:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"notebooks" in words and b"beefirst" in words and PYTHON.fullmatch(words[0]):
            return pid
    return None
