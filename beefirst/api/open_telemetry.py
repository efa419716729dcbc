"""OpenTelemetry's SDK, set up by its own variables: spans are collected and sent to a collector beside the requests."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter, time_ns

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from beefirst.api.trace_export import create_exporters
from beefirst.errors import ConfigurationError
from beefirst.machine.tracing import tracer

CLOSE_SECONDS, LEAST_SECONDS = 2.0, 0.5
"""How long the end of the process waits for the last spans to be sent, at most, and where requests and mail have taken
all that SIGTERM leaves; a collector that answers needs a fraction of either."""

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Those that semantic conventions know; any other is one name for all, so that a stranger makes no new ones."""

log = logging.getLogger("beefirst.tracing")


class OpenTelemetry:
    """The spans of this process; `machine.tracing.Tracer` for the requests that are sampled.

    The SDK's queue holds a bounded number of spans, of which the oldest go when it is full: no request waits for a
    collector. The provider is no global one, which FastAPI would use, too, for spans that hold paths and queries.

    Args:
        environment: variables by name, for what is checked before the SDK reads them itself.

    Raises:
        ConfigurationError: a variable asks for what is not there, or breaks its rule.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._exporters = create_exporters(environment)
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("beefirst")
        self._propagator = TraceContextTextMapPropagator()

    @asynccontextmanager
    async def running(self, seconds_left: Callable[[], float]) -> AsyncIterator[None]:
        """Send spans as long as the block lasts, and what is left of them after it.

        Args:
            seconds_left: how long the end of the block may take; see CLOSE_SECONDS.

        Raises:
            ConfigurationError: the variables of the queue contradict each other.
        """
        try:
            for exporter in self._exporters:
                self._provider.add_span_processor(BatchSpanProcessor(exporter))
        except ValueError as error:
            raise ConfigurationError(f"The variables that begin with OTEL_BSP_ do not fit: {error}") from None
        try:
            yield
        finally:
            await self._close(min(CLOSE_SECONDS, max(LEAST_SECONDS, seconds_left())))

    async def _close(self, seconds: float) -> None:
        # A thread that nobody joins: one that waits for a silent collector would hold up the end of the process.
        closed, loop = asyncio.Event(), asyncio.get_running_loop()

        def close() -> None:
            self._provider.shutdown()
            if not loop.is_closed():
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=close, name="traces", daemon=True).start()
        try:
            await asyncio.wait_for(closed.wait(), seconds)
        except TimeoutError:
            log.warning("the last traces were not sent within %g s, and are lost", seconds)

    @contextmanager
    def serving(self, method: str, scheme: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator["Request"]:
        """Return the span of a request, whose parent is the one that its headers name, for as long as it is served.

        Args:
            method: of the request.
            scheme: http or https.
            headers: of the request, their names in lower case.
        """
        known = method if method in METHODS else "_OTHER"
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        span = self._tracer.start_span(
            "HTTP" if known == "_OTHER" else known,
            context=self._propagator.extract(carrier, Context()),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": known, "url.scheme": scheme},
        )
        tracer.set(self if span.is_recording() else None)
        token = context.attach(set_span_in_context(span, Context()))
        try:
            yield Request(span, known)
        finally:
            context.detach(token)

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str], is_call: bool) -> Iterator[None]:
        """Note the block; of an error that it raises, its kind alone."""
        kind = SpanKind.CLIENT if is_call else SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                _fail(span, type(error).__name__)
                raise

    def note(self, name: str, began: float, ended: float) -> None:
        """Note what is over, by this process's clock for spans."""
        now, zero = perf_counter(), time_ns()
        begin, end = (zero - round((now - time) * 1e9) for time in (began, ended))
        self._tracer.start_span(name, start_time=begin).end(end)


class Request:
    """The span of one request."""

    def __init__(self, span: Span, method: str) -> None:
        self._span, self._method = span, method

    def end(self, status: int, route: str, number: str, error: str = "") -> None:
        """Let it end now; doing so again does nothing.

        Args:
            status: of the answer.
            route: as the application names it; empty where it has none.
            number: the request's id, as in the log and in X-Request-ID.
            error: the kind of what ended it.
        """
        if not self._span.is_recording():
            return
        self._span.set_attributes({"http.response.status_code": status, "beefirst.request": number})
        if route:
            self._span.update_name(f"{self._method} {route}")
            self._span.set_attribute("http.route", route)
        if status >= 500:
            _fail(self._span, error or str(status))
        self._span.end()


def _fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def _resource() -> Resource:
    found = Resource.create()
    if not str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found
    return found.merge(Resource({SERVICE_NAME: "beefirst"}))
