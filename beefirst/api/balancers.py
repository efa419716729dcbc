"""Balancers that ask whether this replica is ready: they are told that it stops before it listens no more."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from time import monotonic

from starlette.types import Scope

from beefirst.networks import Network, is_within, read_address

WATCH_SECONDS = 5.0
"""Who has asked twice within this time will ask again soon."""

LEAVE_SECONDS = 1.5
"""How long a replica that stops serves on, for its balancers to send their requests elsewhere. With the grace that
follows it ends within the 10 seconds that Docker gives it."""

log = logging.getLogger("beefirst.api")


class Balancers:
    """Who of TRUSTED_PROXIES asks at /health/ready, and whether they are to be told that this replica stops.

    A port that is closed refuses a request that a balancer has just sent, and nobody but its client may send that one
    again: it may have been carried out. So the balancers are told while the port is still open. Where none has asked,
    as in a start by hand, a stop takes no time for it.

    Args:
        trusted: the addresses and networks of TRUSTED_PROXIES.

    Attributes:
        are_told: this replica stops.
    """

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._asked = deque[float](maxlen=2)
        self.are_told = False

    def note(self, scope: Scope) -> None:
        """Take note of a request at /health/ready."""
        try:
            peer = read_address(scope["client"][0])
        except (TypeError, ValueError):  # who comes over a Unix socket
            return
        if is_within(peer, self._trusted):
            self._asked.append(monotonic())

    @property
    def watch(self) -> bool:
        """Whether somebody asks so often that there will be a next time soon."""
        return len(self._asked) == 2 and monotonic() - self._asked[0] < WATCH_SECONDS

    async def take_leave(self) -> None:
        """Tell them for LEAVE_SECONDS that this replica is not ready; return at once where none of them asks."""
        if self.watch:
            log.info("stopping: not ready for balancers from now on, listening for %g s more", LEAVE_SECONDS)
            self.are_told = True
            await asyncio.sleep(LEAVE_SECONDS)
