"""One run of `python -m beefirst up`, on free ports and in a folder of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beefirst.laboratory.environment import clean_environment
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from tests.support.folders import open_folder


class UpProcess:
    """One run of `python -m beefirst up`."""

    def __init__(self, folder: Path, *words: str, prefix: tuple[str, ...] = (), **settings: object) -> None:
        self.folder = folder
        names = ("DB_PORT", "API_PORT", "NOTEBOOK_PORT")
        self.ports = {name: int(settings.get(name) or free_port()) for name in names}
        places = {"BEEFIRST_DATA": folder, "TMPDIR": folder, "HOME": folder}
        environment = {name: str(value) for name, value in {**places, **self.ports, **settings}.items()}
        self._output = folder / "output.txt"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "beefirst", "up", *words],
                env=clean_environment() | environment,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def database_url(self) -> str:
        return f"postgresql://beefirst:beefirst@localhost:{self.ports['DB_PORT']}/beefirst"

    @property
    def api_url(self) -> str:
        return f"http://localhost:{self.ports['API_PORT']}"

    @property
    def notebook_url(self) -> str:
        return f"http://localhost:{self.ports['NOTEBOOK_PORT']}"

    @property
    def link(self) -> str:
        """The link to JupyterLab that it prints last, in its table; it holds the token."""
        return str(re.findall(r"JupyterLab +(http\S+)", self.output())[-1])

    @property
    def token(self) -> str:
        return self.link.partition("token=")[2]

    def output(self) -> str:
        return self._output.read_text()

    def wait_until_ready(self) -> "UpProcess":
        wait_until(lambda: "Ready after" in self.output() or self.process.poll() is not None, 90)
        assert self.process.poll() is None, self.output()
        return self

    def end(self) -> int:
        return self.process.wait(60)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.end()

    def processes(self) -> list[str]:
        """Return what still runs of it: whatever has its folder in its command or its environment."""
        return list(self.commands().values())

    def commands(self) -> dict[int, str]:
        """Return the same by process number."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
            except OSError:
                continue
            if str(self.folder).encode() in words and int(place.name) != os.getpid():
                found[int(place.name)] = words[:200].decode(errors="replace")
        return found


@contextmanager
def run_up(*words: str) -> Iterator[UpProcess]:
    """Run `python -m beefirst up` until the block ends."""
    with open_folder() as folder:
        run = UpProcess(folder, *words)
        try:
            yield run.wait_until_ready()
        finally:
            if run.process.poll() is None:
                run.stop()
