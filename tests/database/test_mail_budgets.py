"""How much mail an address gets, and when its owner is due a notice."""

from datetime import UTC, datetime, timedelta

import pytest

from beefirst.database.registrations import MAILS_A_DAY
from beefirst.registration.states import Holder, State
from tests.support.store_under_test import ADA, BOB, CODE, DAY, ENDED, HOUR, TTL, Situation, StoreUnderTest, leave_free


def test_a_day_has_twenty_mails_and_a_claim_beyond_them_has_none(store: StoreUnderTest) -> None:
    claims = [store.claimed() for _ in range(MAILS_A_DAY + 1) if store.let_pass(TTL) is None]

    assert MAILS_A_DAY == 20
    assert [claim.mailed_at is None for claim in claims] == [False] * 20 + [True]
    assert store.find_claim() is not None


def test_the_day_of_twenty_mails_slides(store: StoreUnderTest) -> None:
    def claim_an_hour_later() -> bool:
        store.let_pass(HOUR)
        return store.claimed().mailed_at is not None

    mailed = [claim_an_hour_later() for _ in range(30)]

    assert mailed == [True] * 20 + [False] * 4 + [True] * 6


def test_notices_and_codes_share_the_mails_of_a_day(store: StoreUnderTest) -> None:
    for _ in range(MAILS_A_DAY // 2):
        store.let_pass(TTL)
        store.claimed()
        store.notice()
    store.let_pass(TTL)

    assert store.claimed().mailed_at is None
    assert store.notice() is None


def test_a_refunded_mail_can_be_sent_again(store: StoreUnderTest) -> None:
    claims = [store.claimed() for _ in range(MAILS_A_DAY) if store.let_pass(TTL) is None]
    others = store.budget()["mailed_at"][:-1]
    store.refund(claims[-1].mailed_at)
    store.let_pass(0)
    store.release(claims[-1])

    assert store.budget()["mailed_at"] == others
    assert store.claimed().mailed_at is not None
    store.let_pass(TTL)
    assert store.claimed().mailed_at is None


def test_refunding_a_code_leaves_the_notice_counted(store: StoreUnderTest) -> None:
    claim = store.claimed()
    noticed_at = store.notice()
    store.refund(claim.mailed_at)

    assert store.budget()["mailed_at"] == [noticed_at]
    assert store.notice() is None


def test_a_refund_to_one_address_is_none_to_another_that_was_mailed_at_the_same_moment(store: StoreUnderTest) -> None:
    mailed_at = store.claimed(ADA).mailed_at
    store.claimed(BOB)
    same = "UPDATE address_budgets SET mailed_at = ARRAY[%s::timestamptz], noticed_at = %s RETURNING email"
    store.query(same, mailed_at, mailed_at)

    store.refund(mailed_at, ADA)

    assert [(store.budget(email)["mailed_at"], store.budget(email)["noticed_at"]) for email in (ADA, BOB)] == [
        ([], None),
        ([mailed_at], mailed_at),
    ]


def test_a_refund_to_an_address_without_a_budget_does_nothing(store: StoreUnderTest) -> None:
    store.refund(datetime.now(UTC), BOB)

    assert store.query("SELECT email FROM address_budgets") == []


def test_of_many_claims_and_notices_at_once_no_mail_is_lost_or_counted_twice(store: StoreUnderTest) -> None:
    claims = [store.claimed(f"{number}@example.com") for number in range(12)]

    due = Holder(State.CLAIMED, datetime.now(UTC))

    store.race([lambda racer, to=claim: racer.book_notice(to.email, due) for claim in claims * 4])

    assert {len(store.budget(claim.email)["mailed_at"]) for claim in claims} <= {2, 3, 4, 5}


def test_the_holder_of_a_claim_is_due_one_notice_since_it_was_made(store: StoreUnderTest) -> None:
    store.claimed()

    assert store.find_holder() == Holder(State.CLAIMED, store.row()["created_at"])


def test_the_holder_of_an_active_address_is_due_one_notice_a_day(store: StoreUnderTest) -> None:
    store.activate()

    holder = store.find_holder()

    assert holder is not None
    assert holder.state is State.ACTIVE
    assert abs(datetime.now(UTC) - timedelta(days=1) - holder.notice_due_after) < timedelta(seconds=10)


def test_each_address_has_its_own_holder(store: StoreUnderTest) -> None:
    store.claimed(ADA)
    store.activate(BOB)

    holders = [store.find_holder(email) for email in (ADA, BOB, "carol@example.com")]

    assert [holder and holder.state for holder in holders] == [State.CLAIMED, State.ACTIVE, None]


@pytest.mark.parametrize("situation", [leave_free, *ENDED])
def test_nobody_holds_an_address_that_is_free(store: StoreUnderTest, situation: Situation) -> None:
    situation(store)

    assert store.find_holder() is None


def test_each_claim_has_one_notice(store: StoreUnderTest) -> None:
    store.claimed()
    first = [store.notice(), store.notice()]
    store.let_pass(TTL)
    store.claimed()
    second = [store.notice(), store.notice()]

    assert [[noticed is not None for noticed in notices] for notices in (first, second)] == [[True, False]] * 2


def test_a_notice_of_the_very_moment_of_the_claim_was_to_the_one_before(store: StoreUnderTest) -> None:
    store.claimed()
    store.query("UPDATE address_budgets SET noticed_at = (SELECT created_at FROM registrations) RETURNING email")

    assert store.notice() is not None


def test_an_active_address_has_one_notice_a_day(store: StoreUnderTest) -> None:
    store.activate()
    first = [store.notice(), store.notice()]
    store.let_pass(DAY - 60)
    early = store.notice()
    store.let_pass(60)

    assert [noticed is not None for noticed in [*first, early, store.notice()]] == [True, False, False, True]


def test_an_active_address_without_a_budget_has_its_notice(store: StoreUnderTest) -> None:
    store.activate()
    store.query("DELETE FROM address_budgets RETURNING email")

    noticed_at = store.notice()

    assert noticed_at is not None
    assert (store.budget()["mailed_at"], store.budget()["noticed_at"]) == ([noticed_at], noticed_at)


def test_a_notice_to_a_claim_counts_for_the_day_once_it_is_active(store: StoreUnderTest) -> None:
    claim = store.claimed()
    store.notice()
    store.judge(claim, CODE)

    assert store.notice() is None


def test_a_refunded_notice_is_due_again(store: StoreUnderTest) -> None:
    store.activate()
    store.refund(store.notice())

    assert store.notice() is not None


@pytest.mark.parametrize("situation", [StoreUnderTest.claimed, StoreUnderTest.activate])
def test_of_twenty_notices_at_once_exactly_one_is_sent(store: StoreUnderTest, situation: Situation) -> None:
    situation(store)
    holder = store.find_holder()
    assert holder is not None

    booked = store.race([lambda racer: racer.book_notice(ADA, holder)] * 20)

    assert len([noticed for noticed in booked if noticed]) == 1
    assert len(store.budget()["mailed_at"]) == 2
