"""A real Redis, which a test may kill, stop and start again on the same port."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pytest
import redis

from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET

needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="no Redis: apt-get install redis-server")

AS_SERVER = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning", "--logfile", "")


class RedisServer:
    """A Redis that keeps nothing on disk, on a free port of 127.0.0.1 until its `with` block ends.

    Args:
        password: that it asks for.
        arguments: more of its command line.

    Attributes:
        port: the same also after `start` has been called again.
        url: with the password.
    """

    def __init__(self, password: str = SECRET, arguments: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0"
        self._password, self._arguments = password, arguments
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._folder = self._resources.enter_context(tempfile.TemporaryDirectory(prefix="beefirst-redis-"))
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self._resources.close()

    def start(self) -> None:
        """Start it, with nothing in it, and return once it answers."""
        command = ["redis-server", "--port", str(self.port), "--requirepass", self._password, "--dir", self._folder]
        self._process = subprocess.Popen([*command, *AS_SERVER, *self._arguments], stdout=subprocess.DEVNULL)
        with self.connect() as client:
            wait_until(lambda: self._answers(client))

    def _answers(self, client: redis.Redis) -> bool:
        assert self._process.poll() is None, "Redis has ended"
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    def connect(self) -> redis.Redis:
        """Return a client of it."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its process."""
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once, also where it is stopped."""
        self._process.kill()
        self._process.wait()
