"""Ten times what the service can do: some requests are served as if nothing were, all others are refused at once.

Nothing here is a time that a machine must keep, but what the service itself has chosen.
"""

import itertools
import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest

from beefirst.laboratory import paced_load, raw_http
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.open_load import Load, send_openly
from beefirst.laboratory.raw_http import Answer
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.waiting import wait_until
from beefirst.passwords import MAX_WAIT_SECONDS
from tests.conftest import SECRET
from tests.support import http_client

COST = 12
"""A hash takes four times as long as by default: few requests are many."""

CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
LOAD_SECONDS = 8.0
HANGING_SECONDS = 120.0
LIVE = raw_http.request("GET", "/health/live")


@dataclass(frozen=True)
class Overload:
    """What a service under too much load did.

    Attributes:
        capacity: registrations a second that it served when as many came as it could serve.
        load: ten times that.
        probes: of /health/live, meanwhile.
        grown_kib: how much memory the second half of the refusals took.
        before: the seconds of registrations one after the other.
    """

    capacity: float
    load: Load
    probes: list[Answer]
    grown_kib: int
    before: list[float]

    @property
    def accepted(self) -> list[Answer]:
        """The registrations that were served."""
        return self.load.with_status(202)

    @property
    def refused(self) -> list[Answer]:
        """The registrations that were not."""
        return self.load.with_status(503)


def registrations() -> Iterator[bytes]:
    return (raw_http.registering(f"{secrets.token_hex(8)}@example.com", SECRET) for _ in itertools.count())


