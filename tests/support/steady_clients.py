"""Clients that keep on asking, each over the connection that it has, and write down whatever is not as it should be."""

import secrets
import threading
from types import TracebackType
from typing import Any, Self

import httpx

from tests.conftest import SECRET

END_SECONDS = 90
"""For hanging: how long a client may take to end."""

PAUSE_SECONDS = 0.01
"""Between two requests of a client: what bounds the rate."""


class SteadyClients:
    """Some clients, each a thread: half of them register and try to activate, half only ask whether the service lives.

    Args:
        url: of the service.
        count: how many clients.

    Attributes:
        served: how many requests were answered as they should be.
        failed: what became of each other request.
    """

    def __init__(self, url: str, count: int = 8) -> None:
        self._url, self._over, self._lock = url, threading.Event(), threading.Lock()
        self.served, self.failed = 0, list[str]()
        self._threads = [
            threading.Thread(target=self._live, args=(number % 2 == 0,), daemon=True) for number in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(END_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads), "a client did not end"

    def _live(self, registers: bool) -> None:
        # There is no TLS to verify, and loading what would verify it takes long.
        with httpx.Client(base_url=self._url, timeout=60, trust_env=False, verify=False) as client:
            while not self._over.wait(PAUSE_SECONDS):
                if registers:
                    self._register(client)
                else:
                    self._ask(client, 200, "GET", "/health/live")
                    self._ask(client, 200, "HEAD", "/health/live")

    def _register(self, client: httpx.Client) -> None:
        email = f"{secrets.token_hex(8)}@example.com"
        self._ask(client, 202, "POST", "/v1/register", json={"email": email, "password": SECRET})
        self._ask(client, 401, "POST", "/v1/activate", json={"code": "1234"}, auth=(email, f"no-{SECRET}"))

    def _ask(self, client: httpx.Client, due: int, method: str, path: str, **content: Any) -> None:
        try:
            became: object = client.request(method, path, **content).status_code
        except httpx.HTTPError as error:
            became = repr(error)
        with self._lock:
            if became == due:
                self.served += 1
            else:
                self.failed.append(f"{method} {path}: {became}")
