"""A replica is killed, its host's clock is wrong, or the mail server is away."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf
from typing import Any

from beefirst.errors import ProcessError
from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.failures.stand import TTL_SECONDS
from beefirst.evaluation.experiments.failures.under_fire import Rows, amid, failing, judge_fire, under_fire
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.api_process import ApiProcess
from beefirst.laboratory.false_clock import clock_wrong_by
from beefirst.laboratory.history.calls import History
from beefirst.laboratory.load import Load
from beefirst.laboratory.testbed import PASSWORD, Testbed

KILLED = 0
"""The replica that dies; its neighbours live."""


def _judge_replica_killed(**seen: Any) -> Evidence:
    return judge_fire(seen, "calls at the dead replica were not answered", lambda history: amid(history, None) > 0)


@experiment(_judge_replica_killed)
def replica_killed(testbed: Testbed) -> Observed:
    """Kill the first replica with SIGKILL under load, for good, and look after what it owed."""
    dead = _dead(testbed.apis[KILLED])
    return under_fire(testbed, "A replica dead", failing, dead, mail_may_fail=True, killed=KILLED)


@contextmanager
def _dead(api: ApiProcess) -> Iterator[None]:
    api.send_signal(signal.SIGKILL)
    api.wait_for_end()
    yield


WAITING = 3
"""So many claims are without a code before the server comes back; every client but one then waits."""

AWAY_SECONDS = 1
"""How long it is away at least: what was on its way to it when it went has failed by then."""


def _judge_mail_server_away(**seen: Any) -> Evidence:
    felt = f"claims without a code while it was away, {WAITING} at least"

    def waited(history: History) -> set[str]:
        return _without_code(history, seen["felt_at"])

    def late(history: History) -> Rows:
        came_later = waited(history) & _served(history)
        return [("of these, claims whose code came later", len(came_later), len(waited(history)))]

    return judge_fire(seen, felt, lambda history: len(waited(history)) >= WAITING, late)


def _without_code(history: History, second: float) -> set[str]:
    """Return the addresses that were registered before a second, and had no code by then."""
    registered = {call.address for call in history.calls if call.status == 202 and call.end < second}
    return registered - _served(history, second)


def _served(history: History, until: float = inf) -> set[str]:
    return {mail.address for mail in history.code_mails if mail.at < until}


@experiment(_judge_mail_server_away)
def mail_server_away(testbed: Testbed) -> Observed:
    """Let the mail server hang up and be gone under load, and come back once some registrations are without a code."""
    away = testbed.mailbox.away()
    return under_fire(testbed, "The mail server away", _codes_are_missing, away)


def _codes_are_missing(load: Load, since: float) -> bool:
    return load.second > since + AWAY_SECONDS and load.waiting() >= WAITING


HOUR = 3600
WRONG_BY = (HOUR, -HOUR)
"""Of one replica's clock each."""

ACCOUNTS = 8
"""So many are made under the wrong clocks."""

NEAR = 60
"""Clocks that differ by less are the same for this."""


def _judge_clock_wrong(**seen: Any) -> Evidence:
    felt = "the clocks of the replicas are an hour fast, and an hour slow"

    def is_felt(_: History) -> bool:
        return all(abs(by - wrong) < NEAR for by, wrong in zip(seen["wrong_by"], WRONG_BY, strict=True))

    return judge_fire(seen, felt, is_felt, lambda _: _too_old(seen["too_old"]))


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
        clocks = [clock_wrong_by(seconds) for seconds in WRONG_BY]
    except ProcessError as error:
        return {"missing": str(error)}
    with Testbed(len(clocks), differing=clocks, **{"ttl_seconds": TTL_SECONDS, **settings}) as testbed:
        too_old = [_activate_too_old(testbed, replica) for replica in range(len(clocks))]
        wrong_by = [_clock_of(api) for api in testbed.apis]
        return under_fire(
            testbed, "Clocks wrong", lambda load, _: load.made() >= ACCOUNTS, wrong_by=wrong_by, too_old=too_old
        )


def _activate_too_old(testbed: Testbed, replica: int) -> int:
    email = f"old{replica}@example.com"
    code = testbed.claim(email, replica=replica)
    testbed.let_pass(email, testbed.ttl_seconds)
    return testbed.activate(email, PASSWORD, code, replica).status_code


def _clock_of(api: ApiProcess) -> float:
    """Return by how many seconds the clock of a replica, as each of its answers tells it, is later than ours."""
    return (parsedate_to_datetime(api.get("/health/live").headers["Date"]) - datetime.now(UTC)).total_seconds()
