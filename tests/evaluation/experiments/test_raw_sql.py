"""Attacks by raw SQL are refused by the constraint or trigger that is there for it, and no other outcome will do."""

from collections.abc import Iterator

import pandas as pd
import pytest

from beefirst.evaluation.experiments.trust_truths import raw_sql
from beefirst.laboratory.forbidden_sql import attempt
from beefirst.laboratory.testbed import Testbed

TRUTHS = sorted({truth for truth, *_ in raw_sql.ATTACKS})


@pytest.fixture(scope="module")
def testbed() -> Iterator[Testbed]:
    with Testbed() as testbed:
        yield testbed


@pytest.fixture(scope="module")
def attacks(testbed: Testbed) -> pd.DataFrame:
    return raw_sql.attack(testbed)


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_attacks_on_each_truth_are_refused(attacks: pd.DataFrame, truth: int) -> None:
    evidence = raw_sql.refused(attacks, truth)

    assert evidence.holds, evidence.summary
    assert set(evidence.rows["truth"]) == {truth}


def test_the_attacks_change_nothing(attacks: pd.DataFrame, testbed: Testbed) -> None:
    states = [testbed.state(f"{letter}@example.net") for letter in "acl"]

    assert len(attacks) == len(raw_sql.ATTACKS)
    assert states == ["ACTIVE", "CLAIMED", "LOCKED"]
    assert len(testbed.rows()) == 3


def test_an_attack_that_meets_no_row_has_shown_nothing(attacks: pd.DataFrame, testbed: Testbed) -> None:
    with testbed.database.connect() as connection:
        missed = attempt(connection, "UPDATE registrations SET attempt_count = 11 WHERE email = 'nobody@example.net'")
    seen = attacks.assign(result=missed.result, **{"refused by": missed.by})

    evidence = raw_sql.refused(seen, 8)

    assert not evidence.holds
    assert "0 of 1 attacks by raw SQL refused" in evidence.summary
    assert "an eleventh attempt, no such row, nobody" in evidence.summary


def test_what_is_refused_for_another_reason_has_shown_nothing(attacks: pd.DataFrame) -> None:
    evidence = raw_sql.refused(attacks.assign(**{"refused by": "another_constraint"}), 8)

    assert not evidence.holds
    assert "refused, another_constraint, registrations_attempts_are_counted" in evidence.summary


def test_a_truth_without_an_attack_is_not_shown(attacks: pd.DataFrame) -> None:
    assert not raw_sql.refused(attacks, 2).holds
