"""What clients, balancers and monitors send beside plain requests: offers of HTTP/2, HEAD, a doubtful Host."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from beefirst.laboratory import raw_http
from beefirst.laboratory.api_process import ApiProcess, fetch, start_api
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET

BODY = json.dumps({"email": "ada@example.com", "password": SECRET}).encode()
CHUNKED = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (20, BODY[:20], len(BODY) - 20, BODY[20:])
LENGTH = f"Content-Length: {len(BODY)}"
JAVA = [
    "Connection: Upgrade, HTTP2-Settings",
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    "Upgrade: h2c",
]


def head(*lines: str, line: str = "POST /v1/register HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: localhost", "Content-Type: application/json", *lines, "", ""]).encode()


OFFERS = {
    "as Java's client does": head(*JAVA, LENGTH) + BODY,
    "with a body in chunks": head(*JAVA, "Transfer-Encoding: chunked") + CHUNKED,
    "on the last request of a connection": head("Connection: Upgrade, close", "Upgrade: h2c", LENGTH) + BODY,
    "in HTTP/1.0": head(*JAVA, LENGTH, line="POST /v1/register HTTP/1.0") + BODY,
    "of several protocols": head("connection: upgrade", "upgrade: TLS/1.2, h2c", "UPGRADE: websocket", LENGTH) + BODY,
}


@pytest.fixture(scope="module")
def api() -> Iterator[ApiProcess]:
    """An API with a log of its own."""
    with ScratchDatabase() as database, start_api(database.url) as api:
        yield api


def converse(url: str, *parts: bytes, until: bytes) -> bytes:
    """Send the parts, each but the first when there is an answer to what was sent, and return all that came."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), 60) as connection:
        received = b""
        for part in parts:
            connection.sendall(part)
            received += connection.recv(65536)
        while until not in received and (more := connection.recv(65536)):
            received += more
    return received


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_a_request_that_offers_another_protocol_is_served_as_if_it_did_not(api: ApiProcess, offer: bytes) -> None:
    [answer] = raw_http.send_at_once(api.url, [offer])

    assert (answer.status, "expires_in_seconds" in json.loads(answer.body)) == (202, True)


def test_no_offer_leaves_a_word_in_the_log(api: ApiProcess) -> None:
    raw_http.send_at_once(api.url, [*OFFERS.values(), head(*JAVA, line="GET /health/live HTTP/1.1")])

    assert [line for line in api.log().splitlines() if re.search("WARN|ERROR|upgrade|install", line)] == []


def test_a_body_that_comes_later_than_the_offer_is_not_lost(api: ApiProcess) -> None:
    received = converse(api.url, head(*JAVA, LENGTH, "Expect: 100-continue"), BODY, until=b"expires_in_seconds")

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"100", b"202"]


def test_offers_among_other_requests_are_answered_in_order_on_one_connection(api: ApiProcess) -> None:
    live = head(line="GET /health/live HTTP/1.1")
    last = head("Connection: close", line="GET /nowhere HTTP/1.1")

    received = converse(api.url, head(*JAVA, LENGTH) + BODY + live + head(*JAVA, LENGTH) + BODY + last, until=b"Not F")

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"202", b"200", b"202", b"404"]


def test_many_offers_in_one_packet_are_all_answered(api: ApiProcess) -> None:
    offers = head("Connection: upgrade", "Upgrade: h2c", line="GET /health/live HTTP/1.1") * 2000
    last = head("Connection: close", line="GET /nowhere HTTP/1.1")

    received = converse(api.url, offers + last, until=b"Not F")

    assert received.count(b"HTTP/1.1 200") == 2000


def test_an_answer_comes_as_one_packet(api: ApiProcess) -> None:
    place = urlsplit(api.url)
    with socket.create_connection((place.hostname, place.port), 60) as connection:
        for _ in range(20):
            connection.sendall(raw_http.request("GET", "/health/live"))
            answer = connection.recv(65536)

            assert answer.partition(b"\r\n\r\n")[2] == b'{"status":"live"}'


def test_connect_is_refused_and_the_connection_goes_on(api: ApiProcess) -> None:
    last = head("Connection: close", line="GET /nowhere HTTP/1.1")

    received = converse(api.url, head(line="CONNECT /health/live HTTP/1.1") + last, until=b"Not F")

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"405", b"404"]


@pytest.mark.parametrize("protocol", ["beefirst.api.http_protocol:HttpProtocol", "h11"])
def test_uvicorn_by_itself_serves_an_offer_with_either_protocol(database: ScratchDatabase, protocol: str) -> None:
    port = free_port()
    url, words = f"http://127.0.0.1:{port}", ["--port", str(port), "--http", protocol]
    command = [sys.executable, "-m", "uvicorn", "--factory", "beefirst.api.main:create_app", *words]
    with subprocess.Popen(command, env=clean_environment() | {"DATABASE_URL": database.url}) as uvicorn:
        try:
            wait_until(lambda: answers(f"{url}/health/ready") or uvicorn.poll() is not None, 60)
            [answer] = raw_http.send_at_once(url, [OFFERS["with a body in chunks"]])
        finally:
            uvicorn.terminate()

    assert answer.status == 202


