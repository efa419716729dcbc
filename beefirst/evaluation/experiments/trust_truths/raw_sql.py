"""What the schema enforces by itself, attacked by raw SQL past the API: truths 1, 6, 8, 9, 10 and 11."""

from dataclasses import replace

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.procedure import Observed, experiment, measurement
from beefirst.laboratory.forbidden_sql import REFUSED, attempt
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


COLUMNS = ["truth", "attack", "result", "refused by", "expected"]


@measurement
def attack(testbed: Testbed) -> pd.DataFrame:
    """Claim, activate and lock three addresses through the API, then attack their rows by raw SQL.

    Returns:
        One row an attack: the truth that it is against, the attack, its result, what refused it, what must.
    """
    testbed.activate("a@example.net", PASSWORD, testbed.claim("a@example.net"))
    testbed.claim("c@example.net")
    code = testbed.claim("l@example.net")
    testbed.lock("l@example.net", PASSWORD, code)
    with testbed.database.connect() as connection:
        tried = [(truth, what, attempt(connection, statement), by) for truth, what, statement, by in ATTACKS]
    return pd.DataFrame([(truth, what, seen.result, seen.by, by) for truth, what, seen, by in tried], columns=COLUMNS)


def _judge_refusals(attacks: pd.DataFrame, truth: int) -> Evidence:
    rows = attacks[attacks["truth"] == truth]
    due = [(what, by) for against, what, _, by in ATTACKS if against == truth]
    count = int(((rows["result"] == REFUSED) & (rows["refused by"] == rows["expected"])).sum())
    evidence = compare(
        f"{count} of {len(due)} attacks by raw SQL refused", list(rows.itertuples(index=False, name=None)), COLUMNS
    )
    made = [*zip(rows["attack"], rows["expected"], strict=True)] == due
    return replace(evidence, holds=evidence.holds and made and count == len(due))


@experiment(_judge_refusals, attack)
def refused(attacks: pd.DataFrame, truth: int) -> Observed:
    """Count the attacks against one truth that the schema refused, each by the constraint or trigger for it.

    Args:
        attacks: as `attack` returns them.
        truth: its number.
    """
    return {"attacks": attacks, "truth": truth}
