"""The Host header: 400 for a request that has none, several, or one that can be none, as RFC 9112 (3.2) demands."""

import re

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOST = re.compile(rb"(\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(:[0-9]*)?")
"""A name or an address with or without a port, as RFC 3986 (3.2.2) spells them; it may be empty."""

ONE_HOST = "Send one Host header with the name and port of this service, as HTTP/1.1 demands."


class HostCheck:
    """ASGI middleware that refuses requests of which no two programs on their way need agree for whom they are.

    Args:
        app: what it wraps.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or _is_clear(scope):
            return await self._app(scope, receive, send)
        return await JSONResponse({"detail": ONE_HOST}, 400)(scope, receive, send)


def _is_clear(scope: Scope) -> bool:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if not hosts:
        return bool(scope["http_version"] == "1.0")
    return len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None
