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
from beefirst.laboratory.history.model import OVERDUE, Model, Rules
from beefirst.registration.rules import Registration
from tests.support.databases import empty, migrated_database
from tests.support.fakes import FakePasswords, RecordingCourier

TTL, MAX_ATTEMPTS, SAFE = 3600.0, 3, 60.0
"""Time passes in whole TTLs, give or take SAFE seconds, so that the seconds of the test itself decide nothing."""

ADDRESSES = st.sampled_from(["ada@example.com", " Bob@Example.com"])
STORED_AS = {OVERDUE: "CLAIMED"}
PASSWORDS = st.sampled_from(["correct horse", "another horse"])


RULES = Rules(TTL, MAX_ATTEMPTS)


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
        self.models = {"ada@example.com": Model(), "bob@example.com": Model()}
        self.now = 0.0

    def run_steps(self, make: Callable[[], Any]) -> Any:
        return world.runner.run(make())

    @property
    def at(self) -> tuple[float, float]:
        return self.now, self.now

    def settled(self, email: str) -> Model:
        """Return what an address has become by the passing of time, which is known exactly."""
        (self.models[email],) = self.models[email].settled(RULES, self.at)
        return self.models[email]

    @rule(address=ADDRESSES, password=PASSWORDS)
    def register(self, address: str, password: str) -> None:
        email = address.strip().lower()
        model = self.settled(email)
        registered = self.run_steps(lambda: self.service.register(address, password))

        assert (registered.claim is not None) == model.is_free
        self.models[email] = model.register(password, registered.code, self.at)

    @rule(address=ADDRESSES, password=PASSWORDS, right=st.booleans())
    def try_to_activate(self, address: str, password: str, right: bool) -> None:
        self.activate(address, password, right)

    def activate(self, address: str, password: str, right: bool) -> None:
        email = address.strip().lower()
        model = self.settled(email)
        code = model.code or "0000"
        tried = code if right else f"{(int(code) + 1) % 10_000:04}"
        attempt = self.run_steps(lambda: self.service.activate(address, password, tried))

        outcome, self.models[email] = model.activate(password, tried, RULES, self.at)
        assert attempt.outcome == outcome

    @rule(address=ADDRESSES, times=st.integers(1, MAX_ATTEMPTS))
    def guess_with_the_claims_own_password(self, address: str, times: int) -> None:
        for _ in range(times):
            self.activate(address, self.models[address.strip().lower()].password or "correct horse", right=False)

    @rule(seconds=st.sampled_from([TTL - SAFE, TTL + SAFE, 25 * TTL]))
    def let_time_pass(self, seconds: float) -> None:
        let_pass(world.raw, seconds)
        self.now += seconds

    @precondition(lambda self: any(self.settled(email).state == OVERDUE for email in self.models))
    @rule()
    def sweep(self) -> None:
        expired = self.run_steps(self.service.expire)

        overdue = [email for email in self.models if self.settled(email).state == OVERDUE]
        assert len(expired) == len(overdue)
        self.models = {email: self.settled(email).sweep() for email in self.models}

    @invariant()
    def the_table_is_as_the_model_says(self) -> None:
        rows = world.raw.execute(
            "SELECT email, state, attempt_count, password_hash IS NULL FROM registrations"
        ).fetchall()

        assert {row[0]: row[1:] for row in rows} == {
            email: (STORED_AS.get(model.state, model.state), model.attempts, model.state in ("EXPIRED", "LOCKED"))
            for email, model in self.models.items()
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
