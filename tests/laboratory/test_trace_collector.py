"""A collector of traces: what it says of clients that give up, and of what is no trace."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest

from beefirst.laboratory.trace_collector import TraceCollector
from beefirst.machine.waiting import wait_until

EXPORT = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"


@pytest.fixture
def collector() -> Iterator[TraceCollector]:
    with TraceCollector() as collector:
        yield collector


@contextmanager
def exporting(collector: TraceCollector, payload: bytes) -> Iterator[socket.socket]:
    """Send an export, and hang up at the end of the block without a word."""
    address = urlsplit(collector.url)
    with closing(socket.create_connection((address.hostname, address.port), 20)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, and not a farewell
        client.sendall(EXPORT % (len(payload), payload))
        yield client


def test_who_gives_up_waiting_leaves_no_traceback(collector: TraceCollector, capfd: pytest.CaptureFixture[str]) -> None:
    collector.fall_silent()
    threads = threading.active_count()
    for _ in range(3):
        with exporting(collector, b""):
            pass
    collector.answer_again()
    wait_until(lambda: len(collector.headers) == 3)
    with exporting(collector, b"") as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    wait_until(lambda: threading.active_count() == threads)

    assert capfd.readouterr() == ("", "")


def test_an_export_that_cannot_be_read_is_told_of(collector: TraceCollector, capfd: pytest.CaptureFixture[str]) -> None:
    with exporting(collector, b"no trace") as client:
        assert client.recv(100) == b""

    assert "DecodeError" in capfd.readouterr().err
