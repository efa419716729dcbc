"""What a stranger can ask of an address of each kind, and what the answers give away: measured in random order."""

import asyncio
import random
import re
import secrets
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from beefirst.laboratory import raw_http
from beefirst.laboratory.raw_http import Answer, Connection
from beefirst.laboratory.testbed import PASSWORD, Testbed

DOMAIN = "kinds.example"
WRONG_PASSWORD = "the wrong horse"  # noqa: S105
CODE, WRONG_CODE = "4711", "1147"

# Dated an hour ahead, so that no claim ends amid a measurement, however short the TTL.
ADD_ROWS = """
    INSERT INTO registrations (email, password_hash, verification_code, state, created_at, activated_at)
    SELECT %(name)s || '-' || number || '@' || %(domain)s,
           CASE WHEN %(state)s IN ('CLAIMED', 'ACTIVE') THEN model.password_hash END,
           %(code)s, %(state)s, clock_timestamp() + INTERVAL '1 hour',
           CASE WHEN %(state)s = 'ACTIVE' THEN clock_timestamp() END
      FROM generate_series(1, %(count)s) AS number, registrations AS model
     WHERE model.email = %(model)s
"""
ADD_COOL_DOWNS = """
    INSERT INTO address_budgets (email, wrong_guesses, cool_downs, guessed_at, cooling_until)
    SELECT %(name)s || '-' || number || '@' || %(domain)s, 3, 1, clock_timestamp(),
           clock_timestamp() + INTERVAL '1 hour'
      FROM generate_series(1, %(count)s) AS number
"""

STATES: Mapping[str, str] = {
    "unknown": "",
    "CLAIMED": "CLAIMED",
    "wrong password": "CLAIMED",
    "wrong code": "CLAIMED",
    "ACTIVE": "ACTIVE",
    "EXPIRED": "EXPIRED",
    "LOCKED": "LOCKED",
    "cooling down": "LOCKED",
}
"""The state of the row of each kind of address, or of each way to be wrong about a claim; empty for no row."""

KINDS: Mapping[str, Sequence[str]] = {
    "register": ("unknown", "CLAIMED", "ACTIVE", "EXPIRED", "LOCKED", "cooling down"),
    "activate": ("unknown", "wrong password", "wrong code", "ACTIVE", "EXPIRED", "LOCKED", "cooling down"),
}
"""What is asked, and of which kinds of address. An activation has the right password but where the kind says no, and
never the right code."""

BY_CHANCE = re.compile(rb"(?im)^(date|x-request-id): .*?(?=\r)")
"""The headers that are another in every answer."""


def probe(testbed: Testbed, rounds: int, lanes: int = 2, prepared: Callable[[], object] = lambda: None) -> pd.DataFrame:
    """Ask for an address of each kind, each request for a fresh one, in random order within every round.

    Args:
        testbed: whose replicas are asked in turns, lane by lane.
        rounds: how often each kind.
        lanes: how many connections ask at once, each round on one of them.
        prepared: is called once all addresses are as they should be.

    Returns:
        One line a request: request, kind, round, seconds, status, head (without what is another in every answer), body.
    """
    sent = [(request, kind) for request, kinds in KINDS.items() for kind in kinds]
    names = {asked: f"{asked[0]}-{asked[1].replace(' ', '-').lower()}-{secrets.token_hex(4)}" for asked in sent}
    _prepare(testbed, names, rounds)
    prepared()

    async def ask(url: str, numbers: Sequence[int]) -> list[tuple[object, ...]]:
        lines = list[tuple[object, ...]]()
        async with Connection.open(url) as connection:
            for number in numbers:
                for request, kind in random.sample(sent, len(sent)):
                    email = f"{names[request, kind]}-{number}@{DOMAIN}"
                    lines.append(
                        (request, kind, number, *_record(await connection.send(_content(request, kind, email))))
                    )
        return lines

    async def ask_all() -> list[list[tuple[object, ...]]]:
        urls = testbed.urls.split()
        shares = [range(1 + lane, rounds + 1, lanes) for lane in range(lanes)]
        return await asyncio.gather(*(ask(urls[lane % len(urls)], share) for lane, share in enumerate(shares)))

    lines = [line for lane in raw_http.run(ask_all) for line in lane]
    return pd.DataFrame(lines, columns=["request", "kind", "round", "seconds", "status", "head", "body"])


def _prepare(testbed: Testbed, names: Mapping[tuple[str, str], str], count: int) -> None:
    model = f"model-{secrets.token_hex(4)}@{DOMAIN}"
    testbed.claim(model)  # for a hash of the service's own making
    for (_, kind), name in names.items():
        values = {"name": name, "domain": DOMAIN, "count": count}
        if state := STATES[kind]:
            testbed.execute(ADD_ROWS, **values, state=state, code=CODE, model=model)
        if kind == "cooling down":
            testbed.execute(ADD_COOL_DOWNS, **values)


def _content(request: str, kind: str, email: str) -> bytes:
    if request == "register":
        return raw_http.registering(email, PASSWORD)
    return raw_http.activating(email, WRONG_PASSWORD if kind == "wrong password" else PASSWORD, WRONG_CODE)


def _record(answer: Answer) -> tuple[float, int, str, str]:
    head = BY_CHANCE.sub(rb"\1: (another)", answer.head)
    return answer.seconds, answer.status, head.decode(errors="replace"), answer.body.decode(errors="replace")
