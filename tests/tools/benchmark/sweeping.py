"""A sweep of many due claims in a large table, and what other requests notice of it."""

import itertools
from datetime import datetime

from beefirst.laboratory import paced_load
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.tools.benchmark import load
from tests.tools.benchmark.figures import Figure, measured

DUE, ROWS = 10_000, 1_000_000
FILL = f"""
    INSERT INTO registrations (email, verification_code, state, password_hash, activated_at, created_at)
    SELECT n || '@example.com', '0000', CASE WHEN n <= {DUE} THEN 'CLAIMED' ELSE 'ACTIVE' END,
           repeat('x', 60), CASE WHEN n > {DUE} THEN now() END,
           now() - CASE WHEN n <= {DUE} THEN INTERVAL '2 minutes' ELSE INTERVAL '2 days' END
      FROM generate_series(1, {ROWS}) AS n
"""


def sweep(rounds: int) -> list[Figure]:
    """A sweep, beside the answers to other requests before it."""
    seconds, before, during = [], [], []
    for _ in range(rounds):
        with ScratchDatabase() as database:
            start_api(database.url).stop()
            with database.connect() as connection:
                connection.execute(FILL)
                connection.execute("VACUUM ANALYZE registrations")
                with start_api(database.url, sweep_interval_seconds=3) as api:
                    answers = paced_load.send_paced(api.url, 6, 0.01, itertools.repeat(load.READY))
                    seconds.append(_sum_of_sweeps(api))
                    first, last = _first_and_last_expiry(api)
                    early = [answer for answer in answers if answer.began < first - answer.seconds]
                    late = [answer for answer in answers if first < answer.began < last]
                    before.append(1000 * paced_load.percentile(early, 0.99))
                    during.append(1000 * paced_load.percentile(late, 0.99))
                left = connection.execute("SELECT count(*) FROM registrations WHERE state = 'CLAIMED'").fetchone()
        if left != (0,):
            raise RuntimeError(f"{left} claims were not swept")
    return [
        measured(f"a sweep of {DUE:,} due claims among {ROWS:,} rows", "s", seconds, goal="1 s"),
        measured("p99 of other requests while it sweeps", "ms", during, ("the same before", before), "2 times"),
    ]


def _first_and_last_expiry(api: ApiProcess) -> tuple[float, float]:
    times = [line[:23] for line in api.log().splitlines() if " expired " in line]
    first, last = (datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").timestamp() for at in (times[0], times[-1]))
    return first, last


def _sum_of_sweeps(api: ApiProcess) -> float:
    lines = api.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("beefirst_sweep_seconds_sum"))
