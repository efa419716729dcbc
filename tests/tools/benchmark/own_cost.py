"""What a registration and an activation cost the service itself, beside the hash that each of them is for."""

from collections.abc import Sequence

from beefirst.laboratory.api_process import start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.tools.benchmark import load
from tests.tools.benchmark.cpu import cpu_of
from tests.tools.benchmark.figures import Figure, measured

REQUESTS = 60
"""Of each kind, in each round."""

ALONE = {"ttl_seconds": 3600, "client_limit": 100_000, "sweep_interval_seconds": 3600}
"""Nothing but requests uses the service, and clients are counted."""


def own_cost(rounds: int) -> list[Figure]:
    """CPU time of main thread and PostgreSQL for a registration and an activation, beside that of the hash."""
    costs: dict[str, list[tuple[float, float, float]]] = {"registration": [], "activation": []}
    with (
        ScratchDatabase() as database,
        start_api(database.url, **ALONE) as api,
        database.connect() as connection,
    ):
        for number in range(rounds + 1):
            registering = [content for _, content in zip(range(REQUESTS), load.registrations(), strict=False)]
            for kind, requests, status in (
                ("registration", registering, 202),
                ("activation", load.activations(connection, REQUESTS), 200),
            ):
                before = cpu_of(api, connection)
                load.check_status(load.send_all(api.url, requests, load.CORES), status)
                used = cpu_of(api, connection).since(before)
                if number:  # the first round fills caches, and prepares statements
                    main, hashing, database_seconds = (1000 * seconds / len(requests) for seconds in used)
                    costs[kind].append((main, hashing, database_seconds))
    return [figure for kind, measures in costs.items() for figure in _figures(kind, measures)]


def _figures(kind: str, measures: Sequence[tuple[float, float, float]]) -> list[Figure]:
    main, hashing, database = zip(*measures, strict=True)
    hashes = ("its hash", hashing)
    return [
        measured(f"main thread for one {kind}", "ms of CPU", main, hashes, "1.5 ms"),
        measured(f"PostgreSQL for one {kind}", "ms of CPU", database, hashes, "0.5 ms"),
    ]
