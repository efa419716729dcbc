"""A replica is killed, its host's clock is wrong, or the mail server is away."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from beefirst.errors import ProcessError
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.failures.stand import TTL_SECONDS
from beefirst.evaluation.experiments.failures.under_fire import Rows, amid, judge_fire, under_fire
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.false_clock import clock_wrong_by
from beefirst.laboratory.load import ACTIVATE, CUT_OFF, REGISTER, Load
from beefirst.laboratory.testbed import PASSWORD, Testbed

KILLED = 0
"""The replica that dies; its neighbour lives."""


def _judge_replica_killed(**seen: Any) -> Evidence:
    felt = "calls at the dead replica were not answered"
    return judge_fire("A replica killed", felt, lambda: amid(seen, CUT_OFF) > 0, seen)


@experiment(_judge_replica_killed)
def replica_killed(**settings: Any) -> Observed:
    """Kill one of two replicas with SIGKILL under load, for good.

    Args:
        settings: of the replicas.
    """
    with Testbed(2, **{"ttl_seconds": TTL_SECONDS, **settings}) as testbed:
        return under_fire(testbed, _cut_off, _dead(testbed.apis[KILLED]), killed=KILLED)


def _cut_off(load: Load, since: float) -> bool:
    return load.count(REGISTER, CUT_OFF, since=since) + load.count(ACTIVATE, CUT_OFF, since=since) > 2


@contextmanager
def _dead(api: ApiProcess) -> Iterator[None]:
    api.send_signal(signal.SIGKILL)
    api.wait_for_end()
    yield


WAITING = 3
"""So many claims are without a code before the server comes back; every client but one then waits."""


def _judge_mail_server_away(**seen: Any) -> Evidence:
    felt = f"claims without a code while it was away, {WAITING} at least"
    return judge_fire("The mail server away", felt, lambda: len(_waited(seen)) >= WAITING, seen, lambda: _late(seen))


def _late(seen: Observed) -> Rows:
    calls, waited = seen["calls"], _waited(seen)
    served = set(calls["email"][calls["call"] != REGISTER])
    return [("claims among these whose code came later", len(waited & served), len(waited))]


def _waited(seen: Observed) -> set[str]:
    """Return the addresses that were registered before the server came back, and whose clients had no code by then."""
    calls = seen["calls"]
    early = calls[calls["began"] + calls["seconds"] < seen["last"]]
    registered = early["email"][(early["call"] == REGISTER) & (early["status"] == 202)]
    return set(registered) - set(calls["email"][(calls["call"] != REGISTER) & (calls["began"] < seen["last"])])


@experiment(_judge_mail_server_away)
def mail_server_away(testbed: Testbed) -> Observed:
    """Let the mail server hang up and be gone under load, and come back once some registrations are without a code."""
    return under_fire(testbed, lambda load, _: load.waiting() >= WAITING, testbed.mailbox.away())


HOUR = 3600
WRONG_BY = (HOUR, -HOUR)
"""Of one replica's clock each."""

NEAR = 60
"""Clocks that differ by less are the same for this."""


def _judge_clock_wrong(**seen: Any) -> Evidence:
    felt = "the clocks of the replicas are an hour fast, and an hour slow"

    def is_felt() -> bool:
        return all(abs(by - wrong) < NEAR for by, wrong in zip(seen["wrong_by"], WRONG_BY, strict=True))

    return judge_fire("Clocks wrong by an hour", felt, is_felt, seen, lambda: _too_old(seen["too_old"]))


def _too_old(statuses: list[int]) -> Rows:
    return [
        (f"replica {number}: a claim just past its time by the database's clock is activated", status, 401)
        for number, status in enumerate(statuses, start=1)
    ]


@experiment(_judge_clock_wrong)
def clock_wrong(**settings: Any) -> Observed:
    """Let the clock of one replica be an hour fast and that of another an hour slow, under load.

    Args:
        settings: of the replicas.
    """
    try:
        fast, slow = map(clock_wrong_by, WRONG_BY)
    except ProcessError as error:
        return {"missing": str(error)}
    settings = {"ttl_seconds": TTL_SECONDS, **settings}
    with (
        Testbed(1, **settings | fast) as testbed,
        start_api(testbed.database.url, **{"mail_url": testbed.mailbox.url, **settings, **slow}) as other,
    ):
        testbed.apis.append(other)
        too_old = [_activate_too_old(testbed, replica) for replica in range(2)]
        wrong_by = [_clock_of(api) for api in testbed.apis]
        return under_fire(testbed, lambda load, _: load.made() > 8, wrong_by=wrong_by, too_old=too_old)


def _activate_too_old(testbed: Testbed, replica: int) -> int:
    email = f"old{replica}@example.com"
    code = testbed.claim(email, replica=replica)
    testbed.let_pass(email, testbed.ttl_seconds)
    return testbed.activate(email, PASSWORD, code, replica).status_code


def _clock_of(api: ApiProcess) -> float:
    """Return by how many seconds the clock of a replica, as each of its answers tells it, is later than ours."""
    return (parsedate_to_datetime(api.get("/health/live").headers["Date"]) - datetime.now(UTC)).total_seconds()
