"""A route whose sound requests skip FastAPI's own way of finding out what a handler wants."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import BackgroundTasks, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel


class DirectRoute(APIRoute):
    """Serves a request whose body is as it should be directly, and any other by FastAPI, whose answers it so gets.

    FastAPI's way takes a good part of all that is done for a registration beside its hash.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what serves a request."""
        serve, serve_directly = super().get_route_handler(), self._direct_handler()

        async def serve_either_way(request: Request) -> Response:
            return await serve_directly(request) or await serve(request)

        return serve_either_way

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
