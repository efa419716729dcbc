"""Memory of the API's process: at rest, under load, and after as many claims as an hour brings."""

from pathlib import Path

from beefirst.laboratory import paced_load
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.tools.benchmark import load
from tests.tools.benchmark.figures import Figure, measured
from tests.tools.benchmark.hashless import without_hash

LOAD_SECONDS = 4.0
HOUR = 3600
CLAIMS_A_SECOND = 2
"""One client's limit: an hour's worth is sent as fast as it goes, for the process keeps nothing that time ends."""


def memory(_: int) -> list[Figure]:
    """What is resident, beside the same at rest."""
    with ScratchDatabase() as database, start_api(database.url) as api:
        rest = resident_mib(api)
        paced_load.send_for(api.url, LOAD_SECONDS, 4 * load.CORES, load.registrations())
        loaded = resident_mib(api)
    with ScratchDatabase() as database, without_hash(database.url) as api:
        begun = resident_mib(api)
        requests = [content for _, content in zip(range(HOUR * CLAIMS_A_SECOND), load.registrations(), strict=False)]
        load.check_status(load.send_all(api.url, requests, 4 * load.CORES), 202)
        after = resident_mib(api)
    return [
        measured("memory at rest", "MiB", [rest]),
        measured("memory under load", "MiB", [loaded], ("memory at rest", [rest])),
        measured(f"memory after {HOUR * CLAIMS_A_SECOND:,} claims", "MiB", [after], ("memory at rest", [begun])),
    ]


def resident_mib(api: ApiProcess) -> float:
    """Return how much memory a service's process has, in MiB."""
    lines = Path(f"/proc/{api.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
