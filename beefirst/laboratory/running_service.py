"""The running service that the notebooks judge, or one of their own where none is named."""

import os
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from psycopg import Connection

from beefirst.errors import DatabaseUnavailableError, ProcessError
from beefirst.laboratory.api_process import fetch, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase, configured_url, connect
from beefirst.machine.processes import answers
from beefirst.machine.stopwatch import process_age
from beefirst.settings import DeploymentSettings

PATIENCE_SECONDS = 3
"""JupyterLab starts beside the API: the first cell of a quick reader waits this long for it."""

OWN = "this notebook"

PYTHON = re.compile(rb".*python[0-9.]*")

ONE_START_SECONDS = 120
"""Programs that began further apart than this did not start together."""


@dataclass(frozen=True)
class RunningService:
    """An API and the database that it uses.

    Attributes:
        api_url: where this process reaches the API.
        browser_url: where a browser reaches it.
        database_url: password included.
        way: how it was brought up, in words: `docker compose up`, `python -m beefirst up` or `this notebook`.
        resources: what lives as long as this.
    """

    api_url: str
    browser_url: str
    database_url: str = field(repr=False)
    way: str
    resources: tuple[object, ...] = field(default=(), repr=False)

    def connect(self, *, read_only: bool = True) -> Connection[Any]:
        """Return a connection to the service's own database, on which nothing can be written."""
        return connect(
            self.database_url,
            application_name="beefirst-notebook",
            options="-c default_transaction_read_only=on" if read_only else "",
        )

    def get(self, path: str) -> Any:
        """Return the JSON that the API answers to a GET of `path`, whatever its status."""
        return fetch(self.api_url + path).json()


@cache
def find_service() -> RunningService:
    """Return the service that API_URL and DATABASE_URL name, or start one on a scratch database.

    Raises:
        ProcessError: API_URL is set and nothing answers there.
        DatabaseUnavailableError: DATABASE_URL is set and nothing answers there.
    """
    return find_named() or _start_own()


def find_named() -> RunningService | None:
    """Return the service that API_URL and DATABASE_URL name, or None where they name none; errors as `find_service`."""
    api_url, database_url = require_named()
    if not api_url or not database_url:
        return None
    deployment = DeploymentSettings.load()
    browser_url = deployment.browser_url(deployment.api_port) if deployment.beefirst_container else api_url
    way = "docker compose up" if deployment.beefirst_container else "python -m beefirst up"
    return RunningService(api_url, browser_url, database_url, way)


def require_named() -> tuple[str | None, str | None]:
    """Return API_URL and DATABASE_URL, each None where it is not set, once those that are set answer.

    Raises:
        ProcessError: API_URL is set and nothing answers there.
        DatabaseUnavailableError: DATABASE_URL is set and nothing answers there.
    """
    api_url, database_url = os.environ.get("API_URL"), configured_url()
    if database_url:
        _wait_for_database(database_url)
    if api_url:
        _wait_for(api_url)
    return api_url, database_url


def _start_own() -> RunningService:
    database = ScratchDatabase()
    api = start_api(database.url)
    return RunningService(api.url, api.url, database.url, OWN, (database, api))


def _wait_for_database(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return connect(url).close()
        except DatabaseUnavailableError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _wait_for(api_url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answers(api_url + "/health/ready"):
        if time.monotonic() > deadline:
            raise ProcessError(
                f"The API at {api_url} is not ready: bring it up with `docker compose up` or `python -m beefirst up`, "
                "or unset API_URL so that this notebook starts its own."
            )
        time.sleep(0.1)


def jupyterlab_url() -> str | None:
    """Return where a browser reaches the JupyterLab that serves the reader, if one answers."""
    deployment = DeploymentSettings.load()
    return deployment.browser_url(deployment.notebook_port) if _near_jupyterlab() else None


def _near_jupyterlab() -> str | None:
    """Return where this machine or container reaches that JupyterLab, if it answers."""
    deployment = DeploymentSettings.load()
    url = "http://127.0.0.1:8888" if deployment.beefirst_container else deployment.browser_url(deployment.notebook_port)
    served = deployment.beefirst_container or "API_URL" in os.environ
    return url if served and answers(url + "/api") else None


def start_events(service: RunningService) -> pd.DataFrame:
    """Return when each program of the running service began and was ready.

    Returns:
        The columns program, began, ready: seconds since the first of them began. PostgreSQL counts as ready
        when the API is connected. A program that had been running for ONE_START_SECONDS when the API began is
        left out: it did not start with it.
    """
    startup = service.get("/health/startup")
    api_began = datetime.fromisoformat(startup["started_at"]).timestamp()
    connected = sum(phase["seconds"] for phase in startup["phases"][:2])
    with service.connect() as connection:
        row = connection.execute("SELECT extract(epoch FROM pg_postmaster_start_time())::float8").fetchone()
    database_began = row[0] if row else api_began
    events = [("API", api_began, api_began + startup["seconds"])]
    if service.way != OWN:  # a server on which a notebook makes scratch databases was up long before
        events = [("PostgreSQL", database_began, api_began + connected), *events, *_jupyterlab_event()]
    frame = pd.DataFrame(events, columns=["program", "began", "ready"])
    frame = frame[abs(frame["began"] - api_began) < ONE_START_SECONDS].reset_index(drop=True)
    first = frame["began"].min()
    return frame.assign(began=frame["began"] - first, ready=frame["ready"] - first)


def _jupyterlab_event() -> list[tuple[str, float, float]]:
    url = _near_jupyterlab()
    if url is None or (process := _notebooks_process()) is None:
        return []
    started = fetch(url + "/api/status", os.environ.get("JUPYTER_TOKEN", "")).json()["started"]
    began = time.time() - process_age(process)
    return [("JupyterLab", began, datetime.fromisoformat(started).timestamp())]


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
