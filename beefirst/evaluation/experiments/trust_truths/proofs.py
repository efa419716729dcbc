"""What opens an account and what is left of what does not: truths 2, 4, 5 and 6."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory.catalog import query
from beefirst.laboratory.forbidden_sql import REFUSED, attempt
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_for

THE_CODE = "[THE CODE]"
"""What stands in a record where the code stood."""

NO_CODE = r'^\S+ \S+|"[A-Z]+ [^"]*"|127\.0\.0\.1:\d+'
"""What of a line of the log may hold four digits by chance: its time, the request and the client."""

PLACES = {"the mail": "yes", "the answer": "no", "its headers": "no", "the log": "no"}
"""Where it is looked for, and whether it is to be found."""


def _judge_places(places: Mapping[str, str]) -> Evidence:
    seen = {place: ("yes" if THE_CODE in text else "no") if text.strip() else "empty" for place, text in places.items()}
    rows = [(place, seen.get(place, "not looked at"), expected) for place, expected in PLACES.items()]
    return compare("in the mail, and in neither answer, header nor log", rows, ["where", "holds the code", "expected"])


@experiment(_judge_places)
def code_only_by_mail(testbed: Testbed) -> Observed:
    """Truth 2: register, and look for the code in the mail, the answer with its headers, and the API's log."""
    email, api = "courier@example.com", testbed.apis[0]
    before = len(api.log().splitlines())
    answer = testbed.register(email)
    code = testbed.mailbox.code_for(email)
    headers = " ".join(
        f"{name}: {value}" for name, value in answer.headers.items() if name not in ("date", "x-request-id")
    )
    log = " ".join(
        re.sub(r'^\S+ \S+|"[A-Z]+ [^"]*"|127\.0\.0\.1:\d+', " ", line) for line in api.log().splitlines()[before:]
    )
    texts = (str(testbed.mailbox.wait_for(email)[-1]), answer.text, headers, log)
    return {
        "places": {place: re.sub(rf"\b{code}\b", THE_CODE, text) for place, text in zip(PLACES, texts, strict=True)}
    }


MIXTURES = (
    # what is tried; the answer, the attempts that are counted then, the state
    ("right code, wrong password", 401, 0, "CLAIMED"),
    ("wrong code, wrong password", 401, 0, "CLAIMED"),
    ("right code, no password", 401, 0, "CLAIMED"),
    ("wrong code, right password", 401, 1, "CLAIMED"),
    ("right code, right password", 200, 1, "ACTIVE"),
)


def _judge_mixtures(attempts: pd.DataFrame) -> Evidence:
    seen = {what: rest for what, *rest in attempts.itertuples(index=False, name=None)}
    rows = [
        (what, _describe(seen.get(what)), f"{status}, {counted} counted", (seen.get(what) or ["not tried"])[-1], state)
        for what, status, counted, state in MIXTURES
    ]
    frame = pd.DataFrame(rows, columns=["attempt", "seen", "expected", "state", "and is to be"])
    holds = (frame["seen"] == frame["expected"]).all() and (frame["state"] == frame["and is to be"]).all()
    summary = "only both together activate, and only a wrong code under the right password counts as an attempt"
    return Evidence(bool(holds), summary, frame)


def _describe(seen: list[Any] | None) -> str:
    return f"{seen[0]}, {seen[1]} counted" if seen else "not tried"


@experiment(_judge_mixtures)
def together(testbed: Testbed) -> Observed:
    """Truth 4: try every mixture of right and wrong on one claim, the right one last."""
    email, other = "pair@example.com", "wrong horse"
    code = testbed.claim(email)
    tried = [(other, code), (other, wrong(code)), ("", code), (PASSWORD, wrong(code)), (PASSWORD, code)]
    rows = []
    for (what, *_), (password, guess) in zip(MIXTURES, tried, strict=True):
        status = testbed.activate(email, password, guess).status_code
        row = testbed.row(email)
        rows.append((what, status, row["attempts"], row["state"]))
    return {"attempts": pd.DataFrame(rows, columns=["attempt", "answer", "attempts counted", "state"])}


ADVANCE = (
    # the step; the answer, and the state after it
    ("the attacker claims the address", 202, "CLAIMED"),
    ("… and does not have the code", 401, "CLAIMED"),
    ("the victim enters the code that came", 401, "CLAIMED"),
    ("after the TTL the victim registers; the attacker's password", 401, "CLAIMED"),
    ("the victim's own password and code", 200, "ACTIVE"),
)


