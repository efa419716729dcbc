"""The experiments of notebook 08, on the service and on one that falls to every attack."""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain

import pandas as pd
import pytest

from beefirst.evaluation.evidence import Evidence, not_shown_here
from beefirst.evaluation.experiments.attacks import (
    flooding,
    guessing,
    holding,
    hostile_input,
    injection,
    leaks,
    telling_apart,
)
from beefirst.evaluation.observations import from_data
from beefirst.laboratory.address_kinds import KINDS
from beefirst.laboratory.project_copy import ProjectCopy
from beefirst.laboratory.testbed import Testbed
from tests.support.evidence import fails, judge_anew

ROUNDS, FINE_ROUNDS = 12, 40

OPEN_TO_ALL = """
    CREATE OR REPLACE FUNCTION can_be_claimed(address TEXT, held_state TEXT, held_since TIMESTAMPTZ, ttl INTERVAL)
    RETURNS BOOLEAN LANGUAGE sql AS 'SELECT TRUE';
    DROP TRIGGER registrations_guard_change ON registrations;
    DROP TRIGGER registrations_guard_claim ON registrations;
"""

REFUSED = '{"reason": attempt.outcome.value})\n        raise _unauthorized()'
TOLD = (
    '{"reason": f"{attempt.outcome.value} {credentials.username}"})\n'
    '        raise _unauthorized() if attempt.claim else HTTPException(401, "Nobody has claimed this address.")'
)
LEFT_OUT = "if not password_hash:\n            return False\n        against = password_hash.encode()"

CHANGES = (
    ("beefirst/api/registrations.py", REFUSED, TOLD),
    ("beefirst/passwords.py", "against = password_hash.encode() if password_hash else self._dummy", LEFT_OUT),
    ("beefirst/registration/rules.py", "if not matches:", "if not claim:"),
    ("beefirst/database/registrations.py", '"max_attempts": self.max_attempts,', '"max_attempts": 4,'),
    ("beefirst/database/registrations.py", "MAILS_A_DAY = 20", "MAILS_A_DAY = 2000"),
    ("beefirst/api/client_address.py", "_forwarded(scope) if is_within(client, trusted) else []", "_forwarded(scope)"),
    ("beefirst/api/client_address.py", "while told and is_within(client, trusted):", "while told:"),
    ("beefirst/registration/common_passwords.py", "password.lower() in", "password in"),
    ("beefirst/registration/credentials.py", '"[\\0\\ud800-\\udfff]"', '"\\0"'),
    ("beefirst/registration/credentials.py", "if ENCODED_WORD.search(address.local_part):", "if False:"),
)


@pytest.fixture(scope="module")
def evidence_of() -> Iterator[Callable[..., Evidence]]:
    """What each experiment shows on the service, made once."""
    with Testbed(2, log_level="DEBUG") as testbed:
        yield cache(lambda experiment: experiment(testbed))


@pytest.fixture(scope="module")
def asked() -> Iterator[pd.DataFrame]:
    """What the service answers to each kind of address."""
    with Testbed(2) as testbed:
        yield telling_apart.ask(testbed, ROUNDS)


@pytest.fixture(scope="module")
def careless() -> Iterator[Testbed]:
    """A service that tells whom it knows, heeds no password, limits nothing, and logs who comes."""
    with ProjectCopy() as copy:
        for change in CHANGES:
            copy.replace(*change)
        copy.add(OPEN_TO_ALL)
        with Testbed(2, code=copy.code) as testbed:
            yield testbed


def first_that_tells(judged: Iterable[Evidence]) -> Evidence:
    """Return the first evidence for which the machine was not too busy; the last, where it was for all."""
    evidence = not_shown_here("", "nothing was judged")
    for evidence in judged:
        if evidence.result != "NOT SHOWN HERE":
            break
    return evidence


