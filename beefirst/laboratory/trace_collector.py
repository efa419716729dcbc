"""A collector of traces of one's own: OTLP over HTTP on a free port of this machine, and every span that came."""

import gzip
import json
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pandas as pd
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from beefirst.errors import ProcessError
from beefirst.laboratory.cleanup import Owned, uninterrupted

COLUMNS = ("trace", "id", "parent", "span", "kind", "begin", "end", "attributes", "failed")
PATH = "/v1/traces"
BY_CHANCE = frozenset({"traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "timeUnixNano"})
"""Ids and times, of which a part may be a code by chance."""


@dataclass
class _Taken:
    """What came.

    Attributes:
        requests: each export, in order of arrival.
        payloads: their bodies.
        headers: theirs.
        arrival: notified of each.
        status: of the answers.
        may_answer: as long as it is not set, no request is answered.
    """

    requests: list[ExportTraceServiceRequest] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    arrival: threading.Condition = field(default_factory=threading.Condition)
    status: int = 200
    may_answer: threading.Event = field(default_factory=threading.Event)


class TraceCollector(Owned):
    """Takes every span; it ends with its `with` block, or when nothing refers to it.

    Attributes:
        url: what OTEL_EXPORTER_OTLP_ENDPOINT is to be.
    """

    def __init__(self) -> None:
        self._taken = taken = _Taken()
        taken.may_answer.set()
        # The server's thread knows what it has taken and not the collector, which so can go while it runs.
        with self._making() as parts, uninterrupted():
            server = parts.enter_context(_Server(("127.0.0.1", 0), _handler(taken)))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            parts.callback(server.shutdown)
            parts.callback(taken.may_answer.set)
            thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"

    def answer_with(self, status: int) -> None:
        """Answer each export with this status from now on; of others than 200 nothing is kept."""
        self._taken.status = status

    def fall_silent(self) -> None:
        """Answer nothing from now on, until `answer_again` or the end."""
        self._taken.may_answer.clear()

    def answer_again(self) -> None:
        """Answer what has waited, and what comes."""
        self._taken.may_answer.set()

    def forget(self) -> None:
        """Forget all that came."""
        with self._taken.arrival:
            for kept in (self._taken.requests, self._taken.payloads, self._taken.headers):
                kept.clear()

    @property
    def headers(self) -> list[Mapping[str, str]]:
        """Those of each export that came, their names in lower case."""
        return [*self._taken.headers]

    @property
    def resources(self) -> list[dict[str, str]]:
        """What each export said of the service."""
        return [_attributes(part.resource) for each in self._taken.requests for part in each.resource_spans]

    def spans(self) -> pd.DataFrame:
        """Return the spans that came, in the order of their begin, which is in seconds since 1970 as is their end.

        Returns:
            The columns trace, id, parent (empty for none), span, kind, begin, end, attributes (as text), failed.
        """
        rows = [_row(span) for span in self._spans()]
        return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("begin", ignore_index=True)

    def _spans(self) -> list[Span]:
        parts = [part for request in self._taken.requests for part in request.resource_spans]
        return [span for part in parts for scope in part.scope_spans for span in scope.spans]

    def wait_for(self, is_enough: Callable[[pd.DataFrame], bool], seconds: float = 30) -> pd.DataFrame:
        """Return the spans, see `spans`, once they are enough.

        Raises:
            ProcessError: they were not after `seconds`.
        """
        with self._taken.arrival:
            if not self._taken.arrival.wait_for(lambda: is_enough(self.spans()), seconds):
                raise ProcessError(f"{len(self._spans())} spans came within {seconds:g} s: too few.")
            return self.spans()

    def wait_for_names(self, *names: str) -> pd.DataFrame:
        """Return the spans, see `spans`, once there is one of each of these names, or as many as it is named times."""
        wanted = {name: names.count(name) for name in names}
        return self.wait_for(lambda spans: all((spans["span"] == name).sum() >= wanted[name] for name in wanted))

    def texts(self) -> dict[str, str]:
        """Return all that came as text, by place: what it says, ids and times left out, and its bytes as they came."""
        said = [_without_chance(MessageToDict(request)) for request in self._taken.requests]
        return {
            "what spans say": "\n".join(json.dumps(each, ensure_ascii=False) for each in said),
            "bytes": "\n".join(payload.decode("latin-1") for payload in self._taken.payloads),
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of any error but of a client that did not wait for its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(taken: _Taken) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            payload = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            taken.may_answer.wait()
            status = taken.status if self.path == PATH else 404
            if status == 200:
                _take(taken, payload, {name.lower(): value for name, value in self.headers.items()})
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:  # it would fill a notebook
            pass

    return Handler


def _take(taken: _Taken, payload: bytes, headers: Mapping[str, str]) -> None:
    request = ExportTraceServiceRequest.FromString(payload)
    with taken.arrival:
        taken.requests.append(request)
        taken.payloads.append(payload)
        taken.headers.append(headers)
        taken.arrival.notify_all()


def _row(span: Span) -> tuple[object, ...]:
    attributes = ", ".join(f"{name}={value}" for name, value in _attributes(span).items())
    return (
        *(span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.name),
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        *(span.start_time_unix_nano / 1e9, span.end_time_unix_nano / 1e9),
        *(attributes, bool(span.status.code)),
    )


def _attributes(of: Any) -> dict[str, str]:
    return {each.key: str(each.value.string_value or each.value.int_value) for each in of.attributes}


def _without_chance(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_chance(inner) for name, inner in value.items() if name not in BY_CHANCE}
    return [_without_chance(inner) for inner in value] if isinstance(value, list) else value
