"""What would wait too long for a bcrypt thread: 503 at once, before any work that the answer does not need."""

import logging
from collections.abc import Mapping

from fastapi import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from beefirst.api.errors import unavailable
from beefirst.api.metrics import Metrics
from beefirst.api.posted_routes import find_posted
from beefirst.errors import ClientGoneError, OverloadedError
from beefirst.machine.logs import SparseWarning, unlogged
from beefirst.passwords import BcryptPasswords

CLIENT_GONE = 499
"""What nobody reads but the metrics: nginx's own status for a client that hung up before its answer."""

log = logging.getLogger("beefirst.overload")


class Shedding:
    """ASGI middleware that sheds requests which need a hash: the same answer for all of them, whatever they hold.

    Args:
        app: what it wraps.
        passwords: know how long the wait is.
        metrics: count what was shed.
        routes: what needs a hash when it is POSTed to, by path.
    """

    def __init__(self, app: ASGIApp, passwords: BcryptPasswords, metrics: Metrics, routes: Mapping[str, Route]) -> None:
        self._app = app
        self._passwords = passwords
        self._metrics = metrics
        self._routes = routes
        self._warning = SparseWarning(log, "too many requests at once: %d more were answered 503")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        unlogged.set(False)  # a pipelined request inherits from the one before it
        if not (route := find_posted(scope, self._routes)):
            return await self._app(scope, receive, send)
        try:
            # Before the body is read, which costs more than the answer. The turn itself is had when all is read.
            self._passwords.check_room()
            await self._app(scope, receive, send)
        except OverloadedError as error:
            scope["route"] = route
            self._note(route.path)
            await unavailable(error)(scope, receive, send)
        except ClientGoneError:
            await Response(status_code=CLIENT_GONE)(scope, receive, send)

    def _note(self, path: str) -> None:
        self._metrics.shed.labels(path).inc()
        unlogged.set(True)
        self._warning.note()
