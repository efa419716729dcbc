"""The compose file for real, under a project name and on ports of its own."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until

OLD_COMPOSE = "/usr/bin/docker-compose"
"""Debian's docker-compose 1.29."""

HANGS_SECONDS = 2400
"""No command takes as long as this, also where the machine does other things: every notebook takes 2 to 5 minutes."""


def has_engine() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "compose", "ls"], capture_output=True, timeout=60, check=False).returncode == 0


needs_engine = pytest.mark.skipif(not has_engine(), reason="no Docker engine with Compose v2 answers: install docker")


class ComposeStack:
    """The compose file under a project name and on ports of its own.

    Attributes:
        seconds_to_ready: from `docker compose up` to the API ready, with built images and empty volumes; set by
            `run_stack`.
    """

    seconds_to_ready: float

    def __init__(
        self,
        command: tuple[str, ...] = ("docker", "compose"),
        folder: Path = CHECKOUT,
        ports: tuple[int, int, int] | None = None,
    ) -> None:
        self.project = f"beefirsttest{os.getpid()}{time.monotonic_ns() % 10**6}"
        chosen = ports or [free_port() for _ in range(3)]
        self.ports = dict(zip(("DB_PORT", "API_PORT", "NOTEBOOK_PORT"), chosen, strict=True))
        self.api_url = f"http://127.0.0.1:{self.ports['API_PORT']}"
        self.notebook_url = f"http://127.0.0.1:{self.ports['NOTEBOOK_PORT']}"
        self.database_url = f"postgresql://beefirst:beefirst@127.0.0.1:{self.ports['DB_PORT']}/beefirst"
        self._command, self._folder = command, folder

    def environment(self, **settings: str) -> dict[str, str]:
        ports = {name: str(port) for name, port in self.ports.items()}
        return clean_environment() | ports | {"COMPOSE_PROJECT_NAME": self.project} | settings

    def run(self, *words: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [*self._command, *words],
            cwd=self._folder,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=HANGS_SECONDS,
            check=False,
        )
        assert not check or result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
        return result

    def shell(self, command: str) -> str:
        """Run a command of the README as it stands, in a terminal as a reader has one; return what it shows."""
        result = self.try_shell(command)
        assert result.returncode == 0, result.stdout[-6000:]
        return result.stdout

    def try_shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """Do as `shell` with a command that may fail."""
        result = subprocess.run(
            ["script", "--quiet", "--return", "--command", command, "/dev/null"],
            cwd=self._folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANGS_SECONDS,
            check=False,
        )
        result.stdout = result.stdout.replace("^@", "")  # how the terminal echoes that nobody types
        return result

    @contextmanager
    def in_foreground(self, command: str = "docker compose up") -> Iterator[float]:
        """Run a command that stays until Ctrl-C; give the seconds from the command until the API was ready."""
        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                shlex.split(f"env {command}"),
                cwd=self._folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                wait_until(lambda: self.is_ready() or process.poll() is not None, HANGS_SECONDS)
                yield time.monotonic() - started
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                process.wait(HANGS_SECONDS)

    def up(self) -> None:
        """Bring it up and wait until the API is ready."""
        self.run("up", "--detach", "--no-build")
        wait_until(self.is_ready, HANGS_SECONDS)

    def remove(self) -> None:
        """Take away its containers, volumes and images."""
        self.run("down", "--volumes", "--rmi", "local", "--timeout", "10", check=False)

    def take_images(self, other: "ComposeStack", separator: str) -> None:
        """Name the images of another stack so that this one need not build them again."""
        for service in ("api", "notebook"):
            name = f"{self.project}{separator}{service}"
            subprocess.run(["docker", "tag", other.image(service), name], check=True, timeout=HANGS_SECONDS)

    def is_ready(self) -> bool:
        return answers(f"{self.api_url}/health/ready")

    def serves_notebooks(self) -> bool:
        return answers(f"{self.notebook_url}/api")

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine says of a service's container."""
        name = self.run("ps", "--quiet", service).stdout.strip()
        inspected: dict[str, Any] = json.loads(docker("inspect", name))[0]
        return inspected

    def image(self, service: str) -> str:
        return str(self.container(service)["Image"])

    def volumes(self) -> list[str]:
        """Return the volumes that are there."""
        return docker("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={self.project}").split()


def docker(*words: str) -> str:
    """Return what a command of the engine's own client says."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=HANGS_SECONDS).stdout


@contextmanager
def run_stack() -> Iterator[ComposeStack]:
    """Build the images and keep the services up until the block ends, as a reader does with the terminal open."""
    stack = ComposeStack()
    try:
        stack.run("build")
        with stack.in_foreground("docker compose up") as stack.seconds_to_ready:
            assert stack.is_ready()
            yield stack
    finally:
        stack.remove()
