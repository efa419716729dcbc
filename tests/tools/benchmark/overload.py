"""Ten times what can be served, beside what is served without more than that."""

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from beefirst.laboratory import open_load, paced_load
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.raw_http import Answer
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.tools.benchmark import load
from tests.tools.benchmark.figures import Figure, measured
from tests.tools.benchmark.memory import resident_mib

OVERLOAD_SECONDS = 8.0
QUIET_SECONDS = 3.0
GOALS = {
    "served, of what the load's own process leaves": "0.95",
    "p99 of those served": "3 s",
    "p99 of /health/live": "50 ms",
}


def overload(rounds: int) -> list[Figure]:
    """Ten times what can be served; each measured again each round."""
    results: dict[str, list[float]] = {}
    with ScratchDatabase() as database, start_api(database.url) as api:
        paced_load.send_for(api.url, 2, 4 * load.CORES, load.registrations())
        for _ in range(rounds):
            for name, value in _overload_once(api).items():
                results.setdefault(name, []).append(value)
    return [
        measured(f"ten times too much: {name}", _unit(name), values, goal=GOALS.get(name, ""))
        for name, values in results.items()
    ]


def _unit(name: str) -> str:
    if name.startswith("served"):
        return "of capacity"
    return "MiB" if name.startswith("memory") else "s" if "those served" in name else "ms"


def _overload_once(api: ApiProcess) -> dict[str, float]:
    before = paced_load.send_paced(api.url, QUIET_SECONDS, 0.05, load.registrations())
    started = time.perf_counter()
    answers = paced_load.send_for(api.url, OVERLOAD_SECONDS / 2, 4 * load.CORES, load.registrations())
    capacity, memory = len(answers) / (time.perf_counter() - started), resident_mib(api)
    with ThreadPoolExecutor(1) as thread:
        probing = thread.submit(paced_load.send_paced, api.url, OVERLOAD_SECONDS, 0.05, itertools.repeat(load.LIVE))
        sent = open_load.send_openly(api.url, 10 * capacity, OVERLOAD_SECONDS)
        probes = probing.result()
    after = paced_load.send_paced(api.url, QUIET_SECONDS, 0.05, load.registrations())
    served, refused = sent.with_status(202), sent.with_status(503)
    seconds = max(answer.began + answer.seconds for answer in served) - min(answer.began for answer in sent.answers)
    share = len(served) / seconds / capacity
    return {
        "served": share,
        "served, of what the load's own process leaves": share / (1 - sent.cpu_seconds / (seconds * load.CORES)),
        "p99 of those served": paced_load.percentile(served, 0.99),
        "p99 of those refused": _p99(refused),
        "p99 of /health/live": _p99(probes),
        "p99 of registrations before": _p99(before),
        "p99 of registrations after": _p99(after),
        "memory before": memory,
        "memory after": resident_mib(api),
    }


def _p99(answers: Sequence[Answer]) -> float:
    return 1000 * paced_load.percentile(answers, 0.99)
