"""Answers that wait for no body, and what follows a body: neither holds anything up, is believed, or takes memory."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from beefirst.api.connection_limits import HEAD_MAX_BYTES, UNREAD_MAX_BYTES
from beefirst.laboratory import raw_http
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from tests.support.clock_minute import wait_for_room_in_the_minute

HANGING_SECONDS = 30
LIVE = raw_http.request("GET", "/health/live")
STATED = b"Content-Length: 16000\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
BODY = b"x" * 16_000
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.fixture(autouse=True)
def _within_one_minute() -> None:
    wait_for_room_in_the_minute()


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    """An API that serves one request of each client, and believes this machine who that is."""
    with ScratchDatabase() as database, start_api(database.url, CLIENT_LIMIT=1, TRUSTED_PROXIES="127.0.0.1") as api:
        yield api


def head(client: str, *headers: bytes) -> bytes:
    """Return the head of a request that a proxy sends on behalf of a client."""
    return b"POST /v1/activate HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: %s\r\n%s\r\n" % (
        client.encode(),
        b"".join(headers),
    )


def json_of(client: str) -> bytes:
    """Return a whole request."""
    return head(client, b"Content-Type: application/json\r\nContent-Length: 2\r\n") + b"{}"


class Talk:
    """A connection on which one answer after the other is read."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = b""

    def answer(self, *sent: bytes) -> int:
        """Send, and return the status of the next answer."""
        for part in sent:
            self.connection.sendall(part)
        while True:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if end and len(rest) >= sum(lengths):
                self._received = rest[sum(lengths) :]
                return int(head[9:12])
            try:
                received = self.connection.recv(65_536)
            except TimeoutError:
                pytest.fail(f"no answer within {HANGING_SECONDS} s: it waits for what was not sent")
            assert received, "no answer, and the connection has ended"
            self._received += received


@contextmanager
def connected(api: ApiProcess) -> Iterator[Talk]:
    with socket.create_connection(("127.0.0.1", urlsplit(api.url).port or 0), HANGING_SECONDS) as connection:
        yield Talk(connection)


@pytest.mark.parametrize(
    ("client", "framing", "body"),
    [("192.0.2.1", STATED, BODY), ("192.0.2.2", CHUNKED, IN_CHUNKS)],
    ids=["stated length", "chunks"],
)
def test_who_is_over_the_limit_learns_it_before_any_of_the_body_and_may_go_on(
    api: ApiProcess, client: str, framing: bytes, body: bytes
) -> None:
    with connected(api) as talk:
        within = talk.answer(json_of(client))
        beyond = talk.answer(head(client, framing))
        afterwards = [talk.answer(body, LIVE), talk.answer(json_of(client))]

    assert (within, beyond, afterwards) == (422, 429, [200, 429])


def test_who_is_over_the_limit_is_not_told_to_send_its_body(api: ApiProcess) -> None:
    with connected(api) as talk:
        talk.answer(json_of("192.0.2.3"))
        beyond = talk.answer(head("192.0.2.3", STATED, b"Expect: 100-continue\r\n"))

    assert beyond == 429


def test_a_request_that_is_pipelined_behind_an_unread_body_has_its_own_answer(api: ApiProcess) -> None:
    with connected(api) as talk:
        talk.answer(json_of("192.0.2.4"))
        first = talk.answer(head("192.0.2.4", STATED), BODY, LIVE, json_of("192.0.2.5"))
        behind = [talk.answer(), talk.answer()]

    assert (first, behind) == (429, [200, 422])


def test_a_body_that_is_never_sent_counts_all_the_same(api: ApiProcess) -> None:
    for _ in range(2):
        with connected(api) as talk:
            talk.connection.sendall(head("192.0.2.6", STATED))
    wait_until(lambda: 'status="429"' in api.get("/metrics").text)

    with connected(api) as talk:
        assert talk.answer(json_of("192.0.2.6")) == 429


@pytest.mark.parametrize("sent", [json_of("192.0.2.7"), b""], ids=["429", "413"])
def test_who_sends_on_without_end_has_its_answer_and_loses_its_connection(api: ApiProcess, sent: bytes) -> None:
    with connected(api) as talk:
        if sent:
            talk.answer(sent)
        answer = talk.answer(head("192.0.2.7" if sent else "192.0.2.8", b"Content-Length: 999999999\r\n"))
        with pytest.raises(ConnectionError):
            send_much(talk.connection, b"x" * UNREAD_MAX_BYTES)

    assert answer == (429 if sent else 413)


def send_much(connection: socket.socket, part: bytes) -> None:
    """Send more than the kernel takes in on behalf of a server that has stopped to read."""
    for _ in range(64 * 1024 * 1024 // len(part)):
        connection.sendall(part)


def in_trailers(client: str, *trailers: bytes) -> bytes:
    return head(client, b"Content-Type: application/json\r\n", CHUNKED) + b"2\r\n{}\r\n0\r\n" + b"".join(trailers)


def test_who_the_client_is_is_not_told_behind_the_body(api: ApiProcess) -> None:
    """A proxy that checks and completes the head may pass on what follows the body as it comes."""
    with connected(api) as talk:
        answers = [
            talk.answer(in_trailers("192.0.2.9", b"X-Forwarded-For: 198.51.100.%d\r\n\r\n" % number))
            for number in range(3)
        ]

    assert answers == [422, 429, 429]


def test_what_a_head_must_say_is_not_said_behind_the_body(api: ApiProcess) -> None:
    with connected(api) as talk:
        answer = talk.answer(
            head("192.0.2.10", CHUNKED) + b"2\r\n{}\r\n0\r\nContent-Type: application/json\r\nHost: other\r\n\r\n"
        )

    assert answer == 415


@pytest.mark.parametrize(
    "part",
    [b"a: b\r\n" * 1000, b"a: " + b"x" * HEAD_MAX_BYTES, b"1;" + b"x" * HEAD_MAX_BYTES],
    ids=["many trailers", "a long trailer", "a long extension of a chunk"],
)
def test_what_is_no_body_does_not_go_on_for_ever_behind_the_head(api: ApiProcess, part: bytes) -> None:
    start = head("192.0.2.11", CHUNKED) + (b"" if part.startswith(b"1;") else b"0\r\n")
    with connected(api) as talk:
        talk.connection.sendall(start)
        with pytest.raises(ConnectionError):
            send_much(talk.connection, part)


def test_chunks_of_a_byte_are_a_body_like_any_other(api: ApiProcess) -> None:
    body = b'{"code": "12"' + b" " * 16_000 + b"}"
    request = head("192.0.2.12", b"Content-Type: application/json\r\n", CHUNKED)
    with connected(api) as talk:
        answer = talk.answer(request, b"".join(b"1\r\n%c\r\n" % byte for byte in body), b"0\r\n\r\n")

    assert answer == 422
