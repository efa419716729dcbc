"""The sweeper, in real API processes on a real database."""

import time
from collections.abc import Iterator

import pytest

from beefirst.evaluation.stage import PASSWORD, Stage
from tests.conftest import wait_until

DUE = """
    INSERT INTO registrations (email, verification_code, password_hash, created_at)
    SELECT n || '@example.com', '1234', 'a hash', now() - INTERVAL '1 hour' FROM generate_series(1, %(count)s) AS n
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(replicas=3, ttl_seconds=2, sweep_interval_seconds=0.2) as stage:
        yield stage


def test_a_claim_past_its_time_loses_its_hash_within_seconds(stage: Stage) -> None:
    stage.register("late@example.com")

    wait_until(lambda: stage.state("late@example.com") == "EXPIRED")

    assert stage.rows("late@example.com")["password hash"].iloc[0] == "none"


def test_many_replicas_end_each_claim_once(stage: Stage) -> None:
    stage.execute("DELETE FROM registrations")
    before = sum(api.log().count(" expired ") for api in stage.apis)

    stage.execute(DUE, count=350)
    wait_until(lambda: set(stage.rows()["state"]) == {"EXPIRED"})
    time.sleep(0.5)

    assert sum(api.log().count(" expired ") for api in stage.apis) - before == 350


def test_what_ended_a_day_ago_is_deleted_and_an_account_stays(stage: Stage) -> None:
    stage.activate("stays@example.com", PASSWORD, stage.claim("stays@example.com"))
    stage.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    for number, (state, age) in enumerate([("EXPIRED", 25), ("LOCKED", 25), ("EXPIRED", 23)]):
        stage.execute(
            "INSERT INTO registrations (email, verification_code, state, created_at) VALUES "
            "(%(email)s, '1234', %(state)s, now() - make_interval(hours => %(age)s))",
            email=f"old{number}@example.com",
            state=state,
            age=age,
        )

    wait_until(lambda: len(stage.rows()) == 2)
    time.sleep(0.5)

    assert sorted(stage.rows()["email"]) == ["old2@example.com", "stays@example.com"]


def test_a_budget_that_nobody_touched_for_a_day_is_forgotten(stage: Stage) -> None:
    stage.claim("budget@example.com")
    stage.execute("UPDATE address_budgets SET touched_at = touched_at - INTERVAL '25 hours'")

    wait_until(lambda: stage.execute("SELECT count(*) FROM address_budgets") == [(0,)])


def overdue(stage: Stage) -> float:
    lines = stage.apis[0].get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("beefirst_claims_overdue "))


def test_the_metric_counts_a_claim_that_cannot_be_swept(stage: Stage) -> None:
    stage.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    wait_until(lambda: overdue(stage) == 0)
    with stage.database.connect() as other:
        stage.register("locked@example.com")
        with other.transaction():
            other.execute("SELECT FROM registrations WHERE email = 'locked@example.com' FOR UPDATE")
            wait_until(lambda: overdue(stage) == 1)

    wait_until(lambda: overdue(stage) == 0)


def test_sweeping_goes_on_after_the_database_was_away(stage: Stage) -> None:
    stage.execute("DELETE FROM registrations WHERE state <> 'ACTIVE'")
    stage.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'beefirst-api'"
    )

    stage.execute(DUE, count=1)

    wait_until(lambda: set(stage.rows("1@example.com")["state"]) == {"EXPIRED"})