@pytest.mark.parametrize("last", [b"", b"\0\r\n\r\n"], ids=["its client is gone", "what follows is no request"])
def test_of_requests_on_a_connection_that_ends_none_leaves_a_traceback(api: ApiProcess, last: bytes) -> None:
    activation, place = raw_http.activating("nobody@example.com", SECRET, "0000"), urlsplit(api.url)

    with socket.create_connection((place.hostname, place.port), 60) as connection:
        connection.sendall(3 * activation)
        connection.recv(65536)
        connection.sendall(last)
    with socket.create_connection((place.hostname, place.port), 60) as afterwards:  # its hash comes after theirs
        afterwards.sendall(activation)
        answer = afterwards.recv(65536)

    assert b" 401 " in answer
    assert "Traceback" not in api.log()


def test_what_is_no_request_is_not_refused_in_the_place_of_an_answer(api: ApiProcess) -> None:
    """A 400 that came first would pass for the answer to a registration, which is carried out."""
    registering, nonsense = raw_http.registering("pipelined@example.com", SECRET), b"\0\r\n\r\n"

    assert b" 400 " in converse(api.url, nonsense, until=b"}")
    try:
        received = converse(api.url, registering + nonsense, until=b"}")
    except ConnectionError:
        received = b""
    assert b" 400 " not in received


PATHS = [
    *("/", "/docs", "/redoc", "/redoc.js", "/openapi.json", "/assets/favicon.png", "/assets/swagger-ui-bundle.js"),
    *("/metrics", "/health", "/health/live", "/health/ready", "/health/startup", "/nowhere", "/assets/nowhere"),
]
VARYING = ("date", "x-request-id", "content-length")
"""What differs between any two requests; the last where the answer counts requests."""


def shape(answer: httpx.Response) -> tuple[int, dict[str, str]]:
    """Return the status and the headers; of those that differ between any two requests, their names."""
    varying = VARYING if answer.url.path == "/metrics" else VARYING[:2]
    return answer.status_code, {name: "" if name in varying else value for name, value in answer.headers.items()}


@pytest.mark.parametrize("path", PATHS)
def test_head_is_answered_as_get_is_without_the_body(api: ApiProcess, path: str) -> None:
    answer = httpx.head(api.url + path, timeout=30, trust_env=False)

    assert shape(answer) == shape(fetch(api.url + path))
    assert answer.content == b""


def test_after_a_head_no_byte_is_left_on_the_connection(api: ApiProcess) -> None:
    last = head("Connection: close", line="GET /health/live HTTP/1.1")

    received = converse(api.url, head(line="HEAD /redoc.js HTTP/1.1") + last, until=b'"live"')

    assert [part[:6] for part in received.split(b"\r\n\r\n")[1:]] == [b"HTTP/1", b'{"stat']


def test_a_health_check_by_head_says_that_the_database_is_gone(database: ScratchDatabase) -> None:
    with start_api(database.url) as api:
        database.close()
        answer = httpx.head(f"{api.url}/health", timeout=30, trust_env=False)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_head_has_figures_of_its_own_under_the_route_that_served_it(api: ApiProcess) -> None:
    httpx.head(f"{api.url}/health/startup", timeout=30, trust_env=False)

    assert 'method="HEAD",route="/health/startup",status="200"' in api.get("/metrics").text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/health/live", "GET, HEAD"), ("PUT", "/openapi.json", "GET, HEAD"), ("HEAD", "/v1/register", "POST")],
)
def test_another_method_gets_405_with_those_that_there_are(
    api: ApiProcess, method: str, path: str, allowed: str
) -> None:
    answer = httpx.request(method, api.url + path, timeout=30, trust_env=False)

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def asking(*hosts: str, version: str = "1.1") -> bytes:
    lines = [f"Host: {host}" for host in hosts]
    return "\r\n".join([f"GET /health/live HTTP/{version}", *lines, "", ""]).encode()


DOUBTFUL = {
    "none": asking(),
    "two": asking("localhost", "localhost"),
    "two in HTTP/1.0": asking("localhost", "evil.example", version="1.0"),
    "with a path": asking("localhost/health"),
    "with a user": asking("ada@localhost"),
    "two in one": asking("localhost, evil.example"),
    "with a port that is none": asking("localhost:http"),
    "not ASCII": asking("löcalhost"),
}


@pytest.mark.parametrize("request_", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_request_without_one_sound_host_gets_400_and_a_sentence(api: ApiProcess, request_: bytes) -> None:
    [answer] = raw_http.send_at_once(api.url, [request_])

    assert (answer.status, json.loads(answer.body).get("detail", "")[:20]) == (400, "Send one Host header")


SOUND = {
    "a name": asking("beefirst.example"),
    "a port": asking("localhost:8000"),
    "IPv6": asking("[::1]:8000"),
    "an underscore, as in compose": asking("my_api:8000"),
    "empty": asking(""),
    "none in HTTP/1.0": asking(version="1.0"),
}


@pytest.mark.parametrize("request_", SOUND.values(), ids=SOUND)
def test_a_request_with_one_sound_host_is_served(api: ApiProcess, request_: bytes) -> None:
    [answer] = raw_http.send_at_once(api.url, [request_])

    assert answer.status == 200
