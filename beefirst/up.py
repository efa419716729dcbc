"""`python -m beefirst up`: PostgreSQL, the API and JupyterLab on one machine, without Docker."""

import math
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import combinations
from pathlib import Path
from types import FrameType
from typing import NoReturn

from beefirst.embedded_postgres.server import EmbeddedServer
from beefirst.errors import ConfigurationError, PortTakenError, ProcessError
from beefirst.jupyter.serve import choose_token, link
from beefirst.machine.folders import data_folder
from beefirst.machine.ports import refuse_taken_port
from beefirst.machine.processes import ServerProcess, stop_signals
from beefirst.machine.waiting import wait_for
from beefirst.settings import DeploymentSettings, Settings
from beefirst.urls import DatabaseUrl

READY_SECONDS = 90
"""How long the API and JupyterLab may take to become ready; the API itself gives the database 60."""


class _StopRequestedError(Exception):
    """SIGINT, SIGTERM or SIGHUP arrived."""


def run(*, ephemeral: bool) -> None:
    """Start what is needed, print what runs where, and stop it all on SIGINT, SIGTERM or SIGHUP.

    Args:
        ephemeral: use a throw-away database. With DATABASE_URL set, that database is used and no server started.

    Raises:
        BeefirstError: something could not start, or ended by itself; nothing is left running.
    """
    started = time.monotonic()
    settings, deployment = Settings.load(), DeploymentSettings.load()
    token = choose_token(deployment)
    named = "database_url" in settings.model_fields_set
    if named and ephemeral:
        raise ConfigurationError(
            "DATABASE_URL names a database that is not thrown away: unset it, or leave --ephemeral out."
        )
    with _signals_as_exceptions(), ExitStack() as running:
        try:
            ports = ["api_port", "notebook_port"] + ["db_port"] * (not named)
            _refuse_equal_ports(deployment, ports)
            _refuse_taken_ports(deployment, ports)
            postgres = None if named else _start_postgres(deployment, ephemeral)
            if postgres:
                running.callback(postgres.stop)
            url = DatabaseUrl(postgres.url) if postgres else settings.database_url
            servers = _start_servers(running, deployment, url, token)
            _wait_until_ready(servers)
            print(_table(deployment, url, postgres, token, time.monotonic() - started), flush=True)
            _watch(servers, postgres)
        except _StopRequestedError:
            print("\nStopping JupyterLab, the API and PostgreSQL.", flush=True)
        finally:
            for number in stop_signals():  # an impatient second Ctrl-C must not leave half of them running
                signal.signal(number, signal.SIG_IGN)


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> NoReturn:
        raise _StopRequestedError

    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_equal_ports(deployment: DeploymentSettings, names: Sequence[str]) -> None:
    for one, other in combinations(names, 2):
        port = getattr(deployment, one)
        if port == getattr(deployment, other):
            raise ConfigurationError(
                f"{one.upper()} and {other.upper()} are both {port}: set one of them to another port."
            )


def _refuse_taken_ports(deployment: DeploymentSettings, names: Sequence[str]) -> None:
    refusals = []
    for name in names:
        host = "127.0.0.1" if name == "db_port" else deployment.bind_address
        try:
            refuse_taken_port(host, getattr(deployment, name), name.upper())
        except PortTakenError as refusal:
            refusals.append(str(refusal))
    if refusals:
        raise PortTakenError(" ".join(refusals))


def _start_postgres(deployment: DeploymentSettings, ephemeral: bool) -> EmbeddedServer:
    return (
        EmbeddedServer.start_ephemeral(deployment.db_port)
        if ephemeral
        else EmbeddedServer.start(data_folder(), deployment.db_port)
    )


def _start_servers(
    running: ExitStack, deployment: DeploymentSettings, url: DatabaseUrl, token: str
) -> list[ServerProcess]:
    api_url, probe = (
        deployment.browser_url(deployment.api_port),
        deployment.browser_url(deployment.notebook_port) + "/api",
    )
    environment = {
        **os.environ,
        # Kernels have another working directory, and so would not find these in .env.
        **{
            name.upper(): str(value)
            for name, value in deployment
            if name not in ("jupyter_token", "beefirst_container")
        },
        "DATABASE_URL": url.get_secret_value(),
        "API_URL": api_url,
        "JUPYTER_TOKEN": token,
    }
    servers = [
        # It would print its link before the rest is ready.
        ServerProcess("JupyterLab", ["notebooks"], environment, probe, Path.cwd(), errors_only=True),
        ServerProcess("The API", ["api"], environment, f"{api_url}/health/ready", Path.cwd()),
    ]
    for server in servers:
        running.callback(server.stop)
    return servers


def _wait_until_ready(servers: list[ServerProcess]) -> None:
    for server in servers:
        server.wait_until_ready(READY_SECONDS)


def _table(
    deployment: DeploymentSettings, url: DatabaseUrl, postgres: EmbeddedServer | None, token: str, seconds: float
) -> str:
    rows = [
        ("PostgreSQL", str(url)),
        *(
            [("  look inside", f"{shutil.which('psql') or postgres.psql} {url}  (the README names the password)")]
            if postgres
            else []
        ),
        ("API", f"{deployment.browser_url(deployment.api_port)}/docs"),
        ("JupyterLab", link(deployment, token)),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:{width}}  {where}" for name, where in rows]
    return "\n".join(
        ["", *lines, "", f"Ready after {seconds:.1f} s. Open the JupyterLab link. Ctrl-C stops everything.", ""]
    )


def _watch(servers: list[ServerProcess], postgres: EmbeddedServer | None) -> None:
    wait_for(lambda: _check_alive(servers, postgres), math.inf, pause=0.2)


def _check_alive(servers: list[ServerProcess], postgres: EmbeddedServer | None) -> None:
    for server in servers:
        server.check_alive()
    if postgres and postgres.process.poll() is not None:
        raise ProcessError(f"PostgreSQL ended by itself; its log is {postgres.log}.")
