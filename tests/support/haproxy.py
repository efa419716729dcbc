"""A real HAProxy before replicas, with the configuration of the recipe as it stands."""

import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from beefirst.laboratory.environment import clean_environment
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until

needs_haproxy = pytest.mark.skipif(not shutil.which("haproxy"), reason="no HAProxy: apt-get install haproxy")

CONFIGURATION = CHECKOUT / "tests" / "real_parts" / "haproxy.cfg"

UP, DOWN = "UP", "DOWN"

STATE = re.compile(r"Server replicas/replica(\d) is (UP|DOWN)")


class HaProxy:
    """A HAProxy on a free port of 127.0.0.1 until its `with` block ends.

    Args:
        urls: of the replicas.

    Attributes:
        url: where it answers.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._port = port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        replicas = {f"REPLICA_{number}": url.removeprefix("http://") for number, url in enumerate(urls, start=1)}
        self._environment = clean_environment() | {"LISTEN": f"127.0.0.1:{port}", **replicas}
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            folder = parts.enter_context(tempfile.TemporaryDirectory(prefix="beefirst-haproxy-"))
            self._log = Path(folder, "log")
            with self._log.open("wb") as log:
                command = ["haproxy", "-db", "-f", str(CONFIGURATION)]
                self._process = parts.enter_context(
                    subprocess.Popen(command, env=self._environment, stdout=log, stderr=subprocess.STDOUT)
                )
            parts.callback(self._process.kill)
            wait_until(self._listens)
            self._resources = parts.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._resources.close()

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port)).close()
            return True
        return False

    def log(self) -> str:
        """Return what it has written so far: a line for each request, and for each replica that comes or goes."""
        return self._log.read_text(errors="replace")

    def sees(self, state: str, numbers: Iterable[int]) -> bool:
        """Tell whether it takes replicas, counted from 1, to be UP or DOWN; at first it takes them all to be UP."""
        last = dict(STATE.findall(self.log()))
        return all(last.get(str(number), UP) == state for number in numbers)
