"""The service on a PostgreSQL that Patroni keeps on two machines, with the configuration of the recipe."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from beefirst.evaluation.experiments.failures.failover import ANSWERS, first_answers
from beefirst.evaluation.experiments.failures.stand import TTL_SECONDS
from beefirst.evaluation.experiments.failures.under_fire import DOCUMENTED, amid, failing, judge_fire, under_fire
from beefirst.evaluation.procedure import Observed
from beefirst.evaluation.promises import FAILOVER_SECONDS
from beefirst.laboratory.history.calls import History
from beefirst.laboratory.testbed import Testbed
from tests.support.patroni import Node, PatroniCluster, needs_patroni

pytestmark = needs_patroni

AMID = {status for statuses in DOCUMENTED.values() for status in statuses}


@pytest.fixture(scope="module")
def cluster() -> Iterator[PatroniCluster]:
    """An etcd, two Patroni and the PostgreSQL of each."""
    with PatroniCluster() as running:
        yield running


@pytest.fixture(scope="module")
def testbed(cluster: PatroniCluster) -> Iterator[Testbed]:
    """Two replicas, whose DATABASE_URL names both machines."""
    with Testbed(2, cluster.url, ttl_seconds=TTL_SECONDS) as running:
        yield running


@contextmanager
def switched_over(cluster: PatroniCluster) -> Iterator[None]:
    cluster.switch_over()
    yield


@contextmanager
def killed(cluster: PatroniCluster, leader: Node) -> Iterator[None]:
    leader.kill()
    try:
        yield
    finally:
        cluster.wait_for_leader(but=leader)


def test_a_switchover_under_load_loses_nothing_and_the_service_is_back_in_time(
    cluster: PatroniCluster, testbed: Testbed
) -> None:
    before = cluster.wait_for_leader()

    seen = under_fire(testbed, "A switchover", lambda *_: True, switched_over(cluster))

    assert cluster.wait_for_leader() is not before
    assert_nothing_is_lost(seen)
    assert_back_in_time(seen)


def test_a_leader_that_is_killed_under_load_loses_nothing_and_the_service_is_back_in_time(
    cluster: PatroniCluster, testbed: Testbed
) -> None:
    cluster.wait_for_standby()
    leader = cluster.wait_for_leader()

    seen = under_fire(testbed, "The leader dead", failing, killed(cluster, leader))

    assert_nothing_is_lost(seen)
    assert_back_in_time(seen)

    leader.start()
    cluster.wait_for_standby()  # which the killed one is now


def assert_nothing_is_lost(seen: Observed) -> None:
    evidence = judge_fire(seen, "calls were made amid it", lambda history: amid(history, *AMID) > 0)
    print(evidence.summary)
    assert evidence.holds, evidence.rows


def assert_back_in_time(seen: Observed) -> None:
    """Hold the first answers as ever after the new leader led against what is promised."""
    back = first_answers(History.from_data(seen["history"]))
    print({what: round(seconds, 2) for what, seconds in back.items()})
    assert set(back) == set(ANSWERS)
    assert max(back.values()) <= FAILOVER_SECONDS
