"""The rules of a registration, with fakes in the place of database, bcrypt and mail."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from beefirst.errors import AddressRefusedError, MailError, PasswordRefusedError
from beefirst.registration.rules import Attempt, Registered, Registration
from beefirst.registration.states import TRANSITIONS, Claim, Outcome, State
from tests.conftest import SECRET
from tests.support.fakes import MIDNIGHT, FakePasswords, MemoryStore, RecordingCourier, Row

ADA = "ada@example.com"
OTHER_SECRET = "staple-battery-horse"


class Service:
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
def service() -> Service:
    return Service()


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10000:04}"


def leave_free(_: Service) -> None:
    """Nobody has claimed the address."""


def leave_claimed(service: Service) -> None:
    service.register()


def leave_active(service: Service) -> None:
    service.activate(ADA, SECRET, service.register().code)


def leave_locked(service: Service) -> None:
    code = service.register().code
    for _ in range(3):
        service.activate(ADA, SECRET, wrong(code))


def leave_overdue(service: Service) -> None:
    service.register()
    service.store.let_pass()


def leave_expired(service: Service) -> None:
    leave_overdue(service)
    service.expire()


def leave_cooling(service: Service) -> None:
    service.store.cooling.add(ADA)


TAKEN = [leave_claimed, leave_active, leave_cooling]
FREE = [leave_free, leave_overdue, leave_expired, leave_locked]
Situation = Callable[[Service], None]


def test_only_a_claim_can_be_proven_or_end_and_only_what_ended_is_claimed_anew() -> None:
    assert TRANSITIONS[State.CLAIMED] == {State.ACTIVE, State.EXPIRED, State.LOCKED, State.CLAIMED}
    assert TRANSITIONS[State.EXPIRED] == TRANSITIONS[State.LOCKED] == {State.CLAIMED}
    assert TRANSITIONS[State.ACTIVE] == set()


def test_registering_claims_the_address_with_a_hash_of_the_password_and_a_code(service: Service) -> None:
    registered = service.register(" Ada@Example.com ", SECRET)

    row = service.store.rows[ADA]
    assert registered.claim == row.claim
    assert (row.claim.password_hash, row.code, row.state) == (f"1:{SECRET}", registered.code, State.CLAIMED)
    assert service.courier.sent == []


@pytest.mark.parametrize("situation", FREE)
def test_an_address_that_nobody_holds_is_claimed_anew(service: Service, situation: Situation) -> None:
    situation(service)

    assert service.register(password=OTHER_SECRET).claim == service.store.rows[ADA].claim


@pytest.mark.parametrize("situation", TAKEN)
def test_a_taken_address_is_not_claimed(service: Service, situation: Situation) -> None:
    situation(service)
    before = dict(service.store.rows)

    assert service.register(password=OTHER_SECRET).claim is None
    assert service.store.rows == before


@pytest.mark.parametrize("situation", [*FREE, *TAKEN])
def test_registering_hashes_once_whoever_holds_the_address(service: Service, situation: Situation) -> None:
    situation(service)
    service.passwords.work.clear()

    service.register(password=OTHER_SECRET)

    assert service.passwords.work == ["hash", "even out", "answer"]


@pytest.mark.parametrize(
    ("address", "password", "error"),
    [("ada", SECRET, AddressRefusedError), (ADA, "7 chars", PasswordRefusedError)],
)
def test_a_refused_registration_leaves_nothing_behind(
    service: Service, address: str, password: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        service.register(address, password)

    assert (service.store.rows, service.passwords.work, service.courier.sent) == ({}, [], [])


def test_neither_address_nor_hash_nor_code_shows_when_a_registration_is_printed() -> None:
    shown = repr(Registered(ADA, Claim(UUID(int=1), ADA, SECRET, MIDNIGHT), "7391"))

    assert [secret for secret in (ADA, SECRET, "7391") if secret in shown] == []
    assert "00000001" in shown


def test_the_code_of_a_claim_is_mailed_to_its_address(service: Service) -> None:
    registered = service.register()

    assert service.deliver(registered) is True
    assert service.courier.sent == [(ADA, registered.code)]
    assert service.activate(ADA, SECRET, registered.code).outcome is Outcome.ACTIVATED


def test_a_code_that_cannot_be_delivered_frees_the_address_and_is_not_counted(service: Service) -> None:
    registered = service.register()
    service.courier.fails = True

    with pytest.raises(MailError):
        service.deliver(registered)

    assert service.store.rows[ADA].state is State.EXPIRED
    assert service.store.refunded == [(ADA, MIDNIGHT)]


def test_a_code_that_cannot_be_delivered_ends_its_own_claim_and_never_the_next(service: Service) -> None:
    late = service.register()
    service.store.let_pass()
    following = service.register(password=OTHER_SECRET)
    service.courier.fails = True

    with pytest.raises(MailError):
        service.deliver(late)

    assert service.store.rows[ADA].claim == following.claim
    assert service.store.rows[ADA].state is State.CLAIMED


def test_a_claim_whose_mail_the_budget_does_not_allow_is_released_and_nothing_sent(service: Service) -> None:
    service.store.spent.add(ADA)

    assert service.deliver(service.register()) is False
    assert service.store.rows[ADA].state is State.EXPIRED
    assert service.courier.sent == []
    assert service.store.refunded == []


@pytest.mark.parametrize(("situation", "state"), [(leave_claimed, State.CLAIMED), (leave_active, State.ACTIVE)])
def test_the_holder_of_a_taken_address_gets_a_notice_and_no_code(
    service: Service, situation: Situation, state: State
) -> None:
    situation(service)

    assert service.deliver(service.register(password=OTHER_SECRET)) is True
    assert service.courier.sent == [(ADA, state)]


def test_a_notice_that_is_not_due_is_not_sent(service: Service) -> None:
    leave_active(service)
    service.store.spent.add(ADA)

    assert service.deliver(service.register(password=OTHER_SECRET)) is False
    assert service.courier.sent == []


def test_nobody_is_told_of_an_attempt_at_an_address_that_cools_down(service: Service) -> None:
    leave_locked(service)
    leave_cooling(service)

    assert service.deliver(service.register(password=OTHER_SECRET)) is False
    assert service.courier.sent == []


def test_a_notice_that_cannot_be_delivered_is_not_counted_and_ends_nothing(service: Service) -> None:
    leave_claimed(service)
    service.courier.fails = True

    with pytest.raises(MailError):
        service.deliver(service.register(password=OTHER_SECRET))

    assert service.store.rows[ADA].state is State.CLAIMED
    assert service.store.refunded == [(ADA, MIDNIGHT)]


@pytest.mark.parametrize("address", [ADA, " ADA@Example.COM "])
def test_code_and_password_of_one_claim_activate_it_under_any_spelling(service: Service, address: str) -> None:
    registered = service.register()

    assert service.activate(address, SECRET, registered.code) == Attempt(Outcome.ACTIVATED, registered.claim)
    assert service.store.rows[ADA].state is State.ACTIVE


def test_a_code_is_good_once(service: Service) -> None:
    code = service.register().code
    service.activate(ADA, SECRET, code)

    assert service.activate(ADA, SECRET, code).outcome is Outcome.NO_CLAIM
    assert service.store.judged == [code]


def test_the_last_wrong_code_locks_and_then_even_the_right_one_is_worthless(service: Service) -> None:
    code = service.register().code

    outcomes = [service.activate(ADA, SECRET, guess).outcome for guess in (*[wrong(code)] * 3, code)]

    assert outcomes == [Outcome.WRONG_CODE, Outcome.WRONG_CODE, Outcome.LOCKED, Outcome.NO_CLAIM]


@pytest.mark.parametrize("password", [OTHER_SECRET, "", "7 chars", SECRET + "x" * 72, SECRET + "\0"])
def test_without_the_password_of_the_claim_no_code_counts(service: Service, password: str) -> None:
    code = service.register().code

    outcomes = {service.activate(ADA, password, guess).outcome for guess in (code, *[wrong(code)] * 5)}

    assert Outcome.ACTIVATED not in outcomes
    assert service.store.judged == []
    assert service.activate(ADA, SECRET, code).outcome is Outcome.ACTIVATED


@pytest.mark.parametrize("password", ["", "7 chars", "a" * 73, "long enough\0"])
def test_a_password_that_register_would_refuse_never_matches(service: Service, password: str) -> None:
    service.store.rows[ADA] = Row(Claim(uuid4(), ADA, f"0:{password}"), "1234", MIDNIGHT)

    assert service.activate(ADA, password, "1234").outcome is Outcome.NO_CLAIM
    assert service.store.judged == []


def test_a_claim_that_ends_while_the_password_is_checked_is_not_proven(service: Service) -> None:
    code = service.register().code
    service.passwords.meanwhile = service.store.pass_time

    assert service.activate(ADA, SECRET, code).outcome is Outcome.NO_CLAIM
    assert service.store.judged == []


@pytest.mark.parametrize("situation", [*FREE, *TAKEN])
@pytest.mark.parametrize("address", [ADA, "nobody@example.com", "no address"])
@pytest.mark.parametrize("password", [SECRET, OTHER_SECRET, "7 chars", "a" * 73, "long enough\0", ""])
def test_activating_hashes_once_whatever_is_wrong(
    service: Service, situation: Situation, address: str, password: str
) -> None:
    situation(service)
    service.passwords.work.clear()

    service.activate(address, password, "1234")

    assert service.passwords.work == ["match", "even out", "answer"]


def test_a_claim_past_its_time_is_expired_and_named_once(service: Service) -> None:
    registered = service.register()
    service.store.let_pass()

    assert [service.expire(), service.expire()] == [[registered.claim and registered.claim.id], []]
    assert service.store.rows[ADA].state is State.EXPIRED


def test_a_claim_in_time_is_not_expired(service: Service) -> None:
    service.register()
    service.store.let_pass(59)

    assert service.expire() == []
