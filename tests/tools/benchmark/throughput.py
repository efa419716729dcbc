"""Registrations and activations a second, beside bcrypt alone on as many cores, in turns; and probes meanwhile."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pandas as pd
import psycopg

from beefirst.evaluation.experiments.load import pace
from beefirst.laboratory import paced_load
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.bcrypt_alone import hash_for
from beefirst.laboratory.raw_http import Answer
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from tests.tools.benchmark import load
from tests.tools.benchmark.figures import Figure, measured

ROUND_SECONDS = 3.0
CONNECTIONS = 4 * load.CORES
PROBE_EVERY_SECONDS = 0.05

MOST_A_SECOND_AND_CORE = 40
"""Activations, more than any core hashes at cost 10."""


def register(rounds: int) -> list[Figure]:
    """Registrations a second beside bcrypt alone, at 1 core and more and with mail over SMTP; and probes meanwhile."""
    figures = []
    for cores in range(1, load.CORES + 1):
        with load.on_cores(cores), ScratchDatabase() as database, start_api(database.url) as api:
            figures += _beside_bcrypt("registrations", cores, rounds, partial(_send_registrations, api))
            if cores == load.CORES:
                figures += _probes(api, rounds)
    with _sink() as url, ScratchDatabase() as database, start_api(database.url, mail_url=url) as api:
        figures += _beside_bcrypt(
            "registrations, mail to a sink", load.CORES, rounds, partial(_send_registrations, api), "0.85"
        )
    return figures


def activate(rounds: int) -> list[Figure]:
    """Activations a second beside bcrypt alone, at 1 core and more."""
    figures = []
    for cores in range(1, load.CORES + 1):
        with (
            load.on_cores(cores),
            ScratchDatabase() as database,
            start_api(database.url, ttl_seconds=3600) as api,
            database.connect() as connection,
        ):
            figures += _beside_bcrypt("activations", cores, rounds, partial(_send_activations, api, connection, cores))
    return figures


def _send_activations(api: ApiProcess, connection: psycopg.Connection[Any], cores: int) -> list[Answer]:
    requests = load.activations(connection, MOST_A_SECOND_AND_CORE * cores * int(ROUND_SECONDS))
    answers = paced_load.send_for(api.url, ROUND_SECONDS, CONNECTIONS, iter(requests))
    load.check_status(answers, 200)
    return answers


def _send_registrations(api: ApiProcess) -> list[Answer]:
    answers = paced_load.send_for(api.url, ROUND_SECONDS, CONNECTIONS, load.registrations())
    load.check_status(answers, 202)
    return answers


def _beside_bcrypt(
    what: str, cores: int, rounds: int, send: Callable[[], list[Answer]], goal: str = "0.97"
) -> list[Figure]:
    send()
    alone, served = [], []
    for _ in range(rounds):
        alone.append(rate_of(hash_for(ROUND_SECONDS, pace.COST, cores).hashes, cores))
        served.append(rate_of([(answer.began, answer.seconds) for answer in send()], cores))
    named = f"{what} on {cores} core{'s' * (cores > 1)}"
    return [measured(named, "a second", served, ("bcrypt alone", alone), f"{goal} of bcrypt alone")]


def rate_of(done: Sequence[tuple[float, float]], cores: int) -> float:
    """Return how many a second were done while all cores were at it, as notebook 09 counts them."""
    return pace.rate_of(pd.DataFrame(done, columns=["began", "seconds"]), cores)


def _probes(api: ApiProcess, rounds: int) -> list[Figure]:
    seconds = rounds * ROUND_SECONDS
    quiet = paced_load.send_paced(api.url, ROUND_SECONDS, PROBE_EVERY_SECONDS, itertools.repeat(load.READY))
    with ThreadPoolExecutor(1) as thread:
        probing = thread.submit(
            paced_load.send_paced, api.url, seconds, PROBE_EVERY_SECONDS, itertools.repeat(load.READY)
        )
        paced_load.send_for(api.url, seconds, CONNECTIONS, load.registrations())
        probes = probing.result()
    load.check_status(probes, 200)
    return [
        measured(
            f"/health/ready at saturation, {name}",
            "ms",
            [1000 * paced_load.percentile(probes, share)],
            ("the same at rest", [1000 * paced_load.percentile(quiet, share)]),
            goal,
        )
        for name, share, goal in (("median", 0.5, ""), ("p99", 0.99, "15 ms"))
    ]


@contextmanager
def _sink() -> Iterator[str]:
    """Run a mail server that forgets what it takes, and give its URL."""
    port = free_port()
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}", "-c", "aiosmtpd.handlers.Sink"]
    with subprocess.Popen(command) as sink:
        try:
            yield f"smtp://127.0.0.1:{port}"
        finally:
            sink.terminate()
