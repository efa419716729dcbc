"""What opens an account and what is left of what does not: truths 2, 4, 5 and 6."""

import re
from typing import Any

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare, experiment
from beefirst.laboratory.forbidden_sql import REFUSED, attempt
from beefirst.laboratory.testbed import PASSWORD, Testbed, wrong
from beefirst.machine.waiting import wait_for


@experiment
def code_only_by_mail(testbed: Testbed) -> Evidence:
    """Truth 2: register, and look for the code in the mail, the answer with its headers, and the API's log."""
    email = "courier@example.com"
    answer = testbed.register(email)
    code = testbed.mailbox.code_for(email)
    headers = " ".join(
        f"{name}: {value}" for name, value in answer.headers.items() if name not in ("date", "x-request-id")
    )
    log = " ".join(
        re.sub(r'^\S+ \S+|"[^"]*"|127\.0\.0\.1:\d+', " ", line) for line in testbed.apis[0].log().splitlines()
    )
    places = {
        "the mail": str(testbed.mailbox.messages[-1]),
        "the answer": answer.text,
        "its headers": headers,
        "the log": log,
    }
    found = {place: "yes" if re.search(rf"\b{code}\b", text) else "no" for place, text in places.items()}
    rows = [(place, seen, "yes" if place == "the mail" else "no") for place, seen in found.items()]
    return compare("in the mail, and in neither answer, header nor log", rows, ["where", "holds the code", "expected"])


@experiment
def together(testbed: Testbed) -> Evidence:
    """Truth 4: try every mixture of right and wrong on one claim, the right one last."""
    email = "pair@example.com"
    code = testbed.claim(email)
    attempts = [
        ("right code, wrong password", "wrong horse", code, 401, 0),
        ("wrong code, wrong password", "wrong horse", wrong(code), 401, 0),
        ("right code, no password", "", code, 401, 0),
        ("wrong code, right password", PASSWORD, wrong(code), 401, 1),
        ("right code, right password", PASSWORD, code, 200, 1),
    ]
    rows = []
    for what, password, tried, status, counted in attempts:
        answer = testbed.activate(email, password, tried)
        seen = f"{answer.status_code}, {testbed.row(email)['attempts']} counted"
        rows.append((what, seen, f"{status}, {counted} counted", testbed.state(email)))
    frame = pd.DataFrame(rows, columns=["attempt", "seen", "expected", "state"])
    holds = bool((frame["seen"] == frame["expected"]).all()) and list(frame["state"]) == ["CLAIMED"] * 4 + ["ACTIVE"]
    return Evidence(
        holds, "only both together activate, and only a wrong code under the right password counts as an attempt", frame
    )


@experiment
def dormant_password(testbed: Testbed) -> Evidence:
    """Truth 5: an attacker claims a victim's address in advance; the victim then confirms, and registers."""
    email, attacker, victim = "victim@example.com", "the attacker's", "the victim's own"
    code = testbed.claim(email, attacker)
    rows: list[tuple[str, object, str, str]] = [
        ("the attacker claims the address", "", testbed.state(email), "CLAIMED")
    ]
    answer = testbed.activate(email, attacker, wrong(code))
    rows.append(("… and does not have the code", answer.status_code, testbed.state(email), "CLAIMED"))
    answer = testbed.activate(email, victim, code)
    rows.append(("the victim enters the code that came", answer.status_code, testbed.state(email), "CLAIMED"))
    testbed.let_pass(email, 3600)
    code = testbed.claim(email, victim)
    answer = testbed.activate(email, attacker, code)
    rows.append(
        (
            "after the TTL the victim registers; the attacker's password",
            answer.status_code,
            testbed.state(email),
            "CLAIMED",
        )
    )
    answer = testbed.activate(email, victim, code)
    rows.append(("the victim's own password and code", answer.status_code, testbed.state(email), "ACTIVE"))
    frame = pd.DataFrame(rows, columns=["step", "answer", "state", "expected"])
    holds = bool((frame["state"] == frame["expected"]).all()) and list(frame["answer"]) == ["", 401, 401, 401, 200]
    return Evidence(holds, "a claim made in advance gives the attacker nothing", frame)


RESURRECTIONS = {
    "a hash on an EXPIRED row": "UPDATE registrations SET password_hash = 'x' WHERE state = 'EXPIRED'",
    "a hash on a LOCKED row": "UPDATE registrations SET password_hash = 'x' WHERE state = 'LOCKED'",
    "an EXPIRED row back to ACTIVE": "UPDATE registrations SET state = 'ACTIVE', password_hash = 'x', "
    "activated_at = now() WHERE state = 'EXPIRED'",
}


@experiment
def nothing_kept(**settings: Any) -> Evidence:
    """Truth 6: let claims expire and lock in real time, ask the raw table for hashes, and try to put one back.

    Args:
        settings: of the service.
    """
    with Testbed(ttl_seconds=4, sweep_interval_seconds=0.2, **settings) as testbed:
        testbed.claim("expired@example.com")
        code = testbed.claim("locked@example.com")
        testbed.lock("locked@example.com", PASSWORD, code)
        wait_for(lambda: testbed.state("expired@example.com") == "EXPIRED", 30)
        rows = [
            (f"{state} rows, and hashes on them", f"{count} and {hashes}", "1 and 0")
            for state, count, hashes in testbed.execute(
                "SELECT state, count(*), count(password_hash) FROM registrations GROUP BY state ORDER BY state"
            )
        ]
        with testbed.database.connect() as connection:
            rows += [
                (f"{what}, by raw SQL", attempt(connection, statement).result, REFUSED)
                for what, statement in RESURRECTIONS.items()
            ]
    expected = 2 + len(RESURRECTIONS)
    evidence = compare("no hash on an EXPIRED or LOCKED row, and none can be put back", rows)
    return Evidence(evidence.holds and len(rows) == expected, evidence.summary, evidence.rows)
