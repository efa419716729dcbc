"""Notebook 01: what the compose file declares, what of it runs and is connected, and what a container may do."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from beefirst.evaluation.display.tables import Shown, fields, table
from beefirst.evaluation.evidence import Evidence, compare, experiment, measurement, not_shown_here
from beefirst.laboratory import catalog
from beefirst.laboratory.running_service import COMPOSE, OWN, UP, RunningService, jupyterlab_url
from beefirst.machine.folders import CHECKOUT

FILE = CHECKOUT / "docker-compose.yml"

PORTS = {"db": 5432, "api": 8000, "notebook": 8888}
"""AC1 of the specification, and JupyterLab's own: what each service publishes where no setting moves it."""

OWN_PROCESS = Path("/proc/self")


def read_services(file: Path = FILE) -> dict[str, dict[str, Any]]:
    """Return the services that a compose file declares, by name."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["services"]
    return services


@experiment
def services_and_ports(file: Path = FILE) -> Evidence:
    """Hold the services of a compose file against those that were specified, by the port that each publishes."""
    services = read_services(file)
    names = list(dict.fromkeys([*services, *PORTS]))
    found = {name: _port(services.get(name, {})) for name in names}
    return compare(
        ", ".join(f"{name} {port}" for name, port in found.items()),
        [(name, *_described(services.get(name, {})), found[name], str(PORTS.get(name, "no port"))) for name in names],
        ["service", "made from", "waits for", "health check", "publishes", "port unless moved", "expected"],
    )


def _described(service: dict[str, Any]) -> tuple[str, ...]:
    return (
        service.get("image") or _dockerfile(service.get("build", {})),
        "\n".join(service.get("depends_on", ())),
        _words(service.get("healthcheck", {}).get("test", "")),
        "\n".join(service.get("ports", ())),
    )


def _port(service: dict[str, Any]) -> str:
    """Return the port that a service publishes on the host by default."""
    ports = [port.rpartition("}:")[0].rpartition(":-")[2] or port for port in service.get("ports", ())]
    return ", ".join(ports) or "no port"


def _dockerfile(build: Any) -> str:
    return build.get("dockerfile", "Dockerfile") if isinstance(build, dict) else "Dockerfile"


def _words(test: Any) -> str:
    text = " ".join(test[1:]) if isinstance(test, list) else str(test)
    asked = re.search(r"http://[^']+", text)
    return f"GET {asked[0]}" if asked else text.replace("$$", "$")


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

    @property
    def is_connected(self) -> bool:
        """Whether the server process that answered the API is one of this database."""
        return self.ready.get("connection") in self.api_processes


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


@experiment
def api_is_connected(state: ServiceState) -> Evidence:
    """Hold the server process that answered the API against those which this database counts as the API's."""
    status, answering = state.ready["status"], state.ready.get("connection")
    counted = ", ".join(map(str, state.api_processes)) or "none"
    summary = f"{status}; server process {answering}, of the API's {counted}"
    return Evidence(state.is_connected and status == "ready", summary, fields(state.ready))


@experiment
def database_container_runs(state: ServiceState) -> Evidence:
    """Tell by the port that the database names whether it is the compose network's."""
    if state.service.way != COMPOSE:
        return not_shown_here(COMPOSE)
    return Evidence(
        state.database_port == PORTS["db"], f"connected to port {state.database_port} over the compose network"
    )


@experiment
def api_container_runs(state: ServiceState) -> Evidence:
    """Tell whether the API serves over the compose network."""
    if state.service.way != COMPOSE:
        return not_shown_here(COMPOSE)
    status = state.ready["status"]
    return Evidence(status == "ready", f"{state.service.api_url} answers over the compose network that it is {status}")


@experiment
def jupyterlab_runs(state: ServiceState) -> Evidence:
    """Ask JupyterLab whether it serves, and tell whether its database is the API's."""
    if state.service.way == OWN:
        return not_shown_here(f"{COMPOSE}, or {UP}")
    url = jupyterlab_url()
    answer = f"{url} answers" if url else "no JupyterLab answers"
    connected = "yes" if state.is_connected else "no"
    return Evidence(url is not None and state.is_connected, f"{answer}; the API uses this very database: {connected}")


