"""Notebook 01: what the compose file declares, what of it runs and is connected, and what a container may do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from beefirst.evaluation.compose_file import NONE, PORTS, PUBLISHES, SPECIFIED, describe, find_excess
from beefirst.evaluation.display.tables import Shown, fields, table
from beefirst.evaluation.evidence import Evidence, compare, not_shown_here
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.laboratory import catalog
from beefirst.laboratory.running_service import COMPOSE, OWN, UP, RunningService, jupyterlab_url
from beefirst.machine.folders import CHECKOUT

FILE = CHECKOUT / "docker-compose.yml"

OWN_PROCESS = Path("/proc/self")

Services = Mapping[str, Mapping[str, Any]]


def read_services(file: Path = FILE) -> dict[str, dict[str, Any]]:
    """Return the services that a compose file declares, by name, without their environment: it holds passwords."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["services"]
    return {
        name: {key: value for key, value in service.items() if key != "environment"}
        for name, service in services.items()
    }


def _judge_services(services: Services) -> Evidence:
    # What only a profile brings is no part of what `docker compose up` does.
    services = {name: it for name, it in services.items() if not it.get("profiles")}
    found = {name: describe(services.get(name, {})) for name in dict.fromkeys([*services, *SPECIFIED])}
    rows = [
        (name, what, seen, SPECIFIED.get(name, NONE)[what]) for name, it in found.items() for what, seen in it.items()
    ]
    summary = ", ".join(f"{name} {it[PUBLISHES]}" for name, it in found.items())
    return compare(summary, rows, ["service", "what", "seen", "expected"])


@experiment(_judge_services, read_services)
def services_and_ports(file: Path = FILE) -> Observed:
    """Hold the services of a compose file against those that were specified: what each is, waits for and publishes."""
    return {"services": read_services(file)}


@dataclass(frozen=True)
class ServiceState:
    """What a running service says of itself, and what its database says of it.

    Attributes:
        service: the one that was asked.
        ready: what the API answers at /health/ready.
        programs: who is connected to the database, by the names that programs give.
        api_processes: the server processes that serve the API, as this very database counts them.
        database_port: where the database listens, as it says itself; None on a socket.
    """

    service: RunningService
    ready: dict[str, Any]
    programs: pd.DataFrame
    api_processes: list[int]
    database_port: int | None


@measurement
def measure_state(service: RunningService) -> ServiceState:
    """Ask a running service and its database for each other."""
    with service.connect() as connection:
        programs = catalog.connections(connection)
        row = connection.execute("SELECT inet_server_port()").fetchone()
        ready = service.get("/health/ready")
        return ServiceState(
            service, ready, programs, catalog.backends(connection, "beefirst-api"), row[0] if row else None
        )


@measurement
def connected_programs(state: ServiceState) -> Shown:
    """Return who is connected to the service's database, as a table."""
    return table(state.programs)


def _judge_connection(ready: Mapping[str, Any], api_processes: Sequence[int]) -> Evidence:
    status, answering = ready["status"], ready.get("connection")
    counted = ", ".join(map(str, api_processes)) or "none"
    summary = f"{status}; server process {answering}, of the API's {counted}"
    return Evidence(_is_connected(ready, api_processes) and status == "ready", summary, fields(ready))


def _is_connected(ready: Mapping[str, Any], api_processes: Sequence[int]) -> bool:
    """Tell whether the server process that answered the API is one of this database."""
    return ready.get("connection") in api_processes


@experiment(_judge_connection, measure_state)
def api_is_connected(state: ServiceState) -> Observed:
    """Hold the server process that answered the API against those which this database counts as the API's."""
    return {"ready": state.ready, "api_processes": state.api_processes}


def _judge_database(way: str, port: int | None) -> Evidence:
    if way != COMPOSE:
        return not_shown_here(COMPOSE)
    return Evidence(port == PORTS["db"], f"connected to port {port} over the compose network")


@experiment(_judge_database, measure_state)
def database_container_runs(state: ServiceState) -> Observed:
    """Tell by the port that the database names whether it is the compose network's."""
    return {"way": state.service.way, "port": state.database_port}


def _judge_api(way: str, address: str, ready: Mapping[str, Any]) -> Evidence:
    if way != COMPOSE:
        return not_shown_here(COMPOSE)
    status = ready["status"]
    return Evidence(status == "ready", f"{address} answers over the compose network that it is {status}")


