"""The sweeper, in real API processes on a real database."""

import time
from collections.abc import Iterator

import pytest

from beefirst.laboratory.testbed import PASSWORD, Testbed
from beefirst.machine.waiting import wait_until

DUE = """
    INSERT INTO registrations (email, verification_code, password_hash, created_at)
    SELECT n || '@example.com', '1234', 'a hash', now() - INTERVAL '1 hour' FROM generate_series(1, %(count)s) AS n
"""


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    with Testbed(replicas=3, ttl_seconds=2, sweep_interval_seconds=0.2) as testbed:
        yield testbed


def test_a_claim_past_its_time_loses_its_hash_within_seconds(testbed: Testbed) -> None:
    testbed.register("late@example.com")

    wait_until(lambda: testbed.state("late@example.com") == "EXPIRED")

    assert testbed.rows("late@example.com")["password hash"].iloc[0] == "none"


def test_many_replicas_end_each_claim_once(testbed: Testbed) -> None:
    testbed.execute("DELETE FROM registrations")
    before = sum(api.log().count(" expired ") for api in testbed.apis)

    testbed.execute(DUE, count=350)
    wait_until(lambda: set(testbed.rows()["state"]) == {"EXPIRED"})
    time.sleep(0.5)

    assert sum(api.log().count(" expired ") for api in testbed.apis) - before == 350


def test_what_ended_a_day_ago_is_deleted_and_an_account_stays(testbed: Testbed) -> None:
    testbed.activate("stays@example.com", PASSWORD, testbed.claim("stays@example.com"))
    testbed.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    for number, (state, age) in enumerate([("EXPIRED", 25), ("LOCKED", 25), ("EXPIRED", 23)]):
        testbed.execute(
            "INSERT INTO registrations (email, verification_code, state, created_at) VALUES "
            "(%(email)s, '1234', %(state)s, now() - make_interval(hours => %(age)s))",
            email=f"old{number}@example.com",
            state=state,
            age=age,
        )

    wait_until(lambda: len(testbed.rows()) == 2)
    time.sleep(0.5)

    assert sorted(testbed.rows()["email"]) == ["old2@example.com", "stays@example.com"]


def test_a_budget_that_nobody_touched_for_a_day_is_forgotten(testbed: Testbed) -> None:
    testbed.claim("budget@example.com")
    testbed.execute("UPDATE address_budgets SET touched_at = touched_at - INTERVAL '25 hours'")

    wait_until(lambda: testbed.execute("SELECT count(*) FROM address_budgets") == [(0,)])


def overdue(testbed: Testbed) -> float:
    lines = testbed.apis[0].get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("beefirst_claims_overdue "))


def test_the_metric_counts_a_claim_that_cannot_be_swept(testbed: Testbed) -> None:
    testbed.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    wait_until(lambda: overdue(testbed) == 0)
    with testbed.database.connect() as other:
        testbed.register("locked@example.com")
        with other.transaction():
            other.execute("SELECT FROM registrations WHERE email = 'locked@example.com' FOR UPDATE")
            wait_until(lambda: overdue(testbed) == 1)

    wait_until(lambda: overdue(testbed) == 0)


def test_sweeping_goes_on_after_the_database_was_away(testbed: Testbed) -> None:
    testbed.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    testbed.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'beefirst-api'"
    )

    testbed.execute(DUE, count=1)

    wait_until(lambda: set(testbed.rows("1@example.com")["state"]) == {"EXPIRED"})
