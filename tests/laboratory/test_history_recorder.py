"""Writing a history down: by the database's clock, whatever answers come, and without a secret."""

import json
import time

import pytest

from beefirst.laboratory.held_row import held_row
from beefirst.laboratory.history.clients import at_once
from beefirst.laboratory.history.database_clock import DatabaseClock
from beefirst.laboratory.history.judgement import judge_history
from beefirst.laboratory.history.recorder import Recorder
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.ports import free_port
from tests.support.databases import migrated_database

EMAIL = "ada@example.com"


def test_the_clock_is_the_databases_as_far_as_it_is_certain() -> None:
    with migrated_database() as database, database.connect() as connection:
        clock = DatabaseClock.measure(connection)
        ((before,),) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
        now = clock.now()
        ((after,),) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()

    slack = clock.uncertainty()
    assert before - slack <= now <= after + slack
    assert clock.of_unix(time.time()) == pytest.approx(clock.now(), abs=slack + 1)


def test_a_clock_that_was_measured_long_ago_is_less_certain() -> None:
    now = time.monotonic()

    assert DatabaseClock(0, 0, 0.25, now).uncertainty() == pytest.approx(0.25, abs=0.05)
    assert DatabaseClock(0, 0, 0.25, now - 1000).uncertainty() == pytest.approx(0.75, abs=0.05)


def test_a_registration_and_its_activation_are_written_down_and_explained() -> None:
    with Testbed(2) as testbed, testbed.database.connect() as connection:
        recorder = Recorder(DatabaseClock.measure(connection), testbed.ttl_seconds, testbed.max_attempts)
        ada = recorder.client("ada", [*(api.url for api in testbed.apis), f"http://127.0.0.1:{free_port()}"])
        with recorder.fault("a replica that is not there"):
            unanswered = ada.register(EMAIL, "another horse", replica=2)
        registered = ada.register(" Ada@Example.com", PASSWORD)
        testbed.mailbox.code_for(EMAIL)
        code = recorder.collect_mail(testbed.mailbox)[EMAIL]
        refused = ada.activate(EMAIL, PASSWORD, wrong(code), replica=1)
        malformed = ada.activate(EMAIL, PASSWORD, "no code")
        activated = at_once([lambda: ada.activate(EMAIL, PASSWORD, code), lambda: ada.activate(EMAIL, PASSWORD, code)])
        (row,) = recorder.read_rows(connection)

    history = recorder.history()
    assert (unanswered, registered, refused, malformed, sorted(activated)) == (None, 202, 401, 422, [200, 401])
    assert (row.state, row.attempts, row.has_hash) == ("ACTIVE", 1, True)
    assert {call.address for call in history.calls} == {EMAIL}
    assert [call.replica for call in history.calls[:3]] == [2, 0, 1]
    assert all(call.begin <= call.end for call in history.calls)
    assert history.faults[0].name == "a replica that is not there"
    written = json.dumps(history.to_data())
    assert PASSWORD not in written
    assert f'"{code}"' not in written
    judged = judge_history(history)
    assert judged.holds, judged.sentence
    assert judged.unanswered == 1


def test_what_a_client_is_not_answered_in_time_is_written_down_and_may_have_happened() -> None:
    with Testbed() as testbed, testbed.database.connect() as connection:
        recorder = Recorder(DatabaseClock.measure(connection), testbed.ttl_seconds, testbed.max_attempts)
        hasty = recorder.client("hasty", [testbed.apis[0].url], patience_seconds=1)
        with held_row(testbed.database, EMAIL) as row:
            answer = hasty.register(EMAIL, PASSWORD)
            waiting = row.wait_for(1)
        testbed.mailbox.code_for(EMAIL)
        recorder.collect_mail(testbed.mailbox)
        (seen,) = recorder.read_rows(connection)

    assert (answer, waiting, seen.state) == (None, 1, "CLAIMED")
    assert judge_history(recorder.history()).holds
