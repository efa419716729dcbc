"""Each statement of the registrations on a real PostgreSQL, alone and raced."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, LiteralString, TypeVar
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from beefirst.database import registrations, sweeping
from beefirst.database.store import RegistrationStore
from beefirst.errors import DatabaseUnavailableError
from beefirst.laboratory.clock import let_pass
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.machine.ports import free_port
from beefirst.registration.states import MAILS_A_DAY, Claim, Holder, Judgement, State
from tests.support.databases import empty, migrated_database

ADA, BOB = "ada@example.com", "bob@example.com"
CODE, WRONG = "1234", "4321"
TTL, HOUR, DAY = 60, 3600, 24 * 3600
CONNECTIONS = 12

Link = AsyncConnection[Any]
Result = TypeVar("Result")
hashes = map("hash {}".format, count())


async def at_once(url: str, calls: Sequence[Callable[[Link], Awaitable[Result | None]]]) -> list[Result]:
    """Make all calls at the same time, on CONNECTIONS connections, and return what they gave but None."""
    async with AsyncConnectionPool[Link](
        url, kwargs={"autocommit": True}, min_size=CONNECTIONS, max_size=CONNECTIONS, open=False
    ) as pool:
        await pool.wait()

        async def make(call: Callable[[Link], Awaitable[Result | None]]) -> Result | None:
            async with pool.connection() as link:
                return await call(link)

        results = await asyncio.gather(*map(make, calls))
    return [result for result in results if result is not None]


class Service:
    """The functions under test on one connection, called as if they were not asynchronous.

    Attributes:
        aside: another connection, to look at what happened.
        last: the last claim that was granted.
    """

    last: Claim

    def __init__(self, database: ScratchDatabase) -> None:
        self.url = database.url
        self._runner = asyncio.Runner()
        self._link = self.run(AsyncConnection.connect(self.url, autocommit=True))
        self.aside = database.connect()
        empty(self.aside)

    def close(self) -> None:
        self.run(self._link.close())
        self._runner.close()
        self.aside.close()

    def run(self, action: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(action)

    def claim(self, email: str = ADA, code: str = CODE, ttl: float = TTL) -> Claim | None:
        return self.run(registrations.claim_address(self._link, email, next(hashes), code, ttl))

    def claimed(self, email: str = ADA, code: str = CODE) -> Claim:
        claim = self.claim(email, code)
        assert claim is not None
        self.last = claim
        return claim

    def claimed_later(self, seconds: float, email: str = ADA) -> Claim:
        self.let_pass(seconds)
        return self.claimed(email)

    def find_claim(self, email: str = ADA, ttl: float = TTL) -> Claim | None:
        return self.run(registrations.find_claim(self._link, email, ttl))

    def judge(self, claim: Claim, code: str, max_attempts: int = 3, ttl: float = TTL) -> Judgement | None:
        return self.run(registrations.judge_code(self._link, claim, code, max_attempts, ttl))

    def release(self, claim: Claim) -> bool:
        return self.run(registrations.release_claim(self._link, claim))

    def find_holder(self, email: str = ADA) -> Holder | None:
        return self.run(registrations.find_holder(self._link, email, TTL))

    def notice(self, email: str = ADA) -> datetime | None:
        holder = self.find_holder(email)
        assert holder is not None
        return self.run(registrations.book_notice(self._link, email, holder.notice_due_after))

    def refund(self, mailed_at: datetime | None, email: str = ADA) -> None:
        assert mailed_at is not None
        self.run(registrations.refund_mail(self._link, email, mailed_at))

    def expire(self, batch: int = sweeping.BATCH) -> list[UUID]:
        return self.run(sweeping.expire_due_claims(self._link, TTL, batch))

    def delete_ended(self, batch: int = sweeping.BATCH) -> int:
        return self.run(sweeping.delete_ended_registrations(self._link, batch))

    def delete_budgets(self, batch: int = sweeping.BATCH) -> int:
        return self.run(sweeping.delete_forgotten_budgets(self._link, batch))

    def overdue(self) -> int:
        return self.run(sweeping.count_overdue_claims(self._link, TTL))

    def let_pass(self, seconds: float) -> None:
        let_pass(self.aside, seconds)

    def query(self, statement: LiteralString, *values: object) -> list[dict[str, Any]]:
        return self.aside.cursor(row_factory=dict_row).execute(statement, values).fetchall()

    def row(self, email: str = ADA) -> dict[str, Any]:
        (row,) = self.query("SELECT * FROM registrations WHERE email = %s", email)
        return row

    def state(self, email: str = ADA) -> tuple[str, int, bool]:
        """Return state, attempts, and whether there is a hash."""
        row = self.row(email)
        return row["state"], row["attempt_count"], row["password_hash"] is not None

    def budget(self, email: str = ADA) -> dict[str, Any]:
        (budget,) = self.query("SELECT * FROM address_budgets WHERE email = %s", email)
        return budget

    def cool_down(self, email: str = ADA) -> int:
        """Return how many seconds the cool-down lasts that the last wrong guess has started."""
        budget = self.budget(email)
        lasting: timedelta = budget["cooling_until"] - budget["guessed_at"]
        return round(lasting.total_seconds())

    def activate(self, email: str = ADA) -> Claim:
        claim = self.claimed(email)
        assert self.judge(claim, CODE) == Judgement(State.ACTIVE, 0)
        return claim

    def lock(self, email: str = ADA, ttl: float = TTL) -> Claim:
        claim = self.claimed(email)
        assert [self.judge(claim, WRONG, ttl=ttl) for _ in range(3)][-1] == Judgement(State.LOCKED, 3)
        return claim


@pytest.fixture(scope="module")
def migrated() -> Iterator[ScratchDatabase]:
    with migrated_database() as database:
        yield database


@pytest.fixture
def service(migrated: ScratchDatabase) -> Iterator[Service]:
    service = Service(migrated)
    yield service
    service.close()


@asynccontextmanager
async def links(url: str, number: int) -> AsyncIterator[list[Link]]:
    opened = [await AsyncConnection.connect(url, autocommit=True) for _ in range(number)]
    try:
        yield opened
    finally:
        for link in opened:
            await link.close()


async def started_and_waiting(action: Coroutine[Any, Any, Result], link: Link, watcher: Link) -> asyncio.Task[Result]:
    """Start a statement on a connection and return once it waits for a lock."""
    task = asyncio.create_task(action)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not await (await watcher.execute(waiting, (link.info.backend_pid,))).fetchone():
            await asyncio.sleep(0.01)
    return task


def leave_overdue(service: Service) -> None:
    service.claimed()
    service.let_pass(TTL)


def leave_expired(service: Service) -> None:
    leave_overdue(service)
    service.expire()


def leave_released(service: Service) -> None:
    service.release(service.claimed())


def leave_locked(service: Service) -> None:
    service.lock()
    service.let_pass(TTL)


def leave_free(_: Service) -> None:
    """Nobody has claimed the address."""


ENDED = [leave_overdue, leave_expired, leave_released, leave_locked]
Situation = Callable[[Service], None]


# Claiming


def test_a_new_address_is_claimed_and_its_mail_booked(service: Service) -> None:
    claim = service.claimed()

    row = service.row()
    assert (row["id"], row["email"], row["password_hash"]) == (claim.id, claim.email, claim.password_hash)
    assert (row["verification_code"], row["state"], row["attempt_count"]) == (CODE, "CLAIMED", 0)
    assert row["activated_at"] is None
    assert service.budget()["mailed_at"] == [claim.mailed_at]


@pytest.mark.parametrize("seconds", [0, TTL - 1])
def test_a_claim_in_time_cannot_be_claimed(service: Service, seconds: int) -> None:
    service.claimed()
    service.let_pass(seconds)
    before = service.row(), service.budget()

    assert service.claim() is None
    assert (service.row(), service.budget()) == before


@pytest.mark.parametrize("seconds", [0, TTL, 30 * DAY])
def test_an_active_address_is_never_claimed_again(service: Service, seconds: int) -> None:
    service.activate()
    service.let_pass(seconds)
    before = service.row()

    assert service.claim() is None
    assert service.row() == before


@pytest.mark.parametrize("situation", ENDED)
def test_an_ended_registration_is_claimed_anew_with_nothing_left_of_the_old(
    service: Service, situation: Situation
) -> None:
    situation(service)
    ended = service.row()

    claim = service.claimed(code="0000")

    row = service.row()
    assert (row["id"], row["password_hash"], row["verification_code"]) == (ended["id"], claim.password_hash, "0000")
    assert (row["state"], row["attempt_count"], row["activated_at"]) == ("CLAIMED", 0, None)
    assert row["created_at"] > ended["created_at"] + timedelta(seconds=0)


def test_a_claim_frees_itself_when_its_time_is_over_with_nobody_sweeping(service: Service) -> None:
    first = service.claim(ttl=0.3)
    at_once = service.claim(ttl=0.3)
    time.sleep(0.3)

    assert first is not None
    assert at_once is None
    assert service.claim(ttl=0.3) is not None


def test_how_long_a_claim_holds_is_what_the_claimant_says(service: Service) -> None:
    service.claimed()
    service.let_pass(30)

    assert service.claim(ttl=31) is None
    assert service.claim(ttl=30) is not None


def test_addresses_are_claimed_each_for_itself(service: Service) -> None:
    assert service.claimed(ADA).id != service.claimed(BOB).id


@pytest.mark.parametrize("situation", [leave_free, *ENDED])
def test_of_fifty_claims_at_once_exactly_one_is_granted(service: Service, situation: Situation) -> None:
    situation(service)

    claims = service.run(
        at_once(
            service.url,
            [
                lambda link, n=number: registrations.claim_address(link, ADA, f"racer {n}", CODE, TTL)
                for number in range(50)
            ],
        )
    )

    (granted,) = [claim for claim in claims if claim]
    assert service.row()["password_hash"] == granted.password_hash
    assert service.budget()["mailed_at"][-1] == granted.mailed_at


def test_a_claim_that_waits_for_another_is_refused_once_that_one_stands(service: Service) -> None:
    async def race() -> tuple[Claim | None, Claim | None]:
        async with links(service.url, 3) as (first, second, watcher):
            async with first.transaction():
                granted = await registrations.claim_address(first, ADA, "first", CODE, TTL)
                late = registrations.claim_address(second, ADA, "second", CODE, TTL)
                task = await started_and_waiting(late, second, watcher)
            return granted, await task

    granted, refused = service.run(race())

    assert granted is not None
    assert refused is None


def test_a_claim_that_waits_for_another_is_granted_if_that_one_comes_to_nothing(service: Service) -> None:
    async def race() -> Claim | None:
        async with links(service.url, 3) as (first, second, watcher):
            async with first.transaction(force_rollback=True):
                await registrations.claim_address(first, ADA, "first", CODE, TTL)
                late = registrations.claim_address(second, ADA, "second", CODE, TTL)
                task = await started_and_waiting(late, second, watcher)
            return await task

    granted = service.run(race())

    assert granted is not None
    assert service.row()["password_hash"] == "second"


def test_a_claim_that_waits_for_the_judgement_that_starts_a_cool_down_is_refused(service: Service) -> None:
    claim = service.claimed()
    service.judge(claim, WRONG)
    service.judge(claim, WRONG)

    async def race() -> tuple[Judgement | None, Claim | None]:
        async with links(service.url, 3) as (judge, claimant, watcher):
            async with judge.transaction():
                judgement = await registrations.judge_code(judge, claim, WRONG, 3, TTL)
                late = registrations.claim_address(claimant, ADA, "next", CODE, 0.001)
                task = await started_and_waiting(late, claimant, watcher)
            return judgement, await task

    assert service.run(race()) == (Judgement(State.LOCKED, 3), None)
    assert service.state() == ("LOCKED", 3, False)


def test_a_claim_that_waits_for_a_release_is_granted(service: Service) -> None:
    claim = service.claimed()

    async def race() -> Claim | None:
        async with links(service.url, 3) as (releaser, claimant, watcher):
            async with releaser.transaction():
                await registrations.release_claim(releaser, claim)
                late = registrations.claim_address(claimant, ADA, "next", CODE, TTL)
                task = await started_and_waiting(late, claimant, watcher)
            return await task

    assert service.run(race()) is not None
    assert service.row()["password_hash"] == "next"


# Finding a claim


def test_a_claim_in_time_is_found_with_its_hash(service: Service) -> None:
    claim = service.claimed()
    service.let_pass(TTL - 1)

    assert service.find_claim() == Claim(claim.id, ADA, claim.password_hash)


@pytest.mark.parametrize("situation", [leave_free, *ENDED, Service.activate])
def test_where_nothing_can_be_proven_no_claim_is_found(service: Service, situation: Situation) -> None:
    situation(service)

    assert service.find_claim() is None


def test_a_claim_without_a_hash_from_before_is_not_found(service: Service) -> None:
    service.query("INSERT INTO registrations (email, verification_code) VALUES (%s, %s) RETURNING id", ADA, CODE)

    assert service.find_claim() is None


# Judging a code


def test_the_right_code_activates(service: Service) -> None:
    claim = service.claimed()
    service.judge(claim, WRONG)

    assert service.judge(claim, CODE) == Judgement(State.ACTIVE, 1)
    row = service.row()
    assert (row["state"], row["attempt_count"], row["password_hash"]) == ("ACTIVE", 1, claim.password_hash)
    assert row["created_at"] < row["activated_at"] <= datetime.now(UTC) + timedelta(seconds=1)
    assert service.budget()["wrong_guesses"] == 1


@pytest.mark.parametrize("code", [WRONG, "1235", "123", "12345", "", "abcd", " 1234", "١٢٣٤"])
def test_a_wrong_code_costs_one_attempt(service: Service, code: str) -> None:
    claim = service.claimed()

    assert service.judge(claim, code) == Judgement(State.CLAIMED, 1)
    assert service.state() == ("CLAIMED", 1, True)
    assert service.row()["activated_at"] is None


@pytest.mark.parametrize("max_attempts", [1, 3, 10])
def test_the_last_attempt_locks_and_erases_the_hash(service: Service, max_attempts: int) -> None:
    claim = service.claimed()

    judgements = [service.judge(claim, WRONG, max_attempts) for _ in range(max_attempts + 1)]

    assert judgements[:-2] == [Judgement(State.CLAIMED, number) for number in range(1, max_attempts)]
    assert judgements[-2:] == [Judgement(State.LOCKED, max_attempts), None]
    assert service.state() == ("LOCKED", max_attempts, False)


def test_the_right_code_at_the_last_attempt_activates(service: Service) -> None:
    claim = service.claimed()
    service.judge(claim, WRONG)
    service.judge(claim, WRONG)

    assert service.judge(claim, CODE) == Judgement(State.ACTIVE, 2)


@pytest.mark.parametrize("code", [CODE, WRONG])
@pytest.mark.parametrize("situation", [*ENDED, Service.activate])
def test_on_a_claim_that_is_over_no_code_counts(service: Service, situation: Situation, code: str) -> None:
    situation(service)
    row = service.row()
    budget = service.budget()

    judgement = service.judge(Claim(row["id"], ADA, row["password_hash"] or "hash 0"), code)

    assert judgement is None
    assert (service.row(), service.budget()) == (row, budget)


@pytest.mark.parametrize("code", [CODE, WRONG])
def test_a_guess_at_an_earlier_claim_never_counts_against_the_next(service: Service, code: str) -> None:
    earlier = service.claimed()
    service.release(earlier)
    following = service.claimed()

    assert service.judge(earlier, code) is None
    assert service.state() == ("CLAIMED", 0, True)
    assert service.budget()["wrong_guesses"] == 0
    assert service.judge(following, CODE) == Judgement(State.ACTIVE, 0)


def test_a_guess_names_the_row_as_well_as_the_hash(service: Service) -> None:
    claim = service.claimed()

    assert service.judge(Claim(uuid4(), ADA, claim.password_hash), CODE) is None
    assert service.state() == ("CLAIMED", 0, True)


def test_a_guess_that_waits_while_the_address_is_claimed_anew_does_not_hit_the_next_claim(service: Service) -> None:
    claim = service.claimed()

    async def race() -> Judgement | None:
        async with links(service.url, 3) as (other, judge, watcher):
            async with other.transaction():
                await registrations.release_claim(other, claim)
                await registrations.claim_address(other, ADA, "next", CODE, TTL)
                late = registrations.judge_code(judge, claim, WRONG, 3, TTL)
                task = await started_and_waiting(late, judge, watcher)
            return await task

    assert service.run(race()) is None
    assert service.state() == ("CLAIMED", 0, True)
    assert service.row()["password_hash"] == "next"


@pytest.mark.parametrize("max_attempts", [1, 3, 10])
def test_of_a_hundred_wrong_guesses_at_once_exactly_max_attempts_are_judged(
    service: Service, max_attempts: int
) -> None:
    claim = service.claimed()

    judgements = service.run(
        at_once(service.url, [lambda link: registrations.judge_code(link, claim, WRONG, max_attempts, TTL)] * 100)
    )

    judged = sorted(judgement.attempts for judgement in judgements if judgement)
    assert judged == list(range(1, max_attempts + 1))
    assert service.state() == ("LOCKED", max_attempts, False)
    assert (service.budget()["wrong_guesses"], service.budget()["cool_downs"]) == (max_attempts, 1)


def test_of_fifty_right_guesses_at_once_exactly_one_activates(service: Service) -> None:
    claim = service.claimed()

    judgements = service.run(
        at_once(service.url, [lambda link: registrations.judge_code(link, claim, CODE, 3, TTL)] * 50)
    )

    assert [judgement for judgement in judgements if judgement] == [Judgement(State.ACTIVE, 0)]
    assert service.state() == ("ACTIVE", 0, True)


def test_wrong_guesses_at_many_addresses_at_once_are_all_counted(service: Service) -> None:
    claims = [service.claimed(f"{number}@example.com") for number in range(6)]

    service.run(
        at_once(
            service.url,
            [lambda link, to=claim: registrations.judge_code(link, to, WRONG, 10, TTL) for claim in claims * 5],
        )
    )

    assert [service.budget(claim.email)["wrong_guesses"] for claim in claims] == [5] * 6


# Releasing


def test_a_released_claim_is_expired_without_a_hash_and_free_at_once(service: Service) -> None:
    assert service.release(service.claimed()) is True
    assert service.state() == ("EXPIRED", 0, False)
    assert service.claim() is not None


@pytest.mark.parametrize("situation", [*ENDED[1:], Service.activate])
def test_only_a_claim_is_released(service: Service, situation: Situation) -> None:
    situation(service)
    row = service.row()

    assert service.release(Claim(row["id"], ADA, row["password_hash"] or "hash 0")) is False
    assert service.row() == row


def test_releasing_an_earlier_claim_leaves_the_next_alone(service: Service) -> None:
    earlier = service.claimed()
    service.let_pass(TTL)
    following = service.claimed()

    assert service.release(earlier) is False
    assert service.release(Claim(uuid4(), ADA, following.password_hash)) is False
    assert service.find_claim() == Claim(following.id, ADA, following.password_hash)


# The budget of an address


def test_wrong_guesses_count_across_claims_however_these_end(service: Service) -> None:
    released, expired = service.claimed(), None
    service.judge(released, WRONG)
    service.release(released)
    expired = service.claimed()
    service.judge(expired, WRONG)
    service.let_pass(TTL)
    service.expire()
    third = service.claimed()

    assert service.judge(third, WRONG) == Judgement(State.CLAIMED, 1)
    assert service.cool_down() == TTL
    assert service.release(third) is True
    assert service.claim() is None


def test_a_claim_that_stands_when_a_cool_down_begins_can_still_be_proven(service: Service) -> None:
    first = service.claimed()
    service.judge(first, WRONG)
    service.judge(first, WRONG)
    service.release(first)
    second = service.claimed()
    service.judge(second, WRONG)

    assert service.find_claim() is not None
    assert service.judge(second, CODE) == Judgement(State.ACTIVE, 1)


@pytest.mark.parametrize("situation", [Service.expire, Service.delete_ended, leave_free])
def test_an_address_that_cools_down_is_refused_until_the_end_whatever_became_of_its_row(
    service: Service, situation: Situation
) -> None:
    service.lock()
    service.query("UPDATE registrations SET created_at = created_at - INTERVAL '2 days' RETURNING id")
    situation(service)
    service.let_pass(TTL - 1)

    assert service.claim() is None
    service.let_pass(1)
    assert service.claim() is not None


def test_a_cool_down_is_of_one_address_alone(service: Service) -> None:
    service.lock(ADA)

    assert service.claim(ADA) is None
    assert service.claim(BOB) is not None


@pytest.mark.parametrize(
    ("ttl", "lasting"),
    [
        (60, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (1, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]),
        (3600, [3600, 3600]),
    ],
)
def test_cool_downs_double_from_the_ttl_to_an_hour(service: Service, ttl: int, lasting: list[int]) -> None:
    def lock_out() -> int:
        service.let_pass(HOUR)
        service.lock(ttl=ttl)
        return service.cool_down()

    assert [lock_out() for _ in lasting] == lasting


@pytest.mark.parametrize(("quiet", "lasting"), [(DAY - 10, 120), (DAY, 60)])
def test_cool_downs_are_forgotten_after_a_day_without_a_wrong_guess(service: Service, quiet: int, lasting: int) -> None:
    service.lock()
    service.let_pass(quiet)
    service.lock()

    assert service.cool_down() == lasting


@pytest.mark.parametrize(("quiet", "cooling"), [(DAY - 10, True), (DAY, False)])
def test_wrong_guesses_are_forgotten_after_a_day_without_another(service: Service, quiet: int, cooling: bool) -> None:
    claim = service.claimed()
    service.judge(claim, WRONG)
    service.judge(claim, WRONG)
    service.let_pass(quiet)

    service.judge(service.claimed(), WRONG)

    assert (service.budget()["cooling_until"] is not None) is cooling


@pytest.mark.parametrize("max_attempts", [1, 3, 10])
def test_a_cool_down_begins_with_every_max_attempts_wrong_guesses(service: Service, max_attempts: int) -> None:
    claim = service.claimed()

    cool_downs = [
        (service.judge(claim, WRONG, max_attempts), service.budget()["cool_downs"])[1] for _ in range(max_attempts)
    ]

    assert cool_downs == [0] * (max_attempts - 1) + [1]


def test_somebody_who_guesses_all_day_gets_under_a_hundred_guesses(service: Service) -> None:
    guesses, seconds = 0, 0
    while seconds < DAY:
        service.lock()
        guesses += 3
        seconds += service.cool_down()
        service.let_pass(service.cool_down())

    assert 80 < guesses < 100


# Mail


def test_a_day_has_twenty_mails_and_a_claim_beyond_them_has_none(service: Service) -> None:
    claims = [service.claimed() for _ in range(MAILS_A_DAY + 1) if service.let_pass(TTL) is None]

    assert MAILS_A_DAY == 20
    assert [claim.mailed_at is None for claim in claims] == [False] * 20 + [True]
    assert service.find_claim() is not None


def test_the_day_of_twenty_mails_slides(service: Service) -> None:
    def claim_an_hour_later() -> bool:
        service.let_pass(HOUR)
        return service.claimed().mailed_at is not None

    mailed = [claim_an_hour_later() for _ in range(30)]

    assert mailed == [True] * 20 + [False] * 4 + [True] * 6


def test_notices_and_codes_share_the_mails_of_a_day(service: Service) -> None:
    for _ in range(MAILS_A_DAY // 2):
        service.let_pass(TTL)
        service.claimed()
        service.notice()
    service.let_pass(TTL)

    assert service.claimed().mailed_at is None
    assert service.notice() is None


def test_a_refunded_mail_can_be_sent_again(service: Service) -> None:
    claims = [service.claimed() for _ in range(MAILS_A_DAY) if service.let_pass(TTL) is None]
    others = service.budget()["mailed_at"][:-1]
    service.refund(claims[-1].mailed_at)
    service.let_pass(0)
    service.release(claims[-1])

    assert service.budget()["mailed_at"] == others
    assert service.claimed().mailed_at is not None
    service.let_pass(TTL)
    assert service.claimed().mailed_at is None


def test_refunding_a_code_leaves_the_notice_counted(service: Service) -> None:
    claim = service.claimed()
    noticed_at = service.notice()
    service.refund(claim.mailed_at)

    assert service.budget()["mailed_at"] == [noticed_at]
    assert service.notice() is None


def test_a_refund_to_an_address_without_a_budget_does_nothing(service: Service) -> None:
    service.refund(datetime.now(UTC), BOB)

    assert service.query("SELECT email FROM address_budgets") == []


def test_of_many_claims_and_notices_at_once_no_mail_is_lost_or_counted_twice(service: Service) -> None:
    claims = [service.claimed(f"{number}@example.com") for number in range(12)]

    service.run(
        at_once(
            service.url,
            [
                lambda link, to=claim: registrations.book_notice(link, to.email, datetime.now(UTC))
                for claim in claims * 4
            ],
        )
    )

    assert {len(service.budget(claim.email)["mailed_at"]) for claim in claims} <= {2, 3, 4, 5}


# Notices


def test_the_holder_of_a_claim_is_due_one_notice_since_it_was_made(service: Service) -> None:
    service.claimed()

    assert service.find_holder() == Holder(State.CLAIMED, service.row()["created_at"])


def test_the_holder_of_an_active_address_is_due_one_notice_a_day(service: Service) -> None:
    service.activate()

    holder = service.find_holder()

    assert holder is not None
    assert holder.state is State.ACTIVE
    assert abs(datetime.now(UTC) - timedelta(days=1) - holder.notice_due_after) < timedelta(seconds=10)


@pytest.mark.parametrize("situation", [leave_free, *ENDED])
def test_nobody_holds_an_address_that_is_free(service: Service, situation: Situation) -> None:
    situation(service)

    assert service.find_holder() is None


def test_each_claim_has_one_notice(service: Service) -> None:
    service.claimed()
    first = [service.notice(), service.notice()]
    service.let_pass(TTL)
    service.claimed()
    second = [service.notice(), service.notice()]

    assert [[noticed is not None for noticed in notices] for notices in (first, second)] == [[True, False]] * 2


def test_an_active_address_has_one_notice_a_day(service: Service) -> None:
    service.activate()
    first = [service.notice(), service.notice()]
    service.let_pass(DAY - 10)
    early = service.notice()
    service.let_pass(10)

    assert [noticed is not None for noticed in [*first, early, service.notice()]] == [True, False, False, True]


def test_an_active_address_without_a_budget_has_its_notice(service: Service) -> None:
    service.activate()
    service.query("DELETE FROM address_budgets RETURNING email")

    noticed_at = service.notice()

    assert noticed_at is not None
    assert (service.budget()["mailed_at"], service.budget()["noticed_at"]) == ([noticed_at], noticed_at)


def test_a_notice_to_a_claim_counts_for_the_day_once_it_is_active(service: Service) -> None:
    claim = service.claimed()
    service.notice()
    service.judge(claim, CODE)

    assert service.notice() is None


def test_a_refunded_notice_is_due_again(service: Service) -> None:
    service.activate()
    service.refund(service.notice())

    assert service.notice() is not None


@pytest.mark.parametrize("situation", [Service.claimed, Service.activate])
def test_of_twenty_notices_at_once_exactly_one_is_sent(service: Service, situation: Situation) -> None:
    situation(service)
    holder = service.find_holder()
    assert holder is not None

    booked = service.run(
        at_once(service.url, [lambda link: registrations.book_notice(link, ADA, holder.notice_due_after)] * 20)
    )

    assert len([noticed for noticed in booked if noticed]) == 1
    assert len(service.budget()["mailed_at"]) == 2


# Sweeping


def test_claims_past_their_time_expire_and_lose_their_hash(service: Service) -> None:
    due = service.claimed(ADA)
    service.let_pass(TTL)
    service.claimed(BOB)

    assert service.expire() == [due.id]
    assert service.state(ADA) == ("EXPIRED", 0, False)
    assert service.state(BOB) == ("CLAIMED", 0, True)


@pytest.mark.parametrize("situation", [leave_expired, leave_locked, Service.activate])
def test_what_is_no_claim_any_more_does_not_expire(service: Service, situation: Situation) -> None:
    situation(service)
    row = service.row()
    service.let_pass(TTL)

    assert service.expire() == []
    assert service.state() == (row["state"], row["attempt_count"], row["password_hash"] is not None)


def test_a_batch_takes_the_oldest_and_no_more_than_it_may(service: Service) -> None:
    claims = [service.claimed(f"{number}@example.com") for number in range(25) if service.let_pass(1) is None]
    service.let_pass(TTL)
    numbers = [claim.id for claim in claims]

    batches = [service.expire(10) for _ in range(4)]

    assert [set(batch) for batch in batches] == [set(numbers[:10]), set(numbers[10:20]), set(numbers[20:]), set()]


def test_two_sweepers_share_the_work_and_neither_waits(service: Service) -> None:
    claims = {service.claimed(f"{number}@example.com").id for number in range(5)}
    service.let_pass(TTL)

    async def race() -> tuple[list[UUID], list[UUID]]:
        async with links(service.url, 2) as (one, other):
            await other.execute("SET lock_timeout = '100ms'")
            async with one.transaction():
                first = await sweeping.expire_due_claims(one, TTL, 3)
                return first, await sweeping.expire_due_claims(other, TTL, 3)

    first, second = service.run(race())

    assert (len(first), len(second)) == (3, 2)
    assert {*first, *second} == claims


def test_a_sweeper_passes_over_a_claim_that_is_being_judged(service: Service) -> None:
    claim = service.claimed()
    service.let_pass(TTL)

    async def race() -> list[UUID]:
        async with links(service.url, 2) as (judge, sweeper):
            await sweeper.execute("SET lock_timeout = '100ms'")
            async with judge.transaction():
                await registrations.judge_code(judge, claim, CODE, 3, HOUR)
                return await sweeping.expire_due_claims(sweeper, TTL)

    assert service.run(race()) == []
    assert service.state() == ("ACTIVE", 0, True)


def test_many_sweepers_at_once_end_each_claim_once(service: Service) -> None:
    claims = [service.claimed(f"{number}@example.com").id for number in range(100)]
    service.let_pass(TTL)

    batches = service.run(at_once(service.url, [lambda link: sweeping.expire_due_claims(link, TTL, 10)] * 40))

    assert sorted(number for batch in batches for number in batch) == sorted(claims)
    assert service.overdue() == 0


def test_what_ended_a_day_ago_is_deleted_and_nothing_else(service: Service) -> None:
    service.lock("locked@example.com")
    service.release(service.claimed("expired@example.com"))
    service.claimed("claimed@example.com")
    service.activate("active@example.com")
    service.let_pass(DAY - 10)
    early = service.delete_ended()
    service.release(service.claimed("lately@example.com"))
    service.let_pass(10)

    assert (early, service.delete_ended(), service.delete_ended()) == (0, 2, 0)
    assert {row["email"].partition("@")[0] for row in service.query("SELECT email FROM registrations")} == {
        "claimed",
        "active",
        "lately",
    }


def test_a_budget_is_deleted_a_day_after_it_was_touched(service: Service) -> None:
    service.claimed(ADA)
    service.claimed(BOB)
    service.let_pass(DAY - 10)
    early = service.delete_budgets()
    service.claimed(BOB)
    service.let_pass(10)

    assert (early, service.delete_budgets(), service.delete_budgets()) == (0, 1, 0)
    assert [row["email"] for row in service.query("SELECT email FROM address_budgets")] == [BOB]


def claim_anew(service: Service) -> None:
    service.release(service.last)
    service.claimed()


def guess_wrongly(service: Service) -> None:
    service.judge(service.last, WRONG)


@pytest.mark.parametrize("touch", [claim_anew, guess_wrongly])
def test_every_mail_and_every_wrong_guess_keeps_a_budget_for_another_day(service: Service, touch: Situation) -> None:
    service.claimed()
    service.query("UPDATE address_budgets SET touched_at = touched_at - INTERVAL '2 days' RETURNING email")

    touch(service)

    assert service.delete_budgets() == 0


@pytest.fixture
def plans_by_nested_loop(migrated: ScratchDatabase) -> None:
    """PostgreSQL plans as it may where its statistics are of an empty table."""
    with migrated.connect() as owner:
        owner.execute("ANALYZE")
        for method in ("hashjoin", "mergejoin", "material", "hashagg", "sort"):
            owner.execute(f"ALTER DATABASE {migrated.name} SET enable_{method} = off".encode())


@pytest.mark.usefixtures("plans_by_nested_loop")
def test_batches_take_no_more_than_they_may_whatever_the_plan(service: Service) -> None:
    for number in range(5):
        service.claimed(f"{number}@example.com")
    service.let_pass(DAY)

    assert [len(service.expire(2)) for _ in range(4)] == [2, 2, 1, 0]
    assert [service.delete_ended(2) for _ in range(4)] == [2, 2, 1, 0]
    assert [service.delete_budgets(2) for _ in range(4)] == [2, 2, 1, 0]


def test_batches_of_deletion_take_no_more_than_they_may(service: Service) -> None:
    for number in range(5):
        service.release(service.claimed(f"{number}@example.com"))
    service.let_pass(DAY)

    assert [service.delete_ended(2) for _ in range(4)] == [2, 2, 1, 0]
    assert [service.delete_budgets(2) for _ in range(4)] == [2, 2, 1, 0]


def test_claims_past_their_time_are_counted_until_they_are_swept(service: Service) -> None:
    before = service.overdue()
    service.claimed(ADA)
    service.claimed(BOB)
    service.let_pass(TTL)
    service.activate("carol@example.com")
    service.claimed("dave@example.com")

    assert [before, service.overdue(), len(service.expire(1)), service.overdue()] == [0, 2, 1, 1]


# The store


def test_a_store_claims_judges_and_expires_by_its_own_settings(service: Service) -> None:
    async def use() -> tuple[Claim | None, Claim | None, Judgement | None, Claim | None]:
        async with AsyncConnectionPool[Link](service.url, kwargs={"autocommit": True}, min_size=1) as pool:
            store = RegistrationStore(pool, ttl_seconds=1000, max_attempts=1)
            claim = await store.claim(ADA, "hash", CODE)
            assert claim is not None
            let_pass(service.aside, 999)
            again, judgement = await store.claim(ADA, "other", CODE), await store.judge(claim, WRONG)
            return claim, again, judgement, await store.find_claim(ADA)

    claim, again, judgement, found = service.run(use())

    assert claim is not None
    assert (again, judgement, found) == (None, Judgement(State.LOCKED, 1), None)
    assert service.cool_down() == 1000


def test_a_database_that_does_not_answer_is_said_to_be_unavailable(service: Service) -> None:
    async def use() -> None:
        nowhere = f"postgresql://u@127.0.0.1:{free_port()}/x"
        pool = AsyncConnectionPool[Link](nowhere, open=False, min_size=0, max_size=1, timeout=0.3)
        async with pool:
            await RegistrationStore(pool, TTL, 3).find_claim(ADA)

    with pytest.raises(DatabaseUnavailableError, match="try again in a moment"):
        service.run(use())


def test_a_statement_that_takes_too_long_is_the_database_being_unavailable(service: Service) -> None:
    claim = service.claimed()

    async def use() -> None:
        async with (
            links(service.url, 1) as (other,),
            AsyncConnectionPool[Link](
                service.url, kwargs={"autocommit": True, "options": "-c statement_timeout=100"}, min_size=1
            ) as pool,
            other.transaction(),
        ):
            await registrations.release_claim(other, claim)
            await RegistrationStore(pool, TTL, 3).judge(claim, CODE)

    with pytest.raises(DatabaseUnavailableError, match="QueryCanceled"):
        service.run(use())
