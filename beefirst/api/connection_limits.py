"""What one client may take of the server: time, the size of a head, and a place among its connections.

uvicorn itself limits nothing but how long a connection is idle after an answer.
"""

import json
import logging
import resource
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from beefirst.api.joined_writes import JoinedWrites
from beefirst.machine.logs import SparseWarning

CLIENT_SECONDS = 10.0
"""How long a client may keep the server waiting: from connecting to a request, from the first byte of a head to its
last, and for a sign that it reads its answer. A body has as long, see `body_limit`."""

HEAD_MAX_BYTES = 64 * 1024
"""Also of what follows a body, and of what stands between its chunks."""

UNREAD_MAX_BYTES = 1024 * 1024
"""How much of a body is taken in that nobody reads, so that its client comes to read the answer that it has already."""

MAX_CONNECTIONS = 8192
"""One more, and those are closed for which the server has waited longest; fewer where files may not be open as many."""

RESERVED_FILES = 256
"""For all that is no client: the database, mail, files."""

PIECE_BYTES = 4096
"""What is parsed at once: a packet may hold thousands of requests, each of which takes more memory than its bytes."""

TOO_SLOW = f"Send the whole head of a request within {CLIENT_SECONDS:g} seconds."
TOO_LARGE = f"Send a head of at most {HEAD_MAX_BYTES // 1024} KiB."

_crowded = SparseWarning(
    logging.getLogger("beefirst.overload"),
    "too many connections: %d more that waited longest for their client were closed",
)


def connection_limit() -> int:
    """Return how many connections there may be, while no other file lacks a place."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MAX_CONNECTIONS, max(files - RESERVED_FILES, files // 2))


class LimitedProtocol(HttpToolsProtocol):
    """Ends the connections of clients that are too slow: with 408 where it can be told that a request is meant.

    Time that the server itself needs to serve what it was sent, one request after the other, does not count.

    Args:
        arguments: as uvicorn gives them, like `named`.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._unparsed = b""
        self._is_in_head = False
        self._head_bytes = 0
        self._unread_bytes = 0
        self._unsent: tuple[object, int, float] = (None, 0, 0)
        self._served: RequestResponseCycle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to watch the client."""
        transport = JoinedWrites(transport)
        super().connection_made(transport)
        self.flow = _Flow(transport, self)
        self._wait_for_client()
        self._look_again(CLIENT_SECONDS)
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch."""
        self._timer.cancel()
        self._unparsed = b""
        self._tell_of_end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        self._unparsed += data
        self.parse()

    def parse(self) -> None:
        """Take on what was received, but no further than to the first request that must wait for another."""
        while self._unparsed and not self.pipeline and not self.transport.is_closing():
            piece, self._unparsed = self._unparsed[:PIECE_BYTES], self._unparsed[PIECE_BYTES:]
            super().data_received(piece)
            self._head_bytes += len(piece)
            if self._head_bytes > HEAD_MAX_BYTES:
                self._refuse(431, TOO_LARGE)
        if self._unparsed and not self.transport.is_closing():
            self.flow.pause_reading()

    def on_message_begin(self) -> None:
        """Take note that a head has begun."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes, self._unread_bytes = True, 0, 0
        self._wait_for_client()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; not what follows a body, of which proxies know nothing that have checked the head."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Take note that the head is complete, and serve its request."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a part of a body, or throw it away where the answer did not wait for it."""
        self._head_bytes = 0
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > UNREAD_MAX_BYTES:
                self.transport.close()
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Take note that it is the client's turn, unless another request waits."""
        self._wait_for_client()
        super().on_response_complete()

    def resume_writing(self) -> None:
        """Take note that the client reads on: what waited to be sent has become less, whatever is added to it now."""
        self._unsent = (None, 0, 0)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or not the body of the one that is being read."""
        if self._is_in_body():
            return super().send_400_response(msg)
        return self._refuse(400, msg)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is idle after an answer, unless the next head had begun before that."""
        if not self._is_in_head:
            super().timeout_keep_alive_handler()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def abort(self) -> None:
        """End the connection, whatever is left to send."""
        self._tell_of_end()
        self.transport.abort()

    def _tell_of_end(self) -> None:
        # uvicorn tells the latest request alone, where others of the same connection may be served or wait.
        for cycle in (self._served, *(cycle for cycle, _ in self.pipeline)):
            if cycle and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    @property
    def waits_for_client(self) -> bool:
        """Whether nothing of this connection goes on before its client sends more, or reads on."""
        is_unread = self.transport.get_write_buffer_size() > 0
        return is_unread or not self._is_serving() or (self.cycle.more_body and not self.pipeline)

    def _is_serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_in_body(self) -> bool:
        """Tell whether what comes now belongs to the request that is served, and nothing of its answer was sent."""
        is_served = self._is_serving() and not self.pipeline
        return is_served and bool(self.cycle.more_body) and not self.cycle.response_started

    def _wait_for_client(self) -> None:
        self.waits_until = self.loop.time() + CLIENT_SECONDS

    def _look(self) -> None:
        left = self.waits_until - self.loop.time()
        if self._is_not_read():
            self.abort()
        elif left <= 0 and not self.transport.is_closing() and not self._is_serving():
            if self._is_in_head:
                self._refuse(408, TOO_SLOW)
            self.transport.close()
        self._look_again(left if left > 0 else CLIENT_SECONDS)

    def _look_again(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._look)

    def _is_not_read(self) -> bool:
        """Tell whether for CLIENT_SECONDS not a byte of the same answer could be sent."""
        (cycle, before, since), left = self._unsent, self.transport.get_write_buffer_size()
        if cycle is self.cycle and 0 < before <= left:
            return self.loop.time() - since >= CLIENT_SECONDS
        self._unsent = (self.cycle, left, self.loop.time())
        return False

    def _refuse(self, status: int, detail: str) -> None:
        if self._is_serving():  # what is written now would pass for the answer to another request
            return self.abort()
        content = json.dumps({"detail": detail}).encode()
        headers = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(content)
        self.transport.write(STATUS_LINE[status] + headers + content)
        return self.transport.close()

    def _make_room(self) -> None:
        limit = connection_limit()
        if len(self.connections) <= limit:
            return
        # Some at once, for to find them takes a look at all.
        waiting = sorted(
            (one for one in self.connections if isinstance(one, LimitedProtocol) and one.waits_for_client),
            key=lambda one: one.waits_until,
        )[: max(1, limit // 32)]
        _crowded.note(len(waiting))
        for one in waiting:
            self.connections.discard(one)
            one.abort()


class _Flow(FlowControl):
    """Reads no more of a client whose requests wait for one another, where uvicorn's reads on after each answer."""

    def __init__(self, transport: Any, protocol: LimitedProtocol) -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if self.read_paused and not self._protocol.pipeline:
            super().resume_reading()
            self._protocol.loop.call_soon(self._protocol.parse)
