"""A request's body: 413 as JSON where it is too large, for Starlette's own limit answers plain text; 408 where slow."""

import asyncio

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX_BYTES = 16 * 1024

BODY_SECONDS = 10.0
"""From a request's head to the end of its body."""

TOO_SLOW = f"Send the whole body within {BODY_SECONDS:g} seconds."
TOO_LARGE = f"Send a body of at most {BODY_MAX_BYTES // 1024} KiB."


class BodyLimit:
    """ASGI middleware that refuses larger bodies: by their Content-Length at once, others as they arrive.

    A body that is not complete in time is refused, too.

    Args:
        app: what it wraps.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length[:9]) > BODY_MAX_BYTES:
            return await JSONResponse({"detail": TOO_LARGE}, 413)(scope, receive, send)
        size, is_complete = 0, False
        deadline = asyncio.get_running_loop().time() + BODY_SECONDS

        async def receive_counted() -> Message:
            nonlocal size, is_complete
            if is_complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, TOO_SLOW, {"Connection": "close"}) from None
            is_complete = not message.get("more_body")
            size += len(message.get("body", b""))
            if size > BODY_MAX_BYTES:
                raise HTTPException(413, TOO_LARGE)
            return message

        return await self._app(scope, receive_counted, send)
