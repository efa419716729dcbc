"""Clients that send half a request, a byte a second or nothing, that do not read, or that are very many.

The limits are the real ones, so most clients of this file are slow at the same time, and once.
"""

import asyncio
import json
import resource
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from beefirst.api.body_limit import BODY_SECONDS
from beefirst.api.connection_limits import CLIENT_SECONDS
from beefirst.laboratory import raw_http
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET

HANGING_SECONDS = 120.0
FOR_EVER_SECONDS = 45.0
"""A slow client whose connection still lives is left alone from now on."""

EARLY_SECONDS = 0.8
"""The share of its time that no client may be denied; a client begins a little after the server's clock does."""

LIVE = raw_http.request("GET", "/health/live")
HALF_HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Half: "
CHUNKED = b"POST /v1/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = raw_http.registering("ada@example.com", SECRET)
HALF_BODY = WHOLE[:-20]
HALF_OF_NOTHING = HALF_BODY.replace(b"/v1/register", b"/nowhere")


@dataclass(frozen=True)
class Slow:
    """A client that is slow in one way, and what it is to get before its connection is closed.

    Attributes:
        sent: at once.
        drip: sent again and again, less than a second apart.
        answers: the statuses of what it gets.
        seconds: how long it may take.
    """

    sent: bytes
    drip: bytes
    answers: list[int]
    seconds: float


CLIENTS = {
    "nothing": Slow(b"", b"", [], CLIENT_SECONDS),
    "empty lines": Slow(b"", b"\r\n", [], CLIENT_SECONDS),
    "half a head": Slow(HALF_HEAD, b"", [408], CLIENT_SECONDS),
    "a head byte by byte": Slow(HALF_HEAD, b"x", [408], CLIENT_SECONDS),
    "half a body": Slow(HALF_BODY, b"", [408], BODY_SECONDS),
    "a body byte by byte": Slow(HALF_BODY, b" ", [408], BODY_SECONDS),
    "a body in chunks that never end": Slow(CHUNKED, b"1\r\n \r\n", [408], BODY_SECONDS),
    "trailers byte by byte": Slow(CHUNKED + b"0\r\nX-Trailer: ", b"x", [408], BODY_SECONDS),
    "half a body for nobody": Slow(HALF_OF_NOTHING, b"", [408], BODY_SECONDS),
    "nothing more after an answer": Slow(LIVE, b"", [200], 5),
    "empty lines after an answer": Slow(LIVE, b"\r\n", [200], CLIENT_SECONDS),
    "half a head after a request": Slow(LIVE + HALF_HEAD, b"", [200, 408], CLIENT_SECONDS),
    "a head byte by byte after a request": Slow(LIVE + HALF_HEAD, b"x", [200, 408], CLIENT_SECONDS),
}


@dataclass(frozen=True)
class Seen:
    """What a slow client got, and after how many seconds the server closed the connection."""

    received: bytes
    seconds: float

    @property
    def answers(self) -> list[int]:
        """The status of each answer."""
        return [int(part[:3]) for part in self.received.split(b"HTTP/1.1 ")[1:]]


async def _be_slow(port: int, client: Slow) -> Seen:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started, received = time.perf_counter(), b""
    writer.write(client.sent)
    while not reader.at_eof() and time.perf_counter() - started < FOR_EVER_SECONDS:
        try:
            received += await asyncio.wait_for(reader.read(65536), 0.7)
        except TimeoutError:
            writer.write(client.drip)
        except ConnectionError:  # a byte crossed with the end of the connection
            break
    writer.close()
    return Seen(received, time.perf_counter() - started)


async def _all_slow(port: int) -> dict[str, Seen]:
    seen = await asyncio.gather(*(_be_slow(port, client) for client in CLIENTS.values()))
    return dict(zip(CLIENTS, seen, strict=True))


def port_of(api: ApiProcess) -> int:
    return urlsplit(api.url).port or 0


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    """An API with a log of its own."""
    with ScratchDatabase() as database, start_api(database.url) as api:
        yield api


@pytest.fixture(scope="module")
def seen(api: ApiProcess) -> dict[str, Seen]:
    """What became of all slow clients."""
    return asyncio.run(_all_slow(port_of(api)))


