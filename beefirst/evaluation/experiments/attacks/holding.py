"""Holding an address without proof, getting there before its owner, and doing again what has worked once."""

from collections.abc import Sequence

import pandas as pd

from beefirst.evaluation.evidence import Evidence, compare
from beefirst.evaluation.experiments.attacks.people import ATTACKERS, VICTIMS, fresh
from beefirst.evaluation.procedure import Observed, experiment
from beefirst.laboratory import raw_http
from beefirst.laboratory.recording import digester
from beefirst.laboratory.testbed import Testbed, wrong

SQUATTING = (
    ("within the TTL the victim asks for the address", "CLAIMED, the same claim"),
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
    email = fresh("squatted")
    testbed.claim(email, ATTACKERS)
    seen = [_ask_everywhere(testbed, email, password) for password in (VICTIMS, ATTACKERS)]
    testbed.let_pass(email, testbed.ttl_seconds + 1)
    codes = testbed.codes_mailed(email)
    code = testbed.claim(email, VICTIMS)
    seen.append(f"{testbed.state(email)}, {testbed.codes_mailed(email) - codes} codes more")
    seen.append(_ask_everywhere(testbed, email, ATTACKERS))
    tried = (testbed.activate(email, password, code) for password in (ATTACKERS, VICTIMS))
    seen += [f"{answer.status_code}, {testbed.state(email)}" for answer in tried]
    steps = [(step, found) for (step, _), found in zip(SQUATTING, seen, strict=True)]
    return {"steps": pd.DataFrame(steps, columns=["step", "seen"])}


def _ask_everywhere(testbed: Testbed, email: str, password: str) -> str:
    before = testbed.execute(CLAIMED_AT, email=email)
    raw_http.send_at_once(testbed.urls, [raw_http.registering(email, password)] * len(testbed.apis))
    same = testbed.execute(CLAIMED_AT, email=email) == before
    return f"{testbed.state(email)}, {'the same claim' if same else 'ANOTHER CLAIM'}"


ATTEMPTS = (
    # whose claim it is; the password and the code that are tried on it
    ("the attacker's", "none", "of this claim's mail"),
    ("the attacker's", "the victim's", "of this claim's mail"),
    ("the attacker's", "the attacker's", "guessed"),
    ("the victim's", "none", "of this claim's mail"),
    ("the victim's", "the attacker's", "of this claim's mail"),
    ("the victim's", "the attacker's", "of the mail before"),
    ("the victim's", "the victim's", "of the mail before"),
    ("the victim's", "the victim's", "of this claim's mail"),
)
"""The victim reads all mail, and the attacker none. The last of them opens the account, and no other."""

TRIED = ["claim", "password", "code", "seen"]


def _judge_attempts(attempts: pd.DataFrame) -> Evidence:
    seen = {tuple(row[:3]): row[3] for row in attempts.itertuples(index=False, name=None)}
    rows = [
        (*it, seen.get(it, "not tried"), "200, ACTIVE" if it == ATTEMPTS[-1] else "401, CLAIMED") for it in ATTEMPTS
    ]
    words = f"of {len(rows)} combinations one opens an account: the victim's own claim, password and code"
    return compare(words, rows, [*TRIED, "expected"])


@experiment(_judge_attempts)
def hijacking_in_advance(testbed: Testbed) -> Observed:
    """Account pre-hijacking: the attacker claims the victim's address first, and waits for the victim to confirm it.

    A. Sudhodanan and A. Paverd, USENIX Security 2022. The victim enters the code of that mail; later the victim claims
    the address, and the attacker tries whatever there is on that claim.
    """
    email, passwords = fresh("hijacked"), {"none": "", "the attacker's": ATTACKERS, "the victim's": VICTIMS}
    rows, mailed = list[tuple[str, ...]](), list[str]()
    for owner in ("the attacker's", "the victim's"):
        if testbed.state(email) == "ACTIVE":  # an account is not claimed anew, and the attacker has it
            break
        testbed.let_pass(email, 3600)
        mailed.append(testbed.claim(email, passwords[owner]))
        codes = {
            "of this claim's mail": mailed[-1],
            "of the mail before": mailed[0] if mailed[0] != mailed[-1] else wrong(mailed[-1]),
            "guessed": wrong(mailed[-1]),
        }
        for claim, password, code in ATTEMPTS:
            if claim == owner:
                status = testbed.activate(email, passwords[password], codes[code]).status_code
                rows.append((claim, password, code, f"{status}, {testbed.state(email)}"))
    return {"attempts": pd.DataFrame(rows, columns=TRIED)}


REPLAYS = (
    ("the activation as it was recorded, at once through all replicas", "200 once, ACTIVE"),
    ("… and again", "200 never, unchanged"),
    ("the recorded registration", "202, unchanged"),
    ("… and the activation behind it", "401, unchanged"),
    ("the code that was used, on another address that the same person claims", "401, CLAIMED"),
)


def _judge_replays(replayed: pd.DataFrame, copies: int) -> Evidence:
    seen = dict(replayed.itertuples(index=False, name=None))
    rows = [(what, seen.get(what, "not sent"), due) for what, due in REPLAYS]
    return compare(f"of {copies} copies of an activation one counts, and nothing after it", rows)


@experiment(_judge_replays)
def recording_is_replayed(testbed: Testbed, copies: int = 12) -> Observed:
    """Record the requests of a registration as they go over the wire, and send them again.

    Args:
        testbed: with several replicas.
        copies: how often the activation is sent at once.
    """
    email, other, digest = fresh("replayed"), fresh("another"), digester()
    code = testbed.claim(email, VICTIMS)
    registration, activation = raw_http.registering(email, VICTIMS), raw_http.activating(email, VICTIMS, code)

    def send(content: bytes, count: int = 1) -> list[int]:
        return [answer.status for answer in raw_http.send_at_once(testbed.urls, [content] * count)]

    def unchanged() -> str:
        return "unchanged" if digest(_whole_row(testbed, email)) == before else "CHANGED"

    first = send(activation, copies)
    seen = [f"{_times(first)}, {testbed.state(email)}"]
    before = digest(_whole_row(testbed, email))
    seen.append(f"{_times(send(activation, copies))}, {unchanged()}")
    seen += [f"{send(content)[0]}, {unchanged()}" for content in (registration, activation)]
    others = testbed.claim(other, VICTIMS)
    used = code if code != others else wrong(others)
    seen.append(f"{testbed.activate(other, VICTIMS, used).status_code}, {testbed.state(other)}")
    replayed = [(what, found) for (what, _), found in zip(REPLAYS, seen, strict=True)]
    return {"replayed": pd.DataFrame(replayed, columns=["what", "seen"]), "copies": copies}


def _times(statuses: Sequence[int]) -> str:
    count = statuses.count(200)
    return f"200 {'never' if not count else 'once' if count == 1 else f'{count} TIMES'}"


def _whole_row(testbed: Testbed, email: str) -> list[tuple[object, ...]]:
    return testbed.execute("SELECT * FROM registrations WHERE email = %(email)s", email=email)
