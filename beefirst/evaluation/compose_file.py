"""The services of a compose file beside what was specified, and the rights that it gives them beyond what they need."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Service: TypeAlias = Mapping[str, Any]

PORTS = {"db": 5432, "api": 8000, "notebook": 8888}
"""AC1 of the specification, and JupyterLab's own: what each service publishes where no setting moves it."""

MADE_FROM, WAITS_FOR, IS_ASKED, PUBLISHES = "made from", "waits for", "healthy by", "port unless moved"

SPECIFIED: dict[str, dict[str, str]] = {
    "db": {
        MADE_FROM: "postgres:16",
        WAITS_FOR: "nothing",
        IS_ASKED: "pg_isready -q -t 2 -h 127.0.0.1 -U beefirst -d beefirst",
        PUBLISHES: str(PORTS["db"]),
    },
    "api": {
        MADE_FROM: "Dockerfile",
        WAITS_FOR: "db: service_healthy",
        IS_ASKED: "GET http://127.0.0.1:8000/health/ready",
        PUBLISHES: str(PORTS["api"]),
    },
    "notebook": {
        MADE_FROM: "Dockerfile.notebook",
        WAITS_FOR: "db: service_started",
        IS_ASKED: "GET http://127.0.0.1:8888/api",
        PUBLISHES: str(PORTS["notebook"]),
    },
}
"""What each service is to be. The API waits for a database that answers, and is healthy only while it has one."""

NONE = {MADE_FROM: "no service", WAITS_FOR: "nothing", IS_ASKED: "nothing", PUBLISHES: "no port"}
"""What stands for a service that is not there."""

ASKED = re.compile(r"(?P<url>http://[^']+)|(?P<command>pg_isready[^;]*)")

THIS_MACHINE, WHERE_CHOSEN = "127.0.0.1:", "${BIND_ADDRESS:-127.0.0.1}:"

NEEDED_CAPABILITIES = {"db": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}}
"""What a service gets back: the database's entry point hands its volume and itself to the account postgres."""


def describe(service: Service) -> dict[str, str]:
    """Return what a service is made from, waits for, is asked whether it is healthy, and publishes by default."""
    if not service:
        return NONE
    return {
        MADE_FROM: service.get("image") or _dockerfile(service.get("build", {})),
        WAITS_FOR: _conditions(service.get("depends_on", {})) or NONE[WAITS_FOR],
        IS_ASKED: _question(service.get("healthcheck", {}).get("test", "")) or NONE[IS_ASKED],
        PUBLISHES: ", ".join(map(_port, service.get("ports", ()))) or NONE[PUBLISHES],
    }


def _dockerfile(build: Any) -> str:
    return build.get("dockerfile", "Dockerfile") if isinstance(build, Mapping) else "Dockerfile"


def _conditions(depends_on: Any) -> str:
    """Return what a service waits for: a list asks that it has been started, and no more."""
    if not isinstance(depends_on, Mapping):
        return ", ".join(f"{name}: service_started" for name in depends_on)
    return ", ".join(f"{name}: {it.get('condition', 'service_started')}" for name, it in depends_on.items())


def _question(test: Any) -> str:
    text = " ".join(test[1:]) if isinstance(test, list) else str(test)
    asked = ASKED.search(text)
    if not asked:
        return text.replace("$$", "$")
    return f"GET {asked['url']}" if asked["url"] else asked["command"].strip()


def _port(port: Any) -> str:
    text = str(port)
    return text.rpartition("}:")[0].rpartition(":-")[2] or text


def find_excess(name: str, service: Service) -> list[str]:
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
        **dict.fromkeys(sorted(set(service.get("cap_add", ())) - NEEDED_CAPABILITIES.get(name, set())), True),
        **dict.fromkeys(_published_elsewhere(name, service), True),
    }
    return [right for right, given in found.items() if given]


def _published_elsewhere(name: str, service: Service) -> Iterator[str]:
    """Yield each port that others than this machine may reach; the database's never, with a password known to all."""
    homes = (THIS_MACHINE,) if name == "db" else (THIS_MACHINE, WHERE_CHOSEN)
    for port in service.get("ports", ()):
        if not str(port).startswith(homes):
            yield f"a port that is published beyond this machine ({port})"
