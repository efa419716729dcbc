"""docker-compose.yml as tables, and what the kernel says of the rights of this container."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from beefirst.machine.folders import CHECKOUT

FILE = CHECKOUT / "docker-compose.yml"


def read_services(file: Path = FILE) -> dict[str, dict[str, Any]]:
    """Return the services that a compose file declares, by name."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["services"]
    return services


def services(file: Path = FILE) -> pd.DataFrame:
    """Return what each service is made from, the port that it publishes, and what it waits for."""
    rows = [
        (
            name,
            service.get("image") or _dockerfile(service["build"]),
            "\n".join(service.get("ports", ())),
            "\n".join(service.get("depends_on", ())),
            _words(service.get("healthcheck", {}).get("test", "")),
        )
        for name, service in read_services(file).items()
    ]
    return pd.DataFrame(rows, columns=["service", "made from", "publishes", "waits for", "health check"])


def hardening(file: Path = FILE) -> pd.DataFrame:
    """Return what each service is denied: writing to its root, capabilities, new privileges, memory without end."""
    rows = [
        (
            name,
            "yes" if service.get("read_only") else "no",
            ", ".join(service.get("cap_drop", ())),
            ", ".join(service.get("cap_add", ())) or "none",
            "yes" if "no-new-privileges:true" in service.get("security_opt", ()) else "no",
            service.get("mem_limit", "no"),
        )
        for name, service in read_services(file).items()
    ]
    names = ["service", "read-only root", "capabilities dropped", "given back", "no new privileges", "memory limit"]
    return pd.DataFrame(rows, columns=names)


NEEDED_CAPABILITIES = {"db": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}}
"""What a service gets back: the database's entry point hands its volume and itself to the account postgres."""


def excessive_rights(file: Path = FILE) -> list[str]:
    """Return each right that the compose file gives and no service needs, as `service: right`."""
    return [f"{name}: {right}" for name, service in read_services(file).items() for right in _excess(name, service)]


def _excess(name: str, service: dict[str, Any]) -> list[str]:
    found = {
        "a writable root": not service.get("read_only"),
        "capabilities by default": service.get("cap_drop") != ["ALL"],
        "new privileges": "no-new-privileges:true" not in service.get("security_opt", ()),
        "memory without end": "mem_limit" not in service,
        "privileged": bool(service.get("privileged")),
        "the user root": str(service.get("user", "")).partition(":")[0] in ("root", "0"),
        "Docker's socket": "docker.sock" in str(service.get("volumes", "")),
        **{f"the host's {kind}": service.get(kind) == "host" for kind in ("pid", "ipc", "network_mode", "userns_mode")},
        **{f"the device {device}": True for device in service.get("devices", ())},
        **dict.fromkeys(set(service.get("cap_add", ())) - NEEDED_CAPABILITIES.get(name, set()), True),
    }
    return [right for right, given in found.items() if given]


def published_ports(file: Path = FILE) -> dict[str, int]:
    """Return the default port that each service publishes on the host, by service."""
    text = {name: service["ports"][0] for name, service in read_services(file).items() if service.get("ports")}
    return {name: int(port.rpartition("}:")[0].rpartition(":-")[2]) for name, port in text.items()}


def own_rights() -> pd.DataFrame:
    """Return what the kernel says of this process: its user, its capabilities, and whether it could gain any."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    root = next(line for line in Path("/proc/self/mounts").read_text().splitlines() if line.split()[1] == "/")
    read_only = "ro" in root.split()[3].split(",")
    rows = [
        ("user id", status["Uid"].split()[0], "not 0"),
        ("effective capabilities", status["CapEff"].strip(), "none: 0000000000000000"),
        ("no new privileges", status["NoNewPrivs"].strip(), "1"),
        ("root file system", "read-only" if read_only else "writable", "read-only"),
    ]
    return pd.DataFrame(rows, columns=["right", "found", "wanted"])


def is_confined() -> bool:
    """Tell whether this process is an ordinary user without capabilities on a read-only root."""
    found = own_rights()["found"].tolist()
    return found[0] != "0" and set(found[1]) == {"0"} and found[2] == "1" and found[3] == "read-only"


def _dockerfile(build: Any) -> str:
    return build.get("dockerfile", "Dockerfile") if isinstance(build, dict) else "Dockerfile"


def _words(test: Any) -> str:
    text = " ".join(test[1:]) if isinstance(test, list) else str(test)
    asked = re.search(r"http://[^']+", text)
    return f"GET {asked[0]}" if asked else text.replace("$$", "$")
