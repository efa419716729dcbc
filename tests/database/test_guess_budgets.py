"""What wrong guesses cost an address, whatever becomes of its claims."""

import pytest

from beefirst.registration.states import Judgement, State
from tests.support.store_under_test import ADA, BOB, CODE, DAY, HOUR, TTL, WRONG, Situation, StoreUnderTest, leave_free


def test_wrong_guesses_count_across_claims_however_these_end(store: StoreUnderTest) -> None:
    released, expired = store.claimed(), None
    store.judge(released, WRONG)
    store.release(released)
    expired = store.claimed()
    store.judge(expired, WRONG)
    store.let_pass(TTL)
    store.expire()
    third = store.claimed()

    assert store.judge(third, WRONG) == Judgement(State.CLAIMED, 1)
    assert store.cool_down() == TTL
    assert store.release(third) is True
    assert store.claim() is None


def test_a_claim_that_stands_when_a_cool_down_begins_can_still_be_proven(store: StoreUnderTest) -> None:
    first = store.claimed()
    store.judge(first, WRONG)
    store.judge(first, WRONG)
    store.release(first)
    second = store.claimed()
    store.judge(second, WRONG)

    assert store.find_claim() is not None
    assert store.judge(second, CODE) == Judgement(State.ACTIVE, 1)


@pytest.mark.parametrize("situation", [StoreUnderTest.expire, StoreUnderTest.delete_ended, leave_free])
def test_an_address_that_cools_down_is_refused_until_the_end_whatever_became_of_its_row(
    store: StoreUnderTest, situation: Situation
) -> None:
    store.lock()
    store.query("UPDATE registrations SET created_at = created_at - INTERVAL '2 days' RETURNING id")
    situation(store)
    store.let_pass(TTL - 15)

    assert store.claim() is None
    store.let_pass(15)
    assert store.claim() is not None


def test_a_cool_down_is_of_one_address_alone(store: StoreUnderTest) -> None:
    store.lock(ADA)

    assert store.claim(ADA) is None
    assert store.claim(BOB) is not None


@pytest.mark.parametrize(
    ("ttl", "lasting"),
    [
        (60, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (10, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]),
        (3600, [3600, 3600]),
        (1, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]),
    ],
)
def test_cool_downs_double_from_the_ttl_to_an_hour(store: StoreUnderTest, ttl: int, lasting: list[int]) -> None:
    def lock_out() -> int:
        store.let_pass(HOUR)
        store.lock(ttl=ttl)
        return store.cool_down()

    assert [lock_out() for _ in lasting] == lasting


def test_whoever_has_guessed_for_a_year_cools_down_for_an_hour(store: StoreUnderTest) -> None:
    claim = store.claimed()
    store.judge(claim, WRONG)
    store.judge(claim, WRONG)
    store.query("UPDATE address_budgets SET cool_downs = 10000 RETURNING email")

    assert store.judge(claim, WRONG) == Judgement(State.LOCKED, 3)
    assert store.cool_down() == HOUR


@pytest.mark.parametrize(("quiet", "lasting"), [(DAY - 60, 120), (DAY, 60)])
def test_cool_downs_are_forgotten_after_a_day_without_a_wrong_guess(
    store: StoreUnderTest, quiet: int, lasting: int
) -> None:
    store.lock()
    store.let_pass(quiet)
    store.lock()

    assert store.cool_down() == lasting


@pytest.mark.parametrize(("quiet", "cooling"), [(DAY - 60, True), (DAY, False)])
def test_wrong_guesses_are_forgotten_after_a_day_without_another(
    store: StoreUnderTest, quiet: int, cooling: bool
) -> None:
    claim = store.claimed()
    store.judge(claim, WRONG)
    store.judge(claim, WRONG)
    store.let_pass(quiet)

    store.judge(store.claimed(), WRONG)

    assert (store.budget()["cooling_until"] is not None) is cooling


@pytest.mark.parametrize("max_attempts", [1, 3, 10])
def test_a_cool_down_begins_with_every_max_attempts_wrong_guesses(store: StoreUnderTest, max_attempts: int) -> None:
    claim = store.claimed()

    cool_downs = [
        (store.judge(claim, WRONG, max_attempts), store.budget()["cool_downs"])[1] for _ in range(max_attempts)
    ]

    assert cool_downs == [0] * (max_attempts - 1) + [1]


def test_somebody_who_guesses_all_day_gets_under_a_hundred_guesses(store: StoreUnderTest) -> None:
    guesses, seconds = 0, 0
    while seconds < DAY:
        store.lock()
        guesses += 3
        seconds += store.cool_down()
        store.let_pass(store.cool_down())

    assert 80 < guesses < 100