def resident_kib(api: ApiProcess) -> int:
    lines = Path(f"/proc/{api.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def one_after_the_other(api: ApiProcess) -> list[float]:
    """Return the seconds of some registrations; one that is refused takes for ever."""
    answers = paced_load.send_paced(api.url, 2, 0.01, registrations())
    return [answer.seconds if answer.status == 202 else inf for answer in answers]


@pytest.fixture(scope="module")
def database_of_api() -> Iterator[ScratchDatabase]:
    """The database of `api`."""
    with ScratchDatabase() as database:
        yield database


@pytest.fixture(scope="module")
def api(database_of_api: ScratchDatabase) -> Iterator[ApiProcess]:
    """An API whose hashes take long."""
    with start_api(database_of_api.url, bcrypt_cost=COST) as api:
        yield api


@pytest.fixture(scope="module")
def overload(api: ApiProcess) -> Overload:
    """What happened at ten times the capacity, which is measured first."""
    before = one_after_the_other(api)
    started = time.perf_counter()
    served = paced_load.send_for(api.url, 4, 8, registrations())
    capacity = len(served) / (time.perf_counter() - started)
    first = send_openly(api.url, 10 * capacity, LOAD_SECONDS / 2)
    with ThreadPoolExecutor(1) as threads:
        memory = resident_kib(api)
        probing = threads.submit(paced_load.send_paced, api.url, LOAD_SECONDS / 2, 0.05, itertools.repeat(LIVE))
        second = send_openly(api.url, 10 * capacity, LOAD_SECONDS / 2)
        grown = resident_kib(api) - memory
    load = Load(first.answers + second.answers, first.cpu_seconds + second.cpu_seconds)
    return Overload(capacity, load, probing.result(), grown, before)


def test_every_request_is_served_or_told_to_come_again(overload: Overload) -> None:
    assert {answer.status for answer in overload.load.answers} == {202, 503}


def test_what_can_be_served_is_served_whatever_comes_beyond(overload: Overload) -> None:
    assert len(overload.accepted) > 0.1 * overload.capacity * LOAD_SECONDS  # others may need the machine meanwhile
    assert len(overload.refused) > 0.5 * len(overload.load.answers)


def test_who_is_let_in_waits_little_longer_than_is_promised(overload: Overload) -> None:
    usual = median(overload.before)

    assert paced_load.percentile(overload.accepted, 0.5) < 2 * (MAX_WAIT_SECONDS + usual)
    assert paced_load.percentile(overload.accepted, 1) < 4 * (MAX_WAIT_SECONDS + usual)


def test_who_is_refused_knows_at_once(overload: Overload) -> None:
    assert paced_load.percentile(overload.refused, 0.5) < 0.2 * paced_load.percentile(overload.accepted, 0.5)


def test_whether_the_service_lives_is_answered_throughout(overload: Overload) -> None:
    assert {answer.status for answer in overload.probes} == {200}
    assert paced_load.percentile(overload.probes, 0.5) < 0.2 * paced_load.percentile(overload.accepted, 0.5)


def test_afterwards_all_is_as_before(api: ApiProcess, overload: Overload) -> None:
    wait_until(lambda: median(one_after_the_other(api)) < 4 * median(overload.before), 120)


def test_memory_does_not_grow_with_what_is_refused(overload: Overload) -> None:
    assert overload.grown_kib < 4 * 1024


def test_what_was_shed_is_counted_by_route_and_the_log_has_few_lines(api: ApiProcess, overload: Overload) -> None:
    lines = api.log().splitlines()

    assert counted(api, r'shed_requests_total\{route="/v1/register"\}') >= len(overload.refused)
    assert 1 <= sum("too many requests at once" in line for line in lines) < 0.1 * len(overload.refused)
    assert sum(" 503" in line and "uvicorn.access" in line for line in lines) == 0


@pytest.fixture(scope="module")
def slow_api() -> Iterator[ApiProcess]:
    """An API with the highest cost: one hash takes longer than anybody is to wait for one, and few requests fill it."""
    with ScratchDatabase() as database, start_api(database.url, bcrypt_cost=16, ttl_seconds=3600) as api:
        yield api


@contextmanager
def crowd(api: ApiProcess) -> Iterator[list[Answer]]:
    """Fill an API for as long as a hash takes, and yield what will be the answers, when they are there."""
    requests, answers = [next(registrations()) for _ in range(8 + 4 * CORES)], list[Answer]()
    before = shed(api)
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(raw_http.send_at_once, api.url, requests, come_again=False)
        wait_until(lambda: shed(api) > before)
        yield answers
        answers += sending.result()


def counted(api: ApiProcess, series: str) -> float:
    """Return the sum of those figures of the service whose names match."""
    return sum(map(float, re.findall(rf"^beefirst_{series} (\S+)$", api.get("/metrics").text, re.MULTILINE)))


def shed(api: ApiProcess) -> float:
    return counted(api, r"shed_requests_total\{.*\}")


def test_a_service_that_is_idle_serves_however_long_a_hash_takes(slow_api: ApiProcess) -> None:
    assert http_client.register(slow_api, "patient@example.com").status_code == 202


def test_every_free_thread_takes_a_request_however_long_a_hash_takes(slow_api: ApiProcess) -> None:
    with crowd(slow_api) as answers:
        pass

    assert CORES <= [answer.status for answer in answers].count(202) < len(answers)


def test_every_address_and_whatever_else_is_sent_is_refused_with_the_same_answer(slow_api: ApiProcess) -> None:
    http_client.register(slow_api, "taken@example.com")

    with crowd(slow_api):
        answers = [
            http_client.register(slow_api, "taken@example.com"),
            http_client.register(slow_api, "free@example.com"),
            http_client.activate(slow_api, "taken@example.com", "0000"),
            http_client.activate(slow_api, "free@example.com", "0000"),
            http_client.send(slow_api, "/v1/activate", json={"code": "0000"}),
            http_client.send(slow_api, "/v1/register", content=b"{", headers={"Content-Type": "application/json"}),
        ]

    assert {(answer.status_code, answer.text) for answer in answers} == {
        (503, '{"detail":"Too many requests at once: try again in a moment."}')
    }
    assert {(answer.headers.get("retry-after"), answer.headers["cache-control"]) for answer in answers} == {
        ("1", "no-store")
    }


def test_a_client_that_hangs_up_while_it_waits_costs_no_hash(api: ApiProcess, database_of_api: ScratchDatabase) -> None:
    attempts = 0

    def hang_up_while_waiting() -> float:
        nonlocal attempts
        attempts += 1
        with ExitStack() as stack:
            *patient, impatient = (stack.enter_context(_connect(api)) for _ in range(3 * CORES + 1))
            for connection in patient:
                connection.sendall(next(registrations()))
            api.get("/health/live")  # after which those before it are being served
            impatient.sendall(raw_http.registering(f"impatient{attempts}@example.com", SECRET))
            api.get("/health/live")
            impatient.close()
            for connection in patient:
                connection.recv(65536)
        return counted(api, r'request_seconds_count\{.*route="/v1/register",status="499"\}')

    wait_until(
        hang_up_while_waiting, HANGING_SECONDS
    )  # on a busy machine a wait may be so long that all of them are refused

    gone = hang_up_while_waiting()
    with database_of_api.connect() as connection:
        found = connection.execute("SELECT count(*) FROM registrations WHERE email LIKE 'impatient%'").fetchone()
    assert found is not None
    assert found[0] <= attempts - gone


def _connect(api: ApiProcess) -> socket.socket:
    place = urlsplit(api.url)
    return socket.create_connection((place.hostname, place.port), 120)
