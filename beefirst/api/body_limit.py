"""A request's body: 413 as JSON where it is too large, for Starlette's own limit answers plain text; 408 where slow."""

import asyncio

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX_BYTES = 16 * 1024
BODY_SECONDS = 10.0
"""From a request's head to the end of its body."""

TOO_LARGE = f"Send a body of at most {BODY_MAX_BYTES // 1024} KiB."
TOO_SLOW = f"Send the whole body within {BODY_SECONDS:g} seconds."


class BodyLimit:
    """ASGI middleware that refuses larger bodies: by their Content-Length at once, others as they arrive.

    Nothing is done for a request before its body is complete, so that those who wait for one cost next to nothing.

    Args:
        app: what it wraps.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if _stated_length(scope) > BODY_MAX_BYTES:
            return await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read(receive)
        except TimeoutError:
            return await JSONResponse({"detail": TOO_SLOW}, 408, {"Connection": "close"})(scope, receive, send)
        if body is None:
            return None
        if len(body) > BODY_MAX_BYTES:
            return await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
        return await self._app(scope, receiving(body, receive), send)


def _stated_length(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length[:9]) if length.isdecimal() else 0


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or as much of it as is too large; None where the client hung up meanwhile."""
    body, goes_on = b"", True
    while goes_on and len(body) <= BODY_MAX_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        goes_on = message.get("more_body", False)
    return body


def receiving(body: bytes, receive: Receive) -> Receive:
    """Return what receives a body that was read, and then whatever follows."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive_read() -> Message:
        return next(messages, None) or await receive()

    return receive_read
