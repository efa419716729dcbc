"""A route on which the requests of each client are limited: 429 before anything of the request is read but its head."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import BackgroundTasks, HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from beefirst.api.client_address import find_client
from beefirst.api.services import Services

TOO_MANY = "Too many requests from your network address: wait for as many seconds as Retry-After says."

Serve = Callable[[Request], Coroutine[Any, Any, Response]]


class LimitedRoute(APIRoute):
    """Counts each request by its client, and refuses those beyond CLIENT_LIMIT, whatever they ask for.

    A request whose body is as it should be is served without FastAPI's own way of finding out what a handler wants, to
    save time. All others go that way, and so get FastAPI's answers.
    """

    def get_route_handler(self) -> Serve:
        """Return what serves a request."""
        serve, serve_directly = super().get_route_handler(), self._direct_handler()

        async def serve_within_limit(request: Request) -> Response:
            services = Services.of(request)
            client = find_client(request.scope, services.settings.trusted_proxies)
            if seconds := await services.client_limits.count(client):
                raise HTTPException(429, TOO_MANY, {"Retry-After": str(seconds)})
            return await serve_directly(request) or await serve(request)

        return serve_within_limit

    def _direct_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response | None]]:
        """Return what serves a request with a sound body, and returns None for any other."""
        (body_field,) = self.dependant.body_params
        model: type[BaseModel] = body_field.field_info.annotation  # type: ignore[assignment]
        dependencies = [(needed.name, needed.call) for needed in self.dependant.dependencies]
        takes_tasks, takes_request = (
            self.dependant.background_tasks_param_name,
            self.dependant.request_param_name,
        )

        async def serve_directly(request: Request) -> Response | None:
            try:
                body = model.model_validate(json.loads(await request.body()))
            except (ValueError, RecursionError):
                return None
            values: dict[str, Any] = {body_field.name: body}
            for name, find in dependencies:
                found = await find(request)  # type: ignore[misc]
                if name:
                    values[name] = found
            tasks = BackgroundTasks() if takes_tasks else None
            if takes_tasks:
                values[takes_tasks] = tasks
            if takes_request:
                values[takes_request] = request
            answer: BaseModel = await self.endpoint(**values)
            return Response(
                answer.model_dump_json(), self.status_code or 200, media_type="application/json", background=tasks
            )

        return serve_directly
