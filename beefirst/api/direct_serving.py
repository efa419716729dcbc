"""Serving sound requests past FastAPI's own ways to find a route, and what its handler wants."""

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias

from fastapi import BackgroundTasks, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, ExceptionHandler, Receive, Scope, Send

from beefirst.api.body_limit import receiving
from beefirst.api.posted_routes import find_posted

Serve: TypeAlias = Callable[[bytes, Request], Coroutine[Any, Any, Response | None]]


class DirectServing:
    """ASGI middleware that serves a request whose body is as it should be, and leaves any other to FastAPI.

    FastAPI's way takes a good part of all that is done for a registration beside its hash. To stand within BodyLimit,
    from which a body comes in one piece; what a handler gets of the request has none any more.

    Args:
        app: what it wraps: FastAPI's own way, which gives the answers to what is not sound.
        routes: what is served directly when it is POSTed to, by path.
        handlers: which answer each exception becomes, as the application has them.
    """

    def __init__(
        self, app: ASGIApp, routes: Mapping[str, APIRoute], handlers: Mapping[type[Exception], ExceptionHandler]
    ) -> None:
        self._app = app
        self._routes = routes
        self._serve = {path: _serving(route) for path, route in routes.items()}
        self._direct_app = ExceptionMiddleware(self._serve_directly, handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not (route := find_posted(scope, self._routes)):
            return await self._app(scope, receive, send)
        scope["route"] = route
        return await self._direct_app(scope, receive, send)

    async def _serve_directly(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        if response := await self._serve[scope["route"].path](body, Request(scope, receive, send)):
            return await response(scope, receive, send)
        return await self._app(scope, receiving(body, receive), send)


def _serving(route: APIRoute) -> Serve:
    """Return what serves a request with a sound body, and returns None for any other."""
    (body_field,) = route.dependant.body_params
    model: type[BaseModel] = body_field.field_info.annotation  # type: ignore[assignment]
    dependencies = [(needed.name, needed.call) for needed in route.dependant.dependencies]
    takes_tasks, takes_request = route.dependant.background_tasks_param_name, route.dependant.request_param_name

    async def serve(content: bytes, request: Request) -> Response | None:
        try:
            body = model.model_validate(json.loads(content))
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
        answer: BaseModel = await route.endpoint(**values)
        return Response(
            answer.model_dump_json(), route.status_code or 200, media_type="application/json", background=tasks
        )

    return serve
