"""A service in a testbed that must go on serving whatever it is sent, and whose log is read along."""

import re
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self
from urllib.parse import urlsplit

from beefirst.laboratory.testbed import Testbed
from tests.conftest import SECRET

HANGING_SECONDS = 120
"""Nothing may take longer, on a busy machine either."""

QUIET_SECONDS = 0.1
"""After so long without a byte the service is asked to end the connection: it may wait for more of a request."""

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) +[\w.]+: [ -~\u00a0-\uffff]*")
"""A line of the log: one event, which begins with its time and holds no control character."""

EXPECTED_WARNINGS = ("Invalid HTTP request received.",)

STATUSES = frozenset({100, 200, 202, 307, 400, 401, 404, 405, 413, 415, 422, 429, 431, 503})
"""What the service is documented to answer, whoever asks for what; 503 where many ask at once."""

LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class WatchedService(AbstractContextManager["WatchedService"]):
    """A testbed, and what has to hold after each thing that is sent to it.

    Args:
        settings: of the service, as for `Testbed`, beside or in the place of those that it has here.

    Attributes:
        testbed: in which time does not end claims.
    """

    def __init__(self, **settings: Any) -> None:
        self._stack = ExitStack()
        self._read = 0
        settings = {"ttl_seconds": 3600, "log_level": "DEBUG", "client_limit": "off"} | settings
        self.testbed = self._stack.enter_context(Testbed(**settings))
        self._api = self.testbed.apis[0]
        self.url = self._api.url
        place = urlsplit(self.url)
        self._place = (str(place.hostname), int(place.port or 0))

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def converse(self, *pieces: bytes, source: str = "") -> bytes:
        """Send the pieces on one connection, and return all that came until the service had closed it.

        Args:
            pieces: sent one after the other.
            source: the address from which the connection comes; any of this machine where left out.

        Raises:
            TimeoutError: the service hangs.
        """
        with socket.create_connection(self._place, HANGING_SECONDS, (source, 0)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in pieces:
                    connection.sendall(piece)
                connection.settimeout(QUIET_SECONDS)
                received, is_open = _read(connection)
                if not is_open:
                    return received
                connection.settimeout(HANGING_SECONDS)
                connection.shutdown(socket.SHUT_WR)
                rest, is_open = _read(connection)
            except (ConnectionError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
                return b""  # it has closed the connection while it was sent more
        if is_open:
            raise TimeoutError(f"the service has not closed a connection within {HANGING_SECONDS} s")
        return received + rest

    def check(self, *secrets: str) -> None:
        """Tell that the service serves, and that its log has grown by sound lines alone, without any secret."""
        assert b" 200 OK\r\n" in self.converse(LIVE), "the service is not alive"
        lines = self._new_lines()
        wrong = [line for line in lines if _is_wrong(line, (SECRET, "$2b$", *secrets))]
        assert not wrong, "the log holds what it must not:\n" + "\n".join(repr(line) for line in lines)

    def _new_lines(self) -> list[str]:
        text = self._api.log(self._read)
        complete = text[: text.rfind("\n") + 1]
        self._read += len(complete.encode())
        return complete.split("\n")[:-1]


def _is_wrong(line: str, secrets: Sequence[str]) -> bool:
    """Tell whether a line is none, tells of an error, or of more than it may."""
    if not LINE.fullmatch(line) or " ERROR " in line:
        return True
    if " WARNING " in line and not line.endswith(EXPECTED_WARNINGS):
        return True
    # The path that a client asks for is logged, and a client may put there what it likes.
    return " uvicorn.access: " not in line and any(secret in line for secret in secrets)


def _read(connection: socket.socket) -> tuple[bytes, bool]:
    """Return what comes until the other side closes or is silent, and whether it is still open."""
    received = b""
    try:
        while more := connection.recv(65536):
            received += more
    except TimeoutError:
        return received, True
    except ConnectionError:
        pass
    return received, False


def statuses(received: bytes) -> list[int]:
    """Return the status of each answer among the bytes that came."""
    return [int(number) for number in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]
