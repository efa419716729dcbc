"""The primary is killed, and a standby that has followed it synchronously takes over."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pandas as pd

from beefirst.errors import EmbeddedServerError
from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.evaluation.experiments.failures.stand import TTL_SECONDS
from beefirst.evaluation.experiments.failures.under_fire import (
    OUTSIDE,
    UNAVAILABLE,
    failing,
    fault_of,
    is_unavailable,
    judge_fire,
    under_fire,
)
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.evaluation.promises import FAILOVER_SECONDS
from beefirst.laboratory.history.calls import History
from beefirst.laboratory.load import Load
from beefirst.laboratory.own_server import OwnServer, Standby
from beefirst.laboratory.testbed import Testbed

ANSWERS = {"a registration": 202, "an activation": 200}
"""The answers that show that the service is back, by what was asked."""

OUTAGE_SECONDS = 7.8
"""Between the primary's end and the promotion. Whoever tries to reconnect in pauses of 1, 2, 4 and 8 seconds is then
amid the longest, and comes too late."""


@measurement
def fail_over(**settings: Any) -> Observed:
    """Kill the primary under load, let its standby take over once that was felt, and return what `under_fire` does.

    DATABASE_URL names both servers, with target_session_attrs=read-write; nothing tells the service which is which.

    Args:
        settings: of the replicas.
    """
    with ExitStack() as parts:
        try:
            primary = parts.enter_context(OwnServer())
            standby = parts.enter_context(Standby(primary))
        except EmbeddedServerError as error:
            return {"missing": str(error)}
        url = f"{primary.url_with(standby)}?target_session_attrs=read-write"
        testbed = parts.enter_context(Testbed(2, url, **{"ttl_seconds": TTL_SECONDS, **settings}))

        def felt(load: Load, since: float) -> bool:
            return load.second - since >= OUTAGE_SECONDS and failing(load, since)

        return under_fire(testbed, "The primary dead", felt, _taken_over(primary, standby))


@contextmanager
def _taken_over(primary: OwnServer, standby: Standby) -> Iterator[None]:
    primary.kill()
    try:
        yield
    finally:
        standby.promote()


def _judge_nothing_lost(**seen: Any) -> Evidence:
    return judge_fire(seen, UNAVAILABLE, is_unavailable, drawn=True)


@experiment(_judge_nothing_lost, fail_over)
def nothing_lost(failover: Observed) -> Observed:
    """Hold every answer before, amid and after a failover against what the promoted server holds."""
    return failover


def _judge_back_in_time(**seen: Any) -> Evidence:
    if "missing" in seen:
        return not_shown_here(OUTSIDE, seen["missing"])
    back = first_answers(History.from_data(seen["history"]))
    rows = pd.DataFrame([(it, back.get(it)) for it in ANSWERS], columns=["first answer as ever", "seconds"])
    told = [f"{it} after {back[it]:.1f} s" if it in back else f"never {it}" for it in ANSWERS]
    holds = len(back) == len(ANSWERS) and max(back.values()) <= FAILOVER_SECONDS
    summary = f"{' and '.join(told)} of the promotion; {FAILOVER_SECONDS} s at most"
    return Evidence(holds, summary, rows.round({"seconds": 2}))


@experiment(_judge_back_in_time, fail_over)
def back_in_time(failover: Observed) -> Observed:
    """Measure from the moment at which the promotion is done to the first answers that come as ever."""
    return failover


def first_answers(history: History) -> dict[str, float]:
    """Return after how many seconds from the end of the fault each kind of call was first answered as ever."""
    end = fault_of(history).end
    found = {
        what: [call.end - end for call in history.calls if call.status == status and call.end >= end]
        for what, status in ANSWERS.items()
    }
    return {what: min(seconds) for what, seconds in found.items() if seconds}