@pytest.mark.parametrize("name", CLIENTS)
def test_a_slow_client_is_told_so_and_hung_up_on_in_time(seen: dict[str, Seen], name: str) -> None:
    assert seen[name].answers == CLIENTS[name].answers
    assert EARLY_SECONDS * CLIENTS[name].seconds < seen[name].seconds < FOR_EVER_SECONDS


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("half a head", "the whole head of a request"),
        ("half a body", "the whole body"),
        ("trailers byte by byte", "the whole body"),
    ],
)
def test_a_408_is_json_and_says_how_long_there_was(seen: dict[str, Seen], name: str, what: str) -> None:
    head, _, body = seen[name].received.partition(b"\r\n\r\n")

    assert json.loads(body) == {"detail": f"Send {what} within 10 seconds."}
    assert b"connection: close" in head.lower()


def test_a_408_about_an_account_is_not_kept_and_counted(api: ApiProcess, seen: dict[str, Seen]) -> None:
    assert b"no-store" in seen["half a body"].received
    assert 'status="408"' in api.get("/metrics").text


def test_a_body_that_comes_in_parts_but_in_time_is_served(api: ApiProcess) -> None:
    async def dawdle() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(api))
        for start in range(0, len(WHOLE), 40):
            writer.write(WHOLE[start : start + 40])
            await asyncio.sleep(0.05)
        received = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANGING_SECONDS)
        writer.close()
        return received

    assert asyncio.run(dawdle()).startswith(b"HTTP/1.1 202")


def test_a_head_beyond_all_measure_is_refused_before_it_ends(api: ApiProcess) -> None:
    async def send_headers() -> Seen:
        return await _be_slow(port_of(api), Slow(HALF_HEAD + b"x" * 64 * 1024, b"", [431], 0))

    seen = asyncio.run(send_headers())

    assert seen.answers == [431]
    assert json.loads(seen.received.partition(b"\r\n\r\n")[2]) == {"detail": "Send a head of at most 64 KiB."}


def connections(api: ApiProcess) -> int:
    """Return how many sockets the service has open beside those of an idle one."""
    return sum(file.startswith("socket:") for file in open_files(api))


def open_files(api: ApiProcess) -> list[str]:
    """Return what the service has open; what closes meanwhile is left out."""
    names = []
    for entry in Path(f"/proc/{api.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(str(entry.readlink()))
    return names


only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no file tells what a process has open")


def send_without_end(connection: socket.socket, requests: bytes) -> None:
    while True:
        connection.sendall(requests)


@pytest.mark.parametrize("path", ["/metrics", "/redoc.js"], ids=["many answers", "large answers"])
def test_a_client_that_never_reads_its_answers_loses_its_connection(api: ApiProcess, path: str) -> None:
    requests = raw_http.request("GET", path) * 20
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(HANGING_SECONDS)
        connection.connect(("127.0.0.1", port_of(api)))

        with pytest.raises(ConnectionError):
            send_without_end(connection, requests)

    assert "Traceback" not in api.log()


LITTLE_ROOM = """\
        super().connection_made(transport)
        line = __import__("socket").fromfd(transport.get_extra_info("socket").fileno(), 2, 1)
        line.setsockopt(1, 7, 8192)
"""
"""The kernel takes as little of an answer as of one to a client that is far away."""


@only_on_linux
def test_a_client_that_reads_slowly_and_steadily_keeps_its_connection(database: ScratchDatabase) -> None:
    module, limit = "beefirst/api/connection_limits.py", 3.0
    with ProjectCopy() as copy, socket.socket() as connection:
        copy.replace(module, "CLIENT_SECONDS = 10.0", f"CLIENT_SECONDS = {limit}")
        copy.replace(module, "        super().connection_made(transport)\n", LITTLE_ROOM)
        with start_api(database.url, code=copy.code) as api:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            connection.settimeout(HANGING_SECONDS)
            connection.connect(("127.0.0.1", port_of(api)))
            connection.sendall(raw_http.request("GET", "/assets/swagger-ui-bundle.js"))
            end = time.monotonic() + 3 * limit
            while time.monotonic() < end:
                assert connection.recv(2048)
                time.sleep(0.02)


@contextmanager
def unread(api: ApiProcess, count: int, path: str) -> Iterator[None]:
    """Have so many clients ask for a large answer, and read nothing of it."""
    with ExitStack() as clients:
        for _ in range(count):
            connection = clients.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            connection.connect(("127.0.0.1", port_of(api)))
            connection.sendall(raw_http.request("GET", path))
        yield


@only_on_linux
@pytest.mark.parametrize("path", ["/redoc.js", "/assets/swagger-ui-bundle.js"])
def test_clients_that_read_nothing_of_a_large_answer_take_little_memory_and_give_way(
    database: ScratchDatabase, path: str
) -> None:
    module, limit, clients = "beefirst/api/connection_limits.py", 120, 100
    with ProjectCopy() as copy:
        copy.replace(module, "MAX_CONNECTIONS = 8192", f"MAX_CONNECTIONS = {limit}")
        copy.replace(module, "        super().connection_made(transport)\n", LITTLE_ROOM)
        with start_api(database.url, code=copy.code) as api:
            before = resident_kib(api)
            with unread(api, clients, path):
                [one] = raw_http.send_at_once(api.url, [LIVE])
                more = resident_kib(api) - before
                with unread(api, clients, path):
                    [other] = raw_http.send_at_once(api.url, [LIVE])

    assert (one.status, other.status) == (200, 200)
    assert more < clients * 500  # KiB; the larger of the answers has 1,500, and none is read more than once


@only_on_linux
def test_requests_without_end_on_one_connection_take_no_memory(api: ApiProcess) -> None:
    """A packet holds thousands, each of which would wait as an object many times its size."""

    async def send_at_full_speed() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(api))
        before, most = resident_kib(api), 0
        writer.write(LIVE * 30_000)
        answered = 0
        async with asyncio.timeout(HANGING_SECONDS):
            while answered < 30_000 and (received := await reader.read(2**20)):
                answered += received.count(b'"live"')
                most = max(most, resident_kib(api))
        writer.close()
        assert answered > 29_900  # one may lie across two packets
        return most - before

    assert asyncio.run(send_at_full_speed()) < 24 * 1024


