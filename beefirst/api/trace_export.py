"""Where spans are sent, as OpenTelemetry's variables say, and what the log tells of it: little, and no secret."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.util.re import parse_env_headers
from requests import PreparedRequest, Response, Session

from beefirst.errors import ConfigurationError

EXPORTERS = ("otlp", "console")
PROTOCOL = "http/protobuf"
DEFAULT_ENDPOINT = "http://localhost:4318"
"""Of the specification."""

TALKATIVE = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",  # each try, for as long as the collector is away
    "opentelemetry.sdk._shared_internal",  # each time that the queue is full, which follows from that
    "opentelemetry.util.re",  # a malformed header, with its token
    "urllib3",  # each request with its path and query
)
"""Loggers that would write again and again, or what nobody is to read; the log tells it once, in words of ours."""

log = logging.getLogger("beefirst.tracing")


def create_exporters(environment: Mapping[str, str]) -> Sequence[SpanExporter]:
    """Return what OTEL_TRACES_EXPORTER names, otlp where it names none; nothing is connected yet.

    Args:
        environment: variables by name, as they are given to this process: the SDK reads them itself, too.

    Raises:
        ConfigurationError: a variable asks for what is not there, or breaks its rule; none is shown that may be secret.
    """
    names = [name.strip().lower() for name in (environment.get("OTEL_TRACES_EXPORTER") or "otlp").split(",")]
    if unknown := [name for name in names if name not in EXPORTERS]:
        raise ConfigurationError(f"OTEL_TRACES_EXPORTER is {unknown[0]}: {' and '.join(EXPORTERS)} are there, or none.")
    makers = {"otlp": _create_otlp, "console": _create_console}
    return [makers[name](environment) for name in dict.fromkeys(names)]


def _create_console(_: Mapping[str, str]) -> SpanExporter:
    return ConsoleSpanExporter(formatter=lambda span: str(span.to_json(indent=None)) + "\n")


def _create_otlp(environment: Mapping[str, str]) -> SpanExporter:
    protocol = _setting(environment, "PROTOCOL", PROTOCOL)
    if protocol != PROTOCOL:
        raise ConfigurationError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}: only {PROTOCOL} is there, on port 4318.")
    place = _place(_setting(environment, "ENDPOINT", DEFAULT_ENDPOINT))
    _check_headers(_setting(environment, "HEADERS", ""))
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    session = _Session()
    log.info("traces go to %s", place)
    return _Reported(OTLPSpanExporter(session=session), place, session)


def _setting(environment: Mapping[str, str], name: str, default: str) -> str:
    """Return a variable of the exporter: the one for traces, or else the one for all that is exported."""
    values = (environment.get(f"OTEL_EXPORTER_OTLP_{kind}{name}") for kind in ("TRACES_", ""))
    return next((value for value in values if value), default)


def _place(endpoint: str) -> str:
    """Return where an endpoint is, without the credentials and the query that it may have."""
    try:
        parts = urlsplit(endpoint)
        place = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        parts, place = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("OTEL_EXPORTER_OTLP_ENDPOINT must be a URL, as http://collector:4318; it is none.")
    return place


def _check_headers(headers: str) -> None:
    for number, header in enumerate(headers.split(","), 1):
        if header.strip() and not parse_env_headers(header, liberal=True):
            raise ConfigurationError(
                f"OTEL_EXPORTER_OTLP_HEADERS must be name=value, with commas between; number {number} is not."
            )


class _Session(Session):
    """Sends requests, and remembers how the last one ended: in words that quote neither a header nor a URL."""

    outcome = "not tried"

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """Send a request."""
        try:
            response = super().send(request, **options)
        except Exception as error:
            self.outcome = type(error).__name__
            raise
        self.outcome = f"status {response.status_code}"
        return response


class _Reported(SpanExporter):
    """Sends to a collector, and tells once that it is away, and once that it is back."""

    def __init__(self, exporter: SpanExporter, place: str, session: _Session) -> None:
        self._exporter, self._place, self._session = exporter, place, session
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, on the SDK's thread."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                log.warning(
                    "traces do not reach %s (%s): requests are served without, and more of these lines do not come",
                    *(self._place, self._session.outcome),
                )
            self._lost += len(spans)
        elif self._lost:
            log.info("traces reach %s again; %d spans or more were lost", self._place, self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """End what is connected."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return that nothing is held back here."""
        return self._exporter.force_flush(timeout_millis)
