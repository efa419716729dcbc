"""Holding an address without proof, getting there before its owner, and doing again what has worked once."""

from collections.abc import Sequence

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.attacks.people import ATTACKERS, VICTIMS
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.recording import digester
from beefirst.laboratory.testbed import Testbed, wrong

SQUATTED, HIJACKED, REPLAYED = "squatted@attacks.example", "hijacked@attacks.example", "replayed@attacks.example"

SQUATTING = (
    ("within the TTL the victim asks for the address", "CLAIMED, 0 codes more"),
    ("… and the attacker asks again, to begin a new TTL", "CLAIMED, the same claim"),
    ("after the TTL the victim asks", "CLAIMED, 1 codes more"),
    ("… and the attacker asks at every replica", "CLAIMED, the same claim"),
    ("the attacker's password with the victim's code", "401, CLAIMED"),
    ("the victim's password with the victim's code", "200, ACTIVE"),
)
"""What is done about an address that an attacker has claimed, and what is to come of it."""

CLAIMED_AT = "SELECT created_at FROM registrations WHERE email = %(email)s"


def _judge_steps(steps: pd.DataFrame) -> Evidence:
    seen = dict(steps.itertuples(index=False, name=None))
    rows = [(step, seen.get(step, "not tried"), due) for step, due in SQUATTING]
    return compare("held until the TTL is over, and no longer", rows, ["step", "seen", "expected"])


@experiment(_judge_steps)
def squatter_is_evicted(testbed: Testbed) -> Observed:
    """Claim a victim's address and never prove it; the victim asks within the TTL, and after it."""
    email = SQUATTED
    testbed.claim(email, ATTACKERS)
    seen = [_ask(testbed, email, VICTIMS), _ask_to_prolong(testbed, email)]
    testbed.let_pass(email, testbed.ttl_seconds + 1)
    codes = testbed.codes_mailed(email)
    code = testbed.claim(email, VICTIMS)
    seen += [f"{testbed.state(email)}, {testbed.codes_mailed(email) - codes} codes more", _ask_to_prolong(testbed, email)]
    for password in (ATTACKERS, VICTIMS):
        seen.append(f"{testbed.activate(email, password, code).status_code}, {testbed.state(email)}")
    steps = [(step, found) for (step, _), found in zip(SQUATTING, seen, strict=True)]
    return {"steps": pd.DataFrame(steps, columns=["step", "seen"])}


def _ask(testbed: Testbed, email: str, password: str) -> str:
    codes = testbed.codes_mailed(email)
    testbed.register(email, password)
    return f"{testbed.state(email)}, {testbed.codes_mailed(email) - codes} codes more"


def _ask_to_prolong(testbed: Testbed, email: str) -> str:
    before = testbed.execute(CLAIMED_AT, email=email)
    raw_http.send_at_once(testbed.urls, [raw_http.registering(email, ATTACKERS)] * len(testbed.apis))
    same = testbed.execute(CLAIMED_AT, email=email) == before
    return f"{testbed.state(email)}, {'the same claim' if same else 'ANOTHER CLAIM'}"


MIXED = ["claim", "password", "code", "answer", "state", "expected"]

OPENS = ("the victim's", "the victim's", "the victim's")
"""The one combination that opens an account."""


def _judge_combinations(combinations: pd.DataFrame) -> Evidence:
    rows = [(*row, _due(row[:3])) for row in combinations.itertuples(index=False, name=None)]
    frame = pd.DataFrame([(*row[:3], f"{row[3]}, {row[4]}", row[5]) for row in rows], columns=[*MIXED[:3], "seen", "expected"])
    holds = len(rows) == len(_combinations("")) * 2 and bool((frame["seen"] == frame["expected"]).all())
    words = f"of {len(rows)} combinations of claim, password and code one opens an account: all the victim's own"
    return Evidence(holds, words, frame)


def _due(combination: tuple[object, ...]) -> str:
    return "200, ACTIVE" if combination == OPENS else "401, CLAIMED"


def _combinations(own: str) -> list[tuple[str, str]]:
    """Return passwords and codes by whose they are; what opens comes last."""
    passwords, codes = ("none", "the attacker's", "the victim's"), ("the attacker's", "the victim's")
    return [(password, code) for password in passwords for code in codes]


@experiment(_judge_combinations)
def hijacking_in_advance(testbed: Testbed) -> Observed:
    """Account pre-hijacking: the attacker claims the victim's address first, and waits for the victim to confirm it.

    A. Sudhodanan and A. Paverd, USENIX Security 2022. The victim enters the code of the attacker's mail; later the
    victim registers, and the attacker tries what there is on that claim.
    """
    email, passwords = HIJACKED, {"none": "", "the attacker's": ATTACKERS, "the victim's": VICTIMS}
    rows, codes = list[tuple[object, ...]](), dict[str, str]()
    for claim in ("the attacker's", "the victim's"):
        testbed.let_pass(email, 3600)
        codes[claim] = testbed.claim(email, passwords[claim])
        known = {"the attacker's": codes["the attacker's"], "the victim's": codes.get("the victim's", "")}
        for password, whose in _combinations(claim):
            code = _other_than(codes[claim], known[whose]) if whose != claim else codes[claim]
            if (claim, password, whose) == ("the attacker's",) * 3:
                continue
            status = testbed.activate(email, passwords[password], code).status_code
            rows.append((claim, password, whose, status, testbed.state(email)))
    return {"combinations": pd.DataFrame(rows, columns=MIXED[:5])}


def _other_than(own: str, other: str) -> str:
    """Return the other code; where there is none yet, or chance has made both the same, any that is not the claim's."""
    return other if other and other != own else wrong(own)


REPLAYS = (
    ("the activation, many times at once through all replicas", "200 once, 401 else; ACTIVE"),
    ("the whole exchange anew: the registration", "202; unchanged"),
    ("… and the activation", "401; unchanged"),
    ("the activation at each replica", "401; unchanged"),
    ("the code that was used, on the next claim of another address", "401; CLAIMED"),
)