def allow_files(api: ApiProcess, number: int) -> None:
    """Let the service have so many files open."""
    _, hard = resource.prlimit(api.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(api.pid, resource.RLIMIT_NOFILE, (number, hard))


def resident_kib(api: ApiProcess) -> int:
    """Return the memory that the service has now."""
    lines = Path(f"/proc/{api.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


IDLE = 5000


@pytest.fixture
def may_connect_often() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 1000:
        pytest.skip(f"this system lets a process open {hard} files, and {IDLE} connections need more")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@only_on_linux
@pytest.mark.usefixtures("may_connect_often")
@pytest.mark.parametrize("sent", [b"", HALF_HEAD, HALF_BODY], ids=["silent", "in a head", "in a body"])
def test_thousands_of_idle_connections_stop_nobody_and_end(api: ApiProcess, sent: bytes) -> None:
    before = connections(api)

    with many_connections(api, IDLE, sent):
        answers = raw_http.send_at_once(api.url, [WHOLE, LIVE, LIVE])
        wait_until(lambda: connections(api) <= before, HANGING_SECONDS)

    assert [answer.status for answer in answers] == [202, 200, 200]


@contextmanager
def many_connections(api: ApiProcess, number: int, sent: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as opened:
        connections = list[socket.socket]()
        for _ in range(number):
            connections.append(opened.enter_context(socket.create_connection(("127.0.0.1", port_of(api)), 60)))
            connections[-1].sendall(sent)
        yield connections


def is_closed(connection: socket.socket) -> bool:
    """Tell whether the other side has closed a connection on which it sends nothing."""
    try:
        return connection.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@only_on_linux
def test_beyond_the_number_of_files_those_go_that_waited_longest(database: ScratchDatabase) -> None:
    with start_api(database.url) as api:
        allow_files(api, 300)  # of which half are for connections, as the rest is not much

        with many_connections(api, 400, HALF_HEAD) as opened:
            wait_until(lambda: sum(map(is_closed, opened)) >= 250, HANGING_SECONDS)
            first_left = [is_closed(connection) for connection in opened].index(False)
            [answer] = raw_http.send_at_once(api.url, [LIVE])
        log = api.log()

    assert answer.status == 200
    assert first_left >= 200
    assert 1 <= log.count("too many connections") <= 3


@only_on_linux
def test_a_service_that_can_open_no_file_at_all_lives_on(database: ScratchDatabase) -> None:
    with start_api(database.url) as api, ThreadPoolExecutor(1) as threads:
        files = len(open_files(api))
        allow_files(api, files)
        # Accepted by the kernel, and by nobody else until there is a file again.
        comes_too_soon = threads.submit(raw_http.send_at_once, api.url, [LIVE])
        wait_until(lambda: "Too many open files" in api.log() or comes_too_soon.done(), HANGING_SECONDS)
        allow_files(api, 2 * files)

        [answer] = raw_http.send_at_once(api.url, [LIVE])

    assert answer.status == 200
