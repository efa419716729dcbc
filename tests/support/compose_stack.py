"""The compose file for real, under a project name and on ports of its own."""

import json
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from beefirst.laboratory.compose_project import COMPOSE, HANGS_SECONDS, LABEL, ComposeProject, docker, missing_engine
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.waiting import wait_until

OLD_COMPOSE = "/usr/bin/docker-compose"
"""Debian's docker-compose 1.29."""

needs_engine = pytest.mark.skipif(bool(missing_engine()), reason=f"{missing_engine()}: install docker")


class ComposeStack(ComposeProject):
    """A project of the tests, whose commands must not fail.

    Attributes:
        seconds_to_ready: from `docker compose up` to the API ready, with built images and empty volumes; set by
            `run_stack`.
    """

    seconds_to_ready: float

    def __init__(
        self,
        command: Sequence[str] = COMPOSE,
        folder: Path = CHECKOUT,
        ports: Sequence[int] | None = None,
    ) -> None:
        super().__init__("beefirsttest", command, folder, ports)
        self.database_url = f"postgresql://beefirst:beefirst@127.0.0.1:{self.ports['DB_PORT']}/beefirst"

    def run(self, *words: str, check: bool = True, **settings: str) -> subprocess.CompletedProcess[str]:
        result = self.call(*words, **settings)
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
            cwd=self.folder,
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
    def by_hand(self, command: str) -> Iterator[float]:
        """Run a command of the README that stays until Ctrl-C; give the seconds until the API was ready."""
        with self.in_foreground(shlex.split(f"env {command}")) as seconds:
            yield seconds

    def up(self) -> None:
        """Bring it up and wait until the API is ready."""
        self.run("up", "--detach", "--no-build")
        wait_until(self.is_ready, HANGS_SECONDS)

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine says of a service's container."""
        name = self.run("ps", "--quiet", service).stdout.strip()
        inspected: dict[str, Any] = json.loads(docker("inspect", name))[0]
        return inspected

    def volumes(self) -> list[str]:
        """Return the volumes that are there."""
        return docker("volume", "ls", "-q", "--filter", f"{LABEL}{self.name}").split()


@contextmanager
def run_stack() -> Iterator[ComposeStack]:
    """Build the images and keep the services up until the block ends, as a reader does with the terminal open."""
    stack = ComposeStack()
    try:
        stack.run("build")
        with stack.by_hand("docker compose up") as stack.seconds_to_ready:
            yield stack
    finally:
        stack.remove()
