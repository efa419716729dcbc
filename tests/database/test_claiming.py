"""Claiming an address and finding the claim again, on a real PostgreSQL, alone and raced."""

from datetime import datetime, timedelta

import pytest

from beefirst.machine.waiting import wait_until
from beefirst.registration.states import Claim, Judgement, State
from tests.support.databases import store_on
from tests.support.store_under_test import (
    ADA,
    BOB,
    CODE,
    DAY,
    ENDED,
    TTL,
    WRONG,
    Situation,
    StoreUnderTest,
    leave_free,
    links,
    started_and_waiting,
)


def test_a_new_address_is_claimed_and_its_mail_booked(store: StoreUnderTest) -> None:
    claim = store.claimed()

    row = store.row()
    assert (row["id"], row["email"], row["password_hash"]) == (claim.id, claim.email, claim.password_hash)
    assert (row["verification_code"], row["state"], row["attempt_count"]) == (CODE, "CLAIMED", 0)
    assert row["activated_at"] is None
    assert store.budget()["mailed_at"] == [claim.mailed_at]


@pytest.mark.parametrize("seconds", [0, TTL - 15])
def test_a_claim_in_time_cannot_be_claimed(store: StoreUnderTest, seconds: int) -> None:
    store.claimed()
    store.let_pass(seconds)
    before = store.row(), store.budget()

    assert store.claim() is None
    assert (store.row(), store.budget()) == before


@pytest.mark.parametrize("seconds", [0, TTL, 30 * DAY])
def test_an_active_address_is_never_claimed_again(store: StoreUnderTest, seconds: int) -> None:
    store.activate()
    store.let_pass(seconds)
    before = store.row()

    assert store.claim() is None
    assert store.row() == before


@pytest.mark.parametrize("situation", ENDED)
def test_an_ended_registration_is_claimed_anew_with_nothing_left_of_the_old(
    store: StoreUnderTest, situation: Situation
) -> None:
    situation(store)
    ended = store.row()

    claim = store.claimed(code="0000")

    row = store.row()
    assert (row["id"], row["password_hash"], row["verification_code"]) == (ended["id"], claim.password_hash, "0000")
    assert (row["state"], row["attempt_count"], row["activated_at"]) == ("CLAIMED", 0, None)
    assert row["created_at"] > ended["created_at"] + timedelta(seconds=0)


def test_a_claim_frees_itself_when_its_time_is_over_with_nobody_sweeping(store: StoreUnderTest) -> None:
    store.claimed()
    first = store.row()["created_at"]

    refused = store.claim()
    wait_until(lambda: store.claim(ttl=0.3))

    assert refused is None
    assert store.row()["created_at"] - first >= timedelta(seconds=0.3)


def test_how_long_a_claim_holds_is_what_the_claimant_says(store: StoreUnderTest) -> None:
    store.claimed()
    store.let_pass(30)

    assert store.claim(ttl=45) is None
    assert store.claim(ttl=30) is not None


def test_addresses_are_claimed_each_for_itself(store: StoreUnderTest) -> None:
    assert store.claimed(ADA).id != store.claimed(BOB).id


@pytest.mark.parametrize("situation", [leave_free, *ENDED])
def test_of_fifty_claims_at_once_exactly_one_is_granted(store: StoreUnderTest, situation: Situation) -> None:
    situation(store)

    claims = store.race([lambda racer, n=number: racer.claim(ADA, f"racer {n}", CODE) for number in range(50)])

    (granted,) = [claim for claim in claims if claim]
    assert store.row()["password_hash"] == granted.password_hash
    assert store.budget()["mailed_at"][-1] == granted.mailed_at


def test_a_claim_that_waits_for_another_is_refused_once_that_one_stands(store: StoreUnderTest) -> None:
    async def race() -> tuple[Claim | None, Claim | None]:
        async with links(store.url, 3) as (first, second, watcher):
            async with first.transaction():
                granted = await store_on(first).claim(ADA, "first", CODE)
                late = store_on(second).claim(ADA, "second", CODE)
                task = await started_and_waiting(late, second, watcher)
            return granted, await task

    granted, refused = store.run(race())

    assert granted is not None
    assert refused is None


