"""The sweeper, in real API processes on a real database."""

from collections.abc import Iterator

import pytest

from beefirst.laboratory.api_process import ApiProcess, start_api
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.laboratory.testbed import PASSWORD, Testbed
from beefirst.machine.waiting import wait_until
from tests.support.http_client import fetch_row, register

TTL = 3600
OVERDUE, DONE = "beefirst_claims_overdue ", 'beefirst_sweeps_total{result="done"}'

DUE = """
    INSERT INTO registrations (email, verification_code, password_hash, created_at)
    SELECT n || '@example.com', '1234', 'a hash', now() - INTERVAL '2 hours' FROM generate_series(1, %(count)s) AS n
"""
OLD_ACCOUNT = """
    INSERT INTO registrations (email, verification_code, state, password_hash, created_at, activated_at)
    VALUES ('account@example.com', '1234', 'ACTIVE', 'a hash', now() - INTERVAL '25 hours', now() - INTERVAL '25 hours')
"""


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    with Testbed(replicas=3, ttl_seconds=TTL, sweep_interval_seconds=0.2) as testbed:
        yield testbed


def figure(api: ApiProcess, name: str) -> float:
    """Return one of an API's figures."""
    lines = api.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)  # none yet


def let_all_sweep(testbed: Testbed) -> None:
    """Return when every replica has ended a round that began after this call."""
    for api in testbed.apis:
        rounds = figure(api, DONE)
        wait_until(lambda api=api, rounds=rounds: figure(api, DONE) >= rounds + 2)


def test_a_claim_past_its_time_loses_its_hash_within_seconds(testbed: Testbed) -> None:
    testbed.register("late@example.com")
    let_all_sweep(testbed)
    before = testbed.state("late@example.com")
    testbed.let_pass("late@example.com", TTL)

    wait_until(lambda: testbed.state("late@example.com") == "EXPIRED")

    assert before == "CLAIMED"
    assert testbed.rows("late@example.com")["password hash"].iloc[0] == "none"


def test_many_replicas_end_each_claim_once(testbed: Testbed) -> None:
    testbed.execute("DELETE FROM registrations")
    let_all_sweep(testbed)  # what has been ended before is logged by then
    before = sum(api.log().count(" expired ") for api in testbed.apis)

    testbed.execute(DUE, count=350)
    wait_until(lambda: set(testbed.rows()["state"]) == {"EXPIRED"})
    let_all_sweep(testbed)

    assert sum(api.log().count(" expired ") for api in testbed.apis) - before == 350


def test_what_ended_a_day_ago_is_deleted_and_an_account_stays(testbed: Testbed) -> None:
    testbed.activate("stays@example.com", PASSWORD, testbed.claim("stays@example.com"))
    testbed.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    testbed.execute(OLD_ACCOUNT)  # which no clock makes older: an ACTIVE row changes in nothing
    for number, (state, age) in enumerate([("EXPIRED", 25), ("LOCKED", 25), ("EXPIRED", 23)]):
        testbed.execute(
            "INSERT INTO registrations (email, verification_code, state, created_at) VALUES "
            "(%(email)s, '1234', %(state)s, now() - make_interval(hours => %(age)s))",
            email=f"old{number}@example.com",
            state=state,
            age=age,
        )

    wait_until(lambda: {"old0@example.com", "old1@example.com"}.isdisjoint(testbed.rows()["email"]))
    let_all_sweep(testbed)

    assert sorted(testbed.rows()["email"]) == ["account@example.com", "old2@example.com", "stays@example.com"]


def test_a_budget_that_nobody_touched_for_a_day_is_forgotten(testbed: Testbed) -> None:
    testbed.claim("budget@example.com")
    testbed.execute("UPDATE address_budgets SET touched_at = touched_at - INTERVAL '25 hours'")

    wait_until(lambda: testbed.execute("SELECT count(*) FROM address_budgets") == [(0,)])


def test_the_metric_counts_a_claim_that_cannot_be_swept(testbed: Testbed) -> None:
    testbed.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    wait_until(lambda: figure(testbed.apis[0], OVERDUE) == 0)
    testbed.register("locked@example.com")
    with testbed.database.connect() as other, other.transaction():
        # A lock that keeps the sweeper away and still lets the claim grow older.
        other.execute("SELECT FROM registrations WHERE email = 'locked@example.com' FOR KEY SHARE")
        testbed.let_pass("locked@example.com", TTL)
        wait_until(lambda: figure(testbed.apis[0], OVERDUE) == 1)

    wait_until(lambda: figure(testbed.apis[0], OVERDUE) == 0)


def test_sweeping_goes_on_after_the_database_was_away(testbed: Testbed) -> None:
    testbed.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    testbed.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'beefirst-api'"
    )

    testbed.execute(DUE, count=1)

    wait_until(lambda: set(testbed.rows("1@example.com")["state"]) == {"EXPIRED"})


def test_with_no_sweeper_at_all_a_claim_frees_itself_by_the_clock(database: ScratchDatabase) -> None:
    email = "ada@example.com"
    with start_api(database.url, TTL_SECONDS=TTL, SWEEP_INTERVAL_SECONDS=3600) as api, database.connect() as connection:
        register(api, email)
        register(api, email)
        first = fetch_row(database, email)
        let_pass(connection, TTL)
        nobody_swept = fetch_row(database, email)
        register(api, email)
        second = fetch_row(database, email)

    assert nobody_swept == first
    assert second.id == first.id
    assert second.password_hash != first.password_hash
    assert api.log().count("beefirst.registration: claimed") == 2
    assert "expired" not in api.log()
