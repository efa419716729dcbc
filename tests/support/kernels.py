"""A notebook's kernel as JupyterLab runs it, with an eye on everything that comes of it."""

import json
import os
import signal
import socket
import uuid
from ast import literal_eval
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_client import BlockingKernelClient, KernelManager

from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import PREFIX, connect
from beefirst.machine.waiting import wait_until
from tests.support.folders import open_folder

MARK = "BEEFIRST_TEST_KERNEL"
SECONDS = 90

TESTBED = "from beefirst.laboratory.testbed import PASSWORD, Testbed; testbed = Testbed(replicas={})"
BUSY = "import time; time.sleep(600)"
API, REAPER, POSTGRES = "-m beefirst api", "-m beefirst.laboratory.reaper", "postgres"


class Kernel:
    """A kernel that is known by a mark in its environment, which its processes inherit.

    Args:
        folder: its temporary folder, in which nobody else makes anything.
        database_url: of a server that nobody else makes databases on.
        settings: added to its environment.
    """

    def __init__(self, folder: Path, database_url: str | None = None, **settings: str) -> None:
        self.folder, self._database_url = folder, database_url
        self._mark, self.addresses = uuid.uuid4().hex, set[str]()
        named = {"DATABASE_URL": database_url} if database_url else {}
        environment = {**clean_environment(), **named, **settings, "TMPDIR": str(folder), MARK: self._mark}
        self.manager = KernelManager(kernel_name="python3", transport_encryption="auto")
        self.manager.start_kernel(env=environment, cwd=str(folder))
        self._client: BlockingKernelClient = self.manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(SECONDS)

    def close(self) -> None:
        """End it, whatever it is at."""
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        self._client.stop_channels()
        self._client.context.term()

    def send(self, source: str, expression: str = "None", cell: str | None = None) -> str:
        """Let it run a cell, and return the number of the request.

        Args:
            source: of the cell.
            expression: evaluated when the cell has run.
            cell: the cell's id, which JupyterLab tells and nbclient does not.
        """
        content = {"code": source, "silent": False, "store_history": True, "stop_on_error": False}
        content["user_expressions"] = {"it": f"__import__('json').dumps({expression})"}
        message = self._client.session.msg("execute_request", content, metadata={"cellId": cell} if cell else {})
        self._client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def answer(self, request: str) -> Any:
        """Return the value of the expression that came with a request, or the name of the cell's error."""
        reply = self.reply(request)
        if reply["status"] != "ok":
            return reply["ename"]
        return json.loads(literal_eval(reply["user_expressions"]["it"]["data"]["text/plain"]))

    def reply(self, request: str) -> dict[str, Any]:
        """Return the whole reply to a request."""
        message = self._client.get_shell_msg(timeout=SECONDS)
        while message["parent_header"].get("msg_id") != request:
            message = self._client.get_shell_msg(timeout=SECONDS)
        return dict(message["content"])

    def run(self, source: str, expression: str = "None", cell: str | None = None) -> Any:
        """Run a cell; arguments as for `send`, value as of `answer`."""
        return self.answer(self.send(source, expression, cell))

    def make_testbed(self, replicas: int = 1) -> None:
        """Run the cell that makes a Testbed, and note where it listens."""
        assert self.run(TESTBED.format(replicas)) is None
        self.addresses |= set(self.run("", "[*testbed.urls.split(), testbed.mailbox.url]"))

    def clear(self) -> None:
        """Let go of everything that its cells named."""
        assert self.run("%reset -f") is None
        self.addresses.clear()

    def be_busy(self) -> str:
        """Let it run a cell that does not end, and return the number of the request."""
        request = self.send(f"open({str(self.folder / 'busy')!r}, 'w').close(); {BUSY}")
        wait_until((self.folder / "busy").exists)
        return request

    def kill(self) -> None:
        """Kill it as the kernel of the system does when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: not self.manager.is_alive())

    @property
    def pid(self) -> int:
        """The number of its process."""
        return int(self.manager.provisioner.pid)

    def processes(self, words: str = "") -> list[int]:
        """Return the processes that came of it and whose command holds `words`; all but itself where left out."""
        return [pid for pid, command in self._commands() if words in command]

    def _commands(self) -> Iterator[tuple[int, str]]:
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                marked = f"{MARK}={self._mark}".encode() in (entry / "environ").read_bytes().split(b"\0")
                # PostgreSQL's processes have an environment of their own, and their data as working directory.
                inside = str(self.folder) in command or (entry / "cwd").readlink().is_relative_to(self.folder)
                if (marked or (inside and POSTGRES in command)) and int(entry.name) != self.pid:
                    yield int(entry.name), command

    def databases(self) -> list[str]:
        """Return the databases that it made."""
        if self._database_url is None:
            return []
        with connect(self._database_url) as connection:
            rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX])
            return [name for (name,) in rows]

    def open_addresses(self) -> list[str]:
        """Return the addresses noted so far at which something still listens."""
        return [address for address in self.addresses if _listens(address)]

    def folders(self) -> list[str]:
        """Return its temporary folders."""
        return [str(path.relative_to(self.folder)) for path in self.folder.glob("beefirst-*")]

    def leftovers(self) -> list[object]:
        """Return all that came of it and is still there."""
        return [*self.processes(), *self.open_addresses(), *self.folders(), *self.databases()]

    def experiment(self) -> list[object]:
        """Return what belongs to experiments: leftovers without the reaper and the folder of all folders."""
        folders = [path.name for path in self.folder.glob("beefirst-*/*")]
        return [*self.processes(API), *self.open_addresses(), *folders, *self.databases()]


def _listens(address: str) -> bool:
    parts = urlsplit(address)
    with socket.socket() as client:
        return client.connect_ex((parts.hostname, parts.port)) == 0


@contextmanager
def running_kernel(database_url: str | None = None, **settings: str) -> Iterator[Kernel]:
    """Run a kernel, in a temporary folder that PostgreSQL's account can reach."""
    with open_folder() as folder:
        kernel = Kernel(folder, database_url, **settings)
        try:
            yield kernel
        finally:
            kernel.close()
