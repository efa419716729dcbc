"""A real Redis, which a test may kill, stop and start again on the same port."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
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
        certificate: a file with a certificate and its key; with one it is reached over TLS alone.

    Attributes:
        port: the same also after `start` has been called again.
        url: with the password.
    """

    def __init__(self, password: str = SECRET, certificate: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"{'rediss' if certificate else 'redis'}://:{password}@127.0.0.1:{self.port}/0"
        self._password, self._certificate = password, certificate
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
        port = ["--port", str(self.port)]
        if file := self._certificate and str(self._certificate):
            files = ("--tls-cert-file", file, "--tls-key-file", file, "--tls-ca-cert-file", file)
            port = ["--port", "0", "--tls-port", str(self.port), *files, "--tls-auth-clients", "no"]
        command = ["redis-server", *port, "--requirepass", self._password, "--dir", self._folder, *AS_SERVER]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
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
        trust = {"ssl_ca_certs": str(self._certificate)} if self._certificate else {}
        return redis.Redis.from_url(self.url, decode_responses=True, **trust)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to its process."""
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once, also where it is stopped."""
        self._process.kill()
        self._process.wait()
