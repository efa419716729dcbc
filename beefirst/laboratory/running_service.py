"""The service that is up already and that notebooks judge, or one of a notebook's own where none is named."""

import os
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from psycopg import Connection

from beefirst.errors import DatabaseUnavailableError, ProcessError
from beefirst.laboratory.api_process import fetch, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase, configured_url, connect
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_for
from beefirst.settings import DeploymentSettings

PATIENCE_SECONDS = 3
"""JupyterLab starts beside the API: the first cell of a quick reader waits this long for it."""

PAUSE_SECONDS = 0.1

COMPOSE, UP, OWN = "docker compose up", "python -m beefirst up", "this notebook"
"""What can have brought a service up, in words."""


@dataclass(frozen=True)
class RunningService:
    """The API that is up already, and its database: notebooks judge both as they find them.

    Attributes:
        api_url: where this process reaches the API.
        browser_url: where a browser reaches it.
        database_url: password included.
        way: what brought it up: COMPOSE, UP or OWN.
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
            default_transaction_read_only="on" if read_only else "off",
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
    way = COMPOSE if deployment.beefirst_container else UP
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
        _wait_for_api(api_url)
    return api_url, database_url


def _start_own() -> RunningService:
    database = ScratchDatabase()
    api = start_api(database.url)
    return RunningService(api.url, api.url, database.url, OWN, (database, api))


def _wait_for_database(url: str) -> None:
    refusals: list[DatabaseUnavailableError] = []
    if not wait_for(lambda: _connects(url, refusals), PATIENCE_SECONDS, PAUSE_SECONDS):
        raise refusals[-1]


def _connects(url: str, refusals: list[DatabaseUnavailableError]) -> bool:
    try:
        connect(url).close()
    except DatabaseUnavailableError as refusal:
        refusals.append(refusal)
        return False
    return True


def _wait_for_api(url: str) -> None:
    if not wait_for(lambda: answers(url + "/health/ready"), PATIENCE_SECONDS, PAUSE_SECONDS):
        raise ProcessError(
            f"The API at {url} is not ready: bring it up with `docker compose up` or `python -m beefirst up`, "
            "or unset API_URL so that this notebook starts its own."
        )


def jupyterlab_url() -> str | None:
    """Return where a browser reaches the JupyterLab that serves the reader, if one answers."""
    deployment = DeploymentSettings.load()
    return deployment.browser_url(deployment.notebook_port) if jupyterlab_url_from_here() else None


def jupyterlab_url_from_here() -> str | None:
    """Return where this process reaches the JupyterLab that serves the reader, if one answers."""
    deployment = DeploymentSettings.load()
    url = "http://127.0.0.1:8888" if deployment.beefirst_container else deployment.browser_url(deployment.notebook_port)
    served = deployment.beefirst_container or "API_URL" in os.environ
    return url if served and answers(url + "/api") else None
