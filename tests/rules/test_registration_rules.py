"""The rules of a registration, with fakes in the place of database, bcrypt and mail."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from beefirst.errors import (
    AddressRefusedError,
    DatabaseUnavailableError,
    MailError,
    OverloadedError,
    PasswordRefusedError,
)
from beefirst.registration.rules import Attempt, Registered, Registration
from beefirst.registration.states import TRANSITIONS, Claim, Outcome, State
from tests.conftest import SECRET
from tests.support.fakes import MIDNIGHT, FakePasswords, MemoryStore, RecordingCourier, Row

ADA = "ada@example.com"
OTHER_SECRET = "staple-battery-horse"


class RulesOnFakes:
    """The use cases on fakes, called as if they were not asynchronous."""

    def __init__(self) -> None:
        self.store, self.passwords, self.courier = MemoryStore(), FakePasswords(), RecordingCourier()
        self._rules = Registration(self.store, self.passwords, self.courier)

    def register(self, address: str = ADA, password: str = SECRET) -> Registered:
        return asyncio.run(self._rules.register(address, password))

    def deliver(self, registered: Registered) -> bool:
        return asyncio.run(self._rules.deliver(registered))

    def activate(self, address: str, password: str, code: str) -> Attempt:
        return asyncio.run(self._rules.activate(address, password, code))

    def expire(self) -> list[UUID]:
        return list(asyncio.run(self._rules.expire()))


@pytest.fixture
def rules() -> RulesOnFakes:
    return RulesOnFakes()


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10000:04}"


def leave_free(_: RulesOnFakes) -> None:
    """Nobody has claimed the address."""


def leave_claimed(rules: RulesOnFakes) -> None:
    rules.register()


def leave_active(rules: RulesOnFakes) -> None:
    rules.activate(ADA, SECRET, rules.register().code)


def leave_locked(rules: RulesOnFakes) -> None:
    code = rules.register().code
    for _ in range(3):
        rules.activate(ADA, SECRET, wrong(code))


def leave_overdue(rules: RulesOnFakes) -> None:
    rules.register()
    rules.store.let_pass()


def leave_expired(rules: RulesOnFakes) -> None:
    leave_overdue(rules)
    rules.expire()


def leave_cooling(rules: RulesOnFakes) -> None:
    rules.store.cooling.add(ADA)


TAKEN = [leave_claimed, leave_active, leave_cooling]
FREE = [leave_free, leave_overdue, leave_expired, leave_locked]
Situation = Callable[[RulesOnFakes], None]


def test_only_a_claim_can_be_proven_or_end_and_only_what_ended_is_claimed_anew() -> None:
    assert TRANSITIONS[State.CLAIMED] == {State.ACTIVE, State.EXPIRED, State.LOCKED, State.CLAIMED}
    assert TRANSITIONS[State.EXPIRED] == TRANSITIONS[State.LOCKED] == {State.CLAIMED}
    assert TRANSITIONS[State.ACTIVE] == set()


def test_registering_claims_the_address_with_a_hash_of_the_password_and_a_code(rules: RulesOnFakes) -> None:
    registered = rules.register(" Ada@Example.com ", SECRET)

    row = rules.store.rows[ADA]
    assert registered.claim == row.claim
    assert (row.claim.password_hash, row.code, row.state) == (f"1:{SECRET}", registered.code, State.CLAIMED)
    assert rules.courier.sent == []


@pytest.mark.parametrize("situation", FREE)
def test_an_address_that_nobody_holds_is_claimed_anew(rules: RulesOnFakes, situation: Situation) -> None:
    situation(rules)

    assert rules.register(password=OTHER_SECRET).claim == rules.store.rows[ADA].claim


@pytest.mark.parametrize("situation", TAKEN)
def test_a_taken_address_is_not_claimed(rules: RulesOnFakes, situation: Situation) -> None:
    situation(rules)
    before = dict(rules.store.rows)

    assert rules.register(password=OTHER_SECRET).claim is None
    assert rules.store.rows == before


@pytest.mark.parametrize("situation", [*FREE, *TAKEN])
def test_registering_hashes_once_whoever_holds_the_address(rules: RulesOnFakes, situation: Situation) -> None:
    situation(rules)
    rules.passwords.work.clear()

    rules.register(password=OTHER_SECRET)

    assert rules.passwords.work == ["hash", "even out", "answer"]


@pytest.mark.parametrize(
    ("address", "password", "error"),
    [("ada", SECRET, AddressRefusedError), (ADA, "7 chars", PasswordRefusedError)],
)
def test_a_refused_registration_leaves_nothing_behind(
    rules: RulesOnFakes, address: str, password: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rules.register(address, password)

    assert (rules.store.rows, rules.passwords.work, rules.courier.sent) == ({}, [], [])


def test_neither_address_nor_hash_nor_code_shows_when_a_registration_is_printed() -> None:
    shown = repr(Registered(ADA, Claim(UUID(int=1), ADA, SECRET, MIDNIGHT), "7391"))

    assert [secret for secret in (ADA, SECRET, "7391") if secret in shown] == []
    assert "00000001" in shown


def test_the_code_of_a_claim_is_mailed_to_its_address(rules: RulesOnFakes) -> None:
    registered = rules.register()

    assert rules.deliver(registered) is True
    assert rules.courier.sent == [(ADA, registered.code)]
    assert rules.activate(ADA, SECRET, registered.code).outcome is Outcome.ACTIVATED


def id_of(registered: Registered) -> str:
    assert registered.claim
    return str(registered.claim.id)


def released(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Return what the log says of released claims: the event, the claim and why."""
    return [(line.message, vars(line)["registration"], vars(line)["reason"]) for line in caplog.records]


