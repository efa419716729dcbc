"""The service on PostgreSQL beside a short model of it, over random interleavings."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg import Connection
from psycopg_pool import AsyncConnectionPool

from beefirst.database.pool import run_step
from beefirst.database.registrations import RegistrationStore
from beefirst.laboratory.clock import let_pass
from beefirst.registration.rules import Registration
from beefirst.registration.states import Outcome
from tests.support.databases import empty, migrated_database
from tests.support.fakes import FakePasswords, RecordingCourier

TTL, MAX_ATTEMPTS, SAFE = 3600.0, 3, 60.0
"""Time passes in whole TTLs, give or take SAFE seconds, so that the seconds of the test itself decide nothing."""

ADDRESSES = st.sampled_from(["ada@example.com", " Bob@Example.com"])
PASSWORDS = st.sampled_from(["correct horse", "another horse"])


@dataclass
class Model:
    """What the rules say of one address."""

    state: str = "none"
    password: str = ""
    code: str = ""
    attempts: int = 0
    age: float = 0
    guesses: int = 0
    cool_downs: int = 0
    cooling: float = 0
    guessed: float = 0

    def free(self) -> bool:
        return self.cooling <= 0 and (self.state in ("none", "EXPIRED", "LOCKED") or self.overdue())

    def overdue(self) -> bool:
        return self.state == "CLAIMED" and self.age >= TTL

    def activate(self, password: str, right: bool) -> Outcome:
        if self.state != "CLAIMED" or self.overdue():
            return Outcome.NO_CLAIM
        if password != self.password:
            return Outcome.WRONG_PASSWORD
        if right:
            self.state = "ACTIVE"
            return Outcome.ACTIVATED
        self.attempts, self.guesses, self.guessed = self.attempts + 1, self.guesses + 1, 0
        if self.guesses % MAX_ATTEMPTS == 0:
            self.cooling, self.cool_downs = TTL, self.cool_downs + 1  # an hour is both the first and the longest
        self.state = "LOCKED" if self.attempts == MAX_ATTEMPTS else "CLAIMED"
        return Outcome.LOCKED if self.state == "LOCKED" else Outcome.WRONG_CODE


@dataclass
class World:
    """The database that all examples share, emptied before each."""

    stack: ExitStack = field(default_factory=ExitStack)
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def open(self) -> None:
        self.database = self.stack.enter_context(migrated_database())
        self.raw: Connection[Any] = self.stack.enter_context(self.database.connect())
        self.pool = AsyncConnectionPool(
            self.database.url, kwargs={"autocommit": True}, open=False, min_size=1, max_size=1
        )
        self.runner.run(self.pool.open())

    def close(self) -> None:
        self.runner.run(self.pool.close())
        self.runner.close()
        self.stack.close()


world = World()


class ServiceBesideModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        empty(world.raw)
        store = RegistrationStore(partial(run_step, world.pool), TTL, MAX_ATTEMPTS)
        self.service = Registration(store, FakePasswords(), RecordingCourier())
        self.model = {"ada@example.com": Model(), "bob@example.com": Model()}

    def run_steps(self, make: Callable[[], Any]) -> Any:
        return world.runner.run(make())

    @rule(address=ADDRESSES, password=PASSWORDS)
    def register(self, address: str, password: str) -> None:
        model = self.model[address.strip().lower()]
        registered = self.run_steps(lambda: self.service.register(address, password))

        assert (registered.claim is not None) == model.free()
        if registered.claim:
            model.state, model.password, model.code = "CLAIMED", password, registered.code
            model.attempts, model.age = 0, 0.0

    @rule(address=ADDRESSES, password=PASSWORDS, right=st.booleans())
    def try_to_activate(self, address: str, password: str, right: bool) -> None:
        self.activate(address, password, right)

    def activate(self, address: str, password: str, right: bool) -> None:
        model = self.model[address.strip().lower()]
        code = model.code or "0000"
        tried = code if right else f"{(int(code) + 1) % 10_000:04}"

        attempt = self.run_steps(lambda: self.service.activate(address, password, tried))

        assert attempt.outcome == model.activate(password, right)

    @rule(address=ADDRESSES, times=st.integers(1, MAX_ATTEMPTS))
    def guess_with_the_claims_own_password(self, address: str, times: int) -> None:
        for _ in range(times):
            self.activate(address, self.model[address.strip().lower()].password or "correct horse", right=False)

    @rule(seconds=st.sampled_from([TTL - SAFE, TTL + SAFE, 25 * TTL]))
    def let_time_pass(self, seconds: float) -> None:
        let_pass(world.raw, seconds)
        for model in self.model.values():
            model.age, model.guessed = model.age + seconds, model.guessed + seconds
            model.cooling -= seconds
            if model.guessed >= 24 * TTL:
                model.guesses = model.cool_downs = 0

    @precondition(lambda self: any(model.overdue() for model in self.model.values()))
    @rule()
    def sweep(self) -> None:
        expired = self.run_steps(self.service.expire)

        overdue = [model for model in self.model.values() if model.overdue()]
        assert len(expired) == len(overdue)
        for model in overdue:
            model.state = "EXPIRED"

    @invariant()
    def the_table_is_as_the_model_says(self) -> None:
        rows = world.raw.execute(
            "SELECT email, state, attempt_count, password_hash IS NULL FROM registrations"
        ).fetchall()

        assert {row[0]: row[1:] for row in rows} == {
            email: (model.state, model.attempts, model.state in ("EXPIRED", "LOCKED"))
            for email, model in self.model.items()
            if model.state != "none"
        }


def test_the_service_does_what_the_model_does() -> None:
    world.open()
    try:
        run_state_machine_as_test(
            ServiceBesideModel,
            settings=settings(
                max_examples=100,
                stateful_step_count=30,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        world.close()
