"""A route on which the requests of each client are limited: 429 before anything of the request is read but its head."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from beefirst.api.client_address import find_client
from beefirst.api.services import Services

TOO_MANY = "Too many requests from your network address: wait for as many seconds as Retry-After says."


class LimitedRoute(APIRoute):
    """Counts each request by its client, and refuses those beyond CLIENT_LIMIT, whatever they ask for."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what serves a request."""
        serve = super().get_route_handler()

        async def serve_within_limit(request: Request) -> Response:
            services = Services.of(request)
            client = find_client(request.scope, services.settings.trusted_proxies)
            if seconds := await services.client_limits.count(client):
                raise HTTPException(429, TOO_MANY, {"Retry-After": str(seconds)})
            return await serve(request)

        return serve_within_limit
