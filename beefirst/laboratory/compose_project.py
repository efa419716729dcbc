"""The compose file under a project name and on ports of its own, beside whatever else runs."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from beefirst.errors import ProcessError
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_for

DOCKER = "docker"
COMPOSE = (DOCKER, "compose")
CAPTURED: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

HANGS_SECONDS = 2400
"""No command takes as long as this, also where the machine does other things: every notebook takes 2 to 5 minutes."""

ENGINE_SECONDS = 60
"""How long an engine may take to say that it is there."""

BUILT = ("api", "notebook")
"""The services whose images the compose file builds."""

LAST_LINES = 3
"""How much of what a command said tells why it failed."""

ROUNDS, ROUND_SECONDS = 20, 0.5
"""How often, and how far apart, it is seen to that nothing is left: an engine finishes what a client left half-way."""

LABEL = "label=com.docker.compose.project="


def run_apart(
    command: Sequence[str], seconds: float = HANGS_SECONDS, told: str = "", **options: Any
) -> CompletedProcess[str]:
    """Return how a command ended; a terminal's Ctrl-C does not reach it, and nothing of it outlives an interrupt.

    Args:
        command: may have children, as the client of Docker has for Compose.
        seconds: how long it may take.
        told: on its standard input.
        options: of `subprocess.Popen`.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, text=True, errors="replace", start_new_session=True, **options
    ) as process:
        try:
            said = process.communicate(told, timeout=seconds)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return CompletedProcess(command, process.returncode, *said)


def docker(*words: str) -> str:
    """Return what a command of the engine's own client says.

    Raises:
        ProcessError: it failed.
    """
    done = run_apart([DOCKER, *words], **CAPTURED)
    if done.returncode:
        raise ProcessError(f"`docker {words[0]}` ended with status {done.returncode}: {last_lines(done.stderr)}")
    return done.stdout


def missing_engine() -> str:
    """Return what is missing for a Docker engine with Compose v2 to answer; nothing where one does."""
    if not shutil.which(DOCKER):
        return "the command docker is not installed"
    for words, missing in ((("compose", "version"), "Compose v2 is not installed"), (("ps",), "no engine answers")):
        try:
            if run_apart([DOCKER, *words], ENGINE_SECONDS, **CAPTURED).returncode:
                return missing
        except (OSError, subprocess.TimeoutExpired):
            return missing
    return ""


class ComposeProject:
    """The services of a compose file, on empty volumes.

    Args:
        prefix: of the project's name.
        command: that of Compose, with its options.
        folder: where the compose file is.
        ports: of the database, the API and JupyterLab; free ones where left out.
    """

    def __init__(
        self,
        prefix: str,
        command: Sequence[str] = COMPOSE,
        folder: Path = CHECKOUT,
        ports: Sequence[int] | None = None,
    ) -> None:
        self.name = f"{prefix}{os.getpid()}-{secrets.token_hex(3)}"
        chosen = ports or [free_port() for _ in range(3)]
        self.ports = dict(zip(("DB_PORT", "API_PORT", "NOTEBOOK_PORT"), chosen, strict=True))
        self.api_url = f"http://127.0.0.1:{self.ports['API_PORT']}"
        self.notebook_url = f"http://127.0.0.1:{self.ports['NOTEBOOK_PORT']}"
        self.command, self.folder = tuple(command), folder

    def environment(self, **settings: str) -> dict[str, str]:
        """Return what its commands find in their environment: nothing of what a user has set for another project."""
        others = {name: value for name, value in clean_environment().items() if not name.startswith("COMPOSE_")}
        ports = {name: str(port) for name, port in self.ports.items()}
        return others | ports | {"COMPOSE_PROJECT_NAME": self.name} | settings

    def call(self, *words: str, **settings: str) -> CompletedProcess[str]:
        """Return how a command of Compose ended, and what it said; a terminal's Ctrl-C does not reach it."""
        return run_apart([*self.command, *words], cwd=self.folder, env=self.environment(**settings), **CAPTURED)

    def take_images(self, project: str, separator: str = "-") -> None:
        """Name the images of another project, so that this one need not build them.

        Args:
            project: its name.
            separator: what this project's Compose puts between its name and a service's.
        """
        for service in BUILT:
            docker("tag", f"{project}-{service}", f"{self.name}{separator}{service}")

    @contextmanager
    def in_foreground(self, command: Sequence[str] = (), patience: float = HANGS_SECONDS) -> Iterator[float]:
        """Run a command that stays until Ctrl-C; give the seconds from the command until the API was ready.

        Args:
            command: that of Compose to bring it up where left out.
            patience: how many seconds it has to end after a Ctrl-C, before the next one.

        Raises:
            ProcessError: it ended before the API was ready.
        """
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            began = time.monotonic()
            process = subprocess.Popen(
                command or [*self.command, "up", "--no-build"],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                if not wait_for(lambda: self.is_ready() or process.poll() is not None, HANGS_SECONDS):
                    raise ProcessError("`docker compose up` brought up no API that answers on this machine.")
                seconds = time.monotonic() - began
                if process.poll() is not None:
                    output.seek(0)
                    raise ProcessError(
                        f"`docker compose up` ended before the API was ready: {last_lines(output.read())}"
                    )
                yield seconds
            finally:
                _end(process, patience)

    def is_ready(self) -> bool:
        """Tell whether the API is, as the host sees it."""
        return answers(f"{self.api_url}/health/ready")

    def serves_notebooks(self) -> bool:
        """Tell whether JupyterLab answers."""
        return answers(f"{self.notebook_url}/api")

    def leftovers(self) -> list[str]:
        """Return its containers, networks and volumes, and the names of its images, that are there."""
        ours = ("--quiet", "--filter", f"{LABEL}{self.name}")
        images = ("image", "ls", "--format", "{{.Repository}}", "--filter", f"reference={self.name}*")
        questions = (("ps", "--all", *ours), ("network", "ls", *ours), ("volume", "ls", *ours), images)
        return [thing for question in questions for thing in docker(*question).split()]

    def remove(self) -> None:
        """Take away its containers, networks, volumes and the names of its images, also what is still being made.

        Raises:
            ProcessError: some of it is left.
        """
        gone, said = 0, ""
        for _ in range(ROUNDS):
            if self.leftovers():
                gone = 0
                said = self.call("down", "--volumes", "--rmi", "local", "--remove-orphans", "--timeout", "1").stderr
            elif gone:
                return
            else:
                gone += 1
            time.sleep(ROUND_SECONDS)
        raise ProcessError(
            f"Not all of the compose project {self.name} could be taken away ({last_lines(said)}): "
            f"docker compose --project-name {self.name} down --volumes"
        )


def _end(process: subprocess.Popen[bytes], patience: float) -> None:
    """Stop as Ctrl-C does; the second one lets Compose wait for nothing."""
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_lines(text: str) -> str:
    """Return the end of what a command said as one line."""
    return " ".join(line.strip() for line in text.strip().splitlines()[-LAST_LINES:])
