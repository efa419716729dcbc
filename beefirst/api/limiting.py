"""Who has asked too often: 429 by the request's head alone, before anything of its body is read or waited for."""

from collections.abc import Mapping, Sequence

from fastapi.responses import JSONResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from beefirst.api.client_address import find_client
from beefirst.api.client_limits import ClientLimits
from beefirst.api.posted_routes import find_posted
from beefirst.networks import Network

TOO_MANY = "Too many requests from your network address: wait for as many seconds as Retry-After says."


class Limiting:
    """ASGI middleware that counts requests by their client, and refuses those beyond CLIENT_LIMIT, whatever they hold.

    The connection stays open: the server reads on for a while, and throws away, see `connection_limits`.

    Args:
        app: what it wraps.
        limits: count.
        trusted: the proxies that are believed who the client is.
        routes: what is counted when it is POSTed to, by path.
    """

    def __init__(
        self, app: ASGIApp, limits: ClientLimits, trusted: Sequence[Network], routes: Mapping[str, BaseRoute]
    ) -> None:
        self._app = app
        self._limits = limits
        self._trusted = trusted
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not (route := find_posted(scope, self._routes)):
            return await self._app(scope, receive, send)
        if seconds := await self._limits.count(find_client(scope, self._trusted)):
            scope["route"] = route
            return await JSONResponse({"detail": TOO_MANY}, 429, {"Retry-After": str(seconds)})(scope, receive, send)
        return await self._app(scope, receive, send)
