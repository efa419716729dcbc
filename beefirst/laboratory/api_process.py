"""Starting the API as a process of its own, on a database of one's choice, and asking it how its start went."""

import signal
import time
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any, Self

import httpx
import pandas as pd

from beefirst.errors import ProcessError
from beefirst.laboratory.cleanup import Owned, new_folder, register, release, uninterrupted
from beefirst.laboratory.environment import clean_environment
from beefirst.machine.ports import free_port
from beefirst.machine.processes import ServerProcess

PATIENCE_SECONDS = 300
"""How long a start or an end may take before it counts as hanging, also in a container beside a busy machine."""

TRUSTS_NOBODY = SSLContext(PROTOCOL_TLS_CLIENT)
"""There is no TLS to verify here, and loading whom to trust takes longer than most answers."""


def fetch(url: str, **headers: str) -> httpx.Response:
    """Return the answer of a program on this machine, past any proxy, which is for others.

    Args:
        url: what to GET, within 10 seconds.
        headers: of the request.
    """
    return httpx.get(url, headers=headers, timeout=10, trust_env=False, verify=TRUSTS_NOBODY)


class ApiProcess(Owned):
    """An API that an experiment or a test starts for itself, and may harm: a process on a free port of 127.0.0.1.

    It ends with its `with` block, or when nothing refers to it.

    Args:
        database_url: the database that it uses.
        settings: any of the service's settings, by the name that the environment uses. CLIENT_LIMIT is off where it is
            not given, for all that experiments and tests send comes from one address; empty, it is the default. A free
            port is taken where API_PORT is not given.
        dotenv: the text of a `.env` in its working directory.
        code: the folder that holds another copy of the package `beefirst`.

    Attributes:
        url: where it answers.
        database_url: as given.
        began: when the process was started, by this process's monotonic clock.
        ready: when the first answer came that says ready, by the same clock.
    """

    ready: float

    def __init__(self, database_url: str, dotenv: str = "", code: Path | None = None, **settings: Any) -> None:
        self.database_url = database_url
        port = int(settings.get("API_PORT") or free_port())
        self.url = f"http://127.0.0.1:{port}"
        environment = clean_environment() | {"API_PORT": str(port), "DATABASE_URL": database_url, "CLIENT_LIMIT": "off"}
        environment |= {name.upper(): str(value) for name, value in settings.items()}
        if code:
            environment["PYTHONPATH"] = str(code)
        with self._making() as parts, uninterrupted():
            folder = Path(parts.enter_context(new_folder("beefirst-api-")))
            (folder / ".env").write_text(dotenv)
            self._log = folder / "api.log"
            self.began = time.monotonic()
            with self._log.open("wb") as log:
                self._server = ServerProcess("The API", ["api"], environment, f"{self.url}/health/ready", folder, log)
            register("process", self.pid)
            parts.callback(release, "process", self.pid)
            parts.callback(self._server.stop)

    def wait_until_ready(self, seconds: float = PATIENCE_SECONDS) -> Self:
        """Return once requests can be served.

        Raises:
            ProcessError: it ended, or was not ready within `seconds`; the message ends with its own last line.
        """
        try:
            self._server.wait_until_ready(seconds)
            self.ready = time.monotonic()
        except ProcessError as error:
            last = (self.log().strip().splitlines() or ["it said nothing"])[-1]
            self.stop()
            raise ProcessError(f"{error} {last}") from None
        return self

    @property
    def seconds_until_ready(self) -> float:
        """From the start of the process to the first answer that says ready, by this process's clock."""
        return self.ready - self.began

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._server.process.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._server.process.send_signal(number)

    def wait_for_end(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Return the exit status of a process that ends by itself."""
        return self._server.process.wait(seconds)

    def log(self, start: int = 0) -> str:
        """Return what the process has written so far.

        Args:
            start: how many bytes at its beginning to leave out, for whoever has read them.
        """
        if not self._log.exists():
            return self._last_log.encode()[start:].decode(errors="replace")
        with self._log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def get(self, path: str) -> httpx.Response:
        """Return the answer to a GET of `path`."""
        return fetch(self.url + path)

    def startup(self) -> pd.DataFrame:
        """Return the phases of this start: name, seconds that it took, second at which it began."""
        return phases_of(self.get("/health/startup").json())

    def stop(self) -> int:
        """End the process as SIGTERM does and return its exit status."""
        with uninterrupted():
            status = self._server.stop()
            if self._log.exists():
                self._last_log = self.log()
            self._end()
            return status

    def close(self) -> None:
        """End the process, and keep what it has written; doing so again does nothing."""
        self.stop()


def start_api(database_url: str, **settings: Any) -> ApiProcess:
    """Start an API and return it once requests can be served; arguments and errors as for ApiProcess."""
    api = ApiProcess(database_url, **settings)
    try:
        return api.wait_until_ready()
    except BaseException:  # an interrupt, too
        api.stop()
        raise


def phases_of(startup: dict[str, Any]) -> pd.DataFrame:
    """Return the answer of /health/startup as a table with the columns phase, begins at, seconds."""
    phases = pd.DataFrame(startup["phases"]).rename(columns={"name": "phase"})
    phases.insert(1, "begins at", phases["seconds"].cumsum() - phases["seconds"])
    return phases
