"""Limits that replicas share in a real Redis, and what holds while that one is away."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from beefirst.api.client_limits import CALL_SECONDS
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET
from tests.support.certificates import make_certificate
from tests.support.clock_minute import wait_for_room_in_the_minute
from tests.support.http_client import send
from tests.support.redis_server import RedisServer, needs_redis

pytestmark = needs_redis

LIMIT = 6
AWAY, BACK = "each replica counts by itself until it does", "answers again"


@pytest.fixture(scope="module")
def database() -> Iterator[ScratchDatabase]:
    """One database for every API here."""
    with ScratchDatabase() as scratch:
        yield scratch


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    wait_for_room_in_the_minute()
    with RedisServer() as running:
        yield running


@pytest.fixture
def replicas(database: ScratchDatabase, redis_server: RedisServer) -> Iterator[list[ApiProcess]]:
    """Two replicas that share it."""
    shared = {"CLIENT_LIMIT": LIMIT, "LIMITS_URL": redis_server.url, "TRUSTED_PROXIES": "127.0.0.1"}
    with start_api(database.url, **shared) as one, start_api(database.url, **shared) as other:
        wait_for_room_in_the_minute()
        yield [one, other]


def ask(api: ApiProcess, client: str = "192.0.2.1") -> int:
    return send(api, "/v1/activate", json={}, headers={"X-Forwarded-For": client}).status_code


def ask_in_turns(replicas: list[ApiProcess], times: int, client: str = "192.0.2.1") -> list[int]:
    return [ask(replicas[number % len(replicas)], client) for number in range(times)]


def redis_up(api: ApiProcess) -> str:
    (line,) = [line for line in api.get("/metrics").text.splitlines() if line.startswith("beefirst_redis_up ")]
    return line.split()[-1]


def told(api: ApiProcess, words: str) -> int:
    return sum(words in line for line in api.log().splitlines())


def test_replicas_count_together_and_each_client_by_itself(replicas: list[ApiProcess]) -> None:
    first = ask_in_turns(replicas, LIMIT + 3)
    second = ask_in_turns(replicas, LIMIT + 1, "2001:db8::1")
    refused = send(replicas[0], "/v1/activate", json={}, headers={"X-Forwarded-For": "192.0.2.1"})

    assert first == [422] * LIMIT + [429] * 3
    assert second == [422] * LIMIT + [429]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert [redis_up(api) for api in replicas] == ["1.0", "1.0"]


def test_a_limit_holds_however_many_requests_come_at_once(replicas: list[ApiProcess]) -> None:
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda number: ask(replicas[number % 2]), range(40)))

    assert sorted(answers) == [422] * LIMIT + [429] * (40 - LIMIT)


def test_what_redis_keeps_goes_by_itself_and_holds_nothing_but_counts(
    replicas: list[ApiProcess], redis_server: RedisServer
) -> None:
    ask_in_turns(replicas, 2)
    with redis_server.connect() as client:
        keys = client.keys("*")
        kept = {key: (client.get(key), client.ttl(key)) for key in keys}

    assert len(kept) == 1
    [(key, (value, seconds))] = kept.items()
    assert key.startswith("beefirst:")
    assert value == "2"
    assert 0 < seconds <= 120


def test_while_redis_is_killed_each_replica_counts_by_itself_and_then_they_share_again(
    replicas: list[ApiProcess], redis_server: RedisServer
) -> None:
    shared = ask_in_turns(replicas, LIMIT + 2)
    redis_server.kill()

    alone = [ask_in_turns([api], LIMIT + 2) for api in replicas]
    away = [redis_up(api) for api in replicas]
    redis_server.start()
    wait_until(lambda: all(ask(api, "192.0.2.2") and told(api, BACK) for api in replicas))
    again = ask_in_turns(replicas, LIMIT + 2, "192.0.2.3")

    assert shared == [422] * LIMIT + [429] * 2
    assert alone == [[422] * LIMIT + [429] * 2] * 2
    assert away == ["0.0", "0.0"]
    assert again == [422] * LIMIT + [429] * 2
    assert [(told(api, AWAY), told(api, BACK), redis_up(api)) for api in replicas] == [(1, 1, "1.0")] * 2


def test_a_redis_that_falls_silent_holds_up_few_requests_and_those_not_for_long(
    replicas: list[ApiProcess], redis_server: RedisServer
) -> None:
    api = replicas[0]
    ask(api)
    redis_server.send_signal(signal.SIGSTOP)
    alone, times = [], []
    for _ in range(30):
        began = time.monotonic()
        alone.append(ask(api))
        times.append(time.monotonic() - began)
    silent = redis_up(api)
    redis_server.send_signal(signal.SIGCONT)
    wait_until(lambda: ask(api, "192.0.2.2") and told(api, BACK))

    assert alone == [422] * LIMIT + [429] * 24
    # One waits, and for each second that this takes in all, one more.
    assert sum(seconds >= CALL_SECONDS for seconds in times) < len(times) / 2
    assert (silent, redis_up(api)) == ("0.0", "1.0")
    assert (told(api, AWAY), told(api, BACK)) == (1, 1)


def test_after_many_requests_have_waited_in_vain_they_are_counted_in_redis_again(
    replicas: list[ApiProcess], redis_server: RedisServer
) -> None:
    api = replicas[0]
    for _ in range(2):
        redis_server.send_signal(signal.SIGSTOP)
        with ThreadPoolExecutor(60) as clients:
            waited = set(clients.map(lambda _: ask(api, "192.0.2.9"), range(60)))
        redis_server.send_signal(signal.SIGCONT)
        wait_until(lambda: ask(api, "192.0.2.2") and redis_up(api) == "1.0")
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda number: ask(replicas[number % 2], "192.0.2.3"), range(40)))

    assert waited <= {422, 429}
    assert sorted(answers) == [422] * LIMIT + [429] * (40 - LIMIT)
    assert told(api, AWAY) == told(api, BACK) == 2


@pytest.mark.parametrize("state", ["nobody listens", "another password", "silent"])
def test_a_start_goes_on_where_redis_does_not_and_says_so_once(
    database: ScratchDatabase, redis_server: RedisServer, state: str
) -> None:
    url = redis_server.url
    if state == "nobody listens":
        redis_server.kill()
    elif state == "silent":
        redis_server.send_signal(signal.SIGSTOP)
    else:
        url = url.replace(SECRET, "wrong-horse-battery")
    with start_api(database.url, CLIENT_LIMIT=LIMIT, LIMITS_URL=url, LOG_LEVEL="DEBUG") as api:
        at_start = told(api, AWAY)
        answers = ask_in_turns([api], LIMIT + 1)
        log = api.log()

    assert at_start == 1
    assert answers == [422] * LIMIT + [429]
    assert f"redis://127.0.0.1:{redis_server.port}/0 does not answer" in log
    assert "Traceback" not in log
    assert SECRET not in log
    assert "wrong-horse-battery" not in log


def test_the_password_is_in_nothing_that_is_told(replicas: list[ApiProcess], redis_server: RedisServer) -> None:
    ask_in_turns(replicas, LIMIT + 2)
    redis_server.kill()
    ask_in_turns(replicas, 2)
    seen = "".join(api.log() + api.get("/metrics").text + api.get("/health").text for api in replicas)

    assert f"redis://127.0.0.1:{redis_server.port}/0" in seen
    assert SECRET not in seen


def test_a_stop_does_not_wait_for_a_redis_that_is_silent(database: ScratchDatabase, redis_server: RedisServer) -> None:
    with start_api(database.url, LIMITS_URL=redis_server.url, CLIENT_LIMIT=LIMIT) as api:
        ask(api)
        redis_server.send_signal(signal.SIGSTOP)

        assert api.stop() == 0
        assert "Traceback" not in api.log()


def test_a_redis_with_tls_counts_where_its_certificate_is_trusted_and_nowhere_else(
    database: ScratchDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_room_in_the_minute()
    certificate = make_certificate(tmp_path, "IP:127.0.0.1")
    with RedisServer(certificate=certificate) as server:
        with start_api(database.url, LIMITS_URL=server.url, CLIENT_LIMIT=LIMIT) as strict:
            distrusted = redis_up(strict)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with start_api(database.url, LIMITS_URL=server.url, CLIENT_LIMIT=LIMIT) as api:
            answers, trusted = ask_in_turns([api], LIMIT + 1), redis_up(api)

    assert answers == [422] * LIMIT + [429]
    assert (distrusted, trusted) == ("0.0", "1.0")


def test_a_redis_that_shows_the_certificate_of_another_is_none(
    database: ScratchDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path, "DNS:redis.example.com,IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with RedisServer(certificate=certificate) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with start_api(database.url, LIMITS_URL=url, CLIENT_LIMIT=LIMIT) as api:
            assert redis_up(api) == "0.0"
