"""HTTP/1.1 by uvicorn's faster parser, also for clients that offer another protocol, as Java's own does by default."""

from collections import deque
from typing import Any

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class HttpProtocol(HttpToolsProtocol):
    """Serves a request that offers an upgrade as if the offer were not there, which RFC 9110 (7.8) leaves to a server.

    uvicorn would lose the request's body, for its parser takes whatever follows such a head for the other protocol.
    So nothing is served of that head; another parser gets it without the offer, and then what follows.

    Of several requests on a connection that ends, it would tell the last alone, and log a traceback for an earlier one
    whose answer is ready only then. Here all are told.

    Args:
        arguments: as uvicorn gives them, like `named`.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.parser: _Parser = _Parser(self)
        self._cycles: deque[RequestResponseCycle] = deque()  # of requests that may not be answered yet, in order

    def on_headers_complete(self) -> None:
        """Begin to serve the request."""
        if self.offers_upgrade():
            return
        super().on_headers_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(self.cycle)

    def on_message_complete(self) -> None:
        """Take note that the request's body is complete."""
        if not self.offers_upgrade():
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nothing be written any more."""
        self._give_up()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, which ends the connection."""
        super().send_400_response(msg)
        self._give_up()

    def _give_up(self) -> None:
        for cycle in self._cycles:
            cycle.disconnected = not cycle.response_complete

    def offers_upgrade(self) -> bool:
        """Tell whether the head that was read offers another protocol; CONNECT demands it, and is refused as it is."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def decline_upgrade(self) -> bytes:
        """Take another parser, and return the head that was read, for that one, without the offer."""
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        kept = (b"%s: %s" % header for header in self.headers if header[0] != b"upgrade")
        self.parser = _Parser(self)
        return b"\r\n".join([line, *kept, b"", b""])


class _Parser(HttpRequestParser):
    def __init__(self, protocol: HttpProtocol) -> None:
        super().__init__(protocol)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does, for pipelined requests
        self._protocol = protocol

    def feed_data(self, data: Any) -> None:
        parser = self
        while True:  # not by recursion: one packet may hold a thousand offers
            try:
                return super(_Parser, parser).feed_data(data)
            except HttpParserUpgrade as pause:
                data = data[pause.args[0] :]
                if self._protocol.offers_upgrade():
                    data = self._protocol.decline_upgrade() + data
                parser = self._protocol.parser
