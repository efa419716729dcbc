"""The store over the pool, as the service uses it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial

import pytest
from psycopg_pool import AsyncConnectionPool

from beefirst.database.pool import run_step
from beefirst.database.registrations import RegistrationStore
from beefirst.errors import DatabaseRefusedError, DatabaseUnavailableError
from beefirst.machine import tracing
from beefirst.machine.ports import free_port
from beefirst.registration.states import Claim, Judgement, State
from tests.support.databases import store_on
from tests.support.store_under_test import ADA, CODE, TTL, WRONG, Link, StoreUnderTest, links


def test_a_store_claims_judges_and_expires_by_its_own_settings(store: StoreUnderTest) -> None:
    async def use() -> tuple[Claim | None, Claim | None, Judgement | None, Claim | None]:
        async with AsyncConnectionPool[Link](store.url, kwargs={"autocommit": True}, min_size=1) as pool:
            pooled = RegistrationStore(partial(run_step, pool), ttl_seconds=1000, max_attempts=1)
            claim = await pooled.claim(ADA, "hash", CODE)
            assert claim is not None
            store.let_pass(900)
            again, judgement = await pooled.claim(ADA, "other", CODE), await pooled.judge(claim, WRONG)
            return claim, again, judgement, await pooled.find_claim(ADA)

    claim, again, judgement, found = store.run(use())

    assert claim is not None
    assert (again, judgement, found) == (None, Judgement(State.LOCKED, 1), None)
    assert store.cool_down() == 1000


class SpanNames:
    """A tracer that remembers what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Mapping[str, str], bool]] = []

    def span(self, name: str, attributes: Mapping[str, str], is_call: bool) -> AbstractContextManager[object]:
        self.seen.append((name, attributes, is_call))
        return nullcontext()


def test_each_statement_is_a_span_of_its_own_name_and_a_call_of_another_program(store: StoreUnderTest) -> None:
    names = SpanNames()

    async def use() -> None:
        tracing.tracer.set(names)
        async with links(store.url, 1) as (link,):
            await store_on(link).find_claim(ADA)
            await store_on(link).refund_mail(ADA, datetime.now(UTC))

    store.run(use())

    called = [("FIND_CLAIM", True), ("REFUND_MAIL", True)]
    assert [(name, is_call) for name, _, is_call in names.seen] == called
    assert [attributes for _, attributes, _ in names.seen] == [
        {"db.system.name": "postgresql", "db.operation.name": name} for name, _ in called
    ]


def test_a_database_that_does_not_answer_is_said_to_be_unavailable(store: StoreUnderTest) -> None:
    async def use() -> None:
        nowhere = f"postgresql://u@127.0.0.1:{free_port()}/x"
        pool = AsyncConnectionPool[Link](nowhere, open=False, min_size=0, max_size=1)
        async with pool:
            await RegistrationStore(partial(run_step, pool, wait_seconds=0.3), TTL, 3).find_claim(ADA)

    with pytest.raises(DatabaseUnavailableError, match="try again in a moment"):
        store.run(use())


def test_a_statement_that_takes_too_long_is_the_database_being_unavailable(store: StoreUnderTest) -> None:
    claim = store.claimed()

    async def use() -> None:
        async with (
            links(store.url, 1) as (other,),
            AsyncConnectionPool[Link](
                store.url, kwargs={"autocommit": True, "options": "-c statement_timeout=100"}, min_size=1
            ) as pool,
            other.transaction(),
        ):
            await store_on(other).release(claim)
            await RegistrationStore(partial(run_step, pool), TTL, 3).judge(claim, CODE)

    with pytest.raises(DatabaseUnavailableError, match="QueryCanceled"):
        store.run(use())


def test_any_other_error_is_a_refusal_that_tells_no_value(store: StoreUnderTest) -> None:
    async def use() -> None:
        async with AsyncConnectionPool[Link](store.url, kwargs={"autocommit": True}, min_size=1) as pool:
            await RegistrationStore(partial(run_step, pool), TTL, 3).claim("Ada@example.com", "secret hash", CODE)

    with pytest.raises(DatabaseRefusedError, match="registrations_email_is_lower_case") as refusal:
        store.run(use())

    assert [secret for secret in ("example.com", "secret hash", CODE) if secret in str(refusal.value)] == []
    assert refusal.value.__cause__ is None, "its traceback would show the row"
    assert refusal.value.__suppress_context__, "its traceback would show the row"
