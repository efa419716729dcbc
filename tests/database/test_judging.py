"""What a code does to a claim, and how a claim is released, on a real PostgreSQL, alone and raced."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from beefirst.registration.states import Claim, Judgement, State
from tests.support.databases import store_on
from tests.support.store_under_test import (
    ADA,
    CODE,
    ENDED,
    TTL,
    WRONG,
    Situation,
    StoreUnderTest,
    links,
    started_and_waiting,
)


def test_the_right_code_activates(store: StoreUnderTest) -> None:
    claim = store.claimed()
    store.judge(claim, WRONG)

    assert store.judge(claim, CODE) == Judgement(State.ACTIVE, 1)
    row = store.row()
    assert (row["state"], row["attempt_count"], row["password_hash"]) == ("ACTIVE", 1, claim.password_hash)
    assert row["created_at"] < row["activated_at"] <= datetime.now(UTC) + timedelta(seconds=1)
    assert store.budget()["wrong_guesses"] == 1


@pytest.mark.parametrize("code", [WRONG, "1235", "123", "12345", "", "abcd", " 1234", "١٢٣٤"])
def test_a_wrong_code_costs_one_attempt(store: StoreUnderTest, code: str) -> None:
    claim = store.claimed()

    assert store.judge(claim, code) == Judgement(State.CLAIMED, 1)
    assert store.state() == ("CLAIMED", 1, True)
    assert store.row()["activated_at"] is None


@pytest.mark.parametrize("max_attempts", [1, 3, 10])
def test_the_last_attempt_locks_and_erases_the_hash(store: StoreUnderTest, max_attempts: int) -> None:
    claim = store.claimed()

    judgements = [store.judge(claim, WRONG, max_attempts) for _ in range(max_attempts + 1)]

    assert judgements[:-2] == [Judgement(State.CLAIMED, number) for number in range(1, max_attempts)]
    assert judgements[-2:] == [Judgement(State.LOCKED, max_attempts), None]
    assert store.state() == ("LOCKED", max_attempts, False)


def test_a_limit_that_was_lowered_meanwhile_counts_at_once(store: StoreUnderTest) -> None:
    claim = store.claimed()
    store.judge(claim, WRONG)
    store.judge(claim, WRONG)

    assert store.judge(claim, CODE, 2) is None
    assert store.state() == ("CLAIMED", 2, True)


def test_the_right_code_at_the_last_attempt_activates(store: StoreUnderTest) -> None:
    claim = store.claimed()
    store.judge(claim, WRONG)
    store.judge(claim, WRONG)

    assert store.judge(claim, CODE) == Judgement(State.ACTIVE, 2)


@pytest.mark.parametrize("code", [CODE, WRONG])
@pytest.mark.parametrize("situation", [*ENDED, StoreUnderTest.activate])
def test_on_a_claim_that_is_over_no_code_counts(store: StoreUnderTest, situation: Situation, code: str) -> None:
    situation(store)
    row = store.row()
    budget = store.budget()

    judgement = store.judge(Claim(row["id"], ADA, row["password_hash"] or "hash 0"), code)

    assert judgement is None
    assert (store.row(), store.budget()) == (row, budget)


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_a_guess_at_an_earlier_claim_never_counts_against_the_next(store: StoreUnderTest, code: str) -> None:
    earlier = store.claimed()
    store.release(earlier)
    following = store.claimed()

    assert store.judge(earlier, code) is None
    assert store.state() == ("CLAIMED", 0, True)
    assert store.budget()["wrong_guesses"] == 0
    assert store.judge(following, CODE) == Judgement(State.ACTIVE, 0)


def test_a_guess_names_the_row_as_well_as_the_hash(store: StoreUnderTest) -> None:
    claim = store.claimed()

    assert store.judge(Claim(uuid4(), ADA, claim.password_hash), CODE) is None
    assert store.state() == ("CLAIMED", 0, True)


def test_a_guess_that_waits_while_the_address_is_claimed_anew_does_not_hit_the_next_claim(
    store: StoreUnderTest,
) -> None:
    claim = store.claimed()

    async def race() -> Judgement | None:
        async with links(store.url, 3) as (other, judge, watcher):
            async with other.transaction():
                await store_on(other).release(claim)
                await store_on(other).claim(ADA, "next", CODE)
                late = store_on(judge).judge(claim, WRONG)
                task = await started_and_waiting(late, judge, watcher)
            return await task

    assert store.run(race()) is None
    assert store.state() == ("CLAIMED", 0, True)
    assert store.row()["password_hash"] == "next"


def test_the_time_that_a_guess_waits_for_another_counts(store: StoreUnderTest) -> None:
    claim = store.claimed()
    over = "SELECT 1 FROM registrations WHERE clock_timestamp() > created_at + INTERVAL '1 second'"

    async def race() -> Judgement | None:
        async with links(store.url, 3) as (other, judge, watcher):
            async with other.transaction():
                await store_on(other).judge(claim, WRONG)
                late = replace(store_on(judge), ttl_seconds=1).judge(claim, CODE)
                task = await started_and_waiting(late, judge, watcher)
                while not await (await watcher.execute(over)).fetchone():
                    await asyncio.sleep(0.01)
            return await task

    assert store.run(race()) is None
    assert store.state() == ("CLAIMED", 1, True)


@pytest.mark.parametrize("max_attempts", [1, 3, 10])
def test_of_a_hundred_wrong_guesses_at_once_exactly_max_attempts_are_judged(
    store: StoreUnderTest, max_attempts: int
) -> None:
    claim = store.claimed()

    judgements = store.race([lambda racer: racer.judge(claim, WRONG)] * 100, max_attempts)

    judged = sorted(judgement.attempts for judgement in judgements if judgement)
    assert judged == list(range(1, max_attempts + 1))
    assert store.state() == ("LOCKED", max_attempts, False)
    assert (store.budget()["wrong_guesses"], store.budget()["cool_downs"]) == (max_attempts, 1)


def test_of_fifty_right_guesses_at_once_exactly_one_activates(store: StoreUnderTest) -> None:
    claim = store.claimed()

    judgements = store.race([lambda racer: racer.judge(claim, CODE)] * 50)

    assert [judgement for judgement in judgements if judgement] == [Judgement(State.ACTIVE, 0)]
    assert store.state() == ("ACTIVE", 0, True)


def test_wrong_guesses_at_many_addresses_at_once_are_all_counted(store: StoreUnderTest) -> None:
    claims = [store.claimed(f"{number}@example.com") for number in range(6)]

    store.race([lambda racer, to=claim: racer.judge(to, WRONG) for claim in claims * 5], max_attempts=10)

    assert [store.budget(claim.email)["wrong_guesses"] for claim in claims] == [5] * 6


def test_a_released_claim_is_expired_without_a_hash_and_free_at_once(store: StoreUnderTest) -> None:
    assert store.release(store.claimed()) is True
    assert store.state() == ("EXPIRED", 0, False)
    assert store.claim() is not None


@pytest.mark.parametrize("situation", [*ENDED[1:], StoreUnderTest.activate])
def test_only_a_claim_is_released(store: StoreUnderTest, situation: Situation) -> None:
    situation(store)
    row = store.row()

    assert store.release(Claim(row["id"], ADA, row["password_hash"] or "hash 0")) is False
    assert store.row() == row


def test_releasing_an_earlier_claim_leaves_the_next_alone(store: StoreUnderTest) -> None:
    earlier = store.claimed()
    store.let_pass(TTL)
    following = store.claimed()

    assert store.release(earlier) is False
    assert store.release(Claim(uuid4(), ADA, following.password_hash)) is False
    assert store.find_claim() == Claim(following.id, ADA, following.password_hash)
