"""How claims past their time end and what is old is forgotten, in batches."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from psycopg.errors import LockNotAvailable

from beefirst.laboratory.scratch_database import ScratchDatabase
from tests.support.databases import store_on
from tests.support.store_under_test import (
    ADA,
    BOB,
    CODE,
    DAY,
    HOUR,
    TTL,
    WRONG,
    Situation,
    StoreUnderTest,
    leave_expired,
    leave_locked,
    links,
)


def test_claims_past_their_time_expire_and_lose_their_hash(store: StoreUnderTest) -> None:
    due = store.claimed(ADA)
    store.let_pass(TTL)
    store.claimed(BOB)

    assert store.expire() == [due.id]
    assert store.state(ADA) == ("EXPIRED", 0, False)
    assert store.state(BOB) == ("CLAIMED", 0, True)


@pytest.mark.parametrize("situation", [leave_expired, leave_locked, StoreUnderTest.activate])
def test_what_is_no_claim_any_more_does_not_expire(store: StoreUnderTest, situation: Situation) -> None:
    situation(store)
    row = store.row()
    store.let_pass(TTL)

    assert store.expire() == []
    assert store.state() == (row["state"], row["attempt_count"], row["password_hash"] is not None)


def test_a_batch_takes_the_oldest_and_no_more_than_it_may(store: StoreUnderTest) -> None:
    claims = [store.claimed(f"{number}@example.com") for number in range(25) if store.let_pass(1) is None]
    store.let_pass(TTL)
    numbers = [claim.id for claim in claims]

    batches = [store.expire(10) for _ in range(4)]

    assert [set(batch) for batch in batches] == [set(numbers[:10]), set(numbers[10:20]), set(numbers[20:]), set()]


def test_two_sweepers_share_the_work_and_neither_waits(store: StoreUnderTest) -> None:
    claims = {store.claimed(f"{number}@example.com").id for number in range(5)}
    store.let_pass(TTL)

    async def race() -> tuple[list[UUID], list[UUID]]:
        async with links(store.url, 2) as (one, other):
            await other.execute("SET lock_timeout = '100ms'")
            async with one.transaction():
                first = await store_on(one, batch=3).expire_due()
                return first, await store_on(other, batch=3).expire_due()

    first, second = store.run(race())

    assert (len(first), len(second)) == (3, 2)
    assert {*first, *second} == claims


def test_a_sweeper_passes_over_a_claim_that_is_being_judged(store: StoreUnderTest) -> None:
    claim = store.claimed()
    store.let_pass(TTL)

    async def race() -> list[UUID] | str:
        async with links(store.url, 2) as (judge, sweeper):
            await sweeper.execute("SET lock_timeout = '100ms'")
            async with judge.transaction():
                await store_on(judge, ttl_seconds=HOUR).judge(claim, CODE)
                try:
                    return await store_on(sweeper).expire_due()
                except LockNotAvailable:
                    return "it waits"

    assert store.run(race()) == []
    assert store.state() == ("ACTIVE", 0, True)


def test_many_sweepers_at_once_end_each_claim_once(store: StoreUnderTest) -> None:
    claims = [store.claimed(f"{number}@example.com").id for number in range(100)]
    store.let_pass(TTL)

    batches = store.race([lambda racer: replace(racer, batch=10).expire_due()] * 40)

    assert sorted(number for batch in batches for number in batch) == sorted(claims)
    assert store.overdue() == 0


def test_what_ended_a_day_ago_is_deleted_and_nothing_else(store: StoreUnderTest) -> None:
    store.lock("locked@example.com")
    store.release(store.claimed("expired@example.com"))
    store.claimed("claimed@example.com")
    store.activate("active@example.com")
    store.let_pass(DAY - 60)
    early = store.delete_ended()
    store.release(store.claimed("lately@example.com"))
    store.let_pass(60)

    assert (early, store.delete_ended(), store.delete_ended()) == (0, 2, 0)
    assert {row["email"].partition("@")[0] for row in store.query("SELECT email FROM registrations")} == {
        "claimed",
        "active",
        "lately",
    }


def test_a_budget_is_deleted_a_day_after_it_was_touched(store: StoreUnderTest) -> None:
    store.claimed(ADA)
    store.claimed(BOB)
    store.let_pass(DAY - 60)
    early = store.delete_budgets()
    store.claimed(BOB)
    store.let_pass(60)

    assert (early, store.delete_budgets(), store.delete_budgets()) == (0, 1, 0)
    assert [row["email"] for row in store.query("SELECT email FROM address_budgets")] == [BOB]


def test_what_is_as_old_as_it_may_become_is_counted_ended_and_forgotten(store: StoreUnderTest) -> None:
    store.claimed(ADA)
    store.claimed(BOB)

    async def sweep() -> tuple[int, int, int, int]:
        async with links(store.url, 1) as (link,), link.transaction():  # in which the time of now() stands still
            swept = store_on(link, TTL)
            await link.execute("UPDATE registrations SET created_at = now() - INTERVAL '60 seconds'")
            overdue, expired = await swept.count_overdue(), len(await swept.expire_due())
            await link.execute("UPDATE registrations SET created_at = now() - INTERVAL '24 hours'")
            await link.execute("UPDATE address_budgets SET touched_at = now() - INTERVAL '24 hours'")
            return overdue, expired, await swept.delete_ended(), await swept.delete_forgotten()

    assert store.run(sweep()) == (2, 2, 2, 2)


def claim_anew(store: StoreUnderTest) -> None:
    store.release(store.last)
    store.claimed()


def guess_wrongly(store: StoreUnderTest) -> None:
    store.judge(store.last, WRONG)


@pytest.mark.parametrize("touch", [claim_anew, guess_wrongly])
def test_every_mail_and_every_wrong_guess_keeps_a_budget_for_another_day(
    store: StoreUnderTest, touch: Situation
) -> None:
    store.claimed()
    store.query("UPDATE address_budgets SET touched_at = touched_at - INTERVAL '2 days' RETURNING email")

    touch(store)

    assert store.delete_budgets() == 0


@pytest.fixture
def plans_by_nested_loop(migrated: ScratchDatabase) -> Iterator[None]:
    """PostgreSQL plans as it may where its statistics are of an empty table."""
    with migrated.connect() as owner:
        owner.execute("ANALYZE")
        for method in ("hashjoin", "mergejoin", "material", "hashagg", "sort"):
            owner.execute(f"ALTER DATABASE {migrated.name} SET enable_{method} = off".encode())
        yield
        owner.execute(f"ALTER DATABASE {migrated.name} RESET ALL".encode())


@pytest.mark.usefixtures("plans_by_nested_loop")
def test_batches_take_no_more_than_they_may_whatever_the_plan(store: StoreUnderTest) -> None:
    for number in range(5):
        store.claimed(f"{number}@example.com")
    store.let_pass(DAY)

    assert [len(store.expire(2)) for _ in range(4)] == [2, 2, 1, 0]
    assert [store.delete_ended(2) for _ in range(4)] == [2, 2, 1, 0]
    assert [store.delete_budgets(2) for _ in range(4)] == [2, 2, 1, 0]


def test_batches_of_deletion_take_no_more_than_they_may(store: StoreUnderTest) -> None:
    for number in range(5):
        store.release(store.claimed(f"{number}@example.com"))
    store.let_pass(DAY)

    assert [store.delete_ended(2) for _ in range(4)] == [2, 2, 1, 0]
    assert [store.delete_budgets(2) for _ in range(4)] == [2, 2, 1, 0]


def test_what_is_oldest_is_forgotten_first(store: StoreUnderTest) -> None:
    for number in range(3):
        store.release(store.claimed(f"{number}@example.com"))
        store.let_pass(1)
    store.let_pass(DAY)

    assert (store.delete_ended(1), store.delete_budgets(1)) == (1, 1)

    left = [
        store.query("SELECT email FROM registrations ORDER BY created_at"),
        store.query("SELECT email FROM address_budgets ORDER BY touched_at"),
    ]
    assert [[row["email"] for row in rows] for rows in left] == [["1@example.com", "2@example.com"]] * 2


def test_claims_past_their_time_are_counted_until_they_are_swept(store: StoreUnderTest) -> None:
    before = store.overdue()
    store.claimed(ADA)
    store.claimed(BOB)
    store.let_pass(TTL)
    store.activate("carol@example.com")
    store.claimed("dave@example.com")

    assert [before, store.overdue(), len(store.expire(1)), store.overdue()] == [0, 2, 1, 1]
