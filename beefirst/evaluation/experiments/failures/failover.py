"""The primary is killed, and a standby that has followed it synchronously takes over."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pandas as pd

from beefirst.errors import EmbeddedServerError
from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.evaluation.experiments.failures.stand import TTL_SECONDS
from beefirst.evaluation.experiments.failures.under_fire import OUTSIDE, amid, answered, judge_fire, under_fire
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.evaluation.promises import FAILOVER_SECONDS
from beefirst.laboratory.load import ACTIVATE, REGISTER
from beefirst.laboratory.own_server import OwnServer, Standby
from beefirst.laboratory.testbed import Testbed


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
        return under_fire(testbed, answered(503), _taken_over(primary, standby))


@contextmanager
def _taken_over(primary: OwnServer, standby: Standby) -> Iterator[None]:
    primary.kill()
    try:
        yield
    finally:
        standby.promote()


def _judge_nothing_lost(**seen: Any) -> Evidence:
    return judge_fire("The primary killed", "calls amid it were answered 503", lambda: amid(seen, 503) > 0, seen)


@experiment(_judge_nothing_lost, fail_over)
def nothing_lost(failover: Observed) -> Observed:
    """Hold every answer before, amid and after a failover against what the promoted server holds."""
    return failover


def _judge_back_in_time(**seen: Any) -> Evidence:
    if "missing" in seen:
        return not_shown_here(OUTSIDE, seen["missing"])
    back = first_answers(seen["calls"], seen["ended"])
    rows = pd.DataFrame(
        [(what, round(seconds, 2)) for what, seconds in back.items()], columns=["first answer", "seconds"]
    )
    holds = len(back) == 2 and max(back.values()) <= FAILOVER_SECONDS
    when = " and ".join(f"{what} after {seconds:.1f} s" for what, seconds in back.items()) or "no answer as ever"
    return Evidence(holds, f"{when} of the promotion; {FAILOVER_SECONDS} s at most", rows)


@experiment(_judge_back_in_time, fail_over)
def back_in_time(failover: Observed) -> Observed:
    """Measure from the moment at which the promotion is done to the first answers that come as ever."""
    return failover


def first_answers(calls: pd.DataFrame, ended: float) -> dict[str, float]:
    """Return after how many seconds from the end of a fault each call was first answered as ever, by what was answered.

    Args:
        calls: as `Load.calls` returns them.
        ended: the second of the fault's end.
    """
    done = (calls["began"] + calls["seconds"] - ended)[calls["began"] + calls["seconds"] >= ended]
    found = {f"{call} {status}": done[calls["status"] == status] for call, status in ((REGISTER, 202), (ACTIVATE, 200))}
    return {what: float(seconds.min()) for what, seconds in found.items() if not seconds.empty}
