"""Requests as they go over the wire, many at one moment, from a client light enough not to be what is measured."""

import asyncio
import base64
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import uvloop

Got = TypeVar("Got")

STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")

ANSWER_SECONDS = 60
"""No answer may take longer."""


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        status: of HTTP.
        body: as it came.
        seconds: from the request's first byte to the answer's last.
        began: when the request was sent, in seconds of Unix time.
        head: status line and headers, as they came.
    """

    status: int
    body: bytes
    seconds: float
    began: float
    head: bytes = b""


def request(method: str, path: str, body: object = None, credentials: tuple[str, str] | None = None) -> bytes:
    """Return a request as it goes over the wire.

    Args:
        method: of HTTP.
        path: as the API knows it.
        body: sent as JSON.
        credentials: address and password, sent as HTTP Basic in UTF-8.
    """
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
    if body is not None:
        head += "Content-Type: application/json\r\n"
    if credentials:
        head += f"Authorization: Basic {base64.b64encode(':'.join(credentials).encode()).decode()}\r\n"
    return f"{head}\r\n".encode() + content


def registering(email: str, password: str) -> bytes:
    """Return the request that claims an address."""
    return request("POST", "/v1/register", {"email": email, "password": password})


def activating(email: str, password: str, code: str) -> bytes:
    """Return the request that activates an account."""
    return request("POST", "/v1/activate", {"code": code}, (email, password))


def send_at_once(url: str, requests: Sequence[bytes], *, come_again: bool = True) -> list[Answer]:
    """Send every request on a connection of its own, all at the same moment.

    Args:
        url: of the API; several URLs, separated by spaces, take turns.
        requests: as `request` makes them; at most some hundreds.
        come_again: send what is shed for the crowd (503) once more when Retry-After is over, as a client should (RFC
            9110, 10.2.3), for ANSWER_SECONDS at most.

    Returns:
        The answers in the order of the requests.
    """

    async def send() -> list[Answer]:
        urls = itertools.cycle(url.split())
        async with AsyncExitStack() as opened:
            connections = [await opened.enter_async_context(Connection.open(next(urls))) for _ in requests]
            return await asyncio.gather(
                *(
                    connection.send(content, come_again=come_again)
                    for connection, content in zip(connections, requests, strict=True)
                )
            )

    return run(send)


def converse(url: str, talks: Sequence[tuple[bytes, bool]], at_once: int = 8) -> list[list[int]]:
    """Send bytes that need be no request, each on a connection of its own, and return the statuses of all answers.

    Args:
        url: of the API; several URLs, separated by spaces, take turns.
        talks: what is sent, and whether the client hangs up then; if not, the server must.
        at_once: how many connections there are at a time.

    Returns:
        A list for each talk; one that the server leaves open for ANSWER_SECONDS ends in 0.
    """
    addresses = itertools.cycle(map(urlsplit, url.split()))

    async def talk(content: bytes, hangs_up: bool, places: asyncio.Semaphore) -> list[int]:
        async with places:
            address = next(addresses)
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            heard, stayed = bytearray(), list[int]()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    writer.write(content)
                    if hangs_up:
                        writer.write_eof()
                    while part := await reader.read(65_536):
                        heard += part
            except TimeoutError:
                stayed = [0]
            except OSError:  # it hung up on what it had not read
                pass
            finally:
                writer.transport.abort()
        return [*map(int, STATUS.findall(heard)), *stayed]

    async def talk_all() -> list[list[int]]:
        places = asyncio.Semaphore(at_once)
        return await asyncio.gather(*(talk(content, hangs_up, places) for content, hangs_up in talks))

    return run(talk_all)


class Connection(asyncio.Protocol):
    """One connection that is kept open between its requests; without a stream or a task, for it is not to be felt."""

    def __init__(self) -> None:
        self._received = b""
        self._asked: asyncio.Future[Answer] | None = None
        self._lost = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, url: str) -> "Connection":
        """Connect to the API at `url`, for as long as the loop runs."""
        place, loop = urlsplit(url), asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, str(place.hostname), int(place.port or 80))
        return connection

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["Connection"]:
        """Connect to the API at `url`, and hang up at the end of the block, also where the API has died meanwhile."""
        connection = await cls.connect(url)
        try:
            yield connection
        finally:
            # Where an answer is owed, nobody may be there to take what is left to send.
            (connection._transport.abort if connection._asked else connection._transport.close)()
            await asyncio.shield(connection._lost)

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return not self._transport.is_closing()

    async def send(self, content: bytes, *, come_again: bool = False) -> Answer:
        """Send one request and return its answer, which must come within ANSWER_SECONDS; see `send_at_once`."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                answer = await self.ask(content)
                if not (come_again and answer.status == 503 and (wait := number_in(answer.head, b"retry-after"))):
                    return answer
                await asyncio.sleep(wait)

    def ask(self, content: bytes) -> "asyncio.Future[Answer]":
        """Send one request and return where its answer will be; the one before must have been answered.

        Raises:
            ConnectionError: the API has hung up; the future's, if it does so before it has answered.
            RuntimeError: the one before has no answer yet.
        """
        if not self.is_open:
            raise ConnectionResetError("the API has hung up")
        if self._asked:
            raise RuntimeError("the request before has no answer yet")
        self._asked = asyncio.get_running_loop().create_future()
        self._began, self._started = time.time(), time.perf_counter()
        self._transport.write(content)
        return self._asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """End the wait of `ask` as soon as the answer is whole; hang up on what nobody waits for, or is no answer."""
        if not self._asked or self._asked.done():
            return self._transport.abort()
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        try:
            length = number_in(head, b"content-length") if end else 0
            if end and len(body) >= length:
                taken = time.perf_counter() - self._started
                answer = Answer(int(head[9:12]), body[:length], taken, self._began, head + end)
                asked, self._asked, self._received = self._asked, None, b""
                asked.set_result(answer)
        except ValueError:
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """End the wait of `ask`, if there is one, with ConnectionError."""
        self._lost.set_result(None)
        if self._asked and not self._asked.done():
            self._asked.set_exception(ConnectionResetError("the API hung up before it answered"))


def number_in(head: bytes, name: bytes) -> int:
    """Return the number that a header holds, whose name is given in small letters; 0 where there is none."""
    return int(head.lower().partition(b"\r\n%s:" % name)[2].partition(b"\r\n")[0] or 0)


def run(send: Callable[[], Coroutine[Any, Any, Got]]) -> Got:
    """Return what `send` returns, run in a loop and on a thread of its own: a kernel's main thread already runs one."""

    def run_here() -> Got:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(send())

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run_here).result()
