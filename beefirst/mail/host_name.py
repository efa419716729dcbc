"""What this host is called, which a resolver may take its time to tell."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from time import monotonic

NAME_SECONDS = 1.0
"""How long mail waits for the name, once; after that it goes with the address until the name is there."""

ELSEWHERE = ("192.0.2.1", 9)
"""RFC 5737: an address of nobody, which is reached by the way that leads to everybody."""


class HostName:
    """This host's full name, which is looked up once, from now on, unless it is given.

    That is on a thread of its own, which holds up nobody: not whoever else needs a thread, nor the end of the process.

    Args:
        given: what it is to be called instead.
    """

    def __init__(self, given: str | None) -> None:
        self._name = Future[str]()
        self._name.set_running_or_notify_cancel()  # so that a mail that is given up does not end it for the others
        self._awaited_until = monotonic() + NAME_SECONDS
        if given:
            self._name.set_result(given)
        else:
            threading.Thread(target=self._look_up, name="host-name", daemon=True).start()

    async def get(self) -> str:
        """Return the name, or this host's address in brackets (RFC 5321, 4.1.3) while NAME_SECONDS were not enough."""
        if self._name.done():
            return self._name.result()
        try:
            async with asyncio.timeout(self._awaited_until - monotonic()):
                return await asyncio.wrap_future(self._name)
        except TimeoutError:
            return _address_literal()

    def _look_up(self) -> None:
        try:
            name = socket.getfqdn()
        except (OSError, UnicodeError):  # the host is called what no resolver can be asked for
            name = _address_literal()
        self._name.set_result(name)


def _address_literal() -> str:
    """Return the address from which this host would reach others: its loopback address where it reaches nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)  # sends nothing
        except OSError:
            return "[127.0.0.1]"
        return f"[{probe.getsockname()[0]}]"
