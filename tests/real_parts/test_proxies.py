"""Real proxies before the service: who is limited is their client, whatever that one forwards."""

import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.raw_http import STATUS
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from tests.support.clock_minute import wait_for_room_in_the_minute
from tests.support.http_proxies import NAMES, HttpProxy, http_proxy

LIMIT = 3
WITHIN = [422] * LIMIT
HANGING_SECONDS = 60


@pytest.fixture(autouse=True)
def _within_one_minute() -> None:
    wait_for_room_in_the_minute()


@pytest.fixture(scope="module")
def database() -> Iterator[ScratchDatabase]:
    """One database for every API here."""
    with ScratchDatabase() as scratch:
        yield scratch


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """The proxy's program."""
    return str(request.param)


Chain = tuple[ApiProcess, HttpProxy]


@pytest.fixture(scope="module")
def chain(database: ScratchDatabase, name: str) -> Iterator[Chain]:
    """An API that believes its proxy, and the proxy: each test has clients of its own."""
    with (
        start_api(database.url, CLIENT_LIMIT=LIMIT, TRUSTED_PROXIES="127.0.0.1") as api,
        http_proxy(name, api.url) as it,
    ):
        yield api, it


@pytest.fixture(scope="module")
def api(chain: Chain) -> ApiProcess:
    """The API of the chain."""
    return chain[0]


@pytest.fixture(scope="module")
def proxy(chain: Chain) -> HttpProxy:
    """The proxy of the chain."""
    return chain[1]


def ask(url: str, source: str | None = None, *, times: int = LIMIT + 1, **options: Any) -> list[int]:
    """Return the statuses of requests that cost little, all on one connection from an address of this machine."""
    transport = httpx.HTTPTransport(local_address=source, verify=False)
    with httpx.Client(base_url=url, transport=transport, timeout=HANGING_SECONDS) as client:
        return [client.post("/v1/activate", **{"json": {}, **options}).status_code for _ in range(times)]


def talk(port: int, *sent: bytes, source: str = "") -> list[int]:
    """Return the statuses of all answers on one connection to 127.0.0.1, which the other side ends."""
    with socket.create_connection(("127.0.0.1", port), HANGING_SECONDS, (source, 0)) as connection:
        connection.sendall(b"".join(sent))
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    return [int(status) for status in STATUS.findall(received)]


HEAD = b"POST /v1/activate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
STATED = b"Content-Length: 2\r\n"
LAST = b"Connection: close\r\n"


def ask_told(proxy: HttpProxy, client: str, header: bytes = b"", *, times: int = LIMIT + 1) -> list[int]:
    """Return the statuses of requests on a connection of which the proxy is told that it is the client's."""
    told = f"PROXY {'TCP6' if ':' in client else 'TCP4'} {client} {client} 4711 80\r\n".encode()
    requests = [HEAD + STATED + header + end + b"\r\n{}" for end in [b""] * (times - 1) + [LAST]]
    return talk(proxy.told, told, *requests)


def test_each_client_of_the_proxy_has_a_limit_of_its_own(proxy: HttpProxy) -> None:
    assert ask(proxy.url, "127.0.1.1") == [*WITHIN, 429]
    assert ask(proxy.url, "127.0.1.2") == [*WITHIN, 429]


def test_what_a_client_forwards_itself_frees_it_of_nothing(proxy: HttpProxy) -> None:
    spent = ask(proxy.url, "127.0.2.1")
    forged = [
        ask(proxy.url, "127.0.2.1", times=1, headers=[("X-Forwarded-For", value) for value in values])
        for values in (["203.0.113.5"], ["203.0.113.6, 127.0.0.1"], ["127.0.0.1", "203.0.113.7"], ["x" * 3000], [""])
    ]

    assert spent == [*WITHIN, 429]
    assert forged == [[429]] * 5


