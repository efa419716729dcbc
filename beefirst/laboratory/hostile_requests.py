"""Requests that no well-meant client sends, as bytes, each with the answers that are due to it."""

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass

PASSWORD = "a hostile horse"  # noqa: S105
EMAIL = "hostile@hostile.example"
SOUND = json.dumps({"email": EMAIL, "password": PASSWORD}).encode()

SENTINEL = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""What follows a request on its connection, where the two could be taken for other requests than they are."""


@dataclass(frozen=True)
class Hostile:
    """A request.

    Attributes:
        area: of which kind it is.
        what: in a few words.
        content: as it goes over the wire.
        answers: the status of every answer on the connection, separated by spaces; where there is a choice, by " or ".
        unfinished: whether the client hangs up in the middle of it.
    """

    area: str
    what: str
    content: bytes
    answers: str
    unfinished: bool = False


def request(line: str, *fields: str, host: str = "Host: localhost", close: bool = True) -> bytes:
    """Return the head of a request, by default one whose connection ends with the answer."""
    lines = [line, *filter(None, [host]), *(["Connection: close"] if close else []), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(body: bytes, *fields: str, path: str = "/v1/register", kind: str = "application/json") -> bytes:
    """Return a POST of a body with its true length."""
    typed = [f"Content-Type: {kind}"] if kind else []
    return request(f"POST {path} HTTP/1.1", *typed, f"Content-Length: {len(body)}", *fields) + body


def registering(email: object = EMAIL, password: object = PASSWORD) -> bytes:
    """Return a registration with any two values."""
    return post(json.dumps({"email": email, "password": password}).encode())


def activating(code: object = "1234", *fields: str) -> bytes:
    """Return an activation with any code and header fields."""
    return post(json.dumps({"code": code}).encode(), *fields, path="/v1/activate")


def _basic(credentials: bytes) -> str:
    return f"Authorization: Basic {base64.b64encode(credentials).decode()}"


LINE, FIELD = "POST /v1/register HTTP/1.1", "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


def _chunked(*parts: bytes, fields: Sequence[str] = (CHUNKED,), close: bool = True) -> bytes:
    return request(LINE, FIELD, *fields, close=close) + b"".join(parts)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


END = b"0\r\n\r\n"

JSON = "what is no sound JSON"
VALUES = "values"
CREDENTIALS = "credentials"
FRAMING = "where a body ends"
HTTP = "HTTP itself"
PATHS = "paths and methods"

BODIES = [
    ("an empty body", b"", "422"),
    ("JSON cut off", b'{"email":', "422"),
    ("a list", b"[]", "422"),
    ("null", b"null", "422"),
    ("a raw NUL byte", SOUND.replace(b"hostile@", b"hos\0tile@"), "422"),
    ("broken UTF-8", SOUND.replace(b"hostile@", b"hostile\xff@"), "422"),
    ("overlong UTF-8", SOUND.replace(b"hostile@", b"hostile\xc0\xaf@"), "422"),
    ("nested 8,000 deep", b"[" * 8_000, "422"),
    ("objects nested 2,000 deep", b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "422"),
    ("a number of 5,000 digits", b'{"email": ' + b"9" * 5_000 + b', "password": 1}', "422"),
    ("the number 1e999", b'{"email": 1e999, "password": 1e999}', "422"),
    ("NaN and Infinity", b'{"email": NaN, "password": -Infinity}', "422"),
    ("the same key twice", SOUND.replace(b'"password"', b'"email": 5, "password"'), "422"),
    ("one byte over 16 KiB", SOUND.ljust(16 * 1024 + 1), "413"),
    ("a megabyte", SOUND.ljust(1024 * 1024), "413"),
    ("gzip, and saying so", gzip.compress(SOUND), "422"),
]
"""Bodies of a registration: what, the body, the answer."""

ADDRESSES = [
    ("a NUL in the address", "hos\0tile@hostile.example", "422"),
    ("half a surrogate pair in the address", "hostile\ud800@hostile.example", "422"),
    ("an address of 400 characters", f"{'a' * 386}@hostile.example", "422"),
    ("SQL for an address", "x'; DROP TABLE registrations; --@hostile.example", "422"),
    ("two addresses in one", "one@hostile.example,two@hostile.example", "422"),
    ("a header behind the address", "hostile@hostile.example\r\nBcc: all@hostile.example", "422"),
    ("an object for an address", {"$ne": ""}, "422"),
    ("true for an address", True, "422"),
]
"""Addresses of a registration: what, the address, the answer."""

PASSWORDS = [
    ("a NUL in the password", f"{PASSWORD}\0{PASSWORD}", "422"),
    ("half a surrogate pair in the password", f"{PASSWORD}\udfff", "422"),
    ("a password of 73 bytes", "p" * 73, "422"),
    ("a password of 15 KiB", "p" * 15_000, "422"),
    ("a list for a password", [PASSWORD], "422"),
]
"""Passwords of a registration: what, the password, the answer."""

CODES = [
    ("a code of five digits", "12345", "422"),
    ("a code that is a number", 1234, "422"),
    ("full-width digits", "\uff11\uff12\uff13\uff14", "422"),
    ("a code with SQL", "' OR", "422"),
    ("no code", None, "422"),
]
"""Codes of an activation: what, the code, the answer."""

AUTHORIZATIONS = [
    ("no credentials", (), "401"),
    ("credentials that are no base64", ("Authorization: Basic §§§",), "401"),
    ("credentials without a colon", (_basic(b"hostile"),), "401"),
    ("credentials in broken UTF-8", (_basic(b"hostile:\xff\xfe"),), "401"),
    ("credentials with a NUL", (_basic(f"{EMAIL}:{PASSWORD}\0".encode()),), "401"),
    ("credentials of 12 KiB", (_basic(b"a" * 9_000 + b":" + b"b" * 9),), "401"),
    ("another scheme", ("Authorization: Bearer hostile",), "401"),
    ("two Authorization headers", (_basic(b"a:b"), _basic(b"c:d")), "401"),
]
"""Header fields of an activation: what, the fields, the answer."""

KINDS = [
    ("no content type", "", "415"),
    ("text/plain", "text/plain", "415"),
    ("a form", "application/x-www-form-urlencoded", "415"),
    ("a type of 8 KiB", "a/" + "b" * 8_000, "415"),
]
"""Content types of a registration: what, the type, the answer."""


def _framings() -> list[tuple[str, bytes, str, bool]]:
    followed = request(LINE, FIELD, "Content-Length: 2", close=False) + b"{}" + SENTINEL
    return [
        ("a chunk whose size is no number", _chunked(b"zz\r\nhello\r\n", END), "400", False),
        ("a chunk larger than any number", _chunked(b"f" * 17 + b"\r\nhello\r\n", END), "400", False),
        ("a chunk longer than it says", _chunked(b"2\r\nhello\r\n", END), "400", False),
        ("a chunk shorter than it says", _chunked(b"ff\r\nhello"), "", True),
        ("chunks of over 16 KiB together", _chunked(*[_chunk(b" " * 4096)] * 5, END), "413", False),
        ("a request behind the body", followed, "422 200", False),
        ("a request within the body", post(SENTINEL), "422", False),
        ("a body shorter than it says", _of_length(str(len(SOUND) + 9)), "", True),
        ("two lengths", _of_length("5", "6"), "400", False),
        ("a negative length", _of_length("-1"), "400", False),
        ("a length with a sign", _of_length(f"+{len(SOUND)}"), "400", False),
        ("a length of 40 digits", _of_length("9" * 40), "400", False),
        ("smuggling, CL.TE", _smuggled("Content-Length: 5", CHUNKED), "400", False),
        ("smuggling, TE.CL", _smuggled(CHUNKED, "Content-Length: 5"), "400", False),
        ("smuggling, TE.TE", _smuggled(CHUNKED, "Transfer-Encoding: x"), "400", False),
    ]


def _of_length(*values: str) -> bytes:
    return request(LINE, FIELD, *(f"Content-Length: {value}" for value in values)) + SOUND


def _smuggled(*fields: str) -> bytes:
    return _chunked(END, SENTINEL, fields=fields, close=False)


def _protocols() -> list[tuple[str, bytes, str]]:
    live = "GET /health/live HTTP/1.1"
    return [
        ("no Host", request(live, host=""), "400"),
        ("two Hosts", request(live, "Host: evil.example"), "400"),
        ("HTTP/1.0 without Host", request("GET /health/live HTTP/1.0", host=""), "200"),
        ("HTTP/0.9", b"GET /health/live\r\n\r\n", "400"),
        ("HTTP/9.9", request("GET /health/live HTTP/9.9"), "400"),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
        ("the beginning of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32, "400"),
        ("a NUL in a header", request(live, "X-A: a\0b"), "400"),
        ("a carriage return in a header", request(live, "X-A: a\rX-B: b"), "400"),
        ("a space before the colon", request(live, "X-A : b"), "400"),
        ("bare line feeds", request(live).replace(b"\r", b""), "400"),
        ("a header on two lines", request(live, "X-A: a\r\n b"), "400"),
        ("a header of 100 KiB", request(live, "X-A: " + "a" * 100_000), "431"),
        ("1,000 headers", request(live, *(f"X-{number}: a" for number in range(1_000))), "200"),
        ("an offer of WebSocket", request(live, "Upgrade: websocket", "Sec-WebSocket-Key: eA=="), "200"),
    ]


def _paths() -> list[tuple[str, bytes, str]]:
    lines = [
        ("out of the assets", "GET /assets/../../../../etc/passwd", "404"),
        ("out of the assets, encoded", "GET /assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "404"),
        ("out of the assets, encoded twice", "GET /assets/%252e%252e/etc/passwd", "404"),
        ("an encoded NUL in the path", "GET /assets/a%00b", "404"),
        ("a path of 60 KiB", f"GET /{'a' * 60_000}", "404"),
        ("a target in absolute form", "GET http://evil.example/health/live", "200"),
        ("a proxy's CONNECT", "CONNECT evil.example:443", "400"),
        ("OPTIONS of everything", "OPTIONS *", "404"),
        ("TRACE", "TRACE /health/live", "405"),
        ("DELETE of a registration", "DELETE /v1/register", "405"),
        ("a method in lower case", "post /v1/register", "400"),
        ("a method that is none", "HACK /health/live", "400"),
    ]
    return [(what, request(f"{line} HTTP/1.1"), answers) for what, line, answers in lines]


def hostile_requests() -> list[Hostile]:
    """Return all of them, area by area."""
    return [
        *(Hostile(JSON, what, post(body), answers) for what, body, answers in BODIES),
        *(Hostile(VALUES, what, registering(email=email), answers) for what, email, answers in ADDRESSES),
        *(Hostile(VALUES, what, registering(password=password), answers) for what, password, answers in PASSWORDS),
        *(Hostile(VALUES, what, activating(code), answers) for what, code, answers in CODES),
        *(Hostile(CREDENTIALS, what, activating("1234", *fields), answers) for what, fields, answers in AUTHORIZATIONS),
        *(Hostile(HTTP, what, post(SOUND, kind=kind), answers) for what, kind, answers in KINDS),
        *(Hostile(FRAMING, *framing) for framing in _framings()),
        *(Hostile(HTTP, what, content, answers) for what, content, answers in _protocols()),
        *(Hostile(PATHS, what, content, answers) for what, content, answers in _paths()),
    ]