@experiment(_judge_api, measure_state)
def api_container_runs(state: ServiceState) -> Observed:
    """Tell whether the API serves over the compose network."""
    return {"way": state.service.way, "address": state.service.api_url, "ready": state.ready}


def _judge_jupyterlab(
    way: str, answered: str | None, ready: Mapping[str, Any], api_processes: Sequence[int]
) -> Evidence:
    if way == OWN:
        return not_shown_here(f"{COMPOSE}, or {UP}")
    answer, connected = (
        f"{answered} answers" if answered else "no JupyterLab answers",
        _is_connected(ready, api_processes),
    )
    summary = f"{answer}; the API uses this very database: {'yes' if connected else 'no'}"
    return Evidence(answered is not None and connected, summary)


@experiment(_judge_jupyterlab, measure_state)
def jupyterlab_runs(state: ServiceState) -> Observed:
    """Ask JupyterLab whether it serves, and tell whether its database is the API's."""
    answered = None if state.service.way == OWN else jupyterlab_url()
    return {"way": state.service.way, "answered": answered, "ready": state.ready, "api_processes": state.api_processes}


DENIED = ("read-only root", "capabilities dropped", "given back", "no new privileges", "memory limit", "published at")
DEFAULTED = re.compile(r"\$\{\w+:-([^}]*)\}")
"""A variable of the compose file, and what it is where nobody sets it."""


def _judge_excess(services: Services) -> Evidence:
    excess = {
        name: ", ".join(find_excess(name, services.get(name, {}))) for name in dict.fromkeys([*services, *SPECIFIED])
    }
    rows = [(name, it or "nothing", "nothing", *_denied(services.get(name, {}))) for name, it in excess.items()]
    found = "; ".join(f"{name}: {rights}" for name, rights in excess.items() if rights)
    return compare(f"rights beyond those needed: {found or 'none'}", rows, ["service", "too much", "expected", *DENIED])


def _denied(service: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a service is denied: writing to its root, capabilities, new privileges, memory without end."""
    return (
        "yes" if service.get("read_only") else "no",
        ", ".join(service.get("cap_drop", ())),
        ", ".join(service.get("cap_add", ())) or "none",
        "yes" if "no-new-privileges:true" in service.get("security_opt", ()) else "no",
        service.get("mem_limit") or "no",
        ", ".join(DEFAULTED.sub(r"\1", str(port)) for port in service.get("ports", ())) or "nowhere",
    )


@experiment(_judge_excess, read_services)
def no_right_too_many(file: Path = FILE) -> Observed:
    """Look in a compose file for each right that it gives and no service needs."""
    return {"services": read_services(file)}


CONFINED = {
    "user id": "not 0",
    "effective capabilities": "none: 0000000000000000",
    "no new privileges": "1",
    "root file system": "read-only",
}
"""What the kernel says of an ordinary user without capabilities on a read-only root."""


def _judge_kernel(way: str, status: Mapping[str, str], root: str) -> Evidence:
    users, capabilities = status["Uid"].split(), status["CapEff"].strip()
    found = {
        "user id": ", ".join(dict.fromkeys(users)),
        "effective capabilities": capabilities,
        "no new privileges": status["NoNewPrivs"].strip(),
        "root file system": "read-only" if "ro" in root.split(",") else "writable",
    }
    rows = pd.DataFrame(
        [(name, it, CONFINED[name]) for name, it in found.items()], columns=["right", "found", "wanted"]
    )
    if way != COMPOSE:
        return replace(not_shown_here(COMPOSE), rows=rows)
    ordinary = len(users) > 0 and "0" not in users and set(capabilities) == {"0"}
    alike = all(found[name] == CONFINED[name] for name in ("no new privileges", "root file system"))
    return Evidence(ordinary and alike, ", ".join(f"{name}: {it}" for name, it in found.items()), rows)


@experiment(_judge_kernel)
def kernel_confirms_the_rights(service: RunningService, process: Path = OWN_PROCESS) -> Observed:
    """Ask the kernel of the operating system what a process may do; only in a container has that been promised.

    Args:
        service: tells whether this is a container.
        process: its folder in /proc, by default this process's own.
    """
    lines = (process / "status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if line.startswith(("Uid:", "CapEff:", "NoNewPrivs:")))
    root = next(line for line in (process / "mounts").read_text().splitlines() if line.split()[1] == "/")
    return {"way": service.way, "status": status, "root": root.split()[3]}
