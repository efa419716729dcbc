"""How long one request takes where there is no other, less its hash and the time that every answer waits."""

import time

import bcrypt

from beefirst.laboratory import paced_load
from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.passwords import EVEN_SECONDS
from tests.tools.benchmark import load
from tests.tools.benchmark.figures import Figure, measured

INTERVAL_SECONDS = 0.2
REQUESTS = 10


def latency(rounds: int) -> list[Figure]:
    """One registration at a time, beside a hash and the fixed 25 ms, in turns."""
    median, p99, alone = [], [], []
    with ScratchDatabase() as database, start_api(database.url) as api:
        for number in range(rounds + 1):
            hashes = sorted(_seconds_of_a_hash() for _ in range(REQUESTS))
            answers = paced_load.send_paced(
                api.url, INTERVAL_SECONDS * REQUESTS, INTERVAL_SECONDS, load.registrations()
            )
            load.check_status(answers, 202)
            if number:
                fixed = hashes[REQUESTS // 2] + EVEN_SECONDS
                alone.append(1000 * fixed)
                median.append(1000 * (paced_load.percentile(answers, 0.5) - fixed))
                p99.append(1000 * (paced_load.percentile(answers, 0.99) - fixed))
    beside = ("a hash and the fixed 25 ms", alone)
    return [
        measured("a registration alone, less its hash and 25 ms, median", "ms", median, beside),
        measured("a registration alone, less its hash and 25 ms, slowest", "ms", p99, beside),
    ]


def _seconds_of_a_hash() -> float:
    started = time.perf_counter()
    bcrypt.hashpw(load.PASSWORD.encode(), bcrypt.gensalt(10))
    return time.perf_counter() - started
