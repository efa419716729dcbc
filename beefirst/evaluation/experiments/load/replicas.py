"""One replica, two, and more, on the same cores and the same database: how many a second, and whether all is kept."""

import itertools
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pandas as pd

from beefirst.evaluation.display.progress import Progress
from beefirst.evaluation.display.throughput import rates_by_replicas
from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.load import pace
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.bcrypt_alone import CORES
from beefirst.laboratory.cores_left import cores_left
from beefirst.laboratory.paced_load import PASSWORD, registrations, send_for
from beefirst.laboratory.testbed import Testbed

CONNECTIONS_PER_CORE, SECONDS = 4, 0.6

CONTESTED = 4
"""As many addresses are registered through all replicas at once."""

LEAST_RATIO = 0.7
"""Of bcrypt alone, with any number of replicas, each of which hashes on as many threads as there are cores."""

PLAIN_RATIO = 0.3
"""Less than this no other load explains."""

NOBODY = {"replicas": 0, "replica": 0}
"""Where bcrypt is alone."""

LEAST_SHARE = 0.5
"""Of an equal part, what each replica serves at least."""

KEPT = "SELECT count(*) FROM registrations WHERE email LIKE %(name)s || '%%'"


def _judge_replicas(
    done: pd.DataFrame, shares: list[float], cores: int, kept: pd.DataFrame, contested: dict[str, int]
) -> Evidence:
    rates = pace.rates_beside_alone(done, cores, by="replicas")
    each = pace.medians(rates, by="replicas")
    parts = _parts(done)
    smallest = float((parts["part"] * parts["replicas"]).min())
    slowest, most = float(each["ratio"].min()), int(each["replicas"].max())
    at_once, due = "addresses that are registered at all replicas at once", contested["addresses"]
    shed, strange = pace.refusals(done)
    rows = [
        ("answers other than 202 and 503", strange, 0),
        *((f"acknowledged through {it.replicas}, and kept", it.rows, it.acknowledged) for it in kept.itertuples()),
        (f"{due} {at_once}, acknowledged", contested["acknowledged"], due * most),
        ("claims that came of these", contested["rows"], due),
    ]
    fast = [
        ("answered 503", shed, 0),
        (f"{LEAST_RATIO} of bcrypt alone, {slowest:.2f} at least", _word(slowest >= LEAST_RATIO), "yes"),
        (f"each replica serves its part, {smallest:.0%} of it at least", _word(smallest >= LEAST_SHARE), "yes"),
    ]
    picture = rates_by_replicas(rates, parts, cores)
    evidence = replace(compare(_say(each, cores, kept), [*rows, *fast]), picture=picture)
    is_plain, alone = not compare("", rows).holds or slowest < PLAIN_RATIO, pace.rates_alone(done, cores).values()
    return pace.or_too_busy(evidence, shares, is_plain=is_plain, alone=alone)


def _parts(done: pd.DataFrame) -> pd.DataFrame:
    """Return what part each replica had of what all served: the columns replicas, replica, part."""
    served = done[done["connections"] != pace.ALONE]
    rows = [
        (int(replicas), replica, float((own["replica"] == replica).mean()))
        for replicas, own in served.groupby("replicas")
        for replica in range(1, int(replicas) + 1)
    ]
    return pd.DataFrame(rows, columns=["replicas", "replica", "part"])


def _say(each: pd.DataFrame, cores: int, kept: pd.DataFrame) -> str:
    rates = ", ".join(f"{it.rate:.1f} by {it.replicas:.0f}" for it in each.itertuples())
    ratios = ", ".join(f"{it.ratio:.2f}" for it in each.itertuples())
    rows, acknowledged = kept["rows"].sum(), kept["acknowledged"].sum()
    return (
        f"registrations a second by replicas, on {cores} cores: {rates}, which is {ratios} of bcrypt alone; "
        f"{rows} of {acknowledged} acknowledged are kept"
    )


def _word(holds: bool) -> str:
    return "yes" if holds else "no"


@experiment(_judge_replicas)
def more_replicas_lose_nothing(testbed: Testbed, turns: int) -> Observed:
    """Register through one replica, two, four and so on, in turns with bcrypt alone, and count what is kept.

    Args:
        testbed: of all replicas.
        turns: how often.
    """
    counts = numbers_up_to(len(testbed.apis))
    progress, names = Progress(turns, "turn"), {count: f"of{count}-{secrets.token_hex(4)}-" for count in counts}
    frames, shares = list[pd.DataFrame](), list[float]()
    for turn in range(turns):
        pace.add_alone(turn, frames, shares)
        for count in counts:
            with cores_left([api.pid for api in testbed.apis[:count]], shares):
                frames.append(_register(testbed.apis[:count], turn, names[count]))
        progress.show(turn + 1)
    pace.add_alone(turns, frames, shares)
    done = pd.concat(frames).fillna(NOBODY).astype(dict.fromkeys(NOBODY, int))
    served = done[done["connections"] != pace.ALONE]
    kept = [
        (
            count,
            int((served[served["replicas"] == count]["status"] == pace.SERVED).sum()),
            _count(testbed, names[count]),
        )
        for count in counts
    ]
    return {
        "done": done,
        "shares": shares,
        "cores": CORES,
        "kept": pd.DataFrame(kept, columns=["replicas", "acknowledged", "rows"]),
        "contested": _contest(testbed),
    }


def numbers_up_to(most: int) -> list[int]:
    """Return one, two, four and so on, and the most itself."""
    doubled = itertools.takewhile(lambda number: number < most, (2**power for power in itertools.count()))
    return [*doubled, most]


def _register(apis: Sequence[ApiProcess], turn: int, name: str) -> pd.DataFrame:
    """Register through every one of these replicas at once; the connections are the same, however many replicas."""
    connections = max(CONNECTIONS_PER_CORE * CORES // len(apis), 1)
    with ThreadPoolExecutor(len(apis)) as threads:
        send = partial(_send, seconds=SECONDS, connections=connections, name=name)
        answers = list(threads.map(send, [api.url for api in apis]))
    frames = [
        pace.as_rows(turn, connections * len(apis), each).assign(replicas=len(apis), replica=number)
        for number, each in enumerate(answers, start=1)
    ]
    return pd.concat(frames)


def _send(url: str, *, seconds: float, connections: int, name: str) -> list[raw_http.Answer]:
    return send_for(url, seconds, connections, registrations(name))


def _contest(testbed: Testbed) -> dict[str, int]:
    """Register the same addresses through all replicas at once; return how many there were, 202s and rows."""
    name = f"contested-{secrets.token_hex(4)}-"
    emails = [f"{name}{number}@example.com" for number in range(CONTESTED) for _ in testbed.apis]
    answers = raw_http.send_at_once(testbed.urls, [raw_http.registering(email, PASSWORD) for email in emails])
    statuses = [answer.status for answer in answers]
    return {"addresses": CONTESTED, "acknowledged": statuses.count(202), "rows": _count(testbed, name)}


def _count(testbed: Testbed, name: str) -> int:
    """Return how many registrations there are of addresses that begin with `name`."""
    return int(testbed.execute(KEPT, name=name)[0][0])
