"""A real Prometheus that scrapes what a test tells it to, and answers queries."""

import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until

needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus"), reason="no Prometheus: apt-get install prometheus"
)

CONFIGURATION = """
global:
  scrape_interval: 250ms
scrape_configs:
  - job_name: beefirst
    static_configs:
      - targets: [{targets}]
"""


class Prometheus:
    """A Prometheus on a free port of 127.0.0.1 until its `with` block ends.

    Args:
        targets: host and port of each replica, which it asks for /metrics four times a second.
    """

    def __init__(self, *targets: str) -> None:
        self._targets = targets
        self._url = f"http://127.0.0.1:{free_port()}"
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        folder = Path(self._resources.enter_context(tempfile.TemporaryDirectory(prefix="beefirst-prometheus-")))
        (folder / "prometheus.yml").write_text(CONFIGURATION.format(targets=", ".join(self._targets)))
        command = [
            *("prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
            *(f"--web.listen-address={self._url.removeprefix('http://')}", "--log.level=error"),
        ]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers(f"{self._url}/-/ready"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._resources.close()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression gives now.

        Raises:
            ValueError: Prometheus refuses the expression; the message is its own.
        """
        answer = httpx.get(
            f"{self._url}/api/v1/query", params={"query": expression}, timeout=60, trust_env=False
        ).json()
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        result = answer["data"]["result"]
        return list(result)