NEEDED_CAPABILITIES = {"db": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}}
"""What a service gets back: the database's entry point hands its volume and itself to the account postgres."""


@experiment
def no_right_too_many(file: Path = FILE) -> Evidence:
    """Look in a compose file for each right that it gives and no service needs."""
    services = read_services(file)
    excess = {name: ", ".join(excessive_rights(name, service)) for name, service in services.items()}
    rows = [(name, *_denied(service), excess[name] or "nothing", "nothing") for name, service in services.items()]
    found = "; ".join(f"{name}: {rights}" for name, rights in excess.items() if rights)
    return compare(f"rights beyond those needed: {found or 'none'}", rows, ["service", *DENIED, "too much", "expected"])


DENIED = ("read-only root", "capabilities dropped", "given back", "no new privileges", "memory limit")


def _denied(service: dict[str, Any]) -> tuple[str, ...]:
    """Return what a service is denied: writing to its root, capabilities, new privileges, memory without end."""
    return (
        "yes" if service.get("read_only") else "no",
        ", ".join(service.get("cap_drop", ())),
        ", ".join(service.get("cap_add", ())) or "none",
        "yes" if "no-new-privileges:true" in service.get("security_opt", ()) else "no",
        service.get("mem_limit") or "no",
    )


def excessive_rights(name: str, service: dict[str, Any]) -> list[str]:
    """Return each right that a service of this name is given and does not need."""
    found = {
        "a writable root": not service.get("read_only"),
        "capabilities by default": service.get("cap_drop") != ["ALL"],
        "new privileges": "no-new-privileges:true" not in service.get("security_opt", ()),
        "memory without end": not service.get("mem_limit"),
        "privileged": bool(service.get("privileged")),
        "the user root": str(service.get("user", "")).partition(":")[0] in ("root", "0"),
        "Docker's socket": "docker.sock" in str(service.get("volumes", "")),
        **{f"the host's {kind}": service.get(kind) == "host" for kind in ("pid", "ipc", "network_mode", "userns_mode")},
        **{f"the device {device}": True for device in service.get("devices", ())},
        **dict.fromkeys(set(service.get("cap_add", ())) - NEEDED_CAPABILITIES.get(name, set()), True),
    }
    return [right for right, given in found.items() if given]


@experiment
def kernel_confirms_the_rights(service: RunningService, process: Path = OWN_PROCESS) -> Evidence:
    """Ask the kernel of the operating system what a process may do; only in a container has that been promised.

    Args:
        service: tells whether this is a container.
        process: its folder in /proc, by default this process's own.
    """
    rights = read_rights(process)
    if service.way != COMPOSE:
        return replace(not_shown_here(COMPOSE), rows=rights)
    found = dict(zip(rights["right"], rights["found"], strict=True))
    return Evidence(_is_confined(*found.values()), ", ".join(f"{name}: {it}" for name, it in found.items()), rights)


def read_rights(process: Path) -> pd.DataFrame:
    """Return what the kernel says of a process: its user, its capabilities, and whether it could gain any."""
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    root = next(line for line in (process / "mounts").read_text().splitlines() if line.split()[1] == "/")
    read_only = "ro" in root.split()[3].split(",")
    rows = [
        ("user id", status["Uid"].split()[0], "not 0"),
        ("effective capabilities", status["CapEff"].strip(), "none: 0000000000000000"),
        ("no new privileges", status["NoNewPrivs"].strip(), "1"),
        ("root file system", "read-only" if read_only else "writable", "read-only"),
    ]
    return pd.DataFrame(rows, columns=["right", "found", "wanted"])


def _is_confined(user: str, capabilities: str, no_new_privileges: str, root: str) -> bool:
    """Tell whether these are the rights of an ordinary user without capabilities on a read-only root."""
    return user != "0" and set(capabilities) == {"0"} and no_new_privileges == "1" and root == "read-only"
