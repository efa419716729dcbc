"""The size of a request's body: 413 as JSON, where Starlette's own limit answers plain text."""

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX_BYTES = 16 * 1024

TOO_LARGE = f"Send a body of at most {BODY_MAX_BYTES // 1024} KiB."


class BodyLimit:
    """ASGI middleware that refuses larger bodies: by their Content-Length at once, others as they arrive.

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
        size = 0

        async def receive_counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_MAX_BYTES:
                raise HTTPException(413, TOO_LARGE)
            return message

        return await self._app(scope, receive_counted, send)
