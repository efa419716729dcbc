"""What the schema enforces by itself, attacked by raw SQL past the API: truths 1, 6, 8, 9, 10 and 11."""

import pandas as pd
import psycopg

from beefirst.evaluation.evidence import Evidence
from beefirst.laboratory.testbed import PASSWORD, Testbed

ATTACKS = (
    (
        1,
        "a second row for an address",
        "INSERT INTO registrations (email, verification_code) VALUES ('a@example.net', '0000')",
        "registrations_email_key",
    ),
    (
        6,
        "a hash on a LOCKED row",
        "UPDATE registrations SET password_hash = 'x' WHERE email = 'l@example.net'",
        "registrations_ended_has_no_hash",
    ),
    (
        8,
        "an eleventh attempt",
        "UPDATE registrations SET attempt_count = 11 WHERE email = 'c@example.net'",
        "registrations_attempts_are_counted",
    ),
    (
        9,
        "another spelling",
        "UPDATE registrations SET email = 'C@example.net' WHERE email = 'c@example.net'",
        "registrations_email_is_lower_case",
    ),
    (
        10,
        "LOCKED straight to ACTIVE",
        "UPDATE registrations SET state = 'ACTIVE', password_hash = 'x', activated_at = now() "
        "WHERE email = 'l@example.net'",
        "registrations_ended_is_claimed_anew",
    ),
    (
        10,
        "ACTIVE without activated_at",
        "UPDATE registrations SET state = 'ACTIVE' WHERE email = 'c@example.net'",
        "registrations_active_has_time",
    ),
    (
        10,
        "another hash on the same claim",
        "UPDATE registrations SET password_hash = 'x' WHERE email = 'c@example.net'",
        "registrations_new_claim_is_later",
    ),
    (
        11,
        "ACTIVE back to CLAIMED",
        "UPDATE registrations SET state = 'CLAIMED' WHERE email = 'a@example.net'",
        "registrations_active_is_final",
    ),
    (
        11,
        "another password for an account",
        "UPDATE registrations SET password_hash = 'x' WHERE email = 'a@example.net'",
        "registrations_active_is_final",
    ),
)
"""The truth, the attack in words and as a statement, and the name of what must refuse it."""


def raw_sql(testbed: Testbed) -> Evidence:
    """Claim, activate and lock three addresses through the API, then attack their rows by raw SQL."""
    testbed.activate("a@example.net", PASSWORD, testbed.claim("a@example.net"))
    testbed.claim("c@example.net")
    code = testbed.claim("l@example.net")
    testbed.lock("l@example.net", PASSWORD, code)
    rows = [(truth, what, *_attack(testbed, statement, by)) for truth, what, statement, by in ATTACKS]
    frame = pd.DataFrame(rows, columns=["truth", "attack", "result", "refused by"])
    refused = int((frame["result"] == "refused").sum())
    return Evidence(refused == len(ATTACKS), f"{refused} of {len(ATTACKS)} attacks by raw SQL were refused", frame)


def of_each_truth(evidence: Evidence) -> dict[str, Evidence]:
    """Return the part of the evidence of `raw_sql` that belongs to each truth, by its number."""
    return {str(truth): _part(rows) for truth, rows in evidence.rows.groupby("truth")}


def _part(rows: pd.DataFrame) -> Evidence:
    refused = int((rows["result"] == "refused").sum())
    return Evidence(refused == len(rows), f"{refused} of {len(rows)} attacks by raw SQL refused", rows)


def _attack(testbed: Testbed, statement: str, expected: str) -> tuple[str, str]:
    try:
        testbed.execute(statement)
    except psycopg.IntegrityError as error:
        name = error.diag.constraint_name or ""
        return "refused" if name == expected else "FAIL", name
    return "FAIL", "nobody"
