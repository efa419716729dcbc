"""What happens around every request: its id, its measurement, HEAD as GET, and no cache for answers about accounts."""

import secrets
from time import perf_counter
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beefirst.api.metrics import Metrics
from beefirst.machine.logs import request_id

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observer:
    """ASGI middleware around the whole application.

    Args:
        app: what it wraps.
        metrics: learns of every request.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        number = secrets.token_hex(8)
        request_id.set(number)
        # Handlers know no HEAD, lest the documentation shows each twice; the server leaves the answer's body out.
        served = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        started, status = perf_counter(), 500

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = number
                if scope["path"].startswith("/v1/"):
                    headers["Cache-Control"] = "no-store"
            elif message["type"] == "http.response.body" and not message.get("more_body"):
                self._measure(scope["method"], served, status, perf_counter() - started)
            await send(message)

        try:
            await self._app(served, receive, send_observed)
        except Exception:
            self._measure(scope["method"], served, 500, perf_counter() - started)
            raise

    def _measure(self, method: str, served: Scope, status: int, seconds: float) -> None:
        # Only names that the application knows: a stranger must not make new series.
        route: Any = served.get("route")
        path = getattr(route, "path", "other")
        known = method if method in METHODS else "other"
        self._metrics.requests.labels(known, path, status).observe(seconds)
