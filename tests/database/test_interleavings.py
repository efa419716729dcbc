"""All interleavings of a small case: every transition of the model, carried out once on the real PostgreSQL.

One address, two clients at a replica each, the sweeper, one step of the clock. A client's activation is two steps, as
in the service: it reads a claim, and later lets a code count against that very claim, whatever has happened meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from psycopg import AsyncConnection

from beefirst.database.registrations import RegistrationStore
from beefirst.laboratory.clock import AGE_BUDGETS, AGE_REGISTRATIONS
from beefirst.laboratory.history.model import OVERDUE, Model, Rules
from beefirst.laboratory.scratch_database import ScratchDatabase
from beefirst.registration.states import Claim, Outcome, State
from tests.support.databases import store_on
from tests.support.store_under_test import ADA, Link

TTL, STEP, RULES = 3600.0, 3660.0, Rules(3600.0, 2)
"""The step is a minute longer than a claim's life and a cool-down, so that the test's own seconds decide nothing."""

CLIENTS = (0, 1)
CODES, WRONG = ("1111", "2222"), "0000"
NONE, ITS_OWN, OVER = "holds no claim", "holds the claim", "holds a claim that is over"


@dataclass(frozen=True)
class Situation:
    """Where everybody stands: the address, what each client has read, whether the clock has stepped."""

    model: Model = Model()  # noqa: RUF009  # it is frozen
    held: tuple[str, str] = (NONE, NONE)
    has_stepped: bool = False

    @property
    def at(self) -> tuple[float, float]:
        return (STEP, STEP) if self.has_stepped else (0, 0)

    def settle(self) -> "Situation":
        (model,) = self.model.settled(RULES, self.at)
        is_over = model.state != "CLAIMED"
        return replace(self, model=model, held=tuple(OVER if it == ITS_OWN and is_over else it for it in self.held))

    def hold(self, client: int, what: str) -> "Situation":
        held = [*self.held]
        held[client] = what
        return replace(self, held=(held[0], held[1]))


Answer = object
Action = tuple[str, int]
"""What is done, and by whom."""


def register(now: Situation, client: int) -> tuple[Answer, Situation]:
    model = now.model.register(str(client), CODES[client], now.at)
    if model is now.model:
        return "taken", now
    over = tuple(OVER if it == ITS_OWN else it for it in now.held)
    return "claimed", replace(now, model=model, held=over)


def read(now: Situation, client: int) -> tuple[Answer, Situation]:
    is_right = now.model.state == "CLAIMED" and now.model.password == str(client)
    found = now.model.state == "CLAIMED"
    return found, now.hold(client, ITS_OWN) if is_right else now.hold(client, NONE)


def judge(now: Situation, client: int, code: str) -> tuple[Answer, Situation]:
    if now.held[client] == OVER:
        return Outcome.NO_CLAIM, now.hold(client, NONE)
    outcome, model = now.model.activate(str(client), code, RULES, now.at)
    return outcome, replace(now, model=model).hold(client, NONE)


def sweep(now: Situation, _: int) -> tuple[Answer, Situation]:
    return int(now.model.state == OVERDUE), replace(now, model=now.model.sweep())


def step(now: Situation, _: int) -> tuple[Answer, Situation]:
    return None, replace(now, has_stepped=True)


ACTIONS: dict[str, Callable[[Situation, int], tuple[Answer, Situation]]] = {
    "register": register,
    "read": read,
    "prove": lambda now, client: judge(now, client, CODES[client]),
    "guess": lambda now, client: judge(now, client, WRONG),
    "sweep": sweep,
    "step": step,
}


def possible(now: Situation) -> Iterator[Action]:
    for client in CLIENTS:
        yield from (("register", client), ("read", client), ("sweep", client))
        if now.held[client] != NONE:
            yield from (("prove", client), ("guess", client))
    if not now.has_stepped:
        yield "step", 0


def take(now: Situation, action: Action) -> tuple[Answer, Situation]:
    answer, after = ACTIONS[action[0]](now, action[1])
    return answer, after.settle()


def explore() -> dict[Situation, list[Action]]:
    """Return every situation that can be reached, and a shortest way to it."""
    ways: dict[Situation, list[Action]] = {Situation(): []}
    waiting = [Situation()]
    for now in waiting:
        for action in possible(now):
            _, after = take(now, action)
            if after not in ways:
                ways[after] = [*ways[now], action]
                waiting.append(after)
    return ways


class Service:
    """The statements of two replicas, and what each client has read."""

    def __init__(self, links: list[Link]) -> None:
        self.links = links
        self.stores: list[RegistrationStore] = [store_on(link, TTL, RULES.max_attempts) for link in links]
        self.held: list[Claim | None] = [None, None]
        self.salt = 0

    async def begin(self) -> None:
        self.held = [None, None]
        await self.links[0].execute("DELETE FROM registrations")
        await self.links[0].execute("DELETE FROM address_budgets")

    async def take(self, action: Action) -> Answer:
        what, client = action
        store = self.stores[client]
        if what == "register":
            self.salt += 1
            claim = await store.claim(ADA, f"{client}:{self.salt}", CODES[client])
            return "claimed" if claim else "taken"
        if what == "read":
            claim = await store.find_claim(ADA)
            self.held[client] = claim if claim and claim.password_hash.startswith(f"{client}:") else None
            return claim is not None
        if what == "sweep":
            return len(await store.expire_due())
        if what == "step":
            for statement in (AGE_REGISTRATIONS, AGE_BUDGETS):
                await self.links[0].execute(statement, {"seconds": STEP, "email": ADA})
            return None
        return await self.judge(client, CODES[client] if what == "prove" else WRONG)

    async def judge(self, client: int, code: str) -> Outcome:
        claim, self.held[client] = self.held[client], None
        assert claim is not None
        judgement = await self.stores[client].judge(claim, code)
        outcomes = {State.ACTIVE: Outcome.ACTIVATED, State.LOCKED: Outcome.LOCKED, State.CLAIMED: Outcome.WRONG_CODE}
        return outcomes[judgement.state] if judgement else Outcome.NO_CLAIM

    async def row(self) -> tuple[object, ...]:
        """Return what the table holds: state, attempts, whose hash, wrong guesses of the address, whether it cools."""
        cursor = await self.links[1].execute(
            """
            SELECT coalesce(state, 'none'), coalesce(attempt_count, 0), split_part(password_hash, ':', 1),
                   coalesce(wrong_guesses, 0), coalesce(cooling_until > clock_timestamp(), FALSE)
              FROM (SELECT 1) AS one
              LEFT JOIN registrations ON TRUE
              LEFT JOIN address_budgets ON TRUE
            """
        )
        return await cursor.fetchone() or ()


def expected_row(now: Situation) -> tuple[object, ...]:
    model = now.model
    has_hash = model.state in ("CLAIMED", OVERDUE, "ACTIVE")
    state = "CLAIMED" if model.state == OVERDUE else model.state
    cools = model.cooling is not None
    return state, model.attempts, model.password if has_hash else None, model.guesses, cools


async def carry_out_all(url: str, ways: dict[Situation, list[Action]]) -> list[str]:
    """Carry out every transition once, from a table that is empty, and return those that did not end as they should."""
    async with (
        await AsyncConnection.connect(url, autocommit=True) as one,
        await AsyncConnection.connect(url, autocommit=True) as other,
    ):
        service, wrong = Service([one, other]), list[str]()
        for now, way in ways.items():
            for action in possible(now):
                answer, after = take(now, action)
                await service.begin()
                for earlier in way:
                    await service.take(earlier)
                seen = await service.take(action), await service.row()
                if seen != (answer, expected_row(after)):
                    wrong.append(f"{way} and then {action}: {seen} rather than {(answer, expected_row(after))}")
    return wrong


def test_every_transition_of_the_model_is_what_postgresql_does(migrated: ScratchDatabase) -> None:
    ways = explore()
    states = {now.model.state for now in ways}

    wrong = asyncio.run(carry_out_all(migrated.url, ways))

    assert states == {"none", "CLAIMED", OVERDUE, "ACTIVE", "EXPIRED", "LOCKED"}
    assert not wrong, f"{len(wrong)} of the transitions: " + "\n".join(wrong[:5])
