"""A request that is served directly gets, byte for byte, the answer that FastAPI's own way gives it."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest

from beefirst.laboratory import hostile_requests as hostile
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase

HANGING_SECONDS = 120
DIRECTLY = "if not (route := find_posted(scope, self._routes)):"
VARIES = re.compile(rb"(?im)^(?:date|x-request-id): .*\r\n")
"""What differs from one answer to the next."""

BY_BODY = [
    hostile.registering(),
    hostile.post(hostile.SOUND, kind="application/json; charset=utf-8"),
    hostile.post(hostile.SOUND, kind="application/vnd.api+json"),
    hostile.post(b'{"email": "a@example.com", "email": "b@example.com", "password": "a hostile horse"}'),
    hostile.post(b'{"email": "a@example.com", "password": "a hostile horse", "more": [1]}'),
    hostile.post(b'{"code": "1234"}', path="/v1/activate"),
    *(
        request.content
        for request in hostile.hostile_requests()
        if request.area in (hostile.JSON, hostile.VALUES, hostile.CREDENTIALS) and not request.unfinished
    ),
]


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[ApiProcess, ApiProcess]]:
    """The service as it is, and a copy in which nothing is served directly."""
    with ExitStack() as parts:
        copy = parts.enter_context(ProjectCopy())
        copy.replace("beefirst/api/direct_serving.py", DIRECTLY, "route = None\n        if not route:")
        databases = [parts.enter_context(ScratchDatabase()) for _ in range(2)]
        ours = parts.enter_context(start_api(databases[0].url))
        yield ours, parts.enter_context(copy.start(databases[1]).wait_until_ready())


def answer(api: ApiProcess, content: bytes) -> bytes:
    """Send a request after which the service closes the connection, and return its answer without what varies."""
    place = urlsplit(api.url)
    with socket.create_connection((str(place.hostname), int(place.port or 0)), HANGING_SECONDS) as connection:
        received = b""
        with suppress(ConnectionError):  # what is too large is answered, and not read to its end
            connection.sendall(content)
            while part := connection.recv(65536):
                received += part
    return VARIES.sub(b"", received)


def test_the_answers_are_the_same_whichever_way(both: tuple[ApiProcess, ApiProcess]) -> None:
    pairs = [(content, *(answer(api, content) for api in both)) for content in BY_BODY]

    assert len(pairs) > 30
    assert {directly[9:12] for _, directly, _ in pairs} >= {b"202", b"401", b"415", b"422"}
    assert [pair for pair in pairs if pair[1] != pair[2]] == []