def test_answers_that_tell_addresses_apart_are_noticed(asked: pd.DataFrame, careless: Testbed) -> None:
    told = telling_apart.ask(careless, ROUNDS)

    assert telling_apart.answers_are_alike(asked, ROUNDS).holds
    asked_of_each = 3 * ROUNDS if told["look"].max() == 2 else ROUNDS
    fails(
        telling_apart.answers_are_alike(told, ROUNDS),
        f"activate, unknown, {asked_of_each}, 401, differs in head and body",
    )
    fails(telling_apart.answers_are_alike(asked, ROUNDS + 1))
    samples = chain([told], (telling_apart.ask(careless, ROUNDS) for _ in range(2)))
    timed = first_that_tells(telling_apart.times_are_alike(sample, ROUNDS) for sample in samples)
    fails(timed, "A LEAK: ", "activate, 24")


def test_times_of_the_service_are_alike_or_the_machine_is_too_busy_to_tell(asked: pd.DataFrame) -> None:
    assert telling_apart.times_are_alike(asked, ROUNDS).result in ("PASS", "NOT SHOWN HERE")
    fails(telling_apart.times_are_alike(asked.assign(seconds=asked["seconds"] / 1000), ROUNDS + 1))


def test_a_leak_that_the_hash_would_hide_is_noticed() -> None:
    at_once = ("beefirst/passwords.py", "EVEN_SECONDS = 0.025", "EVEN_SECONDS = 0.0")

    evenly = telling_apart.times_beside_the_hash_are_alike(
        telling_apart.ask_with_cheap_hashes(FINE_ROUNDS), FINE_ROUNDS
    )
    samples = (telling_apart.ask_with_cheap_hashes(2 * FINE_ROUNDS, at_once) for _ in range(3))
    unevenly = first_that_tells(
        telling_apart.times_beside_the_hash_are_alike(sample, 2 * FINE_ROUNDS) for sample in samples
    )

    assert evenly.result in ("PASS", "NOT SHOWN HERE")
    fails(unevenly, "A LEAK: ")


NOISE_SECONDS = 0.004


def planted(rounds: int, seconds: float, noise: float = NOISE_SECONDS) -> pd.DataFrame:
    """Return a sample that nobody took, in which one kind of address is answered so many seconds later."""
    spread = random.Random(rounds)
    return pd.DataFrame(
        [
            (request, kind, number, 0.1 + spread.uniform(0, noise) + seconds * (kind == "LOCKED"), 0, "", "")
            for request, kinds in KINDS.items()
            for kind in kinds
            for number in range(rounds)
        ],
        columns=["request", "kind", "round", "seconds", "status", "head", "body"],
    )


@pytest.mark.parametrize(
    ("late", "samples", "result", "said"),
    [
        ((0.0, 0.0), [12], "PASS", "largest |t| = "),
        ((0.01, 0.0), [12, 24], "PASS", "of 2 times as many, looked at because the first 12 of each had |t| = "),
        ((0.01, 0.01), [12, 24], "FAIL", "A LEAK: "),
        ((0.0, 0.01), [12], "PASS", "largest |t| = "),
        ((0.01, 0.001, 0.2), [12, 24], "NOT SHOWN HERE", "too busy to tell: largest |t| = "),
    ],
)
def test_times_that_differ_are_looked_at_anew_and_these_decide(
    late: tuple[float, ...], samples: list[int], result: str, said: str
) -> None:
    taken = list[int]()

    def sample(rounds: int) -> pd.DataFrame:
        taken.append(rounds)
        noise = late[2] if len(taken) == 2 and len(late) > 2 else NOISE_SECONDS
        return planted(rounds, late[len(taken) - 1], noise)

    seen = telling_apart.look_twice(sample, 12)
    evidence = telling_apart.times_are_alike(seen, 12)

    assert (taken, evidence.result) == (samples, result), evidence.summary
    assert said in evidence.summary
    assert ("register, 24, " in evidence.summary) == (result == "FAIL")


