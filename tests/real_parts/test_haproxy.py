"""Replicas behind HAProxy, with the configuration of the recipe."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.waiting import wait_until
from tests.conftest import SECRET
from tests.support.clock_minute import wait_for_room_in_the_minute
from tests.support.haproxy import DOWN, UP, HaProxy, needs_haproxy
from tests.support.http_client import fetch_row
from tests.support.steady_clients import SteadyClients

pytestmark = needs_haproxy

LIMIT = 3
SECONDS = 120
"""For hanging: how long a replica may take to start on a busy machine."""


class Replicas:
    """Replicas that share a database, each on a port of its own, which it keeps through a restart.

    Attributes:
        running: the replicas; some may serve no balancer.
    """

    def __init__(self, database: ScratchDatabase, **settings: object) -> None:
        self._database, self._settings = database, {"TRUSTED_PROXIES": "127.0.0.1", **settings}
        self._ports, self._opened = list[int](), ExitStack()
        self.running = list[ApiProcess]()

    def at_least(self, count: int) -> list[ApiProcess]:
        while len(self.running) < count:
            self._ports.append(free_port())
            self.running.append(self._start(len(self.running)))
        return self.running[:count]

    def _start(self, index: int) -> ApiProcess:
        return self._opened.enter_context(start_api(self._database.url, API_PORT=self._ports[index], **self._settings))

    def restart(self, index: int) -> int:
        """Stop one as an operator does, start it again, and return the status with which it ended."""
        status = self.running[index].stop()
        self.running[index] = self._start(index)
        return status

    def close(self) -> None:
        self._opened.close()


@pytest.fixture(scope="module")
def database() -> Iterator[ScratchDatabase]:
    """One database for every replica here."""
    with ScratchDatabase() as scratch:
        yield scratch


@pytest.fixture(scope="module")
def replicas(database: ScratchDatabase) -> Iterator[Replicas]:
    """As many as the tests have asked for."""
    made = Replicas(database)
    yield made
    made.close()


@contextmanager
def balanced(replicas: Replicas, count: int) -> Iterator[HaProxy]:
    """Run a HAProxy before so many replicas."""
    with HaProxy([api.url for api in replicas.at_least(count)]) as proxy:
        yield proxy


def post(proxy: HaProxy, path: str, **content: Any) -> httpx.Response:
    return httpx.post(proxy.url + path, timeout=60, trust_env=False, verify=False, **content)


def request_id(answer: httpx.Response) -> str:
    return answer.headers["X-Request-ID"]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_accounts_come_to_be_through_it_and_each_replica_does_its_share(
    replicas: Replicas, database: ScratchDatabase, count: int
) -> None:
    people = [f"{number}.of.{count}@example.com" for number in range(2 * count)]
    with balanced(replicas, count) as proxy:
        registered = [post(proxy, "/v1/register", json={"email": email, "password": SECRET}) for email in people]
        codes = {email: fetch_row(database, email).code for email in people}
        activated = [post(proxy, "/v1/activate", json={"code": codes[email]}, auth=(email, SECRET)) for email in people]

    logs = [api.log() for api in replicas.running]
    served_by = [[n for n, log in enumerate(logs) if request_id(answer) in log] for answer in registered]
    assert {answer.status_code for answer in registered} == {202}
    assert {answer.status_code for answer in activated} == {200}
    assert sorted(served_by) == sorted([[n] for n in range(count)] * 2)


def test_a_request_has_one_id_for_client_and_replica_and_balancer(replicas: Replicas) -> None:
    with balanced(replicas, 1) as proxy:
        answer = post(proxy, "/v1/register", json={"email": "id@example.com", "password": SECRET})
        wait_until(lambda: request_id(answer) in proxy.log())

    assert request_id(answer) in replicas.running[0].log()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_it_is_asked_itself_whether_the_service_is_ready(replicas: Replicas, method: str) -> None:
    with balanced(replicas, 1) as proxy:
        ready = httpx.request(method, f"{proxy.url}/health/ready", timeout=60, trust_env=False)

    assert ready.status_code == 200


def test_a_replica_whose_database_is_gone_gets_no_requests(replicas: Replicas) -> None:
    healthy = replicas.at_least(1)[0]
    with ScratchDatabase() as gone, start_api(gone.url) as lonely, HaProxy([healthy.url, lonely.url]) as proxy:
        gone.drop()
        wait_until(lambda: proxy.sees(DOWN, [2]))
        answers = [post(proxy, "/v1/activate", json={"code": "1234"}, auth=("a@example.com", SECRET)) for _ in range(4)]

    assert {answer.status_code for answer in answers} == {401}


@pytest.mark.parametrize("count", [2, 4])
def test_a_rolling_restart_under_load_fails_not_one_request(replicas: Replicas, count: int) -> None:
    with balanced(replicas, count) as proxy, SteadyClients(proxy.url) as clients:
        ended = []
        for number in range(1, count + 1):
            served = clients.served
            ended.append(replicas.restart(number - 1))
            wait_until(lambda number=number: proxy.sees(UP, [number]), SECONDS)
            wait_until(lambda served=served: clients.served > served, SECONDS)
        log = proxy.log()

    assert clients.failed == []
    assert ended == [0] * count
    assert [f"replica{number} is DOWN" in log for number in range(1, count + 1)] == [True] * count


def test_each_client_has_a_limit_of_its_own_and_none_can_say_to_be_another(database: ScratchDatabase) -> None:
    limited = {"CLIENT_LIMIT": LIMIT, "TRUSTED_PROXIES": "127.0.0.1"}
    wait_for_room_in_the_minute()
    with start_api(database.url, **limited) as api, HaProxy([api.url]) as proxy:
        first = [ask(proxy, "127.0.0.2", forged=f"192.0.2.{number}") for number in range(LIMIT + 2)]
        second = [ask(proxy, "127.0.0.3") for _ in range(LIMIT + 1)]

    assert first == [422] * LIMIT + [429] * 2
    assert second == [422] * LIMIT + [429]


def ask(proxy: HaProxy, address: str, forged: str = "") -> int:
    """Send a request from an address of this machine, and return the status of the answer."""
    headers = {"X-Forwarded-For": forged} if forged else {}
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as client:
        return client.post(f"{proxy.url}/v1/activate", json={}, headers=headers).status_code
