"""`python -m beefirst up`: PostgreSQL, the API and JupyterLab on one machine, without Docker."""

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

from beefirst.database.embedded import EmbeddedServer
from beefirst.errors import ConfigurationError, ProcessError
from beefirst.folders import data_folder
from beefirst.ports import refuse_taken
from beefirst.processes import Service, stop_signals
from beefirst.seat.jupyterlab import choose_token, link
from beefirst.settings import DatabaseUrl, SeatSettings, Settings

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
    settings, seat = Settings.load(), SeatSettings.load()
    token = choose_token(seat)
    named = "database_url" in settings.model_fields_set
    if named and ephemeral:
        raise ConfigurationError(
            "DATABASE_URL names a database that is not thrown away: unset it, or leave --ephemeral out."
        )
    with _signals_as_exceptions(), ExitStack() as running:
        try:
            _refuse_equal_ports(seat, ["api_port", "notebook_port"] + ["db_port"] * (not named))
            _refuse_taken_ports(seat)
            server = None if named else _start_server(seat, ephemeral)
            if server:
                running.callback(server.stop)
            url = DatabaseUrl(server.url) if server else settings.database_url
            services = _start_services(running, seat, url, token)
            _wait_until_ready(services)
            print(_table(seat, url, server, token, time.monotonic() - started), flush=True)
            _watch(services, server)
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


def _refuse_equal_ports(seat: SeatSettings, names: Sequence[str]) -> None:
    for one, other in combinations(names, 2):
        if getattr(seat, one) == getattr(seat, other):
            raise ConfigurationError(
                f"{one.upper()} and {other.upper()} are both {getattr(seat, one)}: set one of them to another port."
            )


def _refuse_taken_ports(seat: SeatSettings) -> None:
    refuse_taken(seat.bind_address, seat.api_port, "API_PORT")
    refuse_taken(seat.bind_address, seat.notebook_port, "NOTEBOOK_PORT")


def _start_server(seat: SeatSettings, ephemeral: bool) -> EmbeddedServer:
    return (
        EmbeddedServer.start_ephemeral(seat.db_port) if ephemeral else EmbeddedServer.start(data_folder(), seat.db_port)
    )


def _start_services(running: ExitStack, seat: SeatSettings, url: DatabaseUrl, token: str) -> list[Service]:
    api_url, probe = seat.browser_url(seat.api_port), seat.browser_url(seat.notebook_port) + "/api"
    environment = {
        **os.environ,
        # Kernels have another working directory, and so would not find these in .env.
        **{name.upper(): str(value) for name, value in seat if name not in ("jupyter_token", "beefirst_container")},
        "DATABASE_URL": url.get_secret_value(),
        "API_URL": api_url,
        "JUPYTER_TOKEN": token,
    }
    services = [
        # It would print its link before the rest is ready.
        Service("JupyterLab", ["notebooks"], environment, probe, Path.cwd(), errors_only=True),
        Service("The API", ["api"], environment, f"{api_url}/health/ready", Path.cwd()),
    ]
    for service in services:
        running.callback(service.stop)
    return services


def _wait_until_ready(services: list[Service]) -> None:
    for service in services:
        service.wait_until_ready(READY_SECONDS)


def _table(seat: SeatSettings, url: DatabaseUrl, server: EmbeddedServer | None, token: str, seconds: float) -> str:
    rows = [
        ("PostgreSQL", str(url)),
        *(
            [("  look inside", f"{shutil.which('psql') or server.psql} {url}  (the README names the password)")]
            if server
            else []
        ),
        ("API", f"{seat.browser_url(seat.api_port)}/docs"),
        ("JupyterLab", link(seat, token)),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:{width}}  {where}" for name, where in rows]
    return "\n".join(
        ["", *lines, "", f"Ready after {seconds:.1f} s. Open the JupyterLab link. Ctrl-C stops everything.", ""]
    )


def _watch(services: list[Service], server: EmbeddedServer | None) -> NoReturn:
    while True:
        for service in services:
            service.check_alive()
        if server and server.process.poll() is not None:
            raise ProcessError(f"PostgreSQL ended by itself; its log is {server.log}.")
        time.sleep(0.2)
