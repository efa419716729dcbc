"""Requests of each client are limited, over HTTP."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from beefirst.api.client_limits import CALL_SECONDS, ClientLimits
from beefirst.api.metrics import Metrics
from beefirst.laboratory.api_process import TRUSTS_NOBODY, ApiProcess, start_api
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.laboratory.testbed import DEFAULTS
from beefirst.machine.folders import CHECKOUT
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers
from beefirst.machine.waiting import wait_until
from beefirst.urls import LimitsUrl
from tests.conftest import SECRET
from tests.support.clock_minute import wait_for_room_in_the_minute
from tests.support.http_client import activate, register, send

LIMIT = 5
FREE_PATHS = ("/", "/docs", "/openapi.json", "/metrics", "/health", "/health/live", "/health/ready", "/health/startup")
KINDS = ("new", "claimed", "active", "locked")


@pytest.fixture(autouse=True)
def _within_one_minute() -> None:
    wait_for_room_in_the_minute()


@pytest.fixture(scope="module")
def database() -> Iterator[ScratchDatabase]:
    """One database for every API here."""
    with ScratchDatabase() as scratch:
        yield scratch


@pytest.fixture(scope="module")
def behind_a_proxy(database: ScratchDatabase) -> Iterator[ApiProcess]:
    """An API that believes this machine who its clients are: each test has clients of its own."""
    with start_api(database.url, CLIENT_LIMIT=LIMIT, TRUSTED_PROXIES="127.0.0.0/8") as running:
        yield running


@pytest.fixture
def open_to_all(database: ScratchDatabase) -> Iterator[ApiProcess]:
    """An API that believes nobody, and has counted no request."""
    with start_api(database.url, CLIENT_LIMIT=LIMIT) as running:
        yield running


def ask(api: ApiProcess, client: str, path: str = "/v1/activate", **options: Any) -> httpx.Response:
    """Send a request that costs little, on behalf of a client."""
    return send(api, path, headers={"X-Forwarded-For": client}, **{"json": {}, **options})


def spend(api: ApiProcess, client: str) -> list[int]:
    """Return the statuses of as many answers as a client may have, and of one more."""
    return [ask(api, client).status_code for _ in range(LIMIT + 1)]


def test_a_client_beyond_its_limit_gets_429_with_the_seconds_to_wait(behind_a_proxy: ApiProcess) -> None:
    served = [ask(behind_a_proxy, "192.0.2.1").status_code for _ in range(LIMIT)]
    refused = ask(behind_a_proxy, "192.0.2.1")

    assert served == [422] * LIMIT
    assert refused.status_code == 429
    assert re.fullmatch("[1-9]|[1-5][0-9]|60", refused.headers.get("Retry-After", "")), "Retry-After is no whole second"
    assert refused.headers["Cache-Control"] == "no-store"
    assert refused.headers["X-Request-ID"]
    assert refused.json() == {
        "detail": "Too many requests from your network address: wait for as many seconds as Retry-After says."
    }


def test_other_clients_are_served_meanwhile(behind_a_proxy: ApiProcess) -> None:
    assert spend(behind_a_proxy, "192.0.2.2") == [422] * LIMIT + [429]
    assert ask(behind_a_proxy, "192.0.2.3").status_code == 422


def test_both_requests_count_together_whatever_comes_of_them(behind_a_proxy: ApiProcess) -> None:
    client = "192.0.2.4"
    person: dict[str, Any] = {"json": {"email": "together@example.com", "password": SECRET}}
    answers = [
        ask(behind_a_proxy, client, "/v1/register", **person),
        ask(behind_a_proxy, client, "/v1/register"),
        ask(behind_a_proxy, client, "/v1/register", json=None, content=b"{}"),
        ask(behind_a_proxy, client, json={"code": "1234"}),
        ask(behind_a_proxy, client, json={"code": "1234"}, auth=("together@example.com", "wrong horse")),
        ask(behind_a_proxy, client, "/v1/register", **person),
        ask(behind_a_proxy, client, json={"code": "1234"}),
    ]

    assert [answer.status_code for answer in answers] == [202, 422, 415, 401, 401, 429, 429]


def test_who_is_limited_learns_nothing_of_an_address(behind_a_proxy: ApiProcess, database: ScratchDatabase) -> None:
    client = "192.0.2.5"
    for kind in KINDS[1:]:
        ask(behind_a_proxy, f"198.51.100.{len(kind)}", "/v1/register", json=person(kind))
    with database.connect() as connection:
        connection.execute(
            "UPDATE registrations SET state = 'ACTIVE', activated_at = now() WHERE email = 'active@example.com'"
        )
        connection.execute(
            "UPDATE registrations SET state = 'LOCKED', password_hash = NULL WHERE email = 'locked@example.com'"
        )
    spend(behind_a_proxy, client)

    answers = [ask(behind_a_proxy, client, "/v1/register", json=person(kind)) for kind in KINDS]

    assert {answer.status_code for answer in answers} == {429}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(answer.headers) for answer in answers}) == 1


def person(kind: str) -> dict[str, str]:
    return {"email": f"{kind}@example.com", "password": SECRET}


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", 429),
        ("2001:db8:0:2::1", "2001:db8:0:3::1", 422),
        ("192.0.2.6", "::ffff:192.0.2.6", 429),
        ("192.0.2.7", "192.0.2.7:51000", 429),
    ],
    ids=["one network of 64 bits", "two networks of 64 bits", "IPv4 in IPv6", "with a port"],
)
def test_a_client_is_an_address_or_a_network_of_64_bits(
    behind_a_proxy: ApiProcess, first: str, second: str, status: int
) -> None:
    assert spend(behind_a_proxy, first)[-1] == 429
    assert ask(behind_a_proxy, second).status_code == status


def test_what_a_stranger_forwards_neither_frees_nor_burdens_anybody(open_to_all: ApiProcess) -> None:
    answers = [ask(open_to_all, f"192.0.2.{number}").status_code for number in range(LIMIT + 3)]

    assert answers == [422] * LIMIT + [429] * 3


def test_neither_the_log_nor_a_link_shows_what_a_stranger_forwards(open_to_all: ApiProcess) -> None:
    headers = {"X-Forwarded-For": "203.0.113.99", "X-Forwarded-Proto": "https", "Forwarded": "for=203.0.113.98"}
    led = send(open_to_all, "/docs/", "GET", headers=headers)
    send(open_to_all, "/v1/activate", headers=headers, json={})

    wait_until(lambda: "/v1/activate" in open_to_all.log())
    assert "203.0.113" not in open_to_all.log()
    assert not led.headers.get("Location", "").startswith("https")


@pytest.mark.parametrize("path", FREE_PATHS)
def test_nothing_else_is_limited(behind_a_proxy: ApiProcess, path: str) -> None:
    client = "192.0.2.8"
    before = spend(behind_a_proxy, client)[-1]

    answers = {ask(behind_a_proxy, client, path, method="GET").status_code for _ in range(LIMIT + 2)}

    assert before == 429
    assert 429 not in answers


@pytest.mark.parametrize(("client", "path"), [("198.18.0.1", "/v1/activate%0A"), ("198.18.0.2", "/v1/%61ctivate")])
def test_no_spelling_of_a_path_goes_around_the_limit(behind_a_proxy: ApiProcess, client: str, path: str) -> None:
    spelt = [ask(behind_a_proxy, client, path).status_code for _ in range(LIMIT)]

    assert spelt == [422] * LIMIT
    assert ask(behind_a_proxy, client).status_code == 429


def test_other_methods_are_not_counted(behind_a_proxy: ApiProcess) -> None:
    client = "192.0.2.9"
    other = {ask(behind_a_proxy, client, method="GET").status_code for _ in range(LIMIT + 2)}

    assert other == {405}
    assert ask(behind_a_proxy, client).status_code == 422


def test_a_refused_request_costs_no_hash_and_leaves_no_row(
    behind_a_proxy: ApiProcess, database: ScratchDatabase
) -> None:
    client = "192.0.2.10"
    spend(behind_a_proxy, client)

    refused = ask(behind_a_proxy, client, "/v1/register", json=person("refused"))
    unreadable = ask(behind_a_proxy, client, "/v1/register", json=None, content=iter([b"x" * 1000] * 5))

    with database.connect() as connection:
        rows = connection.execute("SELECT 1 FROM registrations WHERE email = 'refused@example.com'").fetchall()
    assert (refused.status_code, unreadable.status_code, rows) == (429, 429, [])


def test_the_refused_are_counted_and_told_in_one_line(open_to_all: ApiProcess) -> None:
    for _ in range(LIMIT + 4):
        ask(open_to_all, "192.0.2.11")
    metrics = open_to_all.get("/metrics").text

    assert "beefirst_requests_limited_total 4.0" in metrics
    assert 'status="429"' in metrics
    assert "beefirst_redis_up NaN" in metrics
    told = [line for line in open_to_all.log().splitlines() if "beefirst.limits" in line]
    assert len(told) == 1
    assert re.search(r'INFO +beefirst.limits: limited reason="over CLIENT_LIMIT, 1 since the last such line"', told[0])
    assert "192.0.2" not in "".join(told)


def test_off_is_no_limit_and_left_out_it_is_the_default(database: ScratchDatabase) -> None:
    default = int(DEFAULTS["client_limit"])
    with start_api(database.url, CLIENT_LIMIT="off") as off, start_api(database.url, CLIENT_LIMIT="") as left_out:
        unlimited = [ask(off, "").status_code for _ in range(default + 5)]
        limited = [ask(left_out, "").status_code for _ in range(default + 5)]

    assert unlimited == [422] * (default + 5)
    assert limited == [422] * default + [429] * 5


def test_a_person_who_mistypes_is_far_from_the_default(database: ScratchDatabase) -> None:
    with start_api(database.url, CLIENT_LIMIT="") as api:
        for _ in range(3):
            register(api, "typist@example.com", "short")
        answers = [
            register(api, "typist@example.com"),
            *(activate(api, "typist@example.com", "0000") for _ in range(3)),
        ]

    assert 429 not in {answer.status_code for answer in answers}


def test_the_answer_is_documented(behind_a_proxy: ApiProcess) -> None:
    paths = behind_a_proxy.get("/openapi.json").json()["paths"]

    for path in ("/v1/register", "/v1/activate"):
        answer = paths[path]["post"]["responses"]["429"]
        assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert answer["headers"]["Retry-After"]["schema"] == {"type": "integer"}
    assert "429" not in paths["/health/live"]["get"]["responses"]


def test_by_uvicorn_as_the_readme_has_it_a_stranger_is_not_believed_either(database: ScratchDatabase) -> None:
    [words] = re.findall(r"`uvicorn (--factory [^`]+)`", (CHECKOUT / "README.md").read_text())
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", *words.split(), "--port", str(port)]
    settings = {"DATABASE_URL": database.url, "CLIENT_LIMIT": str(LIMIT)}
    with subprocess.Popen(command, env=clean_environment() | settings, stderr=subprocess.DEVNULL) as uvicorn:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: answers(f"{url}/health/ready") or uvicorn.poll() is not None, 60)
            with httpx.Client(base_url=url, timeout=60, trust_env=False, verify=TRUSTS_NOBODY) as client:
                sent = [
                    client.post("/v1/activate", json={}, headers={"X-Forwarded-For": f"192.0.2.{number}"})
                    for number in range(LIMIT + 2)
                ]
        finally:
            uvicorn.terminate()

    assert [answer.status_code for answer in sent] == [422] * LIMIT + [429] * 2


def test_only_one_of_many_requests_waits_for_a_redis_that_is_silent() -> None:
    async def run(url: str) -> list[float]:
        limits, loop = ClientLimits(1000, LimitsUrl(url), Metrics()), asyncio.get_running_loop()
        times = []
        async with limits.running():
            for _ in range(20):
                began = loop.time()
                await limits.count("192.0.2.1")
                times.append(loop.time() - began)
        return times

    with socket.create_server(("127.0.0.1", 0)) as silent:
        times = asyncio.run(run(f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))

    waited = [seconds for seconds in times if seconds >= CALL_SECONDS]
    assert len(waited) < len(times) / 2, f"{len(waited)} of {len(times)} have waited"


def test_while_redis_is_away_a_replica_counts_by_itself() -> None:
    async def run(url: str) -> list[int]:
        limits = ClientLimits(LIMIT, LimitsUrl(url), Metrics())
        async with limits.running():
            return [await limits.count("192.0.2.1") for _ in range(LIMIT + 2)]

    waits = asyncio.run(run(f"redis://127.0.0.1:{free_port()}/0"))

    assert [seconds > 0 for seconds in waits] == [False] * LIMIT + [True] * 2