def test_a_difference_too_small_for_the_noise_is_not_shown_rather_than_denied(asked: pd.DataFrame) -> None:
    noisy = asked.assign(seconds=[1.0 + 7 * (number % 5) for number in range(len(asked))])

    evidence = telling_apart.times_are_alike(noisy, ROUNDS)

    assert evidence.result == "NOT SHOWN HERE"
    assert "too busy" in evidence.summary


ATTACKS = {
    guessing.guesses_are_raced: ("guesses that were judged in each race, 4, 3", "TAKEN, no code mailed"),
    guessing.nobody_is_locked_out: ("wrong passwords, each with a code, 4 counted, LOCKED",),
    holding.squatter_is_evicted: ("to begin a new TTL, CLAIMED, ANOTHER CLAIM",),
    holding.hijacking_in_advance: ("the attacker's, the victim's, of this claim's mail, 200, ACTIVE",),
    holding.recording_is_replayed: ("the recorded registration, 202, CHANGED",),
    flooding.mail_is_bombed: ("48, 20",),
    flooding.password_is_sprayed: ("under a forged X-Forwarded-For, 4: 401",),
    flooding.common_password_is_refused: ("in capitals, 202, 422",),
    hostile_input.hostile_input_is_refused: ("half a surrogate pair in the password, 1, 500, 422", 'status="500"'),
    injection.no_header_is_injected: ("202, 0 mails, 422, 0 mails",),
    injection.no_line_is_forged: ("lines that look as if they were the attacker's, 1, such as",),
    leaks.nothing_is_given_away: ("addresses in replica 1: its log, as it is",),
}
"""What each says of the careless service; the last look for what the others have left."""


@pytest.mark.parametrize("experiment", ATTACKS, ids=lambda it: it.__name__)
def test_an_attack_fails_on_the_service_and_succeeds_on_a_careless_one(
    experiment: Callable[..., Evidence], evidence_of: Callable[..., Evidence], careless: Testbed
) -> None:
    assert evidence_of(experiment).holds, evidence_of(experiment).summary
    fails(experiment(careless), *ATTACKS[experiment])


@pytest.mark.parametrize(
    ("experiment", "name"),
    [
        (guessing.guesses_are_raced, "races"),
        (guessing.nobody_is_locked_out, "steps"),
        (holding.squatter_is_evicted, "steps"),
        (holding.hijacking_in_advance, "attempts"),
        (holding.recording_is_replayed, "replayed"),
        (flooding.password_is_sprayed, "sent"),
        (hostile_input.hostile_input_is_refused, "talks"),
        (injection.no_header_is_injected, "typed"),
        (leaks.nothing_is_given_away, "planted"),
    ],
)
def test_what_was_not_all_observed_does_not_hold(
    evidence_of: Callable[..., Evidence], experiment: Callable[..., Evidence], name: str
) -> None:
    evidence = evidence_of(experiment)
    assert evidence.trace
    assert evidence.trace.data
    frame = from_data(evidence.trace.data)[name]

    assert evidence.holds, evidence.summary
    fails(judge_anew(experiment, evidence, **{name: frame[:-1]}))


LINE = "2026-11-28 12:00:00,1234 INFO    "
BY_CHANCE = (
    "uvicorn.error: Started server process [1234]",
    "beefirst.api: ready in 0.57 s: http://localhost:1234 (documentation at http://localhost:1234/docs)",
    'uvicorn.access: 127.0.0.1:1234 - "POST /v1/activate?code=1234 HTTP/1.1" 401 request="1234"',
    "psycopg: connection attempt: host: 'localhost', port: '1234', hostaddr: '127.0.0.1'",
    "psycopg: connection polled: <PGconn [IDLE] (host=localhost port=1234 user=beefirst) at 0x1234>",
)


@pytest.mark.parametrize(("text", "found"), [*((text, "") for text in BY_CHANCE), ("the code is 1234.", "as it is")])
def test_a_number_that_a_log_has_by_chance_is_taken_for_no_code(text: str, found: str) -> None:
    searched = leaks.find_codes(["1234"], {"a log": LINE + text})

    assert searched["found"].tolist() == [found]