def test_what_a_client_forwards_itself_burdens_nobody(proxy: HttpProxy) -> None:
    ask(proxy.url, "127.0.3.1", headers={"X-Forwarded-For": "127.0.3.2"})

    assert ask(proxy.url, "127.0.3.2") == [*WITHIN, 429]


def test_what_a_client_forwards_behind_its_body_frees_it_of_nothing(proxy: HttpProxy) -> None:
    """HAProxy passes on what follows a body, and completes nothing but the head."""
    port = urlsplit(proxy.url).port or 0
    trailers = [b"X-Forwarded-For: 203.0.113.%d\r\n\r\n" % number for number in range(LIMIT + 1)]
    start = HEAD + b"Transfer-Encoding: chunked\r\n" + LAST + b"\r\n2\r\n{}\r\n0\r\n"

    statuses = [talk(port, start, trailer, source="127.0.4.1") for trailer in trailers]

    assert statuses == [[422]] * LIMIT + [[429]]


def test_a_client_over_ipv6_is_one_and_the_same_in_its_network_of_64_bits(proxy: HttpProxy) -> None:
    over_loopback = ask(proxy.url_6)
    first = ask_told(proxy, "2001:db8:0:1::1")
    neighbour = ask_told(proxy, "2001:db8:0:1:ffff::2", times=1)
    stranger = ask_told(proxy, "2001:db8:0:2::1", b"X-Forwarded-For: 2001:db8:0:1::1\r\n", times=1)

    assert over_loopback == first == [*WITHIN, 429]
    assert (neighbour, stranger) == ([429], [422])


def test_a_balancer_of_tcp_may_stand_before_the_proxy(proxy: HttpProxy) -> None:
    assert ask_told(proxy, "192.0.2.1") == [*WITHIN, 429]
    assert ask_told(proxy, "192.0.2.2") == [*WITHIN, 429]


@pytest.mark.parametrize("size", [16_000, 900_000])
def test_a_body_that_is_not_read_costs_the_proxy_no_connection(proxy: HttpProxy, size: int) -> None:
    """A refusal that comes before the body reaches the client, and the next request has an answer of its own."""
    source = f"127.0.5.{size % 251}"
    spent = ask(proxy.url, source)
    refused = ask(proxy.url, source, times=5, json=None, content=b"x" * size)
    other = ask(proxy.url, f"127.0.6.{size % 251}")

    assert (spent, refused, other) == ([*WITHIN, 429], [429] * 5, [*WITHIN, 429])


def test_the_id_of_a_request_is_the_services_own_and_reaches_the_client(proxy: HttpProxy, api: ApiProcess) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.7.1", verify=False)
    with httpx.Client(base_url=proxy.url, transport=transport, timeout=HANGING_SECONDS) as client:
        answers = [
            client.post("/v1/activate", json={"code": "1234"}, headers={"X-Request-ID": "forged"})
            for _ in range(LIMIT + 1)
        ]
    ids = [answer.headers["X-Request-ID"] for answer in answers]

    assert [answer.status_code for answer in answers] == [401] * LIMIT + [429]
    assert all(re.fullmatch("[0-9a-f]{16}", some) for some in ids)
    assert len(set(ids)) == LIMIT + 1
    wait_until(lambda: all(f'request="{some}"' in api.log() for some in ids))
    assert "forged" not in api.log()


def test_without_trusted_proxies_all_clients_of_a_proxy_are_one(database: ScratchDatabase, name: str) -> None:
    with start_api(database.url, CLIENT_LIMIT=LIMIT) as unbelieving, http_proxy(name, unbelieving.url) as proxy:
        first = ask(proxy.url, "127.0.8.1", times=LIMIT)
        others = [ask(proxy.url, "127.0.8.2", times=1), ask_told(proxy, "2001:db8::1", times=1)]
        forged = ask(proxy.url, "127.0.8.3", times=1, headers={"X-Forwarded-For": "203.0.113.5"})

    assert (first, others, forged) == (WITHIN, [[429], [429]], [429])
