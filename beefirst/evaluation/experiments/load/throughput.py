"""How many registrations a second, and how long each, from one connection to many, beside bcrypt alone."""

from dataclasses import dataclass

import pandas as pd

from beefirst.evaluation.display.latencies import latencies_by_connections
from beefirst.evaluation.display.progress import Progress
from beefirst.evaluation.display.throughput import rates_by_connections
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.load import pace
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.laboratory.bcrypt_alone import CORES
from beefirst.laboratory.cores_left import cores_left
from beefirst.laboratory.paced_load import registrations, send_for
from beefirst.laboratory.testbed import Testbed

SECONDS = {0.5: 0.4, 1: 1.4, 2: 0.7, 4: 0.6, 8: 0.4}
"""How long each number of connections, by their share of the cores, is kept up. Longest where nobody waits: there the
slowest of many answers are looked for."""


@dataclass(frozen=True)
class Climb:
    """Registrations through few connections and through many, with bcrypt alone before and after each turn.

    Attributes:
        done: every answer, and every hash alone; columns as `pace.COLUMNS`.
        shares: of the cores, what bcrypt alone got each time, and what others left to each number of connections.
        cores: of this machine, as far as this process may use them.
    """

    done: pd.DataFrame
    shares: list[float]
    cores: int = CORES

    @property
    def capacity(self) -> float:
        """Registrations a second, at the best number of connections."""
        return float(pace.best_of(pace.rates_beside_alone(self.done, self.cores))["rate"])


@measurement
def climb(testbed: Testbed, turns: int) -> Climb:
    """Register through one replica, from half a connection for each core up to eight, in turns with bcrypt alone.

    Args:
        testbed: whose first replica is asked.
        turns: how often.
    """
    progress, url = Progress(turns, "turn"), testbed.apis[0].url
    seconds = {max(1, int(share * CORES)): long for share, long in SECONDS.items()}
    frames, shares = list[pd.DataFrame](), list[float]()
    for turn in range(turns):
        pace.add_alone(turn, frames, shares)
        for connections, long in seconds.items():
            with cores_left([testbed.apis[0].pid], shares):
                answers = send_for(url, long, connections, registrations())
            frames.append(pace.as_rows(turn, connections, answers))
        progress.show(turn + 1)
    pace.add_alone(turns, frames, shares)
    return Climb(pd.concat(frames), shares)


LEAST_RATIO = 0.8
"""Of bcrypt alone, at its best. On a quiet machine it is over 0.9, the load on the same cores included."""

MOST_RATIO = 1.15
"""Who is faster than bcrypt alone does not hash at the cost that is promised."""

PLAIN_RATIOS = 0.3, 5
"""Less and more than this no other load explains: both were measured in turns, on the same cores."""


def _judge_throughput(done: pd.DataFrame, shares: list[float], cores: int) -> Evidence:
    rates = pace.rates_beside_alone(done, cores)
    best, (shed, strange) = pace.best_of(rates), pace.refusals(done)
    summary = (
        f"{best['rate']:.1f} registrations a second with {best['connections']:.0f} connections: {best['ratio']:.2f} of "
        f"bcrypt alone, which makes {best['alone']:.1f} hashes a second of {cores} cores; answers other than 202: "
        f"{shed + strange}"
    )
    rows = pace.medians(rates).round(2)
    holds = LEAST_RATIO <= best["ratio"] <= MOST_RATIO and not shed + strange
    evidence = Evidence(holds, summary, rows, rates_by_connections(rates, LEAST_RATIO, cores))
    least, most = PLAIN_RATIOS
    is_plain, alone = strange > 0 or not least <= best["ratio"] <= most, pace.rates_alone(done, cores).values()
    return pace.or_too_busy(evidence, shares, is_plain=is_plain, alone=alone)


@experiment(_judge_throughput, climb)
def nearly_as_fast_as_bcrypt(run: Climb) -> Observed:
    """Hold the registrations a second, at their best, to the hashes a second of bcrypt alone in the same turns.

    Args:
        run: as measured.
    """
    return vars(run)


EVEN_MILLISECONDS = 25
"""What every answer waits after its hash, so that its time tells nothing of the address."""

PLAIN_HASHES = 3
"""Beside the hash and those 25 ms: as many hashes no other load explains."""

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def _judge_latency(done: pd.DataFrame, shares: list[float], cores: int) -> Evidence:
    served = done[done["status"] == pace.SERVED]
    times = served[["connections"]].assign(milliseconds=served["seconds"] * 1000)
    alone = float(times[times["connections"] == pace.ALONE]["milliseconds"].median())
    rest = times[times["connections"] == cores]["milliseconds"] - alone
    found = {name: float(rest.quantile(share)) for name, share in PERCENTILES.items()}
    own = found["p50"] - EVEN_MILLISECONDS
    summary = (
        f"{len(rest)} answers while each had a core, less the {alone:.0f} ms of a hash: "
        f"{', '.join(f'{name} {value:.0f} ms' for name, value in found.items())}; {EVEN_MILLISECONDS} ms are meant"
    )
    each = times[times["connections"] != pace.ALONE].groupby("connections")["milliseconds"]
    rows = each.quantile(list(PERCENTILES.values())).unstack().set_axis([*PERCENTILES], axis=1).round(1)
    picture = latencies_by_connections(times, alone, cores, EVEN_MILLISECONDS)
    evidence = Evidence(own <= alone, summary, rows.reset_index(), picture)
    is_plain, rates = own > PLAIN_HASHES * alone, pace.rates_alone(done, cores).values()
    return pace.or_too_busy(evidence, shares, is_plain=is_plain, alone=rates)


@experiment(_judge_latency, climb)
def little_is_added_to_the_hash(run: Climb) -> Observed:
    """Take the median hash of bcrypt alone from the time of each answer, where there was a core for each connection.

    What is beyond the 25 ms that every answer waits is HTTP, the rules, the database and the load itself: in the
    median no more than another hash.

    Args:
        run: as measured.
    """
    return vars(run)
