"""What goes over a connection: sound requests, requests that are none, and sound ones that were damaged."""

import base64
import json

from hypothesis import strategies as st

from tests.conftest import SECRET

Pieces = tuple[bytes, ...]

BASIC = base64.b64encode(f"ada@example.com:{SECRET}".encode())
INVALID_BODY = json.dumps({"email": "no address", "password": SECRET}).encode()
CODE = b'{"code": "0000"}'


def asking(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"Host: localhost", *headers, b"", body])


JSON = b"Content-Type: application/json"
SOUND = [
    asking(b"GET /health/live HTTP/1.1"),
    asking(b"HEAD /health/ready HTTP/1.1"),
    asking(b"GET /nowhere?where=here HTTP/1.1"),
    asking(b"OPTIONS * HTTP/1.1"),
    asking(b"POST /v1/register HTTP/1.1", JSON, b"Content-Length: %d" % len(INVALID_BODY), body=INVALID_BODY),
    asking(
        b"POST /v1/activate HTTP/1.1",
        JSON,
        b"Authorization: Basic " + BASIC,
        b"Content-Length: %d" % len(CODE),
        body=CODE,
    ),
    asking(
        b"POST /v1/register HTTP/1.1",
        JSON,
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        body=b"%x;name=value\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(INVALID_BODY), INVALID_BODY),
    ),
    asking(
        b"GET /health/live HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"
    ),
    asking(b"CONNECT /health/live HTTP/1.1"),
]

LAST = asking(b"GET /health/live HTTP/1.1", b"Connection: close")
"""Behind whatever else was sent: its answer ends the connection, unless the service takes it for a body."""

TOKENS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"\xff",
        b"%00",
        b"%",
        b"?",
        b"#",
        b"//",
        b"HTTP/1.0",
        b"HTTP/9.9",
    ),
    *(b"\r\nContent-Length: 5", b"\r\nContent-Length: -1", b"\r\nContent-Length: 99999999999999999999999"),
    *(b"\r\nContent-Length: \xb2", b"\r\nContent-Length: 0x5", b"\r\nTransfer-Encoding: chunked"),
    *(b"\r\nTransfer-Encoding: gzip, chunked", b"\r\nTransfer-Encoding : chunked", b"\r\n X: folded"),
    *(b"\r\nExpect: 100-continue", b"\r\nUpgrade: h2c\r\nConnection: upgrade", b"\r\nConnection: close"),
    *(b"\r\nHost: elsewhere", b"\r\nContent-Type: application/json; charset=utf-16", b"\r\nAuthorization: Basic \xff"),
    *(b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"),
    *(b"\r\nX: " + b"a" * 70_000, b"\r\nX-Forwarded-For: 192.0.2.1, \xff"),
]

places = st.integers(0, 400)
tokens = st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=8)


def _cut(data: bytes, place: int, _: bytes, __: int) -> bytes:
    return data[:place]


def _insert(data: bytes, place: int, token: bytes, times: int) -> bytes:
    return data[:place] + token * times + data[place:]


def _replace(data: bytes, place: int, token: bytes, times: int) -> bytes:
    return data[:place] + token + data[place + times :]


def _repeat(data: bytes, place: int, _: bytes, times: int) -> bytes:
    return data[:place] + data[place : place + 20] * times + data[place:]


def _damage(data: bytes, damages: list[tuple]) -> bytes:  # type: ignore[type-arg]
    for change, place, token, times in damages:
        data = change(data, place % (len(data) + 1), token, times)
    return data


damages = st.lists(
    st.tuples(st.sampled_from([_cut, _insert, _replace, _repeat]), places, tokens, st.integers(1, 20)), max_size=3
)
damaged = st.builds(_damage, st.sampled_from(SOUND), damages)

targets = st.sampled_from(
    [b"/health/live", b"/v1/register", b"*", b"http://elsewhere/health", b"//", b"/%00%0a", b"/..;/x"]
) | st.binary(max_size=20).map(lambda some: b"/" + some)
NAMES = [
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Upgrade",
    "Expect",
    "Authorization",
    "Content-Type",
]
VALUES = ["localhost", "", "0", "5", "chunked", "close", "upgrade", "h2c", "100-continue", "Basic"]
METHODS = ["GET", "POST", "HEAD", "PUT", "TRACE", "QUERY", "get", "M-SEARCH"]
VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", ""]


def _some_of(texts: list[str], max_size: int) -> st.SearchStrategy[bytes]:
    return st.sampled_from([text.encode() for text in texts]) | st.binary(max_size=max_size)


def _request(method: bytes, target: bytes, version: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    return b"\r\n".join([b" ".join([method, target, version]), *(b"%s: %s" % some for some in headers), b"", body])


headers = st.lists(st.tuples(_some_of(NAMES, 10), _some_of(VALUES, 30)), max_size=8)
with_host = headers.map(lambda some: [(b"Host", b"localhost"), *some])
soup = st.builds(
    _request, _some_of(METHODS, 8), targets, _some_of(VERSIONS, 8), headers | with_host, st.binary(max_size=30)
)

messages = st.lists(damaged | st.sampled_from(SOUND) | soup, min_size=1, max_size=4).map(b"".join) | st.binary(
    max_size=300
)


def _split(data: bytes, cuts: list[int], ends: bool) -> Pieces:
    data += LAST if ends else b""
    marks = sorted({cut % (len(data) + 1) for cut in cuts})
    return tuple(data[start:end] for start, end in zip([0, *marks], [*marks, len(data)], strict=True))


conversations = st.builds(
    _split, messages, st.lists(st.integers(0, 1000), max_size=3), st.sampled_from([True] * 4 + [False])
)
"""What one connection carries, in the pieces in which it is sent."""
