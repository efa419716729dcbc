"""What beefirst does beside hashing and claiming, and what that costs: the same load on the barest service."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import psycopg

from beefirst.evaluation.experiments.load import pace
from beefirst.laboratory import paced_load
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.bcrypt_alone import hash_for
from beefirst.laboratory.environment import clean_environment
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.machine.processes import answers, end_with_parent
from beefirst.machine.waiting import wait_until
from tests.tools.benchmark import load
from tests.tools.benchmark.cpu import CpuSeconds
from tests.tools.benchmark.figures import Figure, measured
from tests.tools.benchmark.own_cost import ALONE
from tests.tools.benchmark.throughput import CONNECTIONS, ROUND_SECONDS, rate_of

BAREST = "the barest service of the same libraries"
CORES = f"{load.CORES} core{'s' * (load.CORES > 1)}"


class Service(NamedTuple):
    """One that runs, and a connection to its database."""

    url: str
    pid: int
    connection: psycopg.Connection[Any]


def barest(rounds: int) -> list[Figure]:
    """Registrations beside the barest service of the same libraries, and what each takes of its main thread."""
    rates: dict[str, list[float]] = {"alone": [], "beefirst": [], BAREST: []}
    costs: dict[str, list[float]] = {"beefirst": [], BAREST: []}
    with ExitStack() as parts:
        services = {"beefirst": parts.enter_context(_beefirst()), BAREST: parts.enter_context(_barest())}
        for number in range(rounds + 1):
            alone = rate_of(hash_for(ROUND_SECONDS, pace.COST).hashes, load.CORES)
            for name in sorted(services, reverse=bool(number % 2)):
                rate, cost = _send(services[name])
                if number:  # the first round fills caches, and prepares statements
                    rates[name].append(rate)
                    costs[name].append(cost)
            if number:
                rates["alone"].append(alone)
    return [
        measured(f"registrations on {CORES}, in turns", "a second", rates["beefirst"], (BAREST, rates[BAREST])),
        measured(f"{BAREST} on {CORES}", "a second", rates[BAREST], ("bcrypt alone", rates["alone"])),
        measured("main thread for one registration of many", "ms of CPU", costs["beefirst"], (BAREST, costs[BAREST])),
    ]


def _send(service: Service) -> tuple[float, float]:
    """Return registrations a second, and milliseconds of the main thread for each."""
    claimed, before = _claimed(service), CpuSeconds.of(service.pid, service.connection)
    sent = paced_load.send_for(service.url, ROUND_SECONDS, CONNECTIONS, load.registrations())
    used = CpuSeconds.of(service.pid, service.connection).since(before)
    load.check_status(sent, 202)
    if _claimed(service) - claimed != len(sent):
        raise RuntimeError("answered 202 to what was not claimed")
    return rate_of([(answer.began, answer.seconds) for answer in sent], load.CORES), 1000 * used[0] / len(sent)


def _claimed(service: Service) -> int:
    ((count,),) = service.connection.execute("SELECT count(*) FROM registrations")
    return int(count)


@contextmanager
def _beefirst() -> Iterator[Service]:
    with ScratchDatabase() as database, start_api(database.url, **ALONE) as api, database.connect() as connection:
        yield Service(api.url, api.pid, connection)


@contextmanager
def _barest() -> Iterator[Service]:
    port = free_port()
    url, module = f"http://127.0.0.1:{port}", "tests.tools.benchmark.barest_service"
    command, end = [sys.executable, "-m", module, str(port), str(pace.COST)], end_with_parent(signal.SIGKILL)
    with ScratchDatabase() as database, database.connect() as connection:
        start_api(database.url).stop()  # which leaves its schema
        environment = clean_environment() | {"DATABASE_URL": database.url}
        with subprocess.Popen(command, env=environment, preexec_fn=end) as process:
            try:
                wait_until(lambda: process.poll() is not None or answers(f"{url}/openapi.json"), 60)
                if process.poll() is not None:
                    raise RuntimeError("the barest service has ended: its last lines stand above")
                yield Service(url, process.pid, connection)
            finally:
                process.terminate()
