"""Clients whose every call is written down, whatever becomes of it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import httpx

from beefirst.laboratory.history.calls import Kind

Answer = TypeVar("Answer")


class Writer(Protocol):
    """What a client tells; `recorder.Recorder` is one."""

    def now(self) -> float:
        """Return the time."""

    def record(
        self, client: str, replica: int, kind: Kind, address: str, begin: float, status: int | None, **secret: str
    ) -> None:
        """Write one call down."""


class RecordingClient:
    """One client of any number of replicas. It never raises where no answer comes: that is what is written down.

    Args:
        name: as the picture shows it.
        urls: of the replicas, in order.
        recorder: writes down what is asked and answered.
        patience_seconds: after this it gives up.
    """

    def __init__(self, name: str, urls: Sequence[str], recorder: Writer, patience_seconds: float = 30) -> None:
        self.name, self._urls, self._recorder = name, urls, recorder
        # One connection for each call, so that none is a connection to a replica that has died meanwhile.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(timeout=patience_seconds, trust_env=False, limits=limits)

    def register(self, address: str, password: str, replica: int = 0) -> int | None:
        """Register an address, and return the status of the answer; None where none came."""
        body = {"email": address, "password": password}
        return self._ask("register", replica, address, {"password": password}, json=body)

    def activate(self, address: str, password: str, code: str, replica: int = 0) -> int | None:
        """Try to activate, and return the status of the answer; None where none came."""
        credentials = httpx.BasicAuth(address.encode(), password.encode())
        secret = {"password": password, "code": code}
        return self._ask("activate", replica, address, secret, json={"code": code}, auth=credentials)

    def _ask(self, kind: Kind, replica: int, address: str, secret: dict[str, str], **content: Any) -> int | None:
        begin, status = self._recorder.now(), None
        try:
            url = f"{self._urls[replica]}/v1/{kind}"
            status = self._http.post(url, **content).status_code
        except httpx.HTTPError:
            status = None
        finally:
            self._recorder.record(self.name, replica, kind, address, begin, status, **secret)
        return status


def at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Make calls at the same moment, each on a thread of its own, and return what they return, in order."""
    ready = threading.Barrier(len(calls))

    def make(call: Callable[[], Answer]) -> Answer:
        ready.wait(60)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(make, calls))
