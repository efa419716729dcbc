"""The image of the compose file's balancer, where none can be pulled: Debian's HAProxy, as the other stand-ins."""

import tempfile
from pathlib import Path

import yaml

from beefirst.errors import ProcessError
from beefirst.laboratory.compose_project import docker
from beefirst.machine.folders import CHECKOUT

BASE = "debian:bookworm-slim-local"
"""Only where this is, images are stand-ins; elsewhere Compose pulls the official one."""

DOCKERFILE = f"""
FROM {BASE}
RUN apt-get update -qq \\
 && apt-get install -y -qq --no-install-recommends haproxy wget >/dev/null \\
 && rm -rf /var/lib/apt/lists/*
USER haproxy
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""


def provide_balancer_image() -> None:
    """Make the image, once, where it is missing and stand-ins are in use."""
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    name = services["balancer"]["image"]
    if _has(BASE) and not _has(name):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "Dockerfile").write_text(DOCKERFILE)
            docker("build", "--tag", name, folder)


def _has(image: str) -> bool:
    try:
        docker("image", "inspect", image)
    except ProcessError:
        return False
    return True
