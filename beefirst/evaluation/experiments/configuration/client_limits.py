"""Whether the limits per client follow their settings: how many requests, whose clients, and which Redis."""

import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from beefirst.laboratory.api_process import ApiProcess

CHANGED = {"CLIENT_LIMIT": "20", "TRUSTED_PROXIES": "127.0.0.1"}
"""More requests than all others that the experiment sends, and a proxy that this process then is."""

FIRST, SECOND = "192.0.2.1", "192.0.2.2"
"""Two clients, as a proxy names them (RFC 5737: addresses for documentation)."""

TOO_MANY = 429
BEGINNING_BYTES = 32

Seen = Mapping[str, Any]
Finding = tuple[str, bool]


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Listen in the place of a Redis, which says nothing and hangs up.

    Returns:
        Its URL, and how each client begins that comes to it.
    """
    beginnings: list[str] = []

    class Listener(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            beginnings.append(self.request.recv(BEGINNING_BYTES).decode(errors="replace"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0", beginnings
        finally:
            server.shutdown()
            thread.join()


def spend(api: ApiProcess) -> dict[str, list[int]]:
    """Send as many requests of one client as it may have and some more, then one of another; return the statuses."""
    beyond = int(CHANGED["CLIENT_LIMIT"]) + 5
    with httpx.Client(base_url=api.url, timeout=60, trust_env=False) as proxy:
        return {
            client: [
                proxy.post("/v1/activate", json={}, headers={"X-Forwarded-For": client}).status_code
                for _ in range(requests)
            ]
            for client, requests in ((FIRST, beyond), (SECOND, 1))
        }


def _judge_client_limit(value: str, seen: Seen) -> Finding:
    answers = seen["limited"][FIRST]
    served = sum(status != TOO_MANY for status in answers)
    # Where a minute of the clock ends meanwhile, of which the next counts a share, one more is served.
    return f"of {len(answers)} requests of a client {served} are served", served in (int(value), int(value) + 1)


def _judge_trusted_proxies(_: str, seen: Seen) -> Finding:
    first, second = seen["limited"][FIRST][-1], seen["limited"][SECOND][-1]
    words = f"through a proxy at 127.0.0.1 one client gets {first}, and then another {second}"
    return words, first == TOO_MANY != second


def _judge_limits_url(_: str, seen: Seen) -> Finding:
    beginnings = seen["redis"]
    if not beginnings:
        return "nobody comes to this Redis", False
    # An array: RESP, the protocol of Redis, has no other way to begin.
    return f"it comes to this Redis with {' '.join(beginnings[0].split())}", beginnings[0].startswith("*")


JUDGES: Mapping[str, Callable[[str, Seen], Finding]] = {
    "CLIENT_LIMIT": _judge_client_limit,
    "LIMITS_URL": _judge_limits_url,
    "TRUSTED_PROXIES": _judge_trusted_proxies,
}
"""What tells of each setting, by what was observed of the API, whether it is in effect."""