def _judge_advance(steps: pd.DataFrame) -> Evidence:
    seen = {step: rest for step, *rest in steps.itertuples(index=False, name=None)}
    rows = [(step, *seen.get(step, ("none", "not tried")), state) for step, _, state in ADVANCE]
    frame = pd.DataFrame(rows, columns=["step", "answer", "state", "expected"])
    answers = [*frame["answer"]] == [answer for _, answer, _ in ADVANCE]
    holds = bool((frame["state"] == frame["expected"]).all()) and answers
    return Evidence(holds, "a claim made in advance gives the attacker nothing", frame)


@experiment(_judge_advance)
def dormant_password(testbed: Testbed) -> Observed:
    """Truth 5: an attacker claims a victim's address in advance; the victim then confirms, and registers."""
    email, attacker, victim = "victim@example.com", "the attacker's", "the victim's own"
    rows = list[tuple[str, int, str]]()

    def note(status: int) -> None:
        rows.append((ADVANCE[len(rows)][0], status, testbed.state(email)))

    note(testbed.register(email, attacker).status_code)
    code = testbed.mailbox.code_for(email)
    note(testbed.activate(email, attacker, wrong(code)).status_code)
    note(testbed.activate(email, victim, code).status_code)
    if testbed.state(email) != "ACTIVE":  # an account is not claimed anew, and the attacker has it
        testbed.let_pass(email, 3600)
        code = testbed.claim(email, victim)
        note(testbed.activate(email, attacker, code).status_code)
        note(testbed.activate(email, victim, code).status_code)
    return {"steps": pd.DataFrame(rows, columns=["step", "answer", "state"])}


RESURRECTIONS = {
    "a hash on an EXPIRED row": "UPDATE registrations SET password_hash = 'x' WHERE state = 'EXPIRED'",
    "a hash on a LOCKED row": "UPDATE registrations SET password_hash = 'x' WHERE state = 'LOCKED'",
    "an EXPIRED row back to ACTIVE": "UPDATE registrations SET state = 'ACTIVE', password_hash = 'x', "
    "activated_at = now() WHERE state = 'EXPIRED'",
}


HASHES = (
    "SELECT state, count(*) AS rows, count(password_hash) AS hashes FROM registrations GROUP BY state ORDER BY state"
)

KEPT_BRIEFLY: Mapping[str, Any] = {
    "ttl_seconds": 4, "sweep_interval_seconds": 0.2, "bcrypt_cost": 11, "max_attempts": 2
}  # fmt: skip
"""Settings of the service; none is its default."""


def _judge_hashes(claims: pd.DataFrame, ended: pd.DataFrame, tried: pd.DataFrame, bcrypt_cost: int) -> Evidence:
    counts = {state: f"{rows} and {hashes}" for state, rows, hashes in ended.itertuples(index=False, name=None)}
    results, hashed = dict(zip(tried["attempt"], tried["result"], strict=True)), f"bcrypt, cost {bcrypt_cost}"
    ends = ("EXPIRED", "LOCKED")
    rows = [
        ("the hashes of both while they were claims", "; ".join(claims["password hash"]), "; ".join([hashed] * 2)),
        *((f"{state} rows, and hashes on them", counts.get(state, "none"), "1 and 0") for state in ends),
        *((f"{state} rows, and hashes on them", found, "none") for state, found in counts.items() if state not in ends),
        *((f"{what}, by raw SQL", results.get(what, "not tried"), REFUSED) for what in RESURRECTIONS),
    ]
    return compare("no hash on an EXPIRED or LOCKED row, and none can be put back", rows)


@experiment(_judge_hashes)
def nothing_kept(**settings: Any) -> Observed:
    """Truth 6: let claims expire and lock in real time, ask the raw table for hashes, and try to put one back.

    Args:
        settings: of the service, beside those of KEPT_BRIEFLY.
    """
    expired, locked = "expired@example.com", "locked@example.com"
    with Testbed(**{**KEPT_BRIEFLY, **settings}) as testbed:
        testbed.claim(expired)
        claims = [testbed.rows(expired)]
        code = testbed.claim(locked)
        claims.append(testbed.rows(locked))
        testbed.lock(locked, PASSWORD, code)
        wait_for(lambda: testbed.state(expired) == "EXPIRED", 30)
        with testbed.database.connect() as connection:
            ended = query(connection, HASHES)
            tried = [(what, attempt(connection, statement)) for what, statement in RESURRECTIONS.items()]
    return {
        "claims": pd.concat(claims),
        "ended": ended,
        "tried": pd.DataFrame(
            [(what, seen.result, seen.by) for what, seen in tried], columns=["attempt", "result", "refused by"]
        ),
        "bcrypt_cost": KEPT_BRIEFLY["bcrypt_cost"],
    }
