"""Traces by OpenTelemetry's standard variables: off, and not even imported, unless these ask for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beefirst.errors import ConfigurationError
from beefirst.machine.logs import QUIET_PATHS, request_id

if TYPE_CHECKING:
    from beefirst.api.open_telemetry import OpenTelemetry

ASKING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
"""Any of these asks for traces."""


def create_tracing(environment: Mapping[str, str]) -> "OpenTelemetry | None":
    """Return what makes traces, not yet running; None where none are asked for.

    Args:
        environment: variables by name; an empty one counts as not set, as OpenTelemetry's specification has it.

    Raises:
        ConfigurationError: traces are asked for and OpenTelemetry is not installed; see also `OpenTelemetry`.
    """
    asking = [name for name in ASKING if environment.get(name)]
    is_disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not asking or is_disabled or environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return None
    try:
        from beefirst.api.open_telemetry import OpenTelemetry
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("opentelemetry"):
            raise
        raise ConfigurationError(
            f"{asking[0]} asks for traces, and OpenTelemetry's SDK is not installed: "
            "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http, or do not set it."
        ) from None
    return OpenTelemetry(environment)


class Tracing:
    """ASGI middleware around the whole application that makes each request a trace, or a part of its client's.

    Probes, which leave no line in the log, leave no trace either.

    Args:
        app: what it wraps.
        telemetry: takes the spans.
    """

    def __init__(self, app: ASGIApp, telemetry: "OpenTelemetry") -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(QUIET_PATHS):
            return await self._app(scope, receive, send)
        status = 500

        async def send_traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                request.end(status, _route(scope), request_id.get(""))

        with self._telemetry.serving(scope["method"], scope["scheme"], scope["headers"]) as request:
            try:
                await self._app(scope, receive, send_traced)
            except BaseException as error:  # a cancellation, too
                request.end(500, _route(scope), request_id.get(""), type(error).__name__)
                raise


def _route(scope: Scope) -> str:
    # Never the path itself, in which a stranger may write anything.
    route: Any = scope.get("route")
    return getattr(route, "path", "")