def test_a_claim_that_waits_for_another_is_granted_if_that_one_comes_to_nothing(store: StoreUnderTest) -> None:
    async def race() -> Claim | None:
        async with links(store.url, 3) as (first, second, watcher):
            async with first.transaction(force_rollback=True):
                await store_on(first).claim(ADA, "first", CODE)
                late = store_on(second).claim(ADA, "second", CODE)
                task = await started_and_waiting(late, second, watcher)
            return await task

    granted = store.run(race())

    assert granted is not None
    assert store.row()["password_hash"] == "second"


def test_a_claim_that_waits_for_the_judgement_that_starts_a_cool_down_is_refused(store: StoreUnderTest) -> None:
    claim = store.claimed()
    store.judge(claim, WRONG)
    store.judge(claim, WRONG)

    async def race() -> tuple[Judgement | None, Claim | None]:
        async with links(store.url, 3) as (judge, claimant, watcher):
            async with judge.transaction():
                judgement = await store_on(judge).judge(claim, WRONG)
                late = store_on(claimant, ttl_seconds=0.001).claim(ADA, "next", CODE)
                task = await started_and_waiting(late, claimant, watcher)
            return judgement, await task

    assert store.run(race()) == (Judgement(State.LOCKED, 3), None)
    assert store.state() == ("LOCKED", 3, False)


def test_a_claim_that_waits_for_a_release_is_granted(store: StoreUnderTest) -> None:
    claim = store.claimed()

    async def race() -> Claim | None:
        async with links(store.url, 3) as (releaser, claimant, watcher):
            async with releaser.transaction():
                await store_on(releaser).release(claim)
                late = store_on(claimant).claim(ADA, "next", CODE)
                task = await started_and_waiting(late, claimant, watcher)
            return await task

    assert store.run(race()) is not None
    assert store.row()["password_hash"] == "next"


def test_a_claim_that_had_to_wait_has_its_whole_time_from_when_it_stands(store: StoreUnderTest) -> None:
    claim = store.claimed()

    async def race() -> tuple[datetime, Claim | None]:
        async with links(store.url, 3) as (releaser, claimant, watcher):
            async with releaser.transaction():
                await store_on(releaser).release(claim)
                late = store_on(claimant).claim(ADA, "next", CODE)
                task = await started_and_waiting(late, claimant, watcher)
                freed = await (await watcher.execute("SELECT clock_timestamp()")).fetchone()
            assert freed is not None
            return freed[0], await task

    freed_at, granted = store.run(race())

    assert granted is not None
    assert granted.mailed_at is not None
    assert min(store.row()["created_at"], granted.mailed_at, store.budget()["touched_at"]) > freed_at


def test_of_two_claims_each_is_found_by_its_own_address(store: StoreUnderTest) -> None:
    of_ada, of_bob = store.claimed(ADA), store.claimed(BOB)

    assert [store.find_claim(email) for email in (ADA, BOB, "carol@example.com")] == [
        Claim(of_ada.id, ADA, of_ada.password_hash),
        Claim(of_bob.id, BOB, of_bob.password_hash),
        None,
    ]


def test_a_claim_in_time_is_found_with_its_hash(store: StoreUnderTest) -> None:
    claim = store.claimed()
    store.let_pass(TTL - 15)

    assert store.find_claim() == Claim(claim.id, ADA, claim.password_hash)


@pytest.mark.parametrize("situation", [leave_free, *ENDED, StoreUnderTest.activate])
def test_where_nothing_can_be_proven_no_claim_is_found(store: StoreUnderTest, situation: Situation) -> None:
    situation(store)

    assert store.find_claim() is None


def test_a_claim_without_a_hash_from_before_is_not_found(store: StoreUnderTest) -> None:
    store.query("INSERT INTO registrations (email, verification_code) VALUES (%s, %s) RETURNING id", ADA, CODE)

    assert store.find_claim() is None