def test_a_code_that_cannot_be_delivered_frees_the_address_and_is_not_counted(
    rules: RulesOnFakes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    registered = rules.register()
    rules.courier.fails = True

    with pytest.raises(MailError):
        rules.deliver(registered)

    assert rules.store.rows[ADA].state is State.EXPIRED
    assert rules.store.refunded == [(ADA, MIDNIGHT)]
    assert released(caplog) == [("expired", id_of(registered), "mail not delivered")]


def test_a_mail_that_did_not_leave_is_not_counted_where_its_claim_cannot_be_released_either(
    rules: RulesOnFakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Claim) -> bool:
        raise DatabaseUnavailableError("The database does not answer.")

    registered = rules.register()
    rules.courier.fails = True
    monkeypatch.setattr(rules.store, "release", refuse)

    with pytest.raises(DatabaseUnavailableError):
        rules.deliver(registered)

    assert rules.store.refunded == [(ADA, MIDNIGHT)]


def test_a_code_that_cannot_be_delivered_ends_its_own_claim_and_never_the_next(rules: RulesOnFakes) -> None:
    late = rules.register()
    rules.store.let_pass()
    following = rules.register(password=OTHER_SECRET)
    rules.courier.fails = True

    with pytest.raises(MailError):
        rules.deliver(late)

    assert rules.store.rows[ADA].claim == following.claim
    assert rules.store.rows[ADA].state is State.CLAIMED


def test_a_claim_whose_mail_the_budget_does_not_allow_is_released_and_nothing_sent(
    rules: RulesOnFakes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rules.store.spent.add(ADA)

    assert rules.deliver(registered := rules.register()) is False
    assert rules.store.rows[ADA].state is State.EXPIRED
    assert released(caplog) == [("expired", id_of(registered), "mails of the day spent")]
    assert rules.courier.sent == []
    assert rules.store.refunded == []


@pytest.mark.parametrize(("situation", "state"), [(leave_claimed, State.CLAIMED), (leave_active, State.ACTIVE)])
def test_the_holder_of_a_taken_address_gets_a_notice_and_no_code(
    rules: RulesOnFakes, situation: Situation, state: State
) -> None:
    situation(rules)

    assert rules.deliver(rules.register(password=OTHER_SECRET)) is True
    assert rules.courier.sent == [(ADA, state)]


def test_a_notice_that_is_not_due_is_not_sent(rules: RulesOnFakes) -> None:
    leave_active(rules)
    rules.store.spent.add(ADA)

    assert rules.deliver(rules.register(password=OTHER_SECRET)) is False
    assert rules.courier.sent == []


def test_nobody_is_told_of_an_attempt_at_an_address_that_cools_down(rules: RulesOnFakes) -> None:
    leave_locked(rules)
    leave_cooling(rules)

    assert rules.deliver(rules.register(password=OTHER_SECRET)) is False
    assert rules.courier.sent == []


def test_a_notice_that_cannot_be_delivered_is_not_counted_and_ends_nothing(rules: RulesOnFakes) -> None:
    leave_claimed(rules)
    rules.courier.fails = True

    with pytest.raises(MailError):
        rules.deliver(rules.register(password=OTHER_SECRET))

    assert rules.store.rows[ADA].state is State.CLAIMED
    assert rules.store.refunded == [(ADA, MIDNIGHT)]


@pytest.mark.parametrize("address", [ADA, " ADA@Example.COM "])
def test_code_and_password_of_one_claim_activate_it_under_any_spelling(rules: RulesOnFakes, address: str) -> None:
    registered = rules.register()

    assert rules.activate(address, SECRET, registered.code) == Attempt(Outcome.ACTIVATED, registered.claim)
    assert rules.store.rows[ADA].state is State.ACTIVE


def test_a_code_is_good_once(rules: RulesOnFakes) -> None:
    code = rules.register().code
    rules.activate(ADA, SECRET, code)

    assert rules.activate(ADA, SECRET, code).outcome is Outcome.NO_CLAIM
    assert rules.store.judged == [code]


def test_the_last_wrong_code_locks_and_then_even_the_right_one_is_worthless(rules: RulesOnFakes) -> None:
    code = rules.register().code

    outcomes = [rules.activate(ADA, SECRET, guess).outcome for guess in (*[wrong(code)] * 3, code)]

    assert outcomes == [Outcome.WRONG_CODE, Outcome.WRONG_CODE, Outcome.LOCKED, Outcome.NO_CLAIM]


def test_what_the_log_may_say_tells_a_wrong_password_from_an_address_that_nobody_claims(rules: RulesOnFakes) -> None:
    registered = rules.register()

    assert rules.activate(ADA, OTHER_SECRET, "1234") == Attempt(Outcome.WRONG_PASSWORD, registered.claim)
    assert rules.activate("bob@example.com", OTHER_SECRET, "1234") == Attempt(Outcome.NO_CLAIM, None)


@pytest.mark.parametrize("password", [OTHER_SECRET, "", "7 chars", SECRET + "x" * 72, SECRET + "\0"])
def test_without_the_password_of_the_claim_no_code_counts(rules: RulesOnFakes, password: str) -> None:
    code = rules.register().code

    outcomes = {rules.activate(ADA, password, guess).outcome for guess in (code, *[wrong(code)] * 5)}

    assert Outcome.ACTIVATED not in outcomes
    assert rules.store.judged == []
    assert rules.activate(ADA, SECRET, code).outcome is Outcome.ACTIVATED


@pytest.mark.parametrize("password", ["", "7 chars", "a" * 73, "long enough\0", "Password1"])
def test_a_password_that_register_would_refuse_never_matches(rules: RulesOnFakes, password: str) -> None:
    rules.store.rows[ADA] = Row(Claim(uuid4(), ADA, f"0:{password}"), "1234", MIDNIGHT)

    assert rules.activate(ADA, password, "1234").outcome is Outcome.NO_CLAIM
    assert rules.store.judged == []


def test_a_claim_that_ends_while_the_password_is_checked_is_not_proven(rules: RulesOnFakes) -> None:
    code = rules.register().code
    rules.passwords.meanwhile = rules.store.let_pass

    assert rules.activate(ADA, SECRET, code).outcome is Outcome.NO_CLAIM
    assert rules.store.judged == []


@pytest.mark.parametrize("situation", [*FREE, *TAKEN])
@pytest.mark.parametrize("address", [ADA, "nobody@example.com", "no address"])
@pytest.mark.parametrize("password", [SECRET, OTHER_SECRET, "7 chars", "a" * 73, "long enough\0", ""])
def test_activating_hashes_once_whatever_is_wrong(
    rules: RulesOnFakes, situation: Situation, address: str, password: str
) -> None:
    situation(rules)
    rules.passwords.work.clear()

    rules.activate(address, password, "1234")

    assert rules.passwords.work == ["match", "even out", "answer"]


def test_a_claim_past_its_time_is_expired_and_named_once(rules: RulesOnFakes) -> None:
    registered = rules.register()
    rules.store.let_pass()

    assert [rules.expire(), rules.expire()] == [[registered.claim and registered.claim.id], []]
    assert rules.store.rows[ADA].state is State.EXPIRED


def test_a_claim_in_time_is_not_expired(rules: RulesOnFakes) -> None:
    rules.register()
    rules.store.let_pass(59)

    assert rules.expire() == []


@pytest.mark.parametrize("situation", [leave_free, leave_claimed, leave_active])
def test_who_gets_no_turn_is_refused_before_anything_is_looked_up(rules: RulesOnFakes, situation: Situation) -> None:
    situation(rules)
    rules.passwords.is_full = True
    rules.store.looked_up.clear()

    with pytest.raises(OverloadedError):
        rules.activate(ADA, SECRET, "0000")
    with pytest.raises(OverloadedError):
        rules.register()

    assert rules.store.looked_up == []
