"""Faults under load that are longer or rarer than those of notebook 10; what is asked of the service is the same."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from beefirst.evaluation.evidence import Evidence
from beefirst.evaluation.experiments.failures import database
from beefirst.evaluation.experiments.failures.stand import Stand
from beefirst.evaluation.experiments.failures.under_fire import Felt, judge_fire, under_fire
from beefirst.laboratory.load import Load
from beefirst.laboratory.testbed import Testbed

SILENT_SECONDS = 10
"""Longer than a step of the database may take."""


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with Stand() as running:
        yield running


def fire(
    testbed: Testbed, felt: Felt, fault: AbstractContextManager[object], *, mail_may_fail: bool = False
) -> Evidence:
    seen = under_fire(testbed, "a fault", felt, fault, mail_may_fail=mail_may_fail)
    return judge_fire(seen, "some calls were made amid it", lambda history: bool(history.calls))


def test_a_database_that_is_silent_for_longer_than_a_step_may_take_loses_nothing(stand: Stand) -> None:
    evidence = database.silent(stand, seconds=SILENT_SECONDS)

    assert evidence.holds, evidence.summary


def test_what_an_administrator_presets_for_commits_loses_nothing(stand: Stand) -> None:
    stand.server.configure(synchronous_commit="off")

    evidence = database.killed(stand)

    assert evidence.holds, evidence.summary


def test_a_database_that_starts_anew_because_one_of_its_processes_was_killed_loses_nothing(stand: Stand) -> None:
    evidence = fire(stand.testbed, lambda load, since: load.made(since) >= 2, a_session_killed(stand))

    assert evidence.holds, evidence.summary


@contextmanager
def a_session_killed(stand: Stand) -> Iterator[None]:
    with stand.testbed.database.connect() as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        yield


def test_mail_that_a_server_takes_only_later_comes_later(stand: Stand) -> None:
    held = stand.testbed.mailbox.holding()

    evidence = fire(stand.testbed, lambda load, _: load.waiting() >= 3, held)

    assert evidence.holds, evidence.summary


def test_claims_are_free_again_and_nothing_is_lost_where_mail_is_away_for_too_long(stand: Stand) -> None:
    def felt(load: Load, _: float) -> bool:
        return load.waiting() >= 3 and "was not delivered" in "".join(api.log() for api in stand.testbed.apis)

    evidence = fire(stand.testbed, felt, stand.testbed.mailbox.away(), mail_may_fail=True)

    assert evidence.holds, evidence.summary
